#include "track.h"

#include "thread.h"

#include <criterion/criterion.h>

static struct span *new_tracked(unsigned cls, bool is_hard)
{
    bool clean;
    struct span *s = span_acquire(sizeclass_table[cls].spans, 1, &clean);

    cr_assert_not_null(s);
    slab_init(s, cls, 0, clean);
    cr_assert(track_begin(s, is_hard));
    return s;
}

static unsigned random_next(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1;
    return (unsigned)(state >> 33);
}

static void ignore(const struct span *s)
{
    (void)s;
}

Test(track, light_slab_hands_out_each_block_once)
{
    for (unsigned cls = 1; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s = new_tracked(cls, false);
        unsigned total = 0;

        while (track_has_block(s, slab_used(s))) {
            unsigned n;
            struct block *list = slab_take(s, 5, &n);

            cr_assert(n >= 1 && n <= 5);
            total += n;
            for (struct block *next; list != NULL; list = next) {
                next = list->next;
                cr_assert(slab_is_block(s, list));
                cr_assert(track_clear(track_state(s, list)));
                cr_assert_not(track_clear(track_state(s, list)), "freed twice");
                slab_count_free(s);
            }
            slab_check(s);
        }
        cr_assert(total >= 3 && total <= TRACK_LIGHT);
        cr_assert_eq(slab_used(s), 0);
    }
}

Test(track, fences_tell_on_which_side)
{
    struct span *s = new_tracked(sizeclass_of(100), false);
    unsigned n;
    char *p = (char *)slab_take(s, 1, &n);

    cr_assert_null(track_before_free(s, p));
    p[112] = 1;
    cr_assert_str_eq(track_before_free(s, p), "overflow");
    p[112] = (char)0xb1;
    p[-1] = 0;
    cr_assert_str_eq(track_before_free(s, p), "underflow");
}

Test(track, hard_slab_uses_no_block_again_before_the_free_ones)
{
    struct span *s = new_tracked(sizeclass_of(64), true);
    unsigned capacity = slab_capacity(s);
    void *last = NULL;
    unsigned at_once = 0;

    track_on_end = ignore;
    for (unsigned i = 0; i < 10 * capacity; i++) {
        uint16_t *state;
        void *p;

        cr_assert(track_has_block(s, slab_used(s)));
        p = slab_take_one(s, random_next(), &state);
        cr_assert_eq(*state, 0);
        cr_assert_eq(state, track_state(s, p));
        at_once += p == last; /* where one look follows the other */
        *state = 9;
        cr_assert(track_clear(state));
        slab_count_free(s);
        last = p;
    }
    cr_assert_leq(at_once, 16);
    slab_check(s);
}

Test(track, hard_slab_fills_to_the_last_block_but_the_first)
{
    for (unsigned cls = 1; cls < CLASS_SLAB_COUNT; cls += 7) {
        struct span *s = new_tracked(cls, true);
        unsigned n = 0;

        while (track_has_any(s, slab_used(s))) {
            uint16_t *state;
            char *p = slab_take_one(s, random_next(), &state);

            cr_assert_gt(p, span_address(s));
            cr_assert_eq(*state, 0);
            *state = 8;
            n++;
        }
        cr_assert_eq(n, slab_capacity(s) - 1);
        slab_check(s);
    }
}

Test(track, remote_frees_are_a_number)
{
    struct span *s = new_tracked(sizeclass_of(32), false);
    unsigned n;

    slab_take(s, 8, &n);
    cr_assert_eq(n, 8);
    cr_assert(slab_count_remote_free(s), "the first must be told");
    cr_assert_not(slab_count_remote_free(s));
    cr_assert_eq(slab_remote_count(s), 2);
    cr_assert_eq(slab_used(s), 8);
    cr_assert_eq(slab_fold_remote(s, true), 2);
    cr_assert_eq(slab_used(s), 6);
    cr_assert_not(slab_is_queued(s));
}

Test(track, first_slabs_of_a_heap_are_light_then_fast)
{
    struct heap *h = thread_install_heap();
    unsigned cls = sizeclass_of(48);
    unsigned light = 0;
    void *p;

    while (slab_is_tracked(span_find(p = heap_alloc(h, cls)))) {
        light++;
        cr_assert_leq(light, TRACK_LIGHT);
    }
    cr_assert_geq(light, 3);
    cr_assert_eq(span_find(p)->owner, thread_pointer());
    heap_check(h);
}
