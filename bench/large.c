/*
 * large - blocks of 64 KiB to 25 MiB come and go, all pages written
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

/* 5 to 25 MiB, all sizes alike; the pages are written once in four lives. */
static void huge(struct worker *w)
{
    void *block[SLOTS] = {NULL};
    size_t size[SLOTS] = {0}, most = w->plan->workload->size;

    while (worker_more(w)) {
        size_t at = random_below(&w->random, SLOTS);

        if (block[at] != NULL) {
            block_delete(block[at], size[at]);
        }
        size[at] = most / 5 + random_below(&w->random, most - most / 5);
        block[at] = checked(malloc(size[at]), size[at]);
        if (random_below(&w->random, 4) == 0) {
            block_touch(block[at], size[at]);
        }
        block_mark(block[at], size[at]);
        w->ops++;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (block[i] != NULL) {
            block_delete(block[i], size[i]);
        }
    }
}

const struct workload large_workloads[] = {
    {"large-1m", "16 blocks of 64 KiB to 1 MiB, all pages written",
        .groups = "large_blocks", .threads = 1, .at_least = 1, .ops = 200000,
        .size = MIB, .work = work},
    {"large-8m", "16 blocks of 64 KiB to 8 MiB, all pages written",
        .groups = "large_blocks", .threads = 1, .at_least = 1, .ops = 40000,
        .size = 8 * MIB, .work = work},
    {"large-25m", "16 blocks of 5 to 25 MiB replaced at random, one in four written",
        .groups = "large_blocks", .threads = 1, .at_least = 1, .ops = 500,
        .size = 25 * MIB, .work = huge},
    {0},
};
