/*
 * fault - kernel entries that fail when a test wants them to
 *
 * Only in builds with -Dfault_injection=true; in others all of this compiles to nothing.
 * fault_calls.h puts it before the calls of os_linux.c and thread.c.
 *
 * A plan is a list of faults, separated by commas:
 *
 *     ENTRY:N         the Nth call of ENTRY fails
 *     ENTRY:N+        and all after it
 *     ENTRY:N-M       the Nth to the Mth
 *     …=ERRNO         with this error, a number, instead of the usual one
 *     budget:BYTES    no more writable private memory may be mapped than that: what
 *                     vm.overcommit_memory=2 does when its limit is reached
 *
 * ENTRY is a name of the table below. The plan comes from MPALLOC_FAULT at the first call
 * of any entry, later from mpalloc_fault_set. Counts begin anew with each plan.
 */
#ifndef FAULT_H
#define FAULT_H

#include "attr.h"
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The library of tests/faults is built so whatever the options are. */
#ifdef ALLOC_FAULTS
#    define FAULTS 1
#else
#    define FAULTS CONFIG_FAULT_INJECTION
#endif

/* name, usual error */
#define FAULT_ENTRIES(X)                                                               \
    X(mmap, ENOMEM)                                                                    \
    X(hint, 0) /* the address asked for is ignored; no failure */                      \
    X(munmap, ENOMEM)                                                                  \
    X(mremap, ENOMEM)                                                                  \
    X(mincore, ENOMEM)                                                                 \
    X(mprotect, ENOMEM)                                                                \
    X(madvise, ENOMEM)                                                                 \
    X(dontneed, EINVAL) /* kinds of madvise, as kernels lack them */                   \
    X(populate, EINVAL)                                                                \
    X(wipeonfork, EINVAL)                                                              \
    X(open, EMFILE) /* openat, too */                                                  \
    X(mkdir, EACCES)                                                                   \
    X(read, EIO) /* pread, too */                                                      \
    X(write, ENOSPC)                                                                   \
    X(stat, EACCES) /* fstat and fstatat, too */                                       \
    X(fcntl, EMFILE)                                                                   \
    X(ftruncate, ENOSPC)                                                               \
    X(fallocate, ENOSPC)                                                               \
    X(memfd_create, ENOSYS)                                                            \
    X(readlink, EACCES)                                                                \
    X(unlink, EACCES)                                                                  \
    X(getdents, EIO)                                                                   \
    X(prctl, EPERM)                                                                    \
    X(getrandom, ENOSYS)                                                               \
    X(futex, EINTR)                                                                    \
    X(key, EAGAIN)   /* pthread_key_create */                                          \
    X(clone, EAGAIN) /* pthread_create */

enum fault_entry {
#define X(name, error) FAULT_##name,
    FAULT_ENTRIES(X)
#undef X
        FAULT_ENTRY_COUNT
};

bool fault_is_due(enum fault_entry entry);
bool fault_is_over_budget(size_t bytes, int protection, int flags);
void *fault_mapped(void *start, size_t bytes, int protection, int flags);
int fault_unmapped(int result, size_t bytes);
void *fault_remapped(void *start, size_t old_bytes, size_t new_bytes);
bool fault_is_due_madvise(int advice);
bool fault_is_due_syscall(long number);

/* Exported from such builds. False: not a plan, and nothing is changed. */
EXPORT bool mpalloc_fault_set(const char *plan);
/* Calls of the entry since the plan was made. */
EXPORT unsigned long mpalloc_fault_count(const char *entry);
/* The names, for i from 0 on; NULL: no more. */
EXPORT const char *mpalloc_fault_name(unsigned i);

static inline bool fault_hits(enum fault_entry entry)
{
    return FAULTS && fault_is_due(entry);
}

#endif
