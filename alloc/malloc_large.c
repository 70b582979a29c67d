#include "malloc_large.h"

#include "aside.h"
#include "huge.h"
#include "large.h"
#include "limit.h"
#include "malloc_hard.h"
#include "os.h"
#include "probe.h"
#include "sample_large.h"

#include <string.h>

/* The bytes that a block of this request has: those of its pages. */
static size_t large_bytes(size_t size)
{
    return bits_round_up(bits_max(size, 1), os_page_bytes());
}

/* As large_alloc, not hardened, whatever limits there are. c is not NULL. */
static ALWAYS_INLINE void *obtain_unlimited(struct mp_component *c, size_t size,
    size_t spare, size_t alignment, bool *ret_zeroed)
{
    const struct thread_local_state *tls = &thread_local_state;
    void *p = NULL;

    if (c == tls->heap->component && alignment <= SPAN_BYTES) {
        p = large_cache_try_alloc(
            &tls->thread->large_cache, c, tls->heap->large, size, spare);
    }
    if (p != NULL && ret_zeroed != NULL) {
        *ret_zeroed = false;
    }
    if (p == NULL) {
        p = large_alloc(c, size, spare, alignment, ret_zeroed);
    }
    if (UNLIKELY(p == NULL) && large_cache_reclaim()) {
        p = large_alloc(c, size, spare, alignment, ret_zeroed);
    }
    return p;
}

/* Nobody can have more than half of the address space: that is no matter of limits. */
static COLD NOINLINE void *obtain_limited(struct mp_component *c, size_t size,
    size_t spare, size_t alignment, bool *ret_zeroed)
{
    struct limit_taken taken;
    void *p;

    if (size > PTRDIFF_MAX || !limit_take(c, large_bytes(size), true, &taken)) {
        return NULL;
    }
    p = obtain_unlimited(c, size, spare, alignment, ret_zeroed);
    limit_settle(&taken, p != NULL);
    return p;
}

static ALWAYS_INLINE void *obtain_large(struct mp_component *c, size_t size,
    size_t spare, size_t alignment, bool *ret_zeroed)
{
    if (UNLIKELY(load_relaxed(&c->budget) != NULL)) {
        return obtain_limited(c, size, spare, alignment, ret_zeroed);
    }
    return obtain_unlimited(c, size, spare, alignment, ret_zeroed);
}

/*
 * A new block of `size` bytes outside of slabs: it may be one to sample. The thread gets a heap
 * so that it is known, ticks, and has a cache for such blocks.
 */
static ALWAYS_INLINE void note_grown(
    struct mp_component *c, void *p, size_t more, size_t size)
{
    if (UNLIKELY(thread_local_state.heap == &heap_empty)
        && thread_install_heap() == NULL) {
        return;
    }
    if (CONFIG_PROFILE) {
        sample_large(c, p, more, large_bytes(size), size);
    }
    probe_run(); /* and limit_run, where that waits */
}

static ALWAYS_INLINE void note_large(struct mp_component *c, void *p, size_t size)
{
    note_grown(c, p, large_bytes(size), size);
}

void *malloc_large(struct mp_component *c, size_t size, size_t alignment)
{
    void *p;

    if (aside_is_on()) {
        return alignment > BLOCK_ALIGN ? aside.memalign(alignment, size)
                                       : aside.malloc(size);
    }
    p = obtain_large(c, size, 0, alignment, NULL);
    if (UNLIKELY(p == NULL)) {
        return malloc_fail();
    }
    note_large(c, p, size);
    return p;
}

void *malloc_large_zeroed(struct mp_component *c, size_t size)
{
    bool zeroed;
    void *p = obtain_large(c, size, 0, BLOCK_ALIGN, &zeroed);

    if (p == NULL) {
        return malloc_fail();
    }
    if (!zeroed) {
        memset(p, 0, size);
    }
    note_large(c, p, size);
    return p;
}

void *malloc_large_growing(struct mp_component *c, size_t size)
{
    void *p = obtain_large(c, size, size / 8, BLOCK_ALIGN, NULL);

    if (p == NULL) {
        return malloc_fail();
    }
    note_large(c, p, size);
    return p;
}

void malloc_large_free(struct span *s, void *p)
{
    const struct thread_local_state *tls = &thread_local_state;

    if (UNLIKELY(s->sample != 0)) {
        sample_drop_large(s);
    }
    if (tls->heap == &heap_empty
        || !large_cache_try_free(
            &tls->thread->large_cache, tls->heap->component, tls->heap->large, s)) {
        large_free(s, p);
    }
    probe_run();
}

bool malloc_large_try_free_huge(void *p)
{
    uint32_t record = CONFIG_PROFILE ? sample_take_huge(p) : 0;

    if (!huge_try_free(p)) {
        return false;
    }
    sample_drop(record);
    probe_run();
    return true;
}

/* A block that grows in place needs room for what it grows by. */
static COLD NOINLINE bool try_grow_limited(
    struct span *s, size_t old_bytes, size_t bytes, size_t size)
{
    struct limit_taken taken;
    bool is_done;

    if (!limit_take(s->component, bytes - old_bytes, false, &taken)) {
        return false;
    }
    is_done = large_try_resize(s, size);
    limit_settle(&taken, is_done);
    return is_done;
}

/*
 * To the sums of samples a block that is resized in place is freed and another one is allocated,
 * as it is to the counters. It stays in the sample, or comes into it by what it grew by.
 */
bool malloc_large_try_resize(struct span *s, void *p, size_t old_bytes, size_t size)
{
    size_t bytes = large_bytes(size);
    bool is_limited = bytes > old_bytes && load_relaxed(&s->component->budget) != NULL;

    if (!(UNLIKELY(is_limited) ? try_grow_limited(s, old_bytes, bytes, size)
                               : large_try_resize(s, size))) {
        return false;
    }
    bytes = s->large_bytes;
    if (s->sample != 0) {
        sample_resized_large(s, bytes, size);
    } else if (bytes > old_bytes) {
        note_grown(s->component, p, bytes - old_bytes, size);
    }
    if (UNLIKELY(is_limited)) {
        limit_run();
    }
    return true;
}

/*
 * A huge block stays whose it is where it grows in place, and else is c's: only then is all of
 * it taken from c, and nothing from who had it.
 */
static COLD NOINLINE void *resize_huge_limited(
    struct mp_component *c, void *p, size_t old_bytes, size_t size)
{
    struct mp_component *old = huge_component(p);
    size_t bytes = large_bytes(size);
    struct limit_taken grown;
    struct limit_taken all;
    void *q;

    if (!limit_take(old, bytes > old_bytes ? bytes - old_bytes : 0, false, &grown)) {
        return NULL;
    }
    if (c == old) {
        q = huge_try_resize(c, p, size);
        limit_settle(&grown, q != NULL);
        return q;
    }
    limit_lend(p);
    if (!limit_take(c, bytes, false, &all)) { /* the copy finds out */
        limit_lend_nothing();
        limit_settle(&grown, false);
        return NULL;
    }
    limit_lend_nothing();
    q = huge_try_resize(c, p, size);
    limit_settle(&grown, q == p);
    limit_settle(&all, q != NULL && q != p);
    return q;
}

void *malloc_large_try_resize_huge(
    struct mp_component *c, void *p, size_t old_bytes, size_t size)
{
    size_t bytes = large_bytes(size);
    uint32_t record = CONFIG_PROFILE ? sample_take_huge(p) : 0;
    void *q = UNLIKELY(budget_at(0) != NULL)
                  ? resize_huge_limited(c, p, old_bytes, size)
                  : huge_try_resize(c, p, size);

    if (q == NULL) {
        sample_put_huge(p, record);
        return NULL;
    }
    if (record != 0) {
        sample_resized_huge(q, record, bytes, size);
    } else if (bytes > old_bytes) { /* as huge_try_resize counts */
        note_grown(q == p ? huge_component(q) : c, q, bytes - old_bytes, size);
    }
    limit_run();
    probe_run();
    return q;
}
