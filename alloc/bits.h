/*
 * bits - integer arithmetic: rounding, powers of two, overflow
 */
#ifndef BITS_H
#define BITS_H

#include "attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static inline bool bits_is_pow2(size_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

/* Up to a multiple of `to`, a power of two. The caller rules out overflow. */
static inline size_t bits_round_up(size_t x, size_t to)
{
    return (x + to - 1) & ~(to - 1);
}

static inline size_t bits_round_down(size_t x, size_t to)
{
    return x & ~(to - 1);
}

/* floor(log2(x)), x > 0 */
static inline unsigned bits_log2(size_t x)
{
    return 63u - (unsigned)__builtin_clzll(x);
}

/* How many bits are set. Not the compiler's: without an option for newer processors it calls. */
static inline unsigned bits_count(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)(x * 0x0101010101010101u >> 56);
}

/* The least power of two >= x; 0 when there is none. */
static inline size_t bits_ceil_pow2(size_t x)
{
    if (x <= 1) {
        return 1;
    }
    if (x > (size_t)1 << 63) {
        return 0;
    }
    return (size_t)1 << (bits_log2(x - 1) + 1);
}

static inline size_t bits_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t bits_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
