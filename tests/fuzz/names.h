/*
 * names - the names of the C library's malloc, ours under others (-include'd everywhere)
 *
 * The fuzzer and its sanitizers keep the system's malloc. And the clock is the fuzzer's: a
 * run depends on nothing but its input.
 */
#ifndef FUZZ_NAMES_H
#define FUZZ_NAMES_H

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

int fuzz_clock_gettime(clockid_t clock, struct timespec *ret);

#define malloc             fuzz_malloc
#define free               fuzz_free
#define calloc             fuzz_calloc
#define realloc            fuzz_realloc
#define reallocarray       fuzz_reallocarray
#define free_sized         fuzz_free_sized
#define free_aligned_sized fuzz_free_aligned_sized
#define cfree              fuzz_cfree
#define aligned_alloc      fuzz_aligned_alloc
#define memalign           fuzz_memalign
#define posix_memalign     fuzz_posix_memalign
#define valloc             fuzz_valloc
#define pvalloc            fuzz_pvalloc
#define malloc_usable_size fuzz_malloc_usable_size
#define malloc_trim        fuzz_malloc_trim
#define clock_gettime      fuzz_clock_gettime

#endif
