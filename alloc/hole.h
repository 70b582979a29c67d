/*
 * hole - free pages inside slabs that hold live blocks, given back to the kernel
 *
 * Owns: which pages of which slabs were given back, in records of its own: the links of
 * free blocks lie in the blocks, so those that touch such a page are on no list. They are
 * free, they count as free (carved - used), and hole_fill puts them back on the list.
 *
 * Call as the owner of the slab, which must be neither current nor on the way to be.
 */
#ifndef HOLE_H
#define HOLE_H

#include "slab.h"

/*
 * Give back the pages that hold free blocks only. False: there are too few of them, and
 * nothing was changed.
 */
bool hole_dig(struct span *s);

/*
 * For a slab with such pages: more of them, if a quarter of its blocks was freed since it
 * was looked at last. False: that is not so.
 */
bool hole_dig_more(struct span *s);

/* All free blocks of the slab are on its list again. */
void hole_fill(struct span *s);

/* The slab is empty and goes as a whole. */
void hole_forget(struct span *s);

/* Blocks of the slab that are free and on no list, by number. hole_lock held, or nobody runs. */
void hole_each_block_locked(
    const struct span *s, void (*each)(unsigned number, void *arg), void *arg);

extern struct lock hole_lock;

#endif
