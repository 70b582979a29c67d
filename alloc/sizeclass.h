/*
 * sizeclass - which class a size belongs to, and what a class gives
 *
 * Classes 0 to 64 are the multiples of 16 up to 1,024 (class 0 is malloc(0) and gives 16);
 * from there to 32 KiB there are eight to each doubling, so at most 12.5 % is wasted.
 * Classes 105 and up are for counting only: large blocks, one class to each doubling.
 */
#ifndef SIZECLASS_H
#define SIZECLASS_H

#include "bits.h"

enum {
    SPAN_SHIFT = 16,
    SPAN_BYTES = 1 << SPAN_SHIFT,
    BLOCK_ALIGN = 16,
    FAST_MAX = 1024,      /* the fast path of malloc serves up to here */
    SLAB_MAX = 32 * 1024, /* above: blocks of whole spans */
    CLASS_FAST_COUNT = FAST_MAX / BLOCK_ALIGN + 1,
    CLASS_SLAB_COUNT = CLASS_FAST_COUNT + 5 * 8,
    CLASS_LARGE_COUNT = 16, /* up to 64 KiB, 128 KiB, … 1 GiB, above */
    CLASS_COUNT = CLASS_SLAB_COUNT + CLASS_LARGE_COUNT,
    SLAB_BLOCKS_MAX = SPAN_BYTES / BLOCK_ALIGN,
    WIDE_MIN = 8 * 1024, /* blocks above come from slabs of several spans */
    WIDE_SPANS = 4,
    UNIT_SHIFT = 4,                       /* log2 BLOCK_ALIGN */
    WIDE_UNIT_SHIFT = UNIT_SHIFT + 2,     /* and of BLOCK_ALIGN * WIDE_SPANS */
    WIDE_UNIT = BLOCK_ALIGN * WIDE_SPANS, /* all their sizes are multiples of it */
    MEDIUM_SHIFT = 7, /* sizes above FAST_MAX are multiples of 1 << MEDIUM_SHIFT */
};

/* What slabs of a class look like. Constant; laid out for one load each. */
struct sizeclass {
    uint32_t bytes; /* of a block */
    /* ceil(2^32 / bytes): finds the number of the block that starts at an offset. */
    uint32_t reciprocal;
    uint16_t capacity; /* blocks in a slab */
    uint16_t spans;    /* of a slab */
    uint16_t
        unit_shift; /* log2 of the unit of an offset in a slab: it fits 12 bits in these */
    uint16_t batch; /* free blocks that make a full slab worth taking from again */
};

extern HIDDEN const struct sizeclass sizeclass_table[CLASS_SLAB_COUNT];

/* The class of a medium size by its 128 bytes: a load is faster than to compute it. */
extern HIDDEN const uint8_t sizeclass_medium[SLAB_MAX >> MEDIUM_SHIFT];

/* size <= FAST_MAX */
static ALWAYS_INLINE size_t sizeclass_of_fast(size_t size)
{
    return (size + BLOCK_ALIGN - 1) / BLOCK_ALIGN;
}

/* FAST_MAX < size <= SLAB_MAX */
static ALWAYS_INLINE unsigned sizeclass_of_medium(size_t size)
{
    return sizeclass_medium[(size - 1) >> MEDIUM_SHIFT];
}

/* size <= SLAB_MAX */
static inline unsigned sizeclass_of(size_t size)
{
    return size <= FAST_MAX ? (unsigned)sizeclass_of_fast(size)
                            : sizeclass_of_medium(size);
}

/* The counting class of a large block. */
static inline unsigned sizeclass_of_large(size_t bytes)
{
    unsigned log = bits_log2(bytes - 1) + 1;

    log = log < 16 ? 16 : log;
    return CLASS_SLAB_COUNT
           + (log - 16 < CLASS_LARGE_COUNT ? log - 16 : CLASS_LARGE_COUNT - 1);
}

/* The least class of at least `size` whose blocks are all aligned; CLASS_COUNT: none. */
unsigned sizeclass_of_aligned(size_t size, size_t alignment);

/* Upper bound of the block bytes in a class, counting classes too. */
uint64_t sizeclass_bound(unsigned cls);

static inline size_t sizeclass_bytes(unsigned cls)
{
    return sizeclass_table[cls].bytes;
}

#endif
