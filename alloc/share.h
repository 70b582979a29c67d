/*
 * share - what a thread keeps for samples where all is sampled
 *
 * Owns: idle blocks of the pool, with a record each; the number of the sites that the thread has
 * for itself (sites.h), and which of them its last stacks, and the blocks that it freed last, belong
 * to; what it counted. The structure stays with that of the thread, for the next one that gets it.
 * Does not own: what is done with it (exact.h).
 *
 * Nothing here is used while the region is not that of this process.
 */
#ifndef SHARE_H
#define SHARE_H

#include "live.h"
#include "pool.h"
#include "region.h"
#include "thread.h"

enum {
    SHARE_STACKS = 256, /* at first; powers of two */
    SHARE_STACKS_MOST = 16 * 1024,
    SHARE_SITES = 2048,
    SHARE_IDLE = 32, /* idle blocks of a bin */
};

/* A site of this thread's, and where blocks of its component and class are counted. */
struct share_site {
    struct site_row row;
    struct pool_counts *counts;
};

struct share_of_stack {
    uint64_t hash; /* of stack, component, class and all that a site is of; 0: none */
    uint32_t frame;
    uint32_t site;
    struct share_site own;
};

struct share_of_site {
    uint32_t site; /* that a block was allocated at; 0: none */
    struct share_site own;
};

/* Its thread alone, where nothing else is said. */
struct share {
    uint32_t epoch; /* all of it is of that region */
    uint32_t number;
    uint64_t allocated; /* relaxed atomics: others read */
    uint64_t freed;
    uint64_t unlisted;
    struct share *next; /* profile_lock */
    uint32_t turn;      /* which of its samples are timed */
    uint32_t idle_count[POOL_BINS];
    struct pool_block idle[POOL_BINS][SHARE_IDLE];
    struct share_of_stack *of_stack; /* by hash, in pairs */
    uint32_t stack_count;
    uint32_t stack_misses; /* since there are so many */
    struct share_of_site of_site[SHARE_SITES];
};

/* Rises with each region; 0: there is none, or it is that of the parent. */
extern HIDDEN uint32_t share_epoch;

/* Whether this thread has all it needs, now. */
static inline bool share_is_ready(const struct thread *t)
{
    return LIKELY(t != NULL && t->share != NULL
                  && t->share->epoch == load_acquire(&share_epoch)
                  && !region_is_of_parent()); /* pairs with share_start_locked */
}

/* For this thread, which sampled before. */
void share_obtain_locked(struct thread *t);

/* How many idle blocks of a bin it may keep; all but so many go back; all of all bins do. */
uint32_t share_idle_most(unsigned bin);
void share_give_back_locked(struct share *x, unsigned bin, uint32_t left);
void share_flush_locked(struct share *x);

/* Four times as many stacks, none of them known yet, if there is memory. */
void share_grow_locked(struct share *x);

/* The region is there, and has what was written before; there is none. */
void share_start_locked(void);
void share_stop(void);

/* Add what threads counted. */
void share_describe_locked(struct mp_region_sampling *s);

#endif
