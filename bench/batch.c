/*
 * batch - allocate a batch, then free it: in order, in reverse, shuffled
 */
#include "bench.h"

enum { BATCH = 512, BURST = 4096 };

enum order { IN_ORDER, REVERSE, SHUFFLED };

/* The blocks of the batch, in the order in which they are freed. */
static void permute(uint16_t *order, unsigned n, enum order how, uint64_t *random)
{
    for (unsigned i = 0; i < n; i++) {
        order[i] = (uint16_t)(how == REVERSE ? n - 1 - i : i);
    }
    for (unsigned i = n - 1; how == SHUFFLED && i > 0; i--) {
        size_t j = random_below(random, i + 1);
        uint16_t t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
}

static void same_size(struct worker *w, unsigned n, enum order how)
{
    size_t size = w->plan->workload->size;
    size_t bytes = n * (sizeof(void *) + sizeof(uint16_t));
    void **block = array_map(bytes);
    uint16_t *order = (uint16_t *)(block + n);

    permute(order, n, how, &w->random);
    while (worker_more(w)) {
        for (unsigned i = 0; i < n; i++) {
            block[i] = block_new(size);
        }
        for (unsigned i = 0; i < n; i++) {
            block_delete(block[order[i]], size);
        }
        w->ops += n;
    }
    array_unmap(block, bytes);
}

static void in_order(struct worker *w)
{
    same_size(w, BATCH, IN_ORDER);
}

static void reverse(struct worker *w)
{
    same_size(w, BATCH, REVERSE);
}

static void shuffled(struct worker *w)
{
    same_size(w, BATCH, SHUFFLED);
}

static void burst(struct worker *w)
{
    same_size(w, BURST, REVERSE);
}

/* Sizes of 16 to 528 bytes, freed in another order than allocated. */
static void mixed(struct worker *w)
{
    void *block[BATCH];
    uint16_t order[BATCH];
    uint16_t size[BATCH];

    permute(order, BATCH, SHUFFLED, &w->random);
    for (unsigned i = 0; i < BATCH; i++) {
        size[i] = (uint16_t)(16 + random_below(&w->random, 512));
    }
    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            block[i] = block_new(size[i]);
        }
        for (unsigned i = 0; i < BATCH; i++) {
            block_delete(block[order[i]], size[order[i]]);
        }
        w->ops += BATCH;
    }
}

#define ONE_THREAD .groups = "batches", .threads = 1, .at_least = 1

const struct workload batch_workloads[] = {
    {"batch-fifo", "512 blocks of 32 B, freed in order", ONE_THREAD, .ops = 100000000,
        .size = 32, .work = in_order},
    {"batch-lifo", "512 blocks of 32 B, freed in reverse", ONE_THREAD, .ops = 100000000,
        .size = 32, .work = reverse},
    {"batch-shuffled", "512 blocks of 32 B, freed shuffled", ONE_THREAD,
        .ops = 100000000, .size = 32, .work = shuffled},
    {"batch-2000", "512 blocks of 2,000 B, freed shuffled", ONE_THREAD, .ops = 8000000,
        .size = 2000, .work = shuffled},
    {"batch-mixed", "512 blocks of 16 to 527 B, freed shuffled", ONE_THREAD,
        .ops = 80000000, .work = mixed},
    {"batch-burst", "bursts of 4,096 blocks of 24 KiB, freed in reverse", ONE_THREAD,
        .ops = 1000000, .size = 24 * KIB, .work = burst},
    {0},
};
