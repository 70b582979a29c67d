/*
 * pool - where small sampled blocks lie
 *
 * Owns: spans of kind SPAN_SAMPLED, cut into blocks of a power of two of bytes, that belong to
 * nobody: free finds by the owner, who is never the caller, that there is more to do. Which
 * record (sites.h) belongs to each of their blocks. How many blocks of each component and class
 * came from here, and went.
 *
 * A block has at least the alignment that its size class has elsewhere. Sampled blocks are few,
 * so that those of all threads share spans, and a lock. Where all are sampled (exact.h), threads
 * keep some idle ones, each with a record of its own: those begin and end without the lock.
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

/* Row and class of p, a block of the caller. */
unsigned pool_row(const struct span *s, const void *p, unsigned *ret_cls);

/* Free that block: pool_find_locked found it. */
void pool_free_locked(struct span *s, void *p);

/*
 * Spans that were not needed since the last call, back to the free ones; all that are empty when
 * is_all.
 */
void pool_trim_locked(bool is_all);

/*
 * Block number `index` of span s, whose blocks lie 1 << pool_block_shift bytes apart. False: it is
 * free, or waits to be given out.
 */
struct pool_view {
    uint32_t record;
    uint16_t row;
    uint16_t cls;
};
unsigned pool_block_shift(const struct span *s);
bool pool_look_locked(const struct span *s, unsigned index, struct pool_view *ret);

/*
 * Any thread: by class, allocated and freed ever. Read freed first, of all that are linked; only
 * their sum has a meaning, for a block may be freed by another thread. NULL: none of c were.
 */
struct pool_counts {
    uint64_t allocated[CLASS_SLAB_COUNT];
    uint64_t freed[CLASS_SLAB_COUNT];
    struct pool_counts *next; /* atomic: those of other threads */
    const void *owner;        /* whose they are; NULL: of whoever has the lock */
};
const struct pool_counts *pool_counts_of(const struct mp_component *c);
struct pool_counts *pool_next_counts(const struct pool_counts *n);

/* Those of an owner, made if need be. NULL: no memory. */
struct pool_counts *pool_counts_for_locked(uint32_t row, const void *owner);

/* ---- idle blocks, which a thread has ---- */

enum { POOL_BINS = 12 };

struct pool_tag;
struct pool_block {
    void *p;
    struct span *span;
    struct pool_tag *tag;
    uint32_t record;
    uint32_t bin;
};

unsigned pool_bin(size_t bytes);
size_t pool_bin_bytes(unsigned bin);

/* An idle block that has that record. False: no memory. */
bool pool_take_locked(unsigned bin, uint32_t record, struct pool_block *ret);
void pool_put_locked(const struct pool_block *b); /* back; the record is the caller's */

/* Without the lock, by whoever has it: it is allocated, and lives. Not counted here. */
void pool_begin(const struct pool_block *b, uint32_t row, unsigned cls);

/*
 * Without the lock: the live block that starts at p, and its class; 0: none. Then the end of it,
 * as it was found: false if another thread was faster.
 */
uint32_t pool_find(
    struct span *s, const void *p, struct pool_block *ret, unsigned *ret_cls);
bool pool_try_end(const struct pool_block *b);

/* Bytes of a span in the pool that were touched, at most. Any thread. */
size_t pool_touched_bytes(const struct span *s);

#endif
