/*
 * component - the names that memory is accounted to
 *
 * Owns: the table of components, their counters of large blocks, what heaps that are gone
 * had handed out, and the heaps that exited threads left behind.
 *
 * Components live for ever. Row 0 is the untagged rest, row 1 "(overflow)", which stands
 * in for all names beyond the 4,096th.
 */
#ifndef COMPONENT_H
#define COMPONENT_H

#include "atomic.h"
#include "lock.h"
#include "sizeclass.h"

struct budget;
struct heap;

enum {
    COMPONENT_NAME_BYTES = 96,
    COMPONENT_ROWS = 4096 + 2,
    COMPONENT_UNTAGGED = 0,
    COMPONENT_OVERFLOW = 1,
};

/* Written under the lock of the spans or, in a heap, by its owner; read without. */
struct large_count {
    uint64_t allocated_blocks;
    uint64_t freed_blocks;
    uint64_t allocated_bytes;
    uint64_t freed_bytes;
};

struct mp_component {
    char name[COMPONENT_NAME_BYTES]; /* const, as are row and parent */
    uint16_t row;
    struct mp_component *parent; /* of "a/b": "a"; NULL: none */
    struct mp_component *child;  /* component_lock, as sibling: the last one made */
    struct mp_component *sibling;
    struct mp_component *next_hash; /* component_lock */
    struct budget
        *budget; /* atomic: the nearest that covers it, budget.h; NULL: none */
    struct heap
        *heaps; /* component_lock: those that are attached to it, or were left */
    struct heap *orphans; /* atomic; taken and put under component_lock */
    struct heap *shared;  /* component_lock: for threads past their end */
    struct large_count large[CLASS_LARGE_COUNT];
    bool has_heap;                          /* atomic: there was one at some time */
    uint64_t handed_gone[CLASS_SLAB_COUNT]; /* publish lock: by heaps that are gone */
    uint64_t returned_gone[CLASS_SLAB_COUNT];
};

extern struct lock component_lock;

/* The component of that name, made if need be. NULL or "": row 0. Never NULL. */
struct mp_component *component_intern(const char *name);

/* By row; NULL for rows that are not in use. */
struct mp_component *component_by_row(size_t row);

/* The one after c in the tree below root, which comes first; NULL: c was the last. */
struct mp_component *component_next_locked(
    const struct mp_component *c, const struct mp_component *root);

static inline bool component_is_root(const struct mp_component *c)
{
    return c->row == COMPONENT_UNTAGGED;
}

size_t component_count(void);     /* rows in use */
uint64_t component_refused(void); /* names that went to (overflow), each time */

/* Count a large block as allocated or as freed. Holds the lock of the spans. */
static inline void component_count_large_locked(
    struct mp_component *c, size_t bytes, bool is_free)
{
    struct large_count *n = &c->large[sizeclass_of_large(bytes) - CLASS_SLAB_COUNT];
    uint64_t *blocks = is_free ? &n->freed_blocks : &n->allocated_blocks;
    uint64_t *all = is_free ? &n->freed_bytes : &n->allocated_bytes;

    /* release: a sweep that sees a block freed sees it allocated. */
    store_release(blocks, load_relaxed(blocks) + 1);
    store_release(all, load_relaxed(all) + bytes);
}

#endif
