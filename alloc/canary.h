/*
 * canary - what surrounds and fills a hardened block
 *
 * Owns: the bytes of a block that no program owns. A block of `bytes` for a request of `size`:
 *
 *     | size bytes | slack: its first 4 bytes are checked | tail: 4 bytes |
 *
 * The tail of a block in use is its canary, mixed with the length of the slack; that of a
 * free block is zero, as is all of it. So the tail says whether the block is in use, what was
 * asked for, and whether somebody wrote to it; and whoever frees a block can look at the tail
 * of its left neighbour too, whoever has that. The two words overlap where the slack is small.
 *
 * Inline: hardened malloc and free are made of it. `bytes` is a multiple of BLOCK_ALIGN.
 */
#ifndef CANARY_H
#define CANARY_H

#include "arch.h"
#include "atomic.h"
#include "os.h"
#include "sizeclass.h"

#include <assert.h>
#include <string.h>

enum {
    /* The tail. With 8, every second small request would need a block of the next size. */
    CANARY_BYTES = 4,
    CANARY_ZERO = 256,         /* bytes of a free block that malloc looks at */
    CANARY_UNROLLED_MAX = 256, /* bytes that are cleared without a call */
    CANARY_SLACK_MAX = 0x3fff, /* behind a request, where it is to be found again */
};

/* 16 bytes at once: free blocks are cleared, and looked at, in these. */
typedef uint64_t canary_vector __attribute__((vector_size(BLOCK_ALIGN), may_alias));
static_assert(CANARY_ZERO % sizeof(canary_vector) == 0, "whole vectors");

/* Set before the first block is hardened, const from then on. */
extern HIDDEN uint64_t canary_secret;

/*
 * The canary of a block: four bytes, repeated by address, so that what stands in four
 * bytes at any address is a rotation. Differs from block to block and process to process,
 * and has no zero byte: an overflow by '\0' is seen.
 */
static ALWAYS_INLINE uint32_t canary_of(const void *p)
{
    uint64_t x = ((uintptr_t)p ^ canary_secret) * 0x9e3779b97f4a7c15u;

    return (uint32_t)(x >> 32) | 0x01010101u;
}

static ALWAYS_INLINE uint32_t canary_at(uint32_t canary, uintptr_t at)
{
    unsigned turn = at % 4 * 8;

    return canary >> turn | canary << (32 - turn) % 32;
}

static ALWAYS_INLINE uint32_t *canary_tail(const void *p, size_t bytes)
{
    return (uint32_t *)((uintptr_t)p + bytes - CANARY_BYTES);
}

/*
 * The slack (of large blocks, its lower bits) as it is mixed in, twice: in the upper
 * seven bits of each byte, as the lowest keeps the canary from being zero.
 */
static ALWAYS_INLINE uint32_t canary_mix(size_t slack)
{
    uint32_t v = (uint32_t)slack & CANARY_SLACK_MAX;

    return 2 * (v + (v & ~127u)) * 0x00010001u;
}

/* The slack that was mixed in; SIZE_MAX: this is not what canary_mix gives. */
static ALWAYS_INLINE size_t canary_unmix(uint32_t mixed)
{
    uint32_t lane = mixed & 0xffff;
    uint32_t half = lane >> 1;

    if (UNLIKELY(mixed != lane * 0x00010001u || (lane & 0x0101) != 0)) {
        return SIZE_MAX;
    }
    return half - (half >> 1 & (CANARY_SLACK_MAX & ~127u));
}

static ALWAYS_INLINE void canary_set(void *p, size_t size, size_t bytes)
{
    uint32_t tail = canary_of(p) ^ canary_mix(bytes - size);
    uintptr_t at = (uintptr_t)p + size;
    uint32_t word = canary_at(tail, at);
    size_t n = sizeof(word);

    /* The tail first, at once: who frees the block behind must not see a part of it. */
    store_relaxed(canary_tail(p, bytes), tail);
    /* Where the word overlaps it are the same bytes: nobody sees them written, but TSan. */
    if (UNDER_TSAN) {
        n = bits_min(n, bytes - size - CANARY_BYTES);
    }
    memcpy((void *)at, &word, n);
}

/* The slack of block p with this tail; SIZE_MAX: it is free, or its tail was written to. */
static ALWAYS_INLINE size_t canary_slack(const void *p, uint32_t tail)
{
    return canary_unmix(tail ^ canary_of(p));
}

/* Whether what follows the request is what it should be, next to the tail. */
static ALWAYS_INLINE bool canary_is_fenced(const void *p, size_t size, uint32_t tail)
{
    uintptr_t at = (uintptr_t)p + size;
    uint32_t word;

    memcpy(&word, (const void *)at, sizeof(word));
    return word == canary_at(tail, at);
}

/* Both, for a request of a size that is known. */
static ALWAYS_INLINE bool canary_is_set(const void *p, size_t size, size_t bytes)
{
    uint32_t tail = load_relaxed(canary_tail(p, bytes));

    return tail == (canary_of(p) ^ canary_mix(bytes - size))
           && canary_is_fenced(p, size, tail);
}

/* The block before p ends as one in use, or with zero when it is free. */
static ALWAYS_INLINE bool canary_is_left_intact(
    const char *start, const char *p, size_t bytes)
{
    uint32_t tail;

    if (UNLIKELY(p == start)) {
        return true;
    }
    tail = load_relaxed(canary_tail(p - bytes, bytes));
    return tail == 0 || canary_slack(p - bytes, tail) != SIZE_MAX;
}

/* Take a block with this tail out of use. False: another thread was faster. */
static ALWAYS_INLINE bool canary_take(void *p, size_t bytes, uint32_t tail)
{
    /* Alone, nobody can be: an atomic operation waits for all stores before it. */
    return os_is_single_threaded() || cas_acquire(canary_tail(p, bytes), &tail, 0);
}

/* Whether the block is zero, as far as malloc looks. */
static ALWAYS_INLINE bool canary_is_zero(const void *p, size_t bytes)
{
    const canary_vector *at = p;
    const canary_vector *end =
        (const canary_vector *)((const char *)p + bits_min(bytes, CANARY_ZERO));
    canary_vector all = *at;

    while (++at < end) {
        all |= *at;
    }
    return (all[0] | all[1] | *canary_tail(p, bytes)) == 0;
}

/* The tail is what another thread may look at, who frees the block behind it. */
static ALWAYS_INLINE void canary_clear(void *p, size_t bytes)
{
    canary_vector *last = (canary_vector *)((char *)p + bytes) - 1;

    if (LIKELY(bytes <= CANARY_UNROLLED_MAX)) {
        for (canary_vector *at = p; at < last; at++) {
            PLAIN_ADDRESS(at); /* or the compiler calls memset, for three stores */
            *at = (canary_vector){0};
        }
    } else {
        memset(p, 0, bytes - sizeof(*last));
    }
    ((uint64_t *)last)[0] = 0;
    ((uint32_t *)last)[2] = 0;
    store_relaxed(canary_tail(p, bytes), 0);
}

#endif
