/*
 * large_cache - large blocks that a thread freed and keeps for its next
 *
 * Owns: the runs in a thread's slots, one for each length of up to four spans, and when they
 * go back to the free spans. They count as free: what comes from here and goes here is counted
 * in the heap of the thread, without a lock.
 *
 * A run is put by the thread itself, and taken by it or by whoever purges: a slot goes from
 * empty to full by its thread only, and each full one is emptied by one exchange.
 */
#ifndef LARGE_CACHE_H
#define LARGE_CACHE_H

#include "large.h"

enum {
    LARGE_CACHE_SPANS = 4,   /* longer ones cost more to fill than to look for */
    LARGE_CACHE_CLASSES = 3, /* classes of large blocks that they are */
};
static_assert(LARGE_CACHE_SPANS * SPAN_BYTES <= 64 << (LARGE_CACHE_CLASSES - 1) << 10,
    "they can be counted");

struct large_cache {
    struct span *slot[LARGE_CACHE_SPANS];  /* atomic; by length */
    uint64_t puts[LARGE_CACHE_SPANS];      /* owner; purges read */
    uint32_t stamp_ms;                     /* owner: last look at the clock */
    uint8_t trust;                         /* owner: what unclocked began with */
    uint8_t unclocked;                     /* owner: calls until the clock is due */
    bool is_listed;                        /* owner */
    uint64_t seen_puts[LARGE_CACHE_SPANS]; /* publish lock: by the last purge */
    uint32_t seen_ms[LARGE_CACHE_SPANS]; /* publish lock: since when they are so many */
    struct large_cache *next_all;        /* const once visible */
};

/* Have purges find it: from now on for ever, for other threads may be given it. Owner. */
void large_cache_enlist(struct large_cache *cache);

/*
 * A block of c out of the cache of this thread, counted in n, the counts of its heap for c.
 * NULL: there is none of that length. The memory may hold anything.
 */
void *large_cache_try_alloc(struct large_cache *cache, struct mp_component *c,
    struct large_count n[LARGE_CACHE_CLASSES], size_t size, size_t spare);

/*
 * Keep a block, that of span s, where it is one of c. False: it is not, or there is one of
 * that length; nothing was done.
 */
bool large_cache_try_free(struct large_cache *cache, struct mp_component *c,
    struct large_count n[LARGE_CACHE_CLASSES], struct span *s);

/* Back to the free spans with all of it. Any thread. Returns the bytes. */
size_t large_cache_flush(struct large_cache *cache);

/* The same of each slot of all threads into which nothing came for so long. Publish lock held. */
void large_cache_purge_locked(uint32_t now_ms, uint32_t age_ms);

/* When there is no memory: whatever is there. True: there was something. */
bool large_cache_reclaim(void);

/* Bytes of them that may hold pages. Racy. */
size_t large_cache_bytes(void);

#endif
