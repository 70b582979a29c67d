/*
 * lifetime - a heap in its steady state: sizes as services have them, random lifetimes
 *
 * Sizes are near lognormal with a heavy tail: two in five below 64 B, three in two hundred
 * above 4 KiB, the largest 64 KiB. One allocation in 64 goes to a slot that is rarely
 * looked at, so a share of blocks lives long and lies between short-lived ones.
 */
#include "bench.h"

enum { SIZES = 4096, BATCH = 512, LONG_LIVED = 64, TAIL = 32 };

struct slot {
    void *block;
    size_t size;
};

/* The doublings of 8 B are a sum of 12 coins, near normal; few sizes get some more. */
static size_t draw_size(uint64_t *random)
{
    unsigned doublings = 3;
    size_t size;

    for (unsigned i = 0; i < 12; i++) {
        doublings += random_below(random, 100) < 24;
    }
    if (random_below(random, TAIL) == 0) {
        doublings += 4 + (unsigned)random_below(random, 4);
    }
    size = ((size_t)1 << doublings) + random_below(random, (size_t)1 << doublings);
    return size < 64 * KIB ? size : 64 * KIB;
}

static void replace(struct slot *s, size_t size)
{
    if (s->block != NULL) {
        block_delete(s->block, s->size);
    }
    s->size = size;
    s->block = block_new(size);
    block_touch(s->block, size); /* resident memory is then what is in use */
    block_mark(s->block, size);
}

static void drop_all(struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (slots[i].block != NULL) {
            block_delete(slots[i].block, slots[i].size);
        }
    }
}

static void work(struct worker *w)
{
    size_t count = w->plan->workload->size;
    size_t bytes = 2 * count * sizeof(struct slot) + SIZES * sizeof(uint32_t);
    struct slot *slots = array_map(bytes);
    uint32_t *sizes = (uint32_t *)(slots + 2 * count);

    for (unsigned i = 0; i < SIZES; i++) {
        sizes[i] = (uint32_t)draw_size(&w->random);
    }
    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            uint64_t r = random_next(&w->random);
            size_t at = (size_t)(((r >> 32) * count) >> 32);
            bool is_long = (r >> 16) % LONG_LIVED == 0;

            replace(&slots[is_long ? count + at : at], sizes[r % SIZES]);
        }
        w->ops += BATCH;
    }
    drop_all(slots, 2 * count);
    array_unmap(slots, bytes);
}

const struct workload lifetime_workloads[] = {
    {"lifetime-small", "1,000 slots, sizes near lognormal",
        .groups = "random_lifetimes", .threads = 1, .at_least = 1, .ops = 60000000,
        .size = 1000, .work = work},
    {"lifetime-big", "50,000 slots, sizes near lognormal", .groups = "random_lifetimes",
        .threads = 1, .at_least = 1, .ops = 10000000, .size = 50000, .work = work},
    {"lifetime-threads", "4 threads with 5,000 slots each, sizes near lognormal",
        .groups = "random_lifetimes", .threads = 4, .at_least = 1, .ops = 40000000,
        .size = 5000, .work = work},
    {0},
};
