/*
 * locks - all locks that are one of a kind
 *
 * Owns: the list of them, by rank. Those of object pools and of heaps come after the
 * first LOCKS_BEFORE_HEAPS.
 */
#ifndef LOCKS_H
#define LOCKS_H

#include "lock.h"

enum { LOCKS_BEFORE_HEAPS = 4, LOCKS = 12 };

extern struct lock *const locks[LOCKS];

/* All of them and those of pools and heaps, in the order of their ranks; and back. */
void locks_take_all(void);
void locks_release_all(void);

#endif
