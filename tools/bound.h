/*
 * bound - to whose malloc the modules of a running process are bound
 *
 * The slots that the loader filled say it: they are found in the file of each module and
 * read from the memory of the process. Needs the permission to trace it.
 */
#ifndef BOUND_H
#define BOUND_H

#include <stdint.h>

/* A module that calls `function` (malloc or kin) of another module than libmpalloc. */
typedef void (*bound_found)(
    void *data, const char *module, const char *function, const char *owner);

/*
 * Calls `found` once for each such module. Returns how many modules call malloc or kin at
 * all, or -errno.
 */
int bound_find_others(uint64_t pid, bound_found found, void *data);

#endif
