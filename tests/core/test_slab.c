#include "slab.h"

#include <criterion/criterion.h>
#include <signal.h>

static bool push_remote(struct span *s, void *p)
{
    return slab_push_remote_at(s, p, slab_offset(s, p));
}

static struct span *make_slab(unsigned cls)
{
    bool clean;
    struct span *s = span_acquire(sizeclass_table[cls].spans, 1, &clean);

    slab_init(s, cls, 0, clean);
    return s;
}

Test(slab, carving_ends_at_capacity)
{
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s = make_slab(cls);

        while (!slab_is_carved(s)) {
            slab_carve(s, 4096);
        }
        slab_check(s);
        cr_assert_eq(slab_free_count(s), slab_capacity(s));
    }
}

Test(slab, take_splits_at_most_and_counts_as_used)
{
    struct span *s = make_slab(sizeclass_of(64));
    struct block *list;
    unsigned n;

    slab_carve(s, 4096);
    list = slab_take(s, 10, &n);
    cr_assert_eq(n, 10);
    cr_assert_eq(slab_used(s), 10);
    for (unsigned i = 1; i < 10; i++) {
        list = list->next;
    }
    cr_assert_null(list->next);
    slab_check(s);
}

Test(slab, give_back_restores_what_take_took)
{
    struct span *s = make_slab(sizeclass_of(64));
    unsigned n;

    slab_carve(s, 4096);
    slab_give_back(s, slab_take(s, 20, &n), 20);
    cr_assert_eq(slab_used(s), 0);
    slab_check(s);
}

/* Every block of a slab goes the remote way and back, in every class. */
Test(slab, fold_moves_every_remote_block_to_local)
{
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s = make_slab(cls);
        struct block *list;
        unsigned n;

        slab_carve(s, WIDE_SPANS * SPAN_BYTES);
        list = slab_take(s, UINT16_MAX, &n);
        cr_assert_eq(n, slab_capacity(s));
        while (list != NULL) {
            struct block *next = list->next;

            push_remote(s, list);
            list = next;
        }
        cr_assert_eq(slab_remote_count(s), n);
        cr_assert_eq(slab_fold_remote(s, true), n);
        cr_assert_eq(slab_used(s), 0);
        cr_assert_eq(slab_remote_count(s), 0);
        slab_check(s);
    }
}

Test(slab, every_byte_of_a_wide_slab_is_found)
{
    struct span *s = make_slab(sizeclass_of(24 * 1024));
    char *p = span_address(s);

    slab_carve(s, WIDE_SPANS * SPAN_BYTES);
    for (size_t at = 0; at < WIDE_SPANS * SPAN_BYTES; at += 512) {
        cr_assert_eq(span_find(p + at), s);
        cr_assert_eq(
            slab_is_block(s, p + at), at % (24 * 1024) == 0 && at < 240 * 1024);
    }
    cr_assert_neq(span_find(p + WIDE_SPANS * SPAN_BYTES), s);
}

Test(slab, only_the_first_push_asks_to_queue_until_folded_out_of_the_queue)
{
    struct span *s = make_slab(sizeclass_of(32));
    struct block *list;
    unsigned n;

    slab_carve(s, 4096);
    list = slab_take(s, 3, &n);
    cr_assert(push_remote(s, (char *)span_address(s) + 64));
    cr_assert_not(push_remote(s, (char *)span_address(s) + 32));
    cr_assert_eq(slab_fold_remote(s, false), 2);
    cr_assert(slab_is_queued(s), "folding alone does not dequeue");
    cr_assert_not(push_remote(s, span_address(s)));
    slab_fold_remote(s, true);
    cr_assert_not(slab_is_queued(s));
    (void)list;
}

Test(slab, only_block_starts_are_blocks)
{
    struct span *s = make_slab(sizeclass_of(48));
    char *p = span_address(s);

    slab_carve(s, 4800);
    cr_assert(slab_is_block(s, p));
    cr_assert(slab_is_block(s, p + 48));
    cr_assert_not(slab_is_block(s, p + 16));
    cr_assert_not(slab_is_block(s, p + 49));
    cr_assert_not(slab_is_block(s, p + (size_t)48 * 100), "not carved yet");
}

Test(slab, one_remote_free_too_many_aborts, .signal = SIGABRT)
{
    struct span *s = make_slab(sizeclass_of(4096));
    unsigned n;

    slab_carve(s, 4096);
    slab_take(s, 1, &n);
    push_remote(s, span_address(s));
    push_remote(s, span_address(s));
}
