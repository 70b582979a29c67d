/*
 * pools - objects that a program would keep in a pool: from malloc each time, and from a
 * list of its own in front of malloc
 *
 * The difference between the two is what such a pool is worth. A pool of the library is
 * measured here when it has one.
 */
#include "bench.h"

#include <string.h>

enum { OBJECTS = 400, POOL = 100, BATCH = 256 };

struct object {
    struct object *next; /* in the pool only */
    uint64_t mark;       /* while in use */
    char body[240];
};

struct pool {
    struct object *head; /* at most `most` objects */
    unsigned count, most;
};

static struct object *pool_get(struct pool *p)
{
    struct object *o = p->head;

    if (o == NULL) {
        o = checked(malloc(sizeof(*o)), sizeof(*o));
    } else {
        p->head = o->next;
        p->count--;
    }
    o->mark = block_sign(o, sizeof(*o));
    o->body[0] = o->body[sizeof(o->body) - 1] = 1;
    return o;
}

static void pool_put(struct pool *p, struct object *o)
{
    if (o->mark != block_sign(o, sizeof(*o))) {
        bench_fail("an object of a pool lost its mark");
    }
    o->mark = 0;
    if (p->count == p->most) {
        free(o);
    } else {
        o->next = p->head;
        p->head = o;
        p->count++;
    }
}

/* Up to 400 objects in use, their number goes up and down at random. */
static void work(struct worker *w)
{
    struct pool pool = {.most = (unsigned)w->plan->workload->size};
    struct object *used[OBJECTS] = {NULL};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            struct object **o = &used[random_below(&w->random, OBJECTS)];

            if (*o != NULL) {
                pool_put(&pool, *o);
                *o = NULL;
            } else {
                *o = pool_get(&pool);
            }
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < OBJECTS; i++) {
        free(used[i]);
    }
    for (struct object *o = pool.head, *next; o != NULL; o = next) {
        next = o->next;
        free(o);
    }
}

#define POOLS .groups = "object_pool", .threads = 1, .at_least = 1, .work = work

const struct workload pools_workloads[] = {
    {"pool-none", "400 objects of 256 B in use or not, each from malloc", POOLS,
        .ops = 60000000},
    {"pool-own", "the same with a list of 100 objects in front of malloc", POOLS,
        .ops = 60000000, .size = POOL},
    {0},
};
