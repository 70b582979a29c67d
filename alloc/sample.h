/*
 * sample - which blocks of slabs are sampled
 *
 * Each heap knows, for each class, how many blocks come before the next sample (heap->gap); it
 * hands out lists no longer than that, so that malloc comes to its slow path exactly there, and
 * the fast path knows nothing of it. Sampled blocks come from the pool (pool.h).
 *
 * Nothing is sampled in hardened mode, in guarded slots, without a region, and of what threads
 * allocate after their end.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "sample_note.h"

void *sample_alloc_slow(struct heap *h, unsigned cls, size_t size);

/*
 * For a heap whose list of a class is empty: the next block of it when that is one to be
 * sampled, else NULL. size: what was asked for.
 */
static inline void *sample_try_alloc(struct heap *h, unsigned cls, size_t size)
{
    if (LIKELY(heap_gap_left(h->gap[cls]) != 0
               && h->sample_epoch == load_acquire(&sample_epoch))) {
        return NULL;
    }
    return sample_alloc_slow(h, cls, size);
}

/* p in s, of kind SPAN_SAMPLED. False: no live block starts there. */
bool sample_try_free(struct span *s, void *p);
bool sample_find(const struct span *s, const void *p, size_t *ret_bytes);

/* A live block there is resized to `size` bytes without being moved. */
void sample_resized(const struct span *s, const void *p, size_t size);

/*
 * realloc moves the block of a sample, small or large, elsewhere, and copied so much of it. For
 * other blocks that costs nothing: their span is of another kind, or has no sample.
 */
void sample_moved(const struct span *s, const void *p, size_t bytes);

#endif
