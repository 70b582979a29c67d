/*
 * leak_roots - where the program keeps what it can still reach
 *
 * Roots are, in this process:
 *
 *     every mapping that may be written to, private or shared, but for ours (the heap, its
 *     tables, the region) and for devices; private memory without a file also where it may not
 *     be written to now: so all data of modules, thread-local storage, what the program mapped
 *     or has from sbrk, and what the loader had before there was a malloc
 *     of a stack, what is in use: not what lies below the stack pointer
 *     registers of all threads
 *     regions that the program added
 *
 * The allocator's own variables are among them, for they hold no address of a block.
 */
#ifndef LEAK_ROOTS_H
#define LEAK_ROOTS_H

#include "lock.h"

#include <stddef.h>
#include <stdint.h>

/* Any thread: as mp_root_add and mp_root_remove in mpalloc.h. */
int leak_roots_add(const void *start, size_t bytes);
int leak_roots_remove(const void *start);

/* Memory of the check's own that is no root, besides leak_own_map's and leak_park's. */
struct leak_own {
    const void *start;
    size_t bytes;
};

/*
 * Mark from all of them. The threads were parked, and this is the process that they were in, or a
 * copy. A negative errno: the mappings are not to be known.
 */
int leak_roots_mark(const struct leak_own *own, size_t count);

#endif
