/*
 * malloc_large - blocks outside of slabs, for programs: counted, and noted when they are sampled
 *
 * Owns: that both are done before a tick may publish either (probe_run).
 * Does not own: the blocks (large.h, huge.h, large_cache.h), which of them are sampled
 * (sample_large.h), nor hardened mode, which has its own (harden_large.h).
 *
 * Out of memory is NULL with errno set, but for what may decline. c is not NULL.
 */
#ifndef MALLOC_LARGE_H
#define MALLOC_LARGE_H

#include "thread.h"

/* Of size > SLAB_MAX, or of an alignment that slabs do not have. */
void *malloc_large(struct mp_component *c, size_t size, size_t alignment);
void *malloc_large_zeroed(struct mp_component *c, size_t size);

/* A block that grows once grows again: with room behind it to grow in place. */
void *malloc_large_growing(struct mp_component *c, size_t size);

void malloc_large_free(struct span *s, void *p);
bool malloc_large_try_free_huge(void *p);

/* In place. old_bytes: of the block, as it is. */
bool malloc_large_try_resize(struct span *s, void *p, size_t old_bytes, size_t size);

/* Or moved, without a copy; NULL: neither. */
void *malloc_large_try_resize_huge(
    struct mp_component *c, void *p, size_t old_bytes, size_t size);

#endif
