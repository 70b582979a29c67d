/*
 * libc - the names of the C library, POSIX and glibc, with glibc's semantics
 *
 * The only file that defines malloc and its kin. Everything else links without it, so that
 * unit tests can hold the allocator's core beside the system's malloc.
 */
#include "libc.h"

#include "check.h"
#include "malloc.h"
#include "os.h"

#include <errno.h>

EXPORT void *malloc(size_t size)
{
    return malloc_fast(size);
}

EXPORT void free(void *p)
{
    free_fast(p);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return malloc_calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size)
{
    return malloc_realloc(p, size);
}

EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return malloc_realloc(p, bytes);
}

/* C23: for blocks of malloc, calloc and realloc, with the size that was asked for. */
EXPORT void free_sized(void *p, size_t size)
{
    free_fast_sized(p, size);
}

EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size)
{
    (void)alignment;
    free_fast_sized(p, size);
}

EXPORT void cfree(void *p)
{
    free_fast(p);
}

/* ---- aligned ---- */

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    if (!bits_is_pow2(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return malloc_aligned(NULL, alignment, size);
}

/* glibc: other alignments are rounded up to a power of two. */
EXPORT void *memalign(size_t alignment, size_t size)
{
    size_t rounded = bits_ceil_pow2(alignment);

    if (rounded == 0 || alignment > SIZE_MAX / 2 + 1) {
        errno = EINVAL;
        return NULL;
    }
    return malloc_aligned(NULL, rounded, size);
}

EXPORT int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *p;

    if (!bits_is_pow2(alignment) || alignment % sizeof(void *) != 0) {
        return EINVAL;
    }
    p = malloc_try_aligned(alignment, size);
    if (UNLIKELY(p == NULL)) {
        int saved = errno;

        p = malloc_aligned(NULL, alignment, size);
        errno = saved;
    }
    if (p == NULL) {
        return ENOMEM;
    }
    *ret = p;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return malloc_aligned(NULL, os_page_bytes(), size);
}

EXPORT void *pvalloc(size_t size)
{
    size_t page = os_page_bytes();

    if (size > SIZE_MAX - page) {
        errno = ENOMEM;
        return NULL;
    }
    return malloc_aligned(NULL, page, bits_round_up(bits_max(size, 1), page));
}

EXPORT size_t malloc_usable_size(void *p)
{
    return malloc_usable(p);
}

/* 1: memory went back to the kernel. */
EXPORT int malloc_trim(size_t pad)
{
    (void)pad; /* glibc keeps that much at the top; there is no top here */
    return malloc_trim_all() > 0;
}

/* ---- names that glibc has inside; musl has its own malloc behind them ---- */

#if defined(__GLIBC__) && !defined(FUZZ_NAMES_H) /* tests/fuzz renames ours */
EXPORT void *__libc_malloc(size_t) __attribute__((alias("malloc")));
EXPORT void __libc_free(void *) __attribute__((alias("free")));
EXPORT void *__libc_calloc(size_t, size_t) __attribute__((alias("calloc")));
EXPORT void *__libc_realloc(void *, size_t) __attribute__((alias("realloc")));
EXPORT void *__libc_reallocarray(void *, size_t, size_t)
    __attribute__((alias("reallocarray")));
EXPORT void *__libc_memalign(size_t, size_t) __attribute__((alias("memalign")));
EXPORT void *__libc_valloc(size_t) __attribute__((alias("valloc")));
EXPORT void *__libc_pvalloc(size_t) __attribute__((alias("pvalloc")));
#endif
