/*
 * lock - few locks, ranked
 *
 * A lock is one word: 0 free, else thread_pointer() of whoever holds it, with the lowest
 * bit set when somebody sleeps. A static lock is ready without initialisation. Debug builds check the rank at each acquire: a thread may only
 * take a lock of a higher rank than those it holds. The same enum is the order in which
 * fork takes them (fork.c).
 *
 * A thread that waits for a lock that it holds itself would wait for ever: it allocated in
 * a signal handler that interrupted malloc, or after a jump out of one. It is told so.
 */
#ifndef LOCK_H
#define LOCK_H

#include "attr.h"

#include <stdbool.h>
#include <stdint.h>

enum lock_rank {
    RANK_PUBLISH = 1, /* counters and the region; heaps come and go under it */
    RANK_THREADS,     /* registry of threads */
    RANK_COMPONENTS,  /* table of names, orphan lists */
    RANK_POOLS,       /* list of object pools */
    RANK_POOL,        /* one of them; at most one at a time */
    RANK_HEAP,        /* one heap that no thread owns; at most one at a time */
    RANK_CONFINED,    /* large blocks in confinement */
    RANK_TRACK,       /* unused structures of tracked slabs */
    RANK_HOLES,       /* pages given back inside slabs */
    RANK_HUGE,        /* table of huge blocks */
    RANK_PROFILE,     /* the sampler's tables and their parts of the region */
    RANK_SPANS,       /* free spans */
    RANK_ARENA,       /* memory of the allocator's own tables */
    RANK_GUARD,       /* slots of guarded samples */
};

struct lock {
    uintptr_t word; /* atomic */
    uint8_t rank;
};

#define LOCK_INIT(r)                                                                   \
    {                                                                                  \
        .word = 0, .rank = (r)                                                         \
    }

void lock_init(struct lock *l, enum lock_rank rank);
void lock_lock(struct lock *l);
bool lock_try(struct lock *l);
/* For all locks of one rank at once, by whoever knows that nobody takes two of them. */
void lock_lock_one_of_many(struct lock *l);
void lock_unlock_one_of_many(struct lock *l);

/* Whether nobody holds it now. */
bool lock_is_free(const struct lock *l);

/* Whether this thread holds it: then we are in a handler that interrupted the holder. */
bool lock_is_mine(const struct lock *l);
void lock_unlock(struct lock *l);

/* In a forked child, for a lock that the parent's fork took or that a lost thread holds. */
void lock_reset(struct lock *l);

#endif
