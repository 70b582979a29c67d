/*
 * sizes - malloc and free of one block at a time, at one size or sweeping over all
 *
 * The cheapest thing a program can ask for. Blocks of more than 32 KiB are written on
 * every page: giving a block out and back must not cost the pages each time.
 */
#include "bench.h"

enum { BATCH = 256 };

static void pairs(struct worker *w)
{
    size_t size = w->plan->workload->size;

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            void *p = block_new(size);

            if (size > 32 * KIB) {
                block_touch((char *)p + sizeof(uint64_t), size - 2 * sizeof(uint64_t));
            }
            block_delete(p, size);
        }
        w->ops += BATCH;
    }
}

/* 8 B to 1 MiB, each doubling as often as the others, smooth in between. */
static size_t sweep_size(uint64_t *random)
{
    unsigned shift = 3 + (unsigned)random_below(random, 17);

    return ((size_t)1 << shift) + random_below(random, (size_t)1 << shift);
}

/* 8 B to 64 MiB, each doubling as often as the others: nothing but the ends is written. */
static void sweep_far(struct worker *w)
{
    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned shift = 3 + (unsigned)random_below(&w->random, 23);
            size_t size =
                ((size_t)1 << shift) + random_below(&w->random, (size_t)1 << shift);

            block_delete(block_new(size), size);
        }
        w->ops += BATCH;
    }
}

/* A window of 16 live blocks, so that neighbouring sizes meet. */
static void sweep(struct worker *w)
{
    void *block[16] = {NULL};
    size_t size[16] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            unsigned slot = i % 16;

            if (block[slot] != NULL) {
                block_delete(block[slot], size[slot]);
            }
            size[slot] = sweep_size(&w->random);
            block[slot] = block_new(size[slot]);
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (block[i] != NULL) {
            block_delete(block[i], size[i]);
        }
    }
}

#define PAIR(label, bytes, count)                                                      \
    {                                                                                  \
        .name = "pair-" label, .what = "malloc, free of " label,                       \
        .groups = "allocation_sizes,short_lived", .threads = 1, .at_least = 1,         \
        .ops = (count), .size = (bytes), .work = pairs                                 \
    }

const struct workload sizes_workloads[] = {
    PAIR("8", 8, 80000000),
    PAIR("64", 64, 80000000),
    PAIR("512", 512, 80000000),
    PAIR("2k", 2 * KIB, 60000000),
    PAIR("16k", 16 * KIB, 50000000),
    PAIR("128k", 128 * KIB, 4000000),
    PAIR("1m", MIB, 400000),
    {.name = "sweep",
        .what = "16 live blocks of 8 B to 1 MiB, every doubling as likely",
        .groups = "allocation_sizes",
        .threads = 1,
        .at_least = 1,
        .ops = 3000000,
        .work = sweep},
    {.name = "sweep-64m",
        .what = "one block of 8 B to 64 MiB, every doubling as likely",
        .groups = "allocation_sizes",
        .threads = 1,
        .at_least = 1,
        .ops = 300000,
        .work = sweep_far},
    {0},
};
