#include "counters.h"

#include "malloc.h"
#include "publish.h"

#include <criterion/criterion.h>
#include <pthread.h>

/* Tests of counting have nothing to count in builds without it. */
#if CONFIG_PROFILE

static struct mp_snapshot look(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    cr_assert_eq(publish_snapshot(&s), 0);
    return s;
}

Test(counters, blocks_on_a_list_are_not_live)
{
    void *p = malloc_fast(48);
    struct mp_snapshot s = look();

    cr_assert_eq(s.live_blocks, 1);
    cr_assert_eq(s.live_bytes, 48);
    malloc_free(p);
    s = look();
    cr_assert_eq(s.live_blocks, 0);
    cr_assert_eq(s.allocated_blocks_total, 1);
    cr_assert_eq(s.freed_blocks_total, 1);
}

static void *free_it(void *p)
{
    malloc_free(p);
    return NULL;
}

Test(counters, a_remote_free_counts_before_it_is_folded)
{
    void *p = malloc_fast(48);
    pthread_t other;

    pthread_create(&other, NULL, free_it, p);
    pthread_join(other, NULL);
    cr_assert_eq(look().live_blocks, 0);
}

Test(counters, blocks_belong_to_where_they_were_born)
{
    struct mp_component *a = component_intern("a");
    struct mp_component *ab = component_intern("a/b");
    void *p;
    void *q;

    thread_enter(ab);
    p = malloc_fast(100);
    thread_enter(a);
    q = malloc_fast(1000);
    thread_enter(NULL);
    look();
    cr_assert_eq(counters_row_locked(ab->row)->sum.live_bytes, 112);
    cr_assert_eq(counters_row_locked(a->row)->sum.live_bytes, 1008);
    cr_assert_eq(counters_row_locked(a->row)->sum.tree_live_bytes, 1120);
    malloc_free(p);
    malloc_free(q);
    look();
    cr_assert_eq(counters_row_locked(a->row)->sum.tree_live_bytes, 0);
    cr_assert_geq(counters_row_locked(a->row)->sum.tree_live_peak_bytes, 1120);
}

Test(counters, old_and_short_snapshots_get_what_they_know)
{
    struct mp_snapshot s = {.size = offsetof(struct mp_snapshot, freed_blocks_total),
        .freed_blocks_total = 4711};

    malloc_free(malloc_fast(10));
    cr_assert_eq(publish_snapshot(&s), 0);
    cr_assert_eq(s.allocated_blocks_total, 1);
    cr_assert_eq(s.freed_blocks_total, 4711, "behind the caller's size");
    s.size = 8;
    cr_assert_eq(publish_snapshot(&s), -22);
    cr_assert_eq(publish_snapshot(NULL), -22);
}

/* Sums of components and of classes are the totals. */
Test(counters, parts_add_up)
{
    enum { COUNT = 2000 };
    void *blocks[COUNT];
    uint64_t sum = 0;
    struct mp_snapshot s;

    for (int i = 0; i < COUNT; i++) {
        thread_enter(i % 3 == 0 ? component_intern("x/y") : NULL);
        blocks[i] = malloc_alloc(NULL, (size_t)i * 37);
    }
    s = look();
    for (size_t i = 0; i < component_count(); i++) {
        const struct counters_row *row = counters_row_locked(i);

        for (unsigned cls = 0; row != NULL && cls < CLASS_COUNT; cls++) {
            sum +=
                row->cell[cls].allocated_bytes_total - row->cell[cls].freed_bytes_total;
        }
    }
    cr_assert_eq(sum, s.live_bytes);
    cr_assert_eq(s.live_blocks, COUNT);
    for (int i = 0; i < COUNT; i++) {
        malloc_free(blocks[i]);
    }
    cr_assert_eq(look().live_bytes, 0);
}

#endif
