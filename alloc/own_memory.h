/*
 * own_memory - memory of the profiler's tables, which has a cap
 *
 * Owns: how much they have, with their parts of the region, and when that is enough.
 * Memory comes from the arena and never goes back.
 */
#ifndef OWN_MEMORY_H
#define OWN_MEMORY_H

#include <stddef.h>

/* All with profile_lock held. Zeroed; NULL: no memory, or no more for the profiler. */
void *own_alloc_locked(size_t bytes);

/* The same of what will have a copy in the region, of so many bytes. */
void *own_alloc_copied_locked(size_t bytes, size_t copy_bytes);

void own_set_most_locked(size_t bytes);
size_t own_most_locked(void);
size_t own_bytes_locked(void);

#endif
