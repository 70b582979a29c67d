/*
 * shelf - where a heap keeps its slabs: the current ones, those worth taking from, full ones
 *
 * Owns: which of its lists a slab is in (its `state`), and when an empty one goes back to
 * the free spans. Does not own: the choice of slab to refill from (heap.h).
 *
 * Only the thread that owns the heap touches a shelf.
 */
#ifndef SHELF_H
#define SHELF_H

#include "slab.h"

struct shelf {
    struct span *current[CLASS_SLAB_COUNT]; /* what refill takes from; may be NULL */
    struct span *avail[CLASS_SLAB_COUNT];   /* rings, oldest first */
    struct span *holed[CLASS_SLAB_COUNT];   /* rings, of which pages were given back */
    struct span *full;                      /* ring of all classes */
};

/*
 * Give back free pages of slabs that lay idle from one flush to the next, all but a few of
 * each class; looks at `most` of them. False: there are more.
 */
bool shelf_dig(struct shelf *f, unsigned most, bool is_flush);

/* Take a slab out of the list that it is in; all its free blocks are on its list then. */
void shelf_remove(struct shelf *f, struct span *s);

/* Put a slab that is in no list into the one that fits what is free in it. */
void shelf_put(struct shelf *f, struct span *s);

/* Take over a slab with holes from another shelf's list. */
void shelf_pass_holed(struct shelf *from, struct shelf *to, struct span *s);

/* Hard slabs that were left here empty, since they were the only ones, go (heap_remote.c). */
void shelf_release_kept(struct shelf *f, unsigned cls);

/* After `used` fell: to the right list, or back to the free spans. */
void shelf_move(struct shelf *f, struct span *s);

/* An empty slab in no list: back to the free spans. False: it is queued somewhere. */
bool shelf_try_release(struct span *s);

#endif
