/*
 * calloc - zeroed blocks of 16 B to 64 KiB, dirtied at once; and of 64 KiB to 4 MiB,
 * written on every fourth page
 */
#include "bench.h"

#include <string.h>

enum { SLOTS = 256, BATCH = 256 };

static size_t draw_size(uint64_t *random)
{
    unsigned shift = 4 + (unsigned)random_below(random, 9);

    shift += random_below(random, 16) == 0 ? 3 : 0;
    return ((size_t)1 << shift) + random_below(random, (size_t)1 << shift);
}

/* Both ends and the middle: to read all of it would measure the reader. */
static void expect_zeros(const unsigned char *p, size_t size)
{
    const size_t at[] = {0, 8, size / 4, size / 2, size - 16, size - 8};

    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        uint64_t word;

        memcpy(&word, p + at[i], sizeof(word));
        if (word != 0) {
            bench_fail("calloc of %zu bytes is not zero at %zu", size, at[i]);
        }
    }
}

static void dirty(unsigned char *p, size_t size)
{
    memset(p, 0xa5, size < 256 ? size : 256);
    memset(p + size / 4, 0xa5, 8);
    memset(p + size / 2, 0xa5, 8);
    block_mark(p, size);
}

static void work(struct worker *w)
{
    void *block[SLOTS] = {NULL};
    size_t size[SLOTS] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t at = random_below(&w->random, SLOTS);

            if (block[at] != NULL) {
                block_delete(block[at], size[at]);
            }
            size[at] = draw_size(&w->random);
            block[at] = checked(calloc(1, size[at]), size[at]);
            expect_zeros(block[at], size[at]);
            dirty(block[at], size[at]);
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (block[i] != NULL) {
            block_delete(block[i], size[i]);
        }
    }
}

static size_t draw_large(uint64_t *random)
{
    size_t size = 64 * KIB << random_below(random, 6);

    return size + random_below(random, size);
}

/* A table of which a part is used: to clear all of it would be waste. */
static void large(struct worker *w)
{
    enum { TABLES = 16 };
    unsigned char *block[TABLES] = {NULL};
    size_t size[TABLES] = {0};

    while (worker_more(w)) {
        size_t at = random_below(&w->random, TABLES);

        if (block[at] != NULL) {
            block_delete(block[at], size[at]);
        }
        size[at] = draw_large(&w->random);
        block[at] = checked(calloc(size[at] / 8 + 1, 8), size[at]);
        expect_zeros(block[at], size[at]);
        for (size_t i = 0; i + 8 * KIB <= size[at]; i += 16 * KIB) {
            if (block[at][i] != 0 || block[at][i + 8 * KIB - 1] != 0) {
                bench_fail("calloc of %zu bytes is not zero near %zu", size[at], i);
            }
            block[at][i] = block[at][i + 8] = 1;
        }
        block_mark(block[at], size[at]);
        w->ops++;
    }
    for (unsigned i = 0; i < TABLES; i++) {
        if (block[i] != NULL) {
            block_delete(block[i], size[i]);
        }
    }
}

const struct workload calloc_workloads[] = {
    {"calloc-mix", "256 slots of zeroed blocks, 16 B to 64 KiB", .groups = "calloc",
        .threads = 1, .at_least = 1, .ops = 6000000, .work = work},
    {"calloc-large", "16 tables of 64 KiB to 4 MiB, every fourth page written",
        .groups = "calloc,large_blocks", .threads = 1, .at_least = 1, .ops = 10000,
        .work = large},
    {0},
};
