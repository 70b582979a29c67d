/*
 * corefile - the region of a process, out of its core file
 *
 * A region is shared memory. What of that a core file holds is decided by the kernel, and by
 * gcore, which asks /proc/PID/coredump_filter as well: a memfd (MPALLOC_REGION=memfd) by default,
 * a file of /dev/shm only with bit 3 of that. The file is still there then, as it is after any
 * crash; the core file says its name.
 *
 * Owns: finding either. Core files may be anything: each offset is checked.
 * Does not own: what is in a region (mpstats.h).
 */
#ifndef COREFILE_H
#define COREFILE_H

#include <mpstats.h>

/* Whether a file can be read and is an ELF core file, of whatever machine. */
bool corefile_is_one(const char *path);

/*
 * An image of its region. The process counts as dead, for the figures are of the moment of the
 * core file. *ret_left: NULL, or from where the region came instead, for the core file holds none;
 * free it. 0, or a negative errno with a line: -ENOENT, there is no region, here or elsewhere.
 */
int corefile_open(
    const char *path, mp_image_t **ret, char **ret_left, struct mp_error *error);

#endif
