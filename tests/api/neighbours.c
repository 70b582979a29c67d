/*
 * neighbours - blocks that lie side by side, allocated and freed by different threads
 *
 *     neighbours SECONDS
 *
 * In hardened mode whoever frees a block looks at the one before it, which another thread may
 * be allocating, resizing or freeing at that moment: what it sees must never look like a
 * mistake of the program. Most requests end five to seven bytes before the end of their blocks,
 * where the two words of a canary overlap in part.
 */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum { SLOTS = 128, FREERS = 2, SIZE_MOST = 96 };

static _Atomic(void *) slot[SLOTS];
static atomic_bool is_over;

static void *free_from_slots(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    size_t freed = 0;

    while (!atomic_load(&is_over)) {
        void *p = atomic_exchange(&slot[test_random(&seed) % SLOTS], NULL);

        freed += p != NULL;
        free(p);
    }
    return (void *)freed;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void allocate_and_free(double end)
{
    uint64_t seed = 1;

    while (seconds() < end) {
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t r = test_random(&seed);
            size_t size = r >> 40 & 3 ? 9 + r % 3 : 1 + r % SIZE_MOST;
            char *p = malloc(size);

            CHECK(p != NULL);
            test_fill(p, (int)(r >> 8 & 0xff), size);
            if (r >> 16 & 1) { /* within its block, or not */
                p = realloc(p, size + (r >> 17) % 8);
                CHECK(p != NULL);
                CHECK(test_is_filled(p, (int)(r >> 8 & 0xff), size));
            }
            if (r >> 20 & 1) {
                free(p);
            } else {
                free(atomic_exchange(&slot[(r >> 24) % SLOTS], p));
            }
        }
    }
}

int main(int argc, char **argv)
{
    pthread_t thread[FREERS];

    CHECK(argc == 2);
    for (uintptr_t i = 0; i < FREERS; i++) {
        CHECK(pthread_create(&thread[i], NULL, free_from_slots, (void *)(i + 1)) == 0);
    }
    allocate_and_free(seconds() + atof(argv[1]));
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < FREERS; i++) {
        void *freed;

        CHECK(pthread_join(thread[i], &freed) == 0);
        CHECK((size_t)freed > 0);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        free(slot[i]);
    }
    test_claim("blocks_side_by_side_may_be_freed_by_different_threads");
    return 0;
}
