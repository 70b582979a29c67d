#include "heap.h"

#include "counters.h"
#include "malloc.h"
#include "os.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <pthread.h>

static struct heap *my_heap(void)
{
    struct heap *h = thread_install_heap();

    cr_assert_not_null(h);
    return h;
}

Test(heap, blocks_of_a_class_are_distinct_and_aligned)
{
    enum { COUNT = 5000 };
    static void *blocks[COUNT];
    struct heap *h = my_heap();

    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls += 7) {
        size_t bytes = sizeclass_bytes(cls);

        for (int i = 0; i < COUNT; i++) {
            blocks[i] = heap_alloc(h, cls);
            cr_assert_eq((uintptr_t)blocks[i] % 16, 0);
            *(int *)blocks[i] = i;
            *(int *)((char *)blocks[i] + bytes - sizeof(int)) = i;
        }
        heap_check(h);
        for (int i = 0; i < COUNT; i++) {
            cr_assert_eq(*(int *)((char *)blocks[i] + bytes - sizeof(int)), i);
            malloc_free(blocks[i]);
        }
        heap_check(h);
    }
}

Test(heap, empty_slabs_go_back_to_the_free_spans)
{
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    struct heap *h = my_heap();
    size_t before;

    malloc_free(heap_alloc(h, 10));
    before = span_used();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = heap_alloc(h, 10);
    }
    cr_assert_gt(span_used(), before + 30);
    for (int i = 0; i < COUNT; i++) {
        malloc_free(blocks[i]);
    }
    cr_assert_leq(span_used(), before + 2);
    heap_check(h);
}

Test(heap, a_full_slab_is_found_again_when_enough_of_it_is_free)
{
    enum { COUNT = 4000 };
    static void *blocks[COUNT];
    struct heap *h = my_heap();
    size_t used;

    for (int i = 0; i < COUNT; i++) {
        blocks[i] = heap_alloc(h, sizeclass_of(1024));
    }
    used = span_used();
    for (int i = 0; i < COUNT; i += 2) {
        malloc_free(blocks[i]);
    }
    for (int i = 0; i < COUNT; i += 2) {
        blocks[i] = heap_alloc(h, sizeclass_of(1024));
    }
    cr_assert_leq(span_used(), used + 1, "the holes were used");
    heap_check(h);
}

static void *free_all(void *arg)
{
    void **blocks = arg;

    for (int i = 0; blocks[i] != NULL; i++) {
        malloc_free(blocks[i]);
    }
    return NULL;
}

Test(heap, what_other_threads_free_is_used_again)
{
    enum { COUNT = 3000, ROUNDS = 20 };
    static void *blocks[COUNT + 1];
    struct heap *h = my_heap();
    size_t used = 0;

    for (int round = 0; round < ROUNDS; round++) {
        pthread_t other;

        for (int i = 0; i < COUNT; i++) {
            blocks[i] = heap_alloc(h, sizeclass_of(256));
        }
        if (round == 1) {
            used = span_used();
        }
        pthread_create(&other, NULL, free_all, blocks);
        pthread_join(other, NULL);
    }
    cr_assert_leq(span_used(), used + 2);
    heap_check(h);
}

static void *leave_blocks(void *arg)
{
    void **blocks = arg;

    for (int i = 0; i < 1000; i++) {
        blocks[i] = malloc_fast(200);
    }
    for (int i = 0; i < 1000; i += 2) {
        malloc_free(blocks[i]);
    }
    return NULL;
}

Test(heap, slabs_of_an_exited_thread_are_taken_over)
{
    static void *blocks[1001];
    struct heap *h = my_heap();
    pthread_t other;
    size_t used;
    size_t reused = 0;

    pthread_create(&other, NULL, leave_blocks, blocks);
    pthread_join(other, NULL);
    used = span_used();
    for (int i = 0; i < 400; i++) {
        uintptr_t p = (uintptr_t)heap_alloc(h, sizeclass_of(200));

        for (int k = 0; k < 1000; k += 2) {
            reused += p == (uintptr_t)blocks[k];
        }
    }
    cr_assert_leq(span_used(), used);
    cr_assert_gt(reused, 300, "only %zu of 400 came from the orphan", reused);
    heap_check(h);
}

Test(heap, the_last_free_of_an_orphan_returns_its_slabs)
{
    static void *blocks[1001];
    pthread_t other;
    size_t before;

    my_heap();
    before = span_used();
    pthread_create(&other, NULL, leave_blocks, blocks);
    pthread_join(other, NULL);
    cr_assert_gt(span_used(), before);
    for (int i = 1; i < 1000; i += 2) {
        malloc_free(blocks[i]);
    }
    cr_assert_eq(span_used(), before, "nobody adopted it, and yet nothing is left");
}

Test(heap, free_pages_inside_slabs_go_back_and_their_blocks_are_used_again)
{
    enum { COUNT = 20000, KEPT = 100 };
    static int *blocks[COUNT];
    struct heap *h = my_heap();

    for (unsigned cls = 3; cls < CLASS_SLAB_COUNT; cls += 20) {
        unsigned count = (unsigned)bits_min(COUNT, 64 * MIB / sizeclass_bytes(cls));
        size_t used;

        for (unsigned i = 0; i < count; i++) {
            blocks[i] = heap_alloc(h, cls);
            *blocks[i] = (int)i;
        }
        used = span_used();
        for (unsigned i = 0; i < count; i++) {
            if (i % KEPT != 0) {
                malloc_free(blocks[i]);
            }
        }
        lock_lock(&counters_lock);
        heap_dig_locked(h, true, UINT_MAX); /* what is free now, at the next time */
        heap_dig_locked(h, true, UINT_MAX);
        lock_unlock(&counters_lock);
        heap_check(h);
        for (unsigned i = 0; i < count; i++) {
            if (i % KEPT != 0) {
                blocks[i] = heap_alloc(h, cls);
                *blocks[i] = (int)i;
            }
        }
        cr_assert_leq(span_used(), used + used / 10 + 4,
            "class %u: %zu spans, then %zu", cls, used, span_used());
        heap_check(h);
        for (unsigned i = 0; i < count; i++) {
            cr_assert_eq(*blocks[i], (int)i);
            malloc_free(blocks[i]);
        }
        heap_check(h);
    }
}
