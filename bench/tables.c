/*
 * tables - hash tables: chained with a node and a key a block, and open with the table
 * itself as the only large block that comes and goes
 *
 * Keys are drawn from twice as many as the table holds; each step inserts what is missing
 * and removes what is there, so that the table stays half full of them.
 */
#include "bench.h"

#include <string.h>

enum { BATCH = 256 };

static uint32_t mix(uint32_t key)
{
    key *= 0x9e3779b1u;
    return key ^ key >> 15;
}

/* ---- chained ---- */

struct node {
    struct node *next;
    char *name; /* "k" and the number, with a tail that depends on it */
    uint64_t value;
};

struct chained {
    struct node **bucket;
    uint32_t size, count; /* size: a power of two */
};

static size_t name_write(char *at, uint32_t key)
{
    size_t length = 2 + key % 30;

    memset(at, 'a' + (int)(key % 26), length);
    at[length] = '\0';
    return length;
}

static void chained_resize(struct chained *t, uint32_t size)
{
    struct node **bucket = checked(calloc(size, sizeof(struct node *)), size);

    for (uint32_t i = 0; i < t->size; i++) {
        for (struct node *n = t->bucket[i], *next; n != NULL; n = next) {
            struct node **to = &bucket[mix((uint32_t)n->value) & (size - 1)];

            next = n->next;
            n->next = *to;
            *to = n;
        }
    }
    free(t->bucket);
    t->bucket = bucket;
    t->size = size;
}

static void chained_remove(struct chained *t, struct node **at)
{
    struct node *n = *at;
    char expected[40];

    name_write(expected, (uint32_t)n->value);
    if (strcmp(n->name, expected) != 0) {
        bench_fail("a key of a table is wrong: %.20s", n->name);
    }
    *at = n->next;
    free(n->name);
    free(n);
    t->count--;
}

static void chained_insert(struct chained *t, uint32_t key)
{
    struct node *n = checked(malloc(sizeof(*n)), sizeof(*n));
    struct node **at;
    char name[40];

    if (t->count >= t->size) {
        chained_resize(t, t->size * 2);
    }
    name_write(name, key);
    at = &t->bucket[mix(key) & (t->size - 1)];
    *n = (struct node){*at, checked(strdup(name), 1), key};
    *at = n;
    t->count++;
}

static void chained_step(struct chained *t, uint32_t key)
{
    struct node **at = &t->bucket[mix(key) & (t->size - 1)];

    while (*at != NULL && (*at)->value != key) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        chained_remove(t, at);
    } else {
        chained_insert(t, key);
    }
}

/* The table is dropped from time to time, and grows from 16 buckets again. */
static void chained(struct worker *w)
{
    size_t keys = w->plan->workload->size;

    while (worker_more(w)) {
        struct chained t = {0};
        uint32_t dropped = 0;

        chained_resize(&t, 16);
        for (size_t done = 0; done < 8 * keys && worker_more(w); done += BATCH) {
            for (unsigned i = 0; i < BATCH; i++) {
                chained_step(&t, (uint32_t)random_below(&w->random, keys));
            }
            w->ops += BATCH;
        }
        for (uint32_t i = 0, count = t.count; i < t.size; i++) {
            while (t.bucket[i] != NULL) {
                chained_remove(&t, &t.bucket[i]);
                dropped++;
            }
            if (i + 1 == t.size && dropped != count) {
                bench_fail("a table of %u has %u nodes", count, dropped);
            }
        }
        free(t.bucket);
    }
}

/* ---- open ---- */

struct entry {
    uint32_t key; /* 0: free */
    uint32_t size;
    void *value; /* a block of its own */
};

struct open {
    struct entry *entry;
    uint32_t size, count;
};

static struct entry *open_find(struct open *t, uint32_t key)
{
    uint32_t at = mix(key) & (t->size - 1);

    while (t->entry[at].key != 0 && t->entry[at].key != key) {
        at = (at + 1) & (t->size - 1);
    }
    return &t->entry[at];
}

static void open_resize(struct open *t, uint32_t size)
{
    struct open larger = {
        checked(calloc(size, sizeof(struct entry)), size), size, t->count};

    for (uint32_t i = 0; i < t->size; i++) {
        if (t->entry[i].key != 0) {
            *open_find(&larger, t->entry[i].key) = t->entry[i];
        }
    }
    free(t->entry);
    *t = larger;
}

/* A value is replaced when the key is there. */
static void open_put(struct open *t, uint32_t key, uint32_t size)
{
    struct entry *e = open_find(t, key);

    if (e->key != 0) {
        block_delete(e->value, e->size);
    } else if (++t->count * 4 > t->size * 3) {
        open_resize(t, t->size * 2);
        e = open_find(t, key);
    }
    *e = (struct entry){key, size, block_new(size)};
}

static void open(struct worker *w)
{
    size_t keys = w->plan->workload->size;

    while (worker_more(w)) {
        struct open t = {0};

        open_resize(&t, 16);
        for (size_t done = 0; done < 4 * keys && worker_more(w); done += BATCH) {
            for (unsigned i = 0; i < BATCH; i++) {
                uint64_t r = random_next(&w->random);

                open_put(&t, 1 + (uint32_t)(((r >> 32) * keys) >> 32),
                    8 + (uint32_t)(r % 120));
            }
            w->ops += BATCH;
        }
        for (uint32_t i = 0; i < t.size; i++) {
            if (t.entry[i].key != 0) {
                block_delete(t.entry[i].value, t.entry[i].size);
            }
        }
        free(t.entry);
    }
}

#define TABLES .groups = "hashmap_allocations", .threads = 1, .at_least = 1

const struct workload tables_workloads[] = {
    {"table-chained", "a chained table of 10,000 nodes and keys, churn", TABLES,
        .ops = 8000000, .size = 20000, .work = chained},
    {"table-chained-big", "a chained table of 200,000 nodes and keys, churn", TABLES,
        .ops = 1600000, .size = 400000, .work = chained},
    {"table-open", "an open table of 20,000 values that grows from nothing", TABLES,
        .ops = 10000000, .size = 20000, .work = open},
    {0},
};
