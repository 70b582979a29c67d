/*
 * sharing - do blocks of different threads lie in one cache line?
 *
 * Active: threads allocate at the same time, write to their blocks many times and free
 * them. Passive: the main thread hands one block to each; an allocator that lets the
 * receiver reuse it after its free makes lines that were shared stay shared.
 */
#include "bench.h"

enum { WRITES = 1000, WRITES_A_STEP = 250 };

/* Writes that the compiler cannot drop, and that show if somebody else wrote there. */
static void write_often(unsigned char *p, size_t size, unsigned seed)
{
    volatile unsigned char *at = p;

    for (unsigned n = 0; n < WRITES; n += WRITES_A_STEP) {
        for (unsigned i = 0; i < WRITES_A_STEP; i++) {
            for (size_t b = 0; b < size; b += 8) {
                at[b] = (unsigned char)(at[b] + 1);
            }
        }
        seed += WRITES_A_STEP;
        for (size_t b = 0; b < size; b += 8) {
            if (at[b] != (unsigned char)seed) {
                bench_fail("somebody else wrote to a block of %zu bytes", size);
            }
        }
    }
}

static void use_block(unsigned char *p, size_t size, unsigned seed)
{
    for (size_t b = 0; b < size; b += 8) {
        p[b] = (unsigned char)seed;
    }
    write_often(p, size, seed);
}

static void active(struct worker *w)
{
    size_t size = w->plan->workload->size;

    while (worker_more(w)) {
        unsigned char *p = checked(malloc(size), size);

        use_block(p, size, (unsigned)w->ops);
        free(p);
        w->ops++;
    }
}

static void passive_begin(struct plan *plan)
{
    unsigned char **block = array_map(plan->threads * sizeof(*block));

    for (unsigned i = 0; i < plan->threads; i++) {
        block[i] = checked(malloc(plan->workload->size), plan->workload->size);
    }
    plan->state = block;
}

static void passive_end(struct plan *plan)
{
    array_unmap(plan->state, plan->threads * sizeof(unsigned char *));
}

static void passive(struct worker *w)
{
    unsigned char **block = w->plan->state;

    use_block(block[w->index], w->plan->workload->size, w->index);
    free(block[w->index]);
    active(w);
}

#define SHARING .groups = "false_sharing", .threads = 4, .at_least = 1, .size = 8

const struct workload sharing_workloads[] = {
    {"sharing-active", "4 threads write to blocks of 8 B of their own", SHARING,
        .ops = 250000, .work = active},
    {"sharing-passive", "the same after each freed a block of the main thread", SHARING,
        .ops = 250000, .begin = passive_begin, .work = passive, .end = passive_end},
    {0},
};
