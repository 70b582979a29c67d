/*
 * handed_on - one thread allocates, another frees, millions of times
 *
 *     handed_on ROUNDS
 *
 * What the other thread freed must serve the first again, whatever mode the allocator is in:
 * memory stays what it was, and (linked, with counters) the figures say what lives.
 */
#include "test.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#ifdef TEST_LINKED
#    include <mpalloc.h>
#endif

enum {
    RING = 256,
    HELD = 200,
    BURST = 4000,
    TURNS = 100000,
    SIZE = 100,
    KIB = 1 << 10
};

static _Atomic(void *) ring[RING];
static atomic_bool is_over;
static void *held[HELD];

static void *consume(void *arg)
{
    size_t i = 0;

    while (true) {
        void *p = atomic_exchange(&ring[i % RING], NULL);

        if (p != NULL) {
            free(p);
            i++;
        } else if (atomic_load(&is_over)) {
            return arg;
        } else {
            sched_yield();
        }
    }
}

static void await_free(_Atomic(void *) *slot)
{
    while (atomic_load(slot) != NULL) {
        sched_yield();
    }
}

static void produce(size_t turns)
{
    static size_t at;

    for (size_t i = 0; i < turns; i++, at++) {
        await_free(&ring[at % RING]);
        atomic_store(&ring[at % RING], malloc(SIZE));
    }
    for (size_t i = 0; i < RING; i++) {
        await_free(&ring[i]);
    }
}

/* Slabs fill up and empty again. */
static void burst(void)
{
    static void *block[BURST];

    for (size_t i = 0; i < BURST; i++) {
        block[i] = malloc(SIZE);
        test_fill(block[i], 1, SIZE);
    }
    for (size_t i = 0; i < BURST; i++) {
        free(block[i]);
    }
}

/* A few blocks more are those of the C library's threads. */
static void expect_live(void)
{
#ifdef TEST_LINKED
    struct mp_snapshot s = {.size = sizeof(s)};

    if (getenv("TEST_NO_COUNTERS") == NULL) {
        CHECK(mp_snapshot(&s) == 0);
        CHECK(s.live_blocks >= HELD);
        CHECK(s.live_blocks <= HELD + 50);
    }
#endif
}

int main(int argc, char **argv)
{
    size_t rounds = argc == 2 ? strtoul(argv[1], NULL, 10) : 10;
    size_t before = 0;
    pthread_t thread;

    for (size_t i = 0; i < HELD; i++) {
        held[i] = malloc(SIZE);
    }
    CHECK(pthread_create(&thread, NULL, consume, NULL) == 0);
    for (size_t i = 0; i < rounds; i++) {
        produce(TURNS);
        burst();
        if (i == 2) {
            malloc_trim(0);
            before = test_statm(1);
        }
    }
    atomic_store(&is_over, true);
    CHECK(pthread_join(thread, NULL) == 0);
    malloc_trim(0);
    CHECK(test_statm(1) <= before + 350 * KIB);
    expect_live();
    for (size_t i = 0; i < HELD; i++) {
        free(held[i]);
    }
    test_claim("what_another_thread_frees_comes_back");
    return 0;
}
