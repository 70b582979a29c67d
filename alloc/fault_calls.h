/*
 * fault_calls - calls of kernel entries ask fault.h first
 *
 * To be included last, after the headers that declare the entries. Without fault injection
 * it defines nothing.
 */
#ifndef FAULT_CALLS_H
#define FAULT_CALLS_H

#include "fault.h"

#if FAULTS
#    define mmap(a, n, p, f, d, o)                                                     \
        (fault_hits(FAULT_mmap) || fault_is_over_budget(n, p, f) ? MAP_FAILED          \
            : (a) != NULL && fault_hits(FAULT_hint)                                    \
                ? fault_mapped(                                                        \
                    mmap(NULL, n, p, (f) & ~MAP_FIXED_NOREPLACE, d, o), n, p, f)       \
                : fault_mapped(mmap(a, n, p, f, d, o), n, p, f))
#    define munmap(a, n)                                                               \
        (fault_hits(FAULT_munmap) ? -1 : fault_unmapped(munmap(a, n), n))
#    define mremap(a, n, m, f)                                                         \
        (fault_hits(FAULT_mremap)                                                      \
                    || ((m) > (n)                                                      \
                        && fault_is_over_budget((m) - (n), PROT_WRITE, MAP_PRIVATE))   \
                ? MAP_FAILED                                                           \
                : fault_remapped(mremap(a, n, m, f), n, m))
#    define mincore(...)  (fault_hits(FAULT_mincore) ? -1 : mincore(__VA_ARGS__))
#    define mprotect(...) (fault_hits(FAULT_mprotect) ? -1 : mprotect(__VA_ARGS__))
#    define madvise(a, n, advice)                                                      \
        (fault_is_due_madvise(advice) ? -1 : madvise(a, n, advice))
#    define open(...)      (fault_hits(FAULT_open) ? -1 : open(__VA_ARGS__))
#    define openat(...)    (fault_hits(FAULT_open) ? -1 : openat(__VA_ARGS__))
#    define mkdir(...)     (fault_hits(FAULT_mkdir) ? -1 : mkdir(__VA_ARGS__))
#    define read(...)      (fault_hits(FAULT_read) ? -1 : read(__VA_ARGS__))
#    define pread(...)     (fault_hits(FAULT_read) ? -1 : pread(__VA_ARGS__))
#    define pwrite(...)    (fault_hits(FAULT_write) ? -1 : pwrite(__VA_ARGS__))
#    define stat(...)      (fault_hits(FAULT_stat) ? -1 : stat(__VA_ARGS__))
#    define fstat(...)     (fault_hits(FAULT_stat) ? -1 : fstat(__VA_ARGS__))
#    define fstatat(...)   (fault_hits(FAULT_stat) ? -1 : fstatat(__VA_ARGS__))
#    define fcntl(...)     (fault_hits(FAULT_fcntl) ? -1 : fcntl(__VA_ARGS__))
#    define ftruncate(...) (fault_hits(FAULT_ftruncate) ? -1 : ftruncate(__VA_ARGS__))
#    define fallocate(...) (fault_hits(FAULT_fallocate) ? -1 : fallocate(__VA_ARGS__))
#    define memfd_create(...)                                                          \
        (fault_hits(FAULT_memfd_create) ? -1 : memfd_create(__VA_ARGS__))
#    define readlink(...)   (fault_hits(FAULT_readlink) ? -1 : readlink(__VA_ARGS__))
#    define unlinkat(...)   (fault_hits(FAULT_unlink) ? -1 : unlinkat(__VA_ARGS__))
#    define getdents64(...) (fault_hits(FAULT_getdents) ? -1 : getdents64(__VA_ARGS__))
#    define prctl(...)      (fault_hits(FAULT_prctl) ? -1 : prctl(__VA_ARGS__))
#    define syscall(number, ...)                                                       \
        (fault_is_due_syscall(number) ? -1 : syscall(number, __VA_ARGS__))
#    define pthread_create(...)                                                        \
        (fault_hits(FAULT_clone) ? EAGAIN : pthread_create(__VA_ARGS__))
#    define pthread_key_create(...)                                                    \
        (fault_hits(FAULT_key) ? EAGAIN : pthread_key_create(__VA_ARGS__))
#endif

#endif
