/*
 * mp_pool_parts - what a pool is made of: for mp_pool.c and mp_pool_figures.c alone
 *
 * mp_pool.h says what they do.
 */
#ifndef MP_POOL_PARTS_H
#define MP_POOL_PARTS_H

#include "thread.h"

#ifndef MP_NO_INLINE /* the functions are here */
#    define MP_NO_INLINE
#endif
#include <mpalloc.h>

#include <assert.h>

enum { POOL_PLACES = TRAYS_BYTES / TRAY_BYTES };

/*
 * Objects that are kept, in a block of malloc that only its pool points to. What is not in use in
 * `items` is NULL, so that whoever looks from outside sees what is kept.
 */
struct stock {
    struct stock *next; /* lock of the pool: of the list that it is in */
    struct stock *previous;
    struct tray *tray; /* whose it is; NULL: it is in the store */
    size_t count;      /* in the store: of its objects */
    void *items[];
};

/*
 * What one thread has at hand of one pool: get takes from one stock, put gives to another, so that
 * the one need not wait for what the other wrote. Only the thread touches it, and whoever ends the
 * pool or the thread; readers of figures look at gets. Zero: none, both empty and full.
 */
struct tray {
    struct mp_tray_ head; /* the ends of both */
    uint64_t loaded; /* objects that get's stock had in it, ever; less the rest: gets */
    struct stock *get_stock;
    struct stock *put_stock;
    struct tray *next; /* lock of the pool */
};
static_assert(sizeof(struct tray) == TRAY_BYTES, "trays lie one behind the other");

/*
 * Invariants (mp_pool_check):
 *
 *     O1  in a tray base <= got, put <= end; what is in items is what lies before got, or put
 *     O2  store_count is the objects of the store and the loose ones
 *     O3  made - freed is what is kept and what is in use
 */
struct mp_pool {
    /* Does not change: */
    struct mp_pool_head_ head; /* where its trays are; 0: it has none */
    struct mp_component *component;
    size_t object_bytes;
    size_t keep;
    size_t stock_most; /* 0: nothing is kept */
    size_t store_most;
    uint64_t number; /* of the pool, from 1 on */
    bool may_swap;   /* a full stock may wait beside another that is not empty */
    /* lock: */
    struct lock lock ALIGNED(CACHE_LINE);
    struct stock *store;   /* stocks with objects */
    struct stock *empties; /* without */
    struct stock *loose;   /* for what is too little for a stock */
    size_t store_count;
    struct stock *stocks; /* those of trays */
    struct tray *trays;
    struct tray shared; /* of threads that have none */
    uint64_t gets;      /* misses, and of trays that are gone */
    uint64_t gets_seen; /* the most that was said */
    uint64_t made;      /* by malloc */
    uint64_t peak;
    uint64_t freed;       /* relaxed atomic */
    struct mp_pool *next; /* pools_lock */
    struct mp_pool *previous;
};

/* pools_lock: */
extern struct mp_pool *pools;
extern uint64_t pools_ever;                         /* relaxed atomic */
extern struct mp_pool *pools_at_place[POOL_PLACES]; /* whose trays lie there */

/* Objects of a stock that is in a tray. Any thread may look, while others get and put. */
size_t pool_stock_count(const struct mp_pool *p, const struct stock *s);

/*
 * How often something was got from a tray: nothing counts that. While its thread is getting it may
 * be so many too few or too many as a stock holds.
 */
uint64_t pool_tray_gets(const struct mp_pool *p, const struct tray *t);

#endif
