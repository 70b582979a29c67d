#include "track.h"

#include "arch.h"
#include "harden.h"
#include "malloc.h"
#include "thread.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

static struct span *new_tracked(unsigned cls, bool is_hard)
{
    bool clean;
    struct span *s = span_acquire(sizeclass_table[cls].spans, 1, &clean);

    cr_assert_not_null(s);
    slab_init(s, cls, 0, clean);
    cr_assert(track_begin(s, is_hard));
    return s;
}

static uint64_t random_state = 1;
static struct track_hand hand;

/* Only where track_has_block or track_has_any, if the hand is empty. */
static void *take_one(struct span *s)
{
    if (hand.ready == 0) {
        unsigned n = slab_take_hand(s, &hand, 9, &random_state);

        cr_assert(n >= 1 && n <= 9);
    }
    return track_pop(&hand, sizeclass_bytes(s->cls), &random_state);
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
        void *p;

        cr_assert(hand.ready != 0 || track_has_block(s, slab_used(s)));
        p = take_one(s);
        at_once += p == last; /* where one look follows the other */
        if (i % 3 == 0) {
            track_set_freed_remote(s->track, track_index(s, p));
        } else {
            track_set_freed(s->track, track_index(s, p));
        }
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

        while (hand.ready != 0 || track_has_any(s, slab_used(s))) {
            char *p = take_one(s);

            cr_assert_gt(p, span_address(s));
            cr_assert_eq((p - span_address(s)) % sizeclass_bytes(cls), 0);
            n++;
        }
        cr_assert_eq(n, slab_capacity(s) - 1);
        slab_check(s);
    }
}

Test(track, a_hand_that_is_given_back_is_as_if_never_taken)
{
    struct span *s = new_tracked(sizeclass_of(64), true);
    uint64_t seen[SLAB_BLOCKS_MAX / 64] = {0};
    unsigned n = 0;

    for (unsigned i = 0; i < 40; i++) { /* takes four, uses one, gives three back */
        unsigned used = slab_used(s);
        size_t index;
        void *p;

        cr_assert(track_has_block(s, used));
        n = slab_take_hand(s, &hand, 4, &random_state);
        cr_assert_eq(slab_used(s), used + n);
        p = track_pop(&hand, sizeclass_bytes(s->cls), &random_state);
        index = track_index(s, p);
        cr_assert_eq(seen[index / 64] >> (index % 64) & 1, 0, "handed out twice");
        seen[index / 64] |= (uint64_t)1 << (index % 64);
        cr_assert_eq(slab_give_back_hand(s, &hand), n - 1);
        cr_assert_eq(hand.ready, 0);
        cr_assert_eq(slab_used(s), used + 1);
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

static void *use_and_free_many(void *arg)
{
    enum { MOST = 20000 };
    static void *block[MOST];
    size_t n = 0;

    for (size_t size = 20; size < 28000; size += size / 4) {
        size_t count = 3u * sizeclass_table[sizeclass_of(size + 4)].capacity;

        for (size_t i = 0; i < count && n < MOST; i++) {
            block[n] = malloc_fast(size);
            memset(block[n++], 1, 8);
        }
    }
    while (n > 0) {
        free_fast(block[--n]);
    }
    return arg;
}

Test(track, hard_slabs_without_a_block_go_with_their_thread)
{
    pthread_t thread;
    size_t before;

    harden_start();
    free_fast(malloc_fast(1)); /* what this thread itself needs */
    malloc_trim_all();
    before = span_used();
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&thread, NULL, use_and_free_many, NULL), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    malloc_trim_all();
    cr_assert_leq(
        span_used(), before + 1, "%zu spans before, %zu now", before, span_used());
}

Test(track, frees_of_others_are_counted_before_their_blocks_come_back)
{
    struct heap *h;
    unsigned cls = sizeclass_of(100 + 4);

    harden_start();
    h = thread_install_heap();
    for (unsigned i = 0; i < 20000; i++) {
        char *p = malloc_fast(100);
        struct span *s = span_find(p);

        cr_assert_not_null(s);
        /* As another thread would: the bit, then the count. */
        memset(p, 0, sizeclass_bytes(cls));
        track_set_freed_remote(s->track, track_index(s, p));
        heap_free_tracked_remote(s);
        cr_assert_leq(slab_used(s), s->carved + slab_remote_count(s));
        cr_assert_leq(slab_used(s), slab_capacity(s));
        heap_check(h);
    }
}
