#include "malloc_hard.h"

#include "canary.h"
#include "limit.h"
#include "os.h"
#include "probe.h"
#include "thread.h"

#include <errno.h>

void *malloc_fail(void)
{
    add_relaxed(&probe_passes.allocation_failures, 1);
    errno = ENOMEM;
    return NULL;
}

static void *alloc_aligned(struct mp_component *c, size_t size, size_t alignment);

static void *alloc_large_limited(struct mp_component *c, size_t size, size_t alignment)
{
    struct limit_taken taken;
    void *p;

    if (size > PTRDIFF_MAX - 2 * MIB
        || !limit_take(
            c, bits_round_up(size + CANARY_BYTES, os_page_bytes()), true, &taken)) {
        return malloc_fail();
    }
    p = alloc_aligned(c, size, alignment);
    limit_settle(&taken, p != NULL);
    limit_run();
    return p;
}

/* For a component with a budget: as much as is handed out is taken from the room. */
static COLD NOINLINE void *alloc_limited(
    struct mp_component *c, struct heap *h, size_t size, size_t alignment)
{
    unsigned cls = harden_class(size, alignment);
    uint64_t handed = 0;
    size_t bytes;
    void *p;

    if (cls == CLASS_COUNT) {
        return alloc_large_limited(c, size, alignment);
    }
    bytes = sizeclass_bytes(cls);
    if (!limit_fits(c, bytes, true)) {
        return malloc_fail();
    }
    if (h != NULL && h != &heap_empty) {
        handed = h->handed[cls];
    }
    p = alloc_aligned(c, size, alignment);
    if (p != NULL) {
        if (h != NULL && h != &heap_empty) {
            handed = h->handed[cls] - handed;
        }
        limit_charge(c, bits_max(handed, 1) * bytes, p);
        limit_run();
    }
    return p;
}

static void *alloc_aligned(struct mp_component *c, size_t size, size_t alignment)
{
    unsigned cls = harden_class(size, alignment);
    struct heap *h;
    void *p;

    if (cls == CLASS_COUNT) {
        c = c != NULL ? c : thread_component();
        p = harden_alloc_large(c, size, alignment);
        if (thread_local_state.thread == NULL) {
            thread_install_heap();
        }
        return p != NULL ? p : malloc_fail();
    }
    h = c == NULL ? thread_local_state.heap : thread_heap(c);
    if (UNLIKELY(h == &heap_empty)) {
        h = thread_install_heap();
    }
    if (c == NULL) {
        c = thread_component();
    }
    p = harden_alloc_block(c, h, cls, size);
    return p != NULL ? p : malloc_fail();
}

NOINLINE void *malloc_hard_aligned(
    struct mp_component *c, size_t size, size_t alignment)
{
    struct mp_component *to = c != NULL ? c : thread_component();

    if (UNLIKELY(load_relaxed(&to->budget) != NULL)) {
        struct heap *h = c == NULL ? thread_local_state.heap : thread_heap(c);

        return alloc_limited(to, h, size, alignment);
    }
    return alloc_aligned(c, size, alignment);
}

void *malloc_hard(size_t size)
{
    struct heap *h = thread_local_state.heap;
    struct track_hand *hand;
    unsigned cls;
    size_t bytes;
    void *p;

    if (UNLIKELY(size - 1 >= SLAB_MAX - CANARY_BYTES)) {
        return malloc_hard_aligned(NULL, size, BLOCK_ALIGN);
    }
    cls = sizeclass_of(size + CANARY_BYTES);
    bytes = sizeclass_bytes(cls);
    hand = &h->hands[cls];
    if (UNLIKELY(hand->ready == 0)) {
        return malloc_hard_aligned(NULL, size, BLOCK_ALIGN);
    }
    p = track_pop(hand, bytes, &h->random);
    if (UNLIKELY(!canary_is_zero(p, bytes))) {
        harden_say_used_after_free(p, bytes);
    }
    canary_set(p, size, bytes);
    return p;
}

void malloc_hard_free(void *p, size_t size)
{
    uintptr_t index = pagemap_index_fast(p);
    const struct sizeclass *c;
    const struct track *t;
    struct span *s;
    uint32_t offset, i;
    uint32_t tail;
    size_t slack;
    unsigned cls;

    if (UNLIKELY(!pagemap_has_fast(index))) {
        malloc_free_careful(p, size);
        return;
    }
    s = pagemap_entry_fast(index);
    if (UNLIKELY(load_relaxed(&s->kind) == SPAN_SLAB_PART)) {
        s -= load_relaxed(&s->run) % WIDE_SPANS;
    }
    cls = load_relaxed(&s->cls);
    if (UNLIKELY(load_relaxed(&s->kind) != SPAN_TRACKED || cls == 0)) {
        malloc_free_careful(p, size);
        return;
    }
    t = s->track;
    c = &sizeclass_table[cls];
    offset = (uint32_t)((const char *)p - t->start);
    i = (uint32_t)(((uint64_t)offset * c->reciprocal) >> 32);
    if (UNLIKELY(
            !t->is_hard || i * c->bytes != offset || i >= load_relaxed(&s->carved))) {
        malloc_free_careful(p, size);
        return;
    }
    tail = load_relaxed(canary_tail(p, c->bytes));
    slack = canary_slack(p, tail);
    if (UNLIKELY(slack - CANARY_BYTES > c->bytes - CANARY_BYTES
                 || (size != c->bytes - slack && size != SIZE_MAX)
                 || !canary_is_fenced(p, c->bytes - slack, tail)
                 || !canary_is_left_intact(t->start, p, c->bytes)
                 || !canary_take(p, c->bytes, tail))) {
        malloc_free_careful(p, size);
        return;
    }
    canary_clear(p, c->bytes);
    heap_free_tracked(s, i, true);
}
