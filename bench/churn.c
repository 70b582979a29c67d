/*
 * churn - threads that are started, allocate a little and end
 *
 * What an allocator sets up for a thread, and what it does at the thread's end, is most of
 * the work here. One block in 50 is left to the parent, which frees it later.
 */
#include "bench.h"

enum { AT_ONCE = 8, BLOCKS = 100, LEFT = 50 };

struct child {
    uint64_t random;
    size_t most;
    uint32_t left_size[BLOCKS / LEFT];
    void *left[BLOCKS / LEFT];
};

static void *live(void *arg)
{
    struct child *c = arg;
    uint32_t size[BLOCKS];
    void *block[BLOCKS];

    for (unsigned i = 0; i < BLOCKS; i++) {
        size[i] = 8 + (uint32_t)random_below(&c->random, c->most);
        block[i] = block_new(size[i]);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (i % LEFT == 0) {
            c->left[i / LEFT] = block[i];
            c->left_size[i / LEFT] = size[i];
        } else {
            block_delete(block[i], size[i]);
        }
    }
    return NULL;
}

static void inherit(struct child *c)
{
    for (unsigned i = 0; i < BLOCKS / LEFT; i++) {
        if (c->left[i] != NULL) {
            block_delete(c->left[i], c->left_size[i]);
            c->left[i] = NULL;
        }
    }
}

/* Eight at a time; what they left is freed one generation later. */
static void work(struct worker *w)
{
    struct child child[2][AT_ONCE] = {{{0}}};

    for (unsigned turn = 0; worker_more(w); turn++) {
        struct child *c = child[turn % 2];
        pthread_t thread[AT_ONCE];

        for (unsigned i = 0; i < AT_ONCE; i++) {
            inherit(&c[i]);
            c[i].random = random_next(&w->random) | 1;
            c[i].most = w->plan->workload->size;
            bench_thread(&thread[i], live, &c[i]);
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            pthread_join(thread[i], NULL);
        }
        w->ops += AT_ONCE;
    }
    for (unsigned i = 0; i < 2 * AT_ONCE; i++) {
        inherit(&child[i / AT_ONCE][i % AT_ONCE]);
    }
}

const struct workload churn_workloads[] = {
    {"thread-churn", "threads of 100 blocks each, 8 at a time", .groups = "threads",
        .threads = 1, .at_least = 1, .ops = 6000, .size = 1000, .work = work},
    {0},
};
