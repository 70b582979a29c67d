/*
 * pool - where small sampled blocks lie
 *
 * Owns: spans of kind SPAN_SAMPLED, cut into blocks of a power of two of bytes, that belong to
 * nobody: free finds by the owner, who is never the caller, that there is more to do. Which
 * record (sites.h) belongs to each of their blocks. How many blocks of each component and class
 * came from here, and went.
 *
 * A block has at least the alignment that its size class has elsewhere. Sampled blocks are few,
 * so that those of all threads share spans, and a lock.
 */
#ifndef POOL_H
#define POOL_H

#include "component.h"
#include "span.h"

/*
 * A block of a class, of that record (not 0), counted for c. NULL: no memory. The memory may
 * hold anything. profile_lock held, as for all but the counts.
 */
void *pool_alloc_locked(struct mp_component *c, unsigned cls, uint32_t record);

/* The record of the live block that starts at p, in span s of kind SPAN_SAMPLED; 0: none. */
uint32_t pool_find_locked(const struct span *s, const void *p, unsigned *ret_cls);

/* That it will be looked for, soon. Without the lock; s may be of any kind by now. */
void pool_expect(const struct span *s, const void *p);

/* Free that block: pool_find_locked found it. */
void pool_free_locked(struct span *s, void *p);

/*
 * Spans that were not needed since the last call, back to the free ones; all that are empty when
 * is_all.
 */
void pool_trim_locked(bool is_all);

/*
 * Block number `index` of span s, whose blocks lie 1 << pool_block_shift bytes apart. False: it is
 * free.
 */
struct pool_block {
    uint32_t record;
    uint16_t row;
    uint16_t cls;
};
unsigned pool_block_shift(const struct span *s);
bool pool_look_locked(const struct span *s, unsigned index, struct pool_block *ret);

/* Any thread: by class, allocated and freed ever. Read freed first. NULL: none of c were. */
struct pool_counts {
    uint64_t allocated[CLASS_SLAB_COUNT];
    uint64_t freed[CLASS_SLAB_COUNT];
};
const struct pool_counts *pool_counts_of(const struct mp_component *c);

/* Bytes of a span in the pool that were touched, at most. Any thread. */
size_t pool_touched_bytes(const struct span *s);

#endif
