#include "large.h"

#include "check.h"
#include "huge.h"
#include "probe.h"
#include "thp.h"

/* The state of a large block's entry. */
enum { LARGE_PLAIN, LARGE_ADVISED /* it may have huge pages */ };

static size_t spans_for(size_t bytes)
{
    return (bytes + SPAN_BYTES - 1) >> SPAN_SHIFT;
}

void *large_alloc(
    struct mp_component *c, size_t size, size_t spare, size_t align, bool *ret_zeroed)
{
    size_t bytes;
    size_t align_spans = align > SPAN_BYTES ? align >> SPAN_SHIFT : 1;
    size_t spans;
    struct span *s;
    bool is_clean;
    bool is_advised;

    if (size > PTRDIFF_MAX - 2 * MIB || align > PTRDIFF_MAX / 2) {
        return NULL;
    }
    bytes = bits_round_up(bits_max(size, 1), os_page_bytes());
    if (bytes >= HUGE_MIN || align >= HUGE_MIN) {
        return huge_alloc(c, bytes, bits_max(align, os_page_bytes()), ret_zeroed);
    }
    spans = spans_for(bytes + bits_min(spare, HUGE_MIN));
    lock_lock(&span_lock);
    while ((s = span_acquire_locked(spans, align_spans, &is_clean)) == NULL) {
        lock_unlock(&span_lock);
        if (huge_purge(0, 0, SIZE_MAX) == 0) {
            return NULL;
        }
        lock_lock(&span_lock);
    }
    s->owner = 0;
    s->asked = 0;
    s->sample = 0;
    is_advised = ret_zeroed == NULL && is_clean && thp_is_wanted(bytes, span_used());
    s->state = is_advised ? LARGE_ADVISED : LARGE_PLAIN;
    s->large_bytes = bytes;
    s->component = c;
    s->run = (uint32_t)spans;
    store_release(
        &s->kind, (uint8_t)SPAN_LARGE); /* pairs with the sweep in counters.c */
    add_owned(&probe_large_bytes, bytes);
    component_count_large_locked(c, bytes, false);
    lock_unlock(&span_lock);
    if (is_advised) {
        thp_advise(span_address(s), bytes, true);
    }
    if (ret_zeroed != NULL) {
        *ret_zeroed = is_clean;
    }
    if (is_clean) { /* reused memory was freed: free looked at the clock */
        probe_tick_later(os_coarse_ms());
    }
    return span_address(s);
}

bool large_is_block(const struct span *s, const void *p)
{
    return ((uintptr_t)p & (SPAN_BYTES - 1)) == 0
           && load_relaxed(&s->kind) == SPAN_LARGE;
}

static bool retire_locked(struct span *s, enum span_kind kind)
{
    if (!large_retire(s, kind)) {
        return false;
    }
    component_count_large_locked(s->component, s->large_bytes, true);
    return true;
}

static COLD NOINLINE void die_of_two(const void *p)
{
    check_die("double free of %p (large block)", (void *)(uintptr_t)p);
}

/* No more huge pages for its memory: what comes next may be small. */
static void unadvise(struct span *s, void *p)
{
    if (s->state == LARGE_ADVISED) {
        s->state = LARGE_PLAIN;
        thp_advise(p, s->large_bytes, false);
    }
}

void large_free(struct span *s, void *p)
{
    uint32_t now_ms = os_coarse_ms();
    bool is_block;

    unadvise(s, p); /* while it is the caller's yet */
    lock_lock(&span_lock);
    is_block = retire_locked(s, SPAN_NONE);
    if (is_block) {
        span_release_locked(
            s, s->run, s->touched + span_parts_of(s->large_bytes), now_ms);
    }
    lock_unlock(&span_lock);
    if (!is_block) {
        die_of_two(p);
    }
    probe_tick_later(now_ms);
}

void large_confine(struct span *s, void *p)
{
    bool is_block;

    lock_lock(&span_lock);
    is_block = retire_locked(s, SPAN_CONFINED);
    lock_unlock(&span_lock);
    if (!is_block) {
        die_of_two(p);
    }
    probe_tick(os_coarse_ms());
}

void large_release(struct span *s, size_t touched, uint32_t freed_ms)
{
    lock_lock(&span_lock);
    store_relaxed(&s->kind, SPAN_NONE);
    span_release_locked(s, s->run, touched, freed_ms);
    lock_unlock(&span_lock);
}

bool large_try_resize(struct span *s, size_t size)
{
    struct mp_component *c = s->component;
    size_t bytes = bits_round_up(size, os_page_bytes());
    size_t old_bytes = s->large_bytes;
    size_t old_spans = s->run;
    size_t spans = spans_for(bytes);
    uint32_t now_ms = os_coarse_ms();
    bool clean;

    if (size <= SLAB_MAX || bytes >= HUGE_MIN || s->asked != 0) {
        return false;
    }
    if (bytes == old_bytes) {
        return true;
    }
    if (spans > old_spans && !span_extend(s, old_spans, spans, &clean)) {
        return false;
    }
    s->run = (uint32_t)bits_max(spans, old_spans);
    if (bytes < old_bytes) {
        unadvise(s, span_address(s));
    }
    lock_lock(&span_lock);
    if (bytes < old_bytes && spans < old_spans) { /* growing keeps its spare room */
        s->run = (uint32_t)spans;
        span_release_locked(
            s + spans, old_spans - spans, (old_spans - spans) * SPAN_PARTS, now_ms);
    }
    if (bytes < old_bytes) { /* it stays touched */
        store_relaxed(
            &s->touched, (uint32_t)(s->touched + span_parts_of(old_bytes - bytes)));
    }
    s->large_bytes = bytes;
    component_count_large_locked(c, old_bytes, true);
    component_count_large_locked(c, bytes, false);
    lock_unlock(&span_lock);
    return true;
}

void large_take_counts(struct mp_component *c, struct large_count *from, unsigned most)
{
    lock_lock(&span_lock);
    for (unsigned i = 0; i < most; i++) {
        struct large_count *n = &c->large[i];

        store_release(
            &n->allocated_blocks, n->allocated_blocks + from[i].allocated_blocks);
        store_release(
            &n->allocated_bytes, n->allocated_bytes + from[i].allocated_bytes);
        store_release(&n->freed_blocks, n->freed_blocks + from[i].freed_blocks);
        store_release(&n->freed_bytes, n->freed_bytes + from[i].freed_bytes);
        from[i] = (struct large_count){0};
    }
    lock_unlock(&span_lock);
}
