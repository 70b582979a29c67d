/*
 * arena - memory of the allocator's own tables: heaps, threads, components
 *
 * Only grows; what is not needed any more is kept on a list by its module and used again.
 * Zeroed, aligned to a cache line. Any thread.
 */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct lock;

void *arena_alloc(size_t bytes); /* NULL: no memory */
size_t arena_bytes(void);        /* mapped so far */

/* All of its memory. With arena_lock held, or where nobody else runs. */
void arena_each_chunk(
    void (*each)(const void *start, size_t bytes, void *arg), void *arg);

extern struct lock arena_lock;

#endif
