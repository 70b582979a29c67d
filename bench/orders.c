/*
 * orders - batches of many sizes that are freed in order, in reverse and in part, with
 * what remains living through the next batches; and a long stack of one class
 */
#include "bench.h"

enum { BATCH = 4000, SURVIVORS = 1000 };

struct slot {
    void *block;
    uint32_t size;
};

/* What lives on from one batch to the next; a new one takes the place of an old one. */
struct past {
    struct slot slot[SURVIVORS];
    unsigned at;
};

/* Sizes come in runs, as loops make them: each size some 40 times, small ones more. */
static unsigned batch_fill(struct slot *s, size_t most, uint64_t *random)
{
    unsigned count = 0;

    while (count < BATCH) {
        uint32_t size = (uint32_t)(8 + random_below(random, most));
        unsigned run = 1 + (unsigned)random_below(random, size < 128 ? 64 : 16);

        for (; run > 0 && count < BATCH; run--) {
            s[count++] = (struct slot){block_new(size), size};
        }
    }
    return count;
}

static void past_add(struct past *p, struct slot s)
{
    struct slot *old = &p->slot[p->at++ % SURVIVORS];

    if (old->block != NULL) {
        block_delete(old->block, old->size);
    }
    *old = s;
}

/* In order, in reverse, or every second block first; one in eight stays. */
static void batch_drop(struct slot *s, struct past *p, unsigned how)
{
    for (unsigned n = 0; n < BATCH; n++) {
        unsigned at = how == 0        ? n
                      : how == 1      ? BATCH - 1 - n
                      : n < BATCH / 2 ? 2 * n
                                      : 2 * (n - BATCH / 2) + 1;

        if (at % 8 == 3) {
            past_add(p, s[at]);
        } else {
            block_delete(s[at].block, s[at].size);
        }
    }
}

static void work(struct worker *w)
{
    size_t bytes = sizeof(struct past) + BATCH * sizeof(struct slot);
    struct past *p = array_map(bytes);
    struct slot *s = (struct slot *)(p + 1);

    for (unsigned turn = 0; worker_more(w); turn++) {
        batch_fill(s, w->plan->workload->size, &w->random);
        batch_drop(s, p, turn % 3);
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < SURVIVORS; i++) {
        if (p->slot[i].block != NULL) {
            block_delete(p->slot[i].block, p->slot[i].size);
        }
    }
    array_unmap(p, bytes);
}

/* Twice as many blocks as fit in the caches of allocators, last in, first out. */
static void long_stack(struct worker *w)
{
    enum { DEPTH = 32768 };
    size_t size = w->plan->workload->size;
    void **block = array_map(DEPTH * sizeof(void *));

    while (worker_more(w)) {
        for (unsigned i = 0; i < DEPTH; i++) {
            block[i] = block_new(size);
        }
        for (unsigned i = DEPTH; i > 0; i--) {
            block_delete(block[i - 1], size);
        }
        w->ops += DEPTH;
    }
    array_unmap(block, DEPTH * sizeof(void *));
}

#define ORDERS .groups = "batches", .at_least = 1

const struct workload orders_workloads[] = {
    {"order-mixed", "batches of 4,000 in runs of a size, freed in three orders", ORDERS,
        .threads = 1, .ops = 30000000, .size = 1000, .work = work},
    {"order-threads", "the same in 4 threads, sizes to 400 B", ORDERS, .threads = 4,
        .ops = 20000000, .size = 400, .work = work},
    {"lifo-32k", "32,768 live blocks of 64 B, freed last to first", ORDERS,
        .threads = 1, .ops = 50000000, .size = 64, .work = long_stack},
    {"lifo-32k-512", "32,768 live blocks of 512 B, freed last to first", ORDERS,
        .threads = 1, .ops = 16000000, .size = 512, .work = long_stack},
    {0},
};
