/*
 * mp_pool - the object pools of mpalloc.h: objects of one size that are used again
 *
 * Owns: what each pool keeps, by thread and shared, and its figures. Defines the functions of
 * mpalloc.h themselves. Does not own the memory: objects are blocks of malloc, of the pool's
 * component, and so is what keeps them, so that a leak check sees what leads to what. Not pool.h,
 * which has the blocks that are sampled.
 *
 * A thread has a *tray* for each pool that it uses, with two *stocks*, arrays of objects: it gets
 * from one and puts into the other, without lock or atomic, and exchanges the two when the first
 * is empty. Whole stocks come from the *store* that all threads share, or go there, under the
 * pool's lock. Trays lie in a table of the thread (thread.h), at the same place in each; a place
 * that was never used reads as a tray that is empty and full at once, so that the fast paths need
 * no test for it. Nothing is ever written to an object.
 *
 * Stocks of threads that ended, or that fork lost, go to the store.
 */
#ifndef MP_POOL_H
#define MP_POOL_H

#include "lock.h"

#ifndef MP_NO_INLINE /* the functions are here */
#    define MP_NO_INLINE
#endif
#include <mpalloc.h>

#include <stddef.h>
#include <stdint.h>

/* Guards the list of pools, and trays of threads other than the caller's. */
extern struct lock pools_lock;

/* To the region; with counters_lock. */
void mp_pool_publish_locked(void);

/* Around fork; pools_lock is taken. In the child nobody holds anything. */
void mp_pool_lock_all(void);
void mp_pool_unlock_all(void);
void mp_pool_after_fork_in_child(void);

/* Walks the invariants of a pool that no other thread uses; dies if one does not hold. */
void mp_pool_check(mp_pool_t *p);

#endif
