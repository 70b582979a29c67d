/*
 * huge - blocks from 32 MiB on: a mapping each, outside every range of spans
 *
 * Owns: their table, and the mappings of freed ones that are kept for a while.
 */
#ifndef HUGE_H
#define HUGE_H

#include "component.h"

#define HUGE_MIN (32 * MIB)

/*
 * A block of `bytes`, whole pages, aligned to `align` (a power of two, a page at least).
 * ret_zeroed: all of it reads as zeros; NULL: nobody asks, for it will be filled.
 */
void *huge_alloc(struct mp_component *c, size_t bytes, size_t align, bool *ret_zeroed);

/*
 * Freed huge blocks are kept a while, for the next that fits: 64 MiB of them, or an eighth of
 * what is live. Unmap those kept for longer than `age_ms` (0: all), until `most` bytes are
 * gone. Returns bytes.
 */
size_t huge_purge(uint32_t now_ms, uint32_t age_ms, size_t most);

struct huge_totals {
    size_t kept_bytes;
    size_t purged_bytes; /* of kept ones, ever */
    size_t purges;       /* ever */
};
struct huge_totals huge_totals(void);

/* The huge block that starts at p. False: there is none. */
bool huge_find(const void *p, size_t *ret_bytes);
struct mp_component *huge_component(const void *p); /* whose it is */
bool huge_try_free(void *p);
/*
 * Resize, moving pages rather than bytes; a block that moves belongs to c from then on.
 * NULL: not possible, nothing changed.
 */
void *huge_try_resize(struct mp_component *c, void *p, size_t size);
/* p was the start of a huge block not long ago. */
bool huge_was_freed(const void *p);

/* All of them, and what is kept of freed ones. huge_lock held, or nobody else runs. */
struct huge_view {
    uintptr_t start; /* of the block; 0: a mapping without one */
    size_t bytes;
    const void *map;
    size_t map_bytes;
    const struct mp_component *component;
};
void huge_each_locked(void (*each)(const struct huge_view *h, void *arg), void *arg);

/* Bytes of live ones. */
size_t huge_live_bytes(void);

extern struct lock huge_lock;

#endif
