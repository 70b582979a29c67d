/*
 * drops - the time of free alone: by the owner, by another thread, in bulk, large blocks
 *
 * What is allocated in between is not in the time (but in user and system seconds): the
 * clock is read before and after each run of frees.
 */
#include "bench.h"

enum { BLOCKS = 20000, LARGE = 32 };

struct batch {
    struct worker *worker;
    unsigned count;
    uint64_t ns; /* of the frees */
    uint32_t size[BLOCKS];
    void *block[BLOCKS];
};

static void batch_fill(struct batch *b, unsigned count, size_t least, size_t most)
{
    uint64_t *random = &b->worker->random;

    b->count = count;
    for (unsigned i = 0; i < count; i++) {
        b->size[i] = (uint32_t)(least + random_below(random, most - least));
        b->block[i] = block_new(b->size[i]);
        if (b->size[i] > 4096) {
            block_touch((char *)b->block[i] + 8, b->size[i] - 16);
        }
    }
}

static void batch_shuffle(struct batch *b)
{
    for (unsigned i = b->count - 1; i > 0; i--) {
        size_t j = random_below(&b->worker->random, i + 1);
        uint32_t size = b->size[i];
        void *block = b->block[i];

        b->size[i] = b->size[j];
        b->block[i] = b->block[j];
        b->size[j] = size;
        b->block[j] = block;
    }
}

static void *batch_drop(void *arg)
{
    struct batch *b = arg;
    uint64_t began;

    for (unsigned i = 0; i < b->count; i++) {
        block_check(b->block[i], b->size[i]);
    }
    began = bench_now_ns();
    for (unsigned i = 0; i < b->count; i++) {
        free(b->block[i]);
    }
    b->ns += bench_now_ns() - began;
    return NULL;
}

enum how { LOCAL, SHUFFLED, REMOTE, BIG };

static void drop(struct worker *w, enum how how)
{
    struct batch *b = array_map(sizeof(*b));

    b->worker = w;
    while (worker_more(w)) {
        if (how == BIG) {
            batch_fill(b, LARGE, 128 * KIB, 4 * MIB);
        } else {
            batch_fill(b, BLOCKS, 16, 512);
        }
        if (how == SHUFFLED) {
            batch_shuffle(b);
        }
        if (how == REMOTE) {
            pthread_t thread;

            bench_thread(&thread, batch_drop, b);
            pthread_join(thread, NULL);
        } else {
            batch_drop(b);
        }
        w->ops += b->count;
    }
    w->timed_ns = b->ns;
    array_unmap(b, sizeof(*b));
}

static void drop_local(struct worker *w)
{
    drop(w, LOCAL);
}

static void drop_shuffled(struct worker *w)
{
    drop(w, SHUFFLED);
}

static void drop_remote(struct worker *w)
{
    drop(w, REMOTE);
}

static void drop_large(struct worker *w)
{
    drop(w, BIG);
}

#define DROPS .groups = "drop_timing", .threads = 1, .at_least = 1

const struct workload drops_workloads[] = {
    {"drop-local", "frees of 20,000 blocks of 16 to 511 B, in order", DROPS,
        .ops = 20000000, .work = drop_local},
    {"drop-shuffled", "the same in any order", DROPS, .ops = 10000000,
        .work = drop_shuffled},
    {"drop-remote", "the same in order by another thread", DROPS, .ops = 10000000,
        .work = drop_remote},
    {"drop-large", "frees of 32 blocks of 128 KiB to 4 MiB, all written", DROPS,
        .ops = 4000, .work = drop_large},
    {0},
};
