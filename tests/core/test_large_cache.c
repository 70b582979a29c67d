#include "large_cache.h"

#include "counters.h"
#include "malloc.h"
#include "publish.h"
#include "thread.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

enum { SIZE = 100000, RUN = 2 * SPAN_BYTES };

/* A thread has a cache as soon as it has a heap. */
static void begin(void)
{
    malloc_free(malloc_fast(16));
}

static struct large_cache *mine(void)
{
    return &thread_local_state.thread->large_cache;
}

Test(large_cache, the_block_that_was_freed_comes_back)
{
    char *p;
    char *q;

    begin();
    p = malloc_alloc(NULL, SIZE);
    malloc_free(p);
    cr_assert_eq(large_cache_bytes(), bits_round_up(SIZE, os_page_bytes()));
    q = malloc_alloc(NULL, RUN);
    cr_assert_eq(q, p, "of the same length, though longer");
    cr_assert_eq(malloc_usable(q), RUN);
    cr_assert_eq(large_cache_bytes(), 0);
    memset(q, 1, RUN);
    malloc_free(q);
    cr_assert_neq(
        malloc_alloc(NULL, RUN / 2), p, "the runs of each length are their own");
}

Test(large_cache, calloc_from_it_is_zero)
{
    char *p;

    begin();
    p = malloc_alloc(NULL, SIZE);
    memset(p, 0xff, SIZE);
    malloc_free(p);
    cr_assert_eq(malloc_zeroed(NULL, 1, SIZE), p);
    for (size_t i = 0; i < SIZE; i++) {
        cr_assert_eq(p[i], 0);
    }
}

Test(large_cache, has_one_of_a_length_and_none_that_is_long)
{
    void *p[4];

    begin();
    p[0] = malloc_alloc(NULL, SIZE);
    p[1] = malloc_alloc(NULL, SIZE);
    p[2] = malloc_alloc(NULL, LARGE_CACHE_SPANS * SPAN_BYTES + 1);
    p[3] = malloc_alloc(NULL, SIZE);
    for (unsigned i = 0; i < 3; i++) {
        malloc_free(p[i]);
    }
    cr_assert_eq(large_cache_bytes(), bits_round_up(SIZE, os_page_bytes()));
    cr_assert_not_null(mine()->slot[1]);
    cr_assert_eq(large_cache_flush(mine()), RUN);
    cr_assert_eq(large_cache_bytes(), 0);
    malloc_free(p[3]);
}

Test(large_cache, room_to_grow_comes_from_long_ones_only)
{
    char *p;
    char *q;

    begin();
    p = malloc_alloc(NULL, SIZE);
    malloc_free(p);
    q = malloc_resize(NULL, malloc_alloc(NULL, SLAB_MAX), RUN - 1000);
    cr_assert_neq(q, p, "with an eighth more it has three spans");
    cr_assert_eq(malloc_resize(NULL, q, RUN + 1000), q);
}

Test(large_cache, another_component_keeps_none_here)
{
    struct mp_component *c = component_intern("c");
    void *p;

    begin();
    p = malloc_alloc(NULL, SIZE);
    thread_enter(c);
    begin();
    malloc_free(p);
    cr_assert_eq(
        large_cache_bytes(), 0, "whose free would be counted in the wrong heap");
    malloc_free(malloc_alloc(NULL, SIZE));
    thread_enter(NULL);
    cr_assert_eq(malloc_alloc(NULL, SIZE), p, "memory of one serves the others");
}

Test(large_cache, a_component_of_large_blocks_alone_has_it_too)
{
    void *p;

    begin();
    thread_enter(component_intern("c"));
    p = malloc_alloc(NULL, SIZE);
    malloc_free(p);
    cr_assert_eq(malloc_alloc(NULL, SIZE), p);
    cr_assert_eq(large_cache_bytes(), 0);
}

#if CONFIG_PROFILE

static struct mp_snapshot look(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    cr_assert_eq(publish_snapshot(&s), 0);
    return s;
}

Test(large_cache, counts_are_exact)
{
    struct mp_snapshot before;
    struct mp_snapshot after;
    void *p;

    begin();
    before = look();
    for (unsigned i = 0; i < 1000; i++) {
        p = malloc_alloc(NULL, 40000 + i * 200);
        malloc_free(p);
    }
    p = malloc_alloc(NULL, SIZE);
    after = look();
    cr_assert_eq(after.allocated_blocks_total, before.allocated_blocks_total + 1001);
    cr_assert_eq(after.freed_blocks_total, before.freed_blocks_total + 1000);
    cr_assert_eq(
        after.live_bytes - before.live_bytes, bits_round_up(SIZE, os_page_bytes()));
    cr_assert_eq(
        after.active_bytes - before.active_bytes, after.live_bytes - before.live_bytes);
    malloc_free(p);
    after = look();
    cr_assert_eq(after.live_bytes, before.live_bytes);
    cr_assert_geq(
        after.dirty_bytes, large_cache_bytes(), "what is kept is free memory");
}

static void *churn(void *arg)
{
    begin();
    for (unsigned i = 0; i < 100; i++) {
        malloc_free(malloc_alloc(NULL, SIZE));
    }
    *(void **)arg = malloc_alloc(NULL, SIZE);
    return NULL;
}

Test(large_cache, a_thread_that_ends_leaves_its_counts_and_no_memory)
{
    struct mp_snapshot before;
    struct mp_snapshot after;
    pthread_t thread;
    void *p;

    begin();
    before = look();
    pthread_create(&thread, NULL, churn, &p);
    pthread_join(thread, NULL);
    cr_assert_eq(large_cache_bytes(), 0);
    malloc_free(p); /* of another heap, whose block it was */
    after = look();
    cr_assert_eq(after.live_bytes, before.live_bytes);
    cr_assert_eq(after.freed_blocks_total - before.freed_blocks_total,
        after.allocated_blocks_total - before.allocated_blocks_total);
}

#endif

Test(large_cache, purges_leave_what_is_in_use)
{
    begin();
    malloc_free(malloc_alloc(NULL, SIZE));
    lock_lock(&counters_lock);
    large_cache_purge_locked(1000, 500);
    cr_assert_neq(large_cache_bytes(), 0, "it is new to them");
    large_cache_purge_locked(1400, 500);
    cr_assert_neq(large_cache_bytes(), 0);
    lock_unlock(&counters_lock);
    malloc_free(malloc_alloc(NULL, SIZE));
    lock_lock(&counters_lock);
    large_cache_purge_locked(1800, 500);
    cr_assert_neq(large_cache_bytes(), 0, "it was used meanwhile");
    large_cache_purge_locked(2300, 500);
    cr_assert_eq(large_cache_bytes(), 0);
    lock_unlock(&counters_lock);
}

Test(large_cache, a_trim_takes_it)
{
    begin();
    malloc_free(malloc_alloc(NULL, SIZE));
    malloc_trim_all();
    cr_assert_eq(large_cache_bytes(), 0);
}

Test(large_cache, double_free_aborts, .signal = SIGABRT)
{
    void *p;

    begin();
    p = malloc_alloc(NULL, SIZE);
    malloc_free(p);
    cr_assert_neq(large_cache_bytes(), 0);
    malloc_free(p);
}
