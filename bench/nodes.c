/*
 * nodes - many small blocks that point to each other: lists, trees, counted references
 */
#include "bench.h"

#include <stdatomic.h>

enum { BATCH = 256 };

/* ---- a list that is built, turned, halved, dropped ---- */

struct link {
    struct link *next;
    uint64_t number;
};

static struct link *list_build(unsigned count)
{
    struct link *head = NULL;

    for (unsigned i = 0; i < count; i++) {
        struct link *l = checked(malloc(sizeof(*l)), sizeof(*l));

        *l = (struct link){head, i};
        head = l;
    }
    return head;
}

static void lists(struct worker *w)
{
    enum { LINKS = 10000 };

    while (worker_more(w)) {
        struct link *head = list_build(LINKS);
        uint64_t sum = 0;

        for (struct link *l = head; l != NULL && l->next != NULL; l = l->next) {
            struct link *second = l->next; /* every second one goes, the others stay */

            sum += second->number;
            l->next = second->next;
            free(second);
        }
        for (struct link *l = head, *next; l != NULL; l = next) {
            next = l->next;
            sum += l->number;
            free(l);
        }
        if (sum != (uint64_t)LINKS * (LINKS - 1) / 2) {
            bench_fail("the links of a list add up to %llu", (unsigned long long)sum);
        }
        w->ops += LINKS;
    }
}

/* ---- a search tree under insertions and removals ---- */

struct leaf {
    struct leaf *child[2];
    uint64_t key;
    uint64_t check;  /* of the key */
    uint32_t weight; /* a heap by weight: a treap stays balanced */
};

static void rotate(struct leaf **at, unsigned up)
{
    struct leaf *top = *at, *rises = top->child[up];

    top->child[up] = rises->child[!up];
    rises->child[!up] = top;
    *at = rises;
}

static bool tree_insert(struct leaf **at, uint64_t key, uint64_t *random)
{
    struct leaf *l = *at;
    unsigned side;

    if (l == NULL) {
        l = *at = checked(malloc(sizeof(*l)), sizeof(*l));
        *l = (struct leaf){{NULL, NULL}, key, ~key, (uint32_t)random_next(random)};
        return true;
    }
    side = key > l->key;
    if (key == l->key || !tree_insert(&l->child[side], key, random)) {
        return false;
    }
    if (l->child[side]->weight > l->weight) {
        rotate(at, side);
    }
    return true;
}

static void tree_remove(struct leaf **at, uint64_t key)
{
    struct leaf *l;

    while ((*at)->key != key) {
        at = &(*at)->child[key > (*at)->key];
    }
    while ((l = *at)->child[0] != NULL && l->child[1] != NULL) {
        unsigned up = l->child[1]->weight > l->child[0]->weight;

        rotate(at, up);
        at = &(*at)->child[!up];
    }
    *at = l->child[0] != NULL ? l->child[0] : l->child[1];
    if (l->check != ~l->key) {
        bench_fail("a leaf of a tree is wrong");
    }
    free(l);
}

/* In order, so that the keys must rise. */
static void tree_destroy(struct leaf *l, uint64_t *least)
{
    if (l != NULL) {
        tree_destroy(l->child[0], least);
        if (l->check != ~l->key || l->key < *least) {
            bench_fail("a tree is out of order");
        }
        *least = l->key;
        tree_destroy(l->child[1], least);
        free(l);
    }
}

static void trees(struct worker *w)
{
    enum { KEYS = 8192 };
    struct leaf *root = NULL;
    uint64_t least = 0;

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            uint64_t key = random_below(&w->random, KEYS);

            if (!tree_insert(&root, key, &w->random)) {
                tree_remove(&root, key);
            }
        }
        w->ops += BATCH;
    }
    tree_destroy(root, &least);
}

/* ---- counted references, shared by threads ---- */

struct shared {
    atomic_uint references;
    uint32_t size;
    uint64_t mark; /* of address and size */
};

enum { CELLS = 4096, HELD = 64 };

static void reference_drop(struct shared *s)
{
    if (atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) == 1) {
        if (s->mark != block_sign(s, s->size)) {
            bench_fail("a shared block of %u bytes lost its mark", s->size);
        }
        free(s);
    }
}

static struct shared *shared_new(uint64_t *random)
{
    uint32_t size = (uint32_t)(sizeof(struct shared) + random_below(random, 100));
    struct shared *s = checked(malloc(size), size);

    atomic_init(&s->references, 1);
    s->size = size;
    s->mark = block_sign(s, size);
    return s;
}

static void shared_begin(struct plan *plan)
{
    plan->state = array_map(CELLS * sizeof(_Atomic(struct shared *)));
}

static void shared_end(struct plan *plan)
{
    _Atomic(struct shared *) *cell = plan->state;

    for (unsigned i = 0; i < CELLS; i++) {
        if (cell[i] != NULL) {
            reference_drop(cell[i]);
        }
    }
    array_unmap(plan->state, CELLS * sizeof(*cell));
}

/*
 * A new object goes to a cell that all threads see, and one more reference stays here for
 * a while; what was in the cell is dropped. Whoever drops the last reference frees.
 */
static void share(struct worker *w)
{
    _Atomic(struct shared *) *cell = w->plan->state;
    struct shared *held[HELD] = {NULL};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            struct shared *s = shared_new(&w->random), *old;
            struct shared **mine = &held[random_below(&w->random, HELD)];

            atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
            old = atomic_exchange_explicit(
                &cell[random_below(&w->random, CELLS)], s, memory_order_acq_rel);
            if (old != NULL) {
                reference_drop(old);
            }
            if (*mine != NULL) {
                reference_drop(*mine);
            }
            *mine = s;
        }
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < HELD; i++) {
        if (held[i] != NULL) {
            reference_drop(held[i]);
        }
    }
}

#define NODES .groups = "smart_pointers", .at_least = 1

const struct workload nodes_workloads[] = {
    {"node-list", "lists of 10,000 links, halved and dropped", NODES, .threads = 1,
        .ops = 50000000, .work = lists},
    {"node-tree", "a balanced tree of 4,096 leaves, insertions and removals", NODES,
        .threads = 1, .ops = 3000000, .work = trees},
    {"node-shared", "4 threads share 4,096 counted objects, the last one frees", NODES,
        .threads = 4, .ops = 10000000, .begin = shared_begin, .work = share,
        .end = shared_end},
    {0},
};
