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
    struct span *full;                      /* ring of all classes */
};

/* Take a slab out of the list that it is in. */
void shelf_remove(struct shelf *f, struct span *s);

/* Put a slab that is in no list into the one that fits what is free in it. */
void shelf_put(struct shelf *f, struct span *s);

/* After `used` fell: to the right list, or back to the free spans. */
void shelf_move(struct shelf *f, struct span *s);

/* An empty slab in no list: back to the free spans. False: it is queued somewhere. */
bool shelf_try_release(struct span *s);

#endif
