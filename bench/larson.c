/*
 * larson - a server with connections: random slots are replaced, and after a while every
 * thread hands its slots to a successor and ends
 *
 * Most blocks are thus freed by another thread than the one that made them, often after
 * that one is gone.
 */
#include "bench.h"

#include <pthread.h>

enum { SLOTS = 5000, GENERATION_OPS = 100000, BATCH = 500 };

struct slot {
    void *block;
    size_t size;
};

/* What passes from a thread to its successor. */
struct estate {
    struct worker *worker;
    struct slot slots[SLOTS];
};

static void slot_replace(struct slot *s, size_t most, uint64_t *random)
{
    if (s->block != NULL) {
        block_delete(s->block, s->size);
    }
    s->size = 8 + random_below(random, most - 8);
    s->block = block_new(s->size);
}

static void *generation(void *arg)
{
    struct estate *e = arg;
    struct worker *w = e->worker;
    size_t most = w->plan->workload->size;

    for (unsigned done = 0; done < GENERATION_OPS && worker_more(w); done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            slot_replace(&e->slots[random_below(&w->random, SLOTS)], most, &w->random);
        }
        w->ops += BATCH;
    }
    return NULL;
}

static void work(struct worker *w)
{
    struct estate *e = array_map(sizeof(*e));

    e->worker = w;
    while (worker_more(w)) {
        pthread_t successor;

        if (pthread_create(&successor, NULL, generation, e) != 0) {
            bench_fail("no successor thread");
        }
        pthread_join(successor, NULL);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (e->slots[i].block != NULL) {
            block_delete(e->slots[i].block, e->slots[i].size);
        }
    }
    array_unmap(e, sizeof(*e));
}

const struct workload larson_workloads[] = {
    {"larson-small", "4 lines of threads, 5,000 slots each of 8 to 128 B, handed on",
        .groups = "random_lifetimes", .threads = 4, .at_least = 1, .ops = 30000000,
        .size = 128, .work = work},
    {"larson-mix", "4 lines of threads, 5,000 slots each of 8 B to 1 KiB, handed on",
        .groups = "random_lifetimes", .threads = 4, .at_least = 1, .ops = 16000000,
        .size = 1024, .work = work},
    {0},
};
