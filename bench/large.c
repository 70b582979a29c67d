/*
 * large - blocks of 64 KiB to 8 MiB come and go, all pages written
 */
#include "bench.h"

enum { SLOTS = 16, BATCH = 8 };

static void replace(void **block, size_t *size, uint64_t *random, size_t most)
{
    size_t doublings = 0;

    if (*block != NULL) {
        block_delete(*block, *size);
    }
    while ((64 * KIB << (doublings + 1)) < most) {
        doublings++;
    }
    *size = 64 * KIB << random_below(random, doublings + 1);
    *size += random_below(random, *size);
    *block = checked(malloc(*size), *size);
    block_touch(*block, *size);
    block_mark(*block, *size);
}

static void work(struct worker *w)
{
    void *block[SLOTS] = {NULL};
    size_t size[SLOTS] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t at = random_below(&w->random, SLOTS);

            replace(&block[at], &size[at], &w->random, w->plan->workload->size);
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (block[i] != NULL) {
            block_delete(block[i], size[i]);
        }
    }
}

const struct workload large_workloads[] = {
    {"large-1m", "16 blocks of 64 KiB to 1 MiB, all pages written", .threads = 1,
        .at_least = 1, .ops = 500000, .size = MIB, .work = work},
    {"large-8m", "16 blocks of 64 KiB to 8 MiB, all pages written", .threads = 1,
        .at_least = 1, .ops = 100000, .size = 8 * MIB, .work = work},
    {0},
};
