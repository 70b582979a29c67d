/*
 * vectors - arrays that grow and shrink beside each other, and arrays of arrays
 */
#include "bench.h"

#include <string.h>

struct vector {
    uint32_t *item;
    uint32_t count, room;
};

static void vector_push(struct vector *v, uint32_t item)
{
    if (v->count == v->room) {
        v->room = v->room < 4 ? 4 : v->room + v->room / 2;
        v->item = checked(realloc(v->item, v->room * sizeof(*v->item)), v->room);
    }
    v->item[v->count++] = item;
}

/* Item n of vector i is n * 7 + i: nothing else has to be remembered. */
static void vector_check(const struct vector *v, uint32_t i)
{
    for (uint32_t n = 0; n < v->count; n++) {
        if (v->item[n] != n * 7 + i) {
            bench_fail("item %u of %u of a vector is wrong", n, v->count);
        }
    }
}

static void vector_destroy(struct vector *v, uint32_t i)
{
    vector_check(v, i);
    free(v->item);
    *v = (struct vector){0};
}

/* 1,000 vectors get a few items at a time; the one that is full is dropped. */
static void grow_many(struct worker *w)
{
    enum { VECTORS = 1000, BATCH = 256, LONGEST = 2000 };
    struct vector *v = array_map(VECTORS * sizeof(*v));

    while (worker_more(w)) {
        for (unsigned n = 0; n < BATCH; n++) {
            uint32_t i = (uint32_t)random_below(&w->random, VECTORS);
            uint32_t more = 1 + (uint32_t)random_below(&w->random, 16);

            while (more-- > 0) {
                vector_push(&v[i], v[i].count * 7 + i);
            }
            if (v[i].count > 20 + i * LONGEST / VECTORS) {
                vector_destroy(&v[i], i);
            }
        }
        w->ops += BATCH;
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        vector_destroy(&v[i], i);
    }
    array_unmap(v, VECTORS * sizeof(*v));
}

/* 64 vectors that grow to 8,192 items and are then cut to half, a quarter ... of it. */
static void shrink(struct worker *w)
{
    enum { VECTORS = 64, ITEMS = 8192 };

    while (worker_more(w)) {
        struct vector v[VECTORS] = {{0}};

        for (uint32_t n = 0; n < ITEMS; n++) {
            for (uint32_t i = 0; i < VECTORS; i++) {
                vector_push(&v[i], n * 7 + i);
            }
        }
        for (uint32_t count = ITEMS / 2; count > 0; count /= 2) {
            for (uint32_t i = 0; i < VECTORS; i++) {
                v[i].count = v[i].room = count;
                v[i].item =
                    checked(realloc(v[i].item, count * sizeof(uint32_t)), count);
                w->ops++;
            }
        }
        for (uint32_t i = 0; i < VECTORS; i++) {
            vector_destroy(&v[i], i);
        }
    }
}

/* A table whose rows are arrays of their own, made and dropped as a whole. */
static void rows(struct worker *w)
{
    enum { ROWS = 1000 };

    while (worker_more(w)) {
        uint32_t columns = 8 + (uint32_t)random_below(&w->random, 120);
        uint32_t **row = checked(malloc(ROWS * sizeof(*row)), ROWS);

        for (uint32_t i = 0; i < ROWS; i++) {
            row[i] = checked(calloc(columns, sizeof(**row)), columns);
            row[i][columns - 1] += i;
            row[i][0] += i;
        }
        for (uint32_t i = 0; i < ROWS; i++) {
            if (row[i][0] != i || row[i][columns - 1] != i || row[i][1] != 0) {
                bench_fail("row %u of %u columns is wrong", i, columns);
            }
            free(row[i]);
        }
        free(row);
        w->ops += ROWS + 1;
    }
}

#define VECTORS .groups = "vec_allocations", .threads = 1, .at_least = 1

const struct workload vectors_workloads[] = {
    {"vector-many", "1,000 vectors that gain 1 to 16 items at a time", VECTORS,
        .ops = 9000000, .work = grow_many},
    {"vector-shrink", "64 vectors that grow to 32 KiB and are cut by halves", VECTORS,
        .ops = 200000, .work = shrink},
    {"vector-rows", "tables of 1,000 rows, each an array of its own", VECTORS,
        .ops = 20000000, .work = rows},
    {0},
};
