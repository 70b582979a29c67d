/*
 * pool - what the library's pools and arenas cost beside malloc and free, in one run
 *
 *     pool [--size BYTES] [--rounds N] [--limit]
 *
 * Times, in turn and each the best of many short rounds, for one size of objects (256 bytes for
 * pools, 64 for arenas, unless --size is given):
 *
 *     pair    one object at a time: get and put, malloc and free
 *     batch   100 objects, then back in the order in which they came
 *     arena   64 objects to the reset, and to the reset of 16,000
 *     reset   of an arena of 100,000 objects, by itself
 *
 * Each object is written to at both ends. Prints nanoseconds and ratios; with --limit the program
 * fails where a goal is missed by more than half: machines that test are noisy.
 */
#include <mpalloc.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 200000, BATCH = 100, BATCHES = 2000, OBJECTS = 16000, KEEP = 400 };

static mp_pool_t *pool;
static mp_arena_t *arena;
static void *used[BATCH];

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void touch(void *p, size_t size)
{
    if (p == NULL) {
        fprintf(stderr, "pool: no memory\n");
        exit(1);
    }
    ((volatile char *)p)[0] = 1;
    ((volatile char *)p)[size - 1] = 1;
}

static double pair_malloc(size_t size)
{
    double began = now_ns();

    for (unsigned i = 0; i < PAIRS; i++) {
        void *p = malloc(size);

        touch(p, size);
        free(p);
    }
    return (now_ns() - began) / PAIRS;
}

static double pair_pool(size_t size)
{
    double began = now_ns();

    for (unsigned i = 0; i < PAIRS; i++) {
        void *p = mp_pool_get(pool);

        touch(p, size);
        mp_pool_put(pool, p);
    }
    return (now_ns() - began) / PAIRS;
}

static double batch_malloc(size_t size)
{
    double began = now_ns();

    for (unsigned i = 0; i < BATCHES; i++) {
        for (unsigned j = 0; j < BATCH; j++) {
            used[j] = malloc(size);
            touch(used[j], size);
        }
        for (unsigned j = 0; j < BATCH; j++) {
            free(used[j]);
        }
    }
    return (now_ns() - began) / ((double)BATCHES * BATCH);
}

static double batch_pool(size_t size)
{
    double began = now_ns();

    for (unsigned i = 0; i < BATCHES; i++) {
        for (unsigned j = 0; j < BATCH; j++) {
            used[j] = mp_pool_get(pool);
            touch(used[j], size);
        }
        for (unsigned j = 0; j < BATCH; j++) {
            mp_pool_put(pool, used[j]);
        }
    }
    return (now_ns() - began) / ((double)BATCHES * BATCH);
}

/* `most` objects to each reset, which is part of the time. */
static double arena_rounds(size_t size, unsigned most, bool is_touched)
{
    unsigned rounds = 160000 / most;
    double began = now_ns();

    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned j = 0; j < most; j++) {
            char *p = mp_arena_alloc(arena, size);

            if (is_touched) {
                touch(p, size);
            }
        }
        mp_arena_reset(arena);
    }
    return (now_ns() - began) / ((double)rounds * most);
}

static double arena_few(size_t size)
{
    return arena_rounds(size, 64, true);
}

static double arena_many(size_t size)
{
    return arena_rounds(size, OBJECTS, true);
}

static double arena_untouched(size_t size)
{
    return arena_rounds(size, OBJECTS, false);
}

/* Nanoseconds for a whole reset, not for each object. */
static double arena_reset(size_t size)
{
    double began, took = 0;

    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 100000; j++) {
            touch(mp_arena_alloc(arena, size), size);
        }
        began = now_ns();
        mp_arena_reset(arena);
        took += now_ns() - began;
    }
    return took / 4;
}

static struct way {
    const char *name;
    double (*run)(size_t size);
    bool is_arena;
    double best;
} ways[] = {
    {"pair, malloc and free", pair_malloc, false, 1e9},
    {"pair, mp_pool_get and put", pair_pool, false, 1e9},
    {"batch, malloc and free", batch_malloc, false, 1e9},
    {"batch, mp_pool_get and put", batch_pool, false, 1e9},
    {"arena, 64 to a reset", arena_few, true, 1e9},
    {"arena, 16,000 to a reset", arena_many, true, 1e9},
    {"arena, objects not written to", arena_untouched, true, 1e9},
    {"malloc and free of that size", batch_malloc, true, 1e9},
    {"reset of 100,000 objects", arena_reset, true, 1e9},
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static size_t number(int argc, char **argv, const char *name, size_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return strtoull(argv[i + 1], NULL, 10);
        }
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    size_t pool_size = number(argc, argv, "--size", 256);
    size_t arena_size = number(argc, argv, "--size", 64);
    size_t rounds = number(argc, argv, "--rounds", 60);
    bool is_limited = strcmp(argv[argc - 1], "--limit") == 0;
    struct mp_pool_stats s = {.size = sizeof(s)};
    double pair, batch, hits;

    pool = mp_pool_create(mp_component("bench"), pool_size, KEEP);
    arena = mp_arena_create(mp_component("bench"));
    for (size_t i = 0; i < rounds; i++) {
        for (unsigned w = 0; w < WAYS; w++) {
            double ns = ways[w].run(ways[w].is_arena ? arena_size : pool_size);

            ways[w].best = ns < ways[w].best ? ns : ways[w].best;
        }
    }
    mp_pool_stats(pool, &s);
    hits = (double)s.hits_total / (double)s.gets_total;
    pair = ways[1].best / ways[0].best;
    batch = ways[3].best / ways[2].best;
    for (unsigned w = 0; w < WAYS; w++) {
        printf("%-32s %5zu bytes %8.2f ns\n", ways[w].name,
            ways[w].is_arena ? arena_size : pool_size, ways[w].best);
    }
    printf("pool / malloc: pair %.2f, batch %.2f; hits %.4f\n", pair, batch, hits);
    mp_arena_destroy(arena);
    mp_pool_destroy(pool);
    return is_limited && (pair > 0.9 || batch > 0.9 || ways[4].best > 6 || hits < 0.99);
}
