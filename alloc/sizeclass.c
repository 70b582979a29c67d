#include "sizeclass.h"

#include <assert.h>

static_assert(
    1 << UNIT_SHIFT == BLOCK_ALIGN && 1 << WIDE_UNIT_SHIFT == WIDE_UNIT, "units");
static_assert(SLAB_BLOCKS_MAX <= UINT16_MAX, "struct span counts blocks in 16 bits");

#define SLAB_BYTES(b) ((b) > WIDE_MIN ? WIDE_SPANS * SPAN_BYTES : SPAN_BYTES)
/* capacity: what fits a slab. batch: an eighth of it, so that at most that much of a slab
 * lies idle while it counts as full (slab.h). */
#define CLASS(b)                                                                       \
    {                                                                                  \
        .bytes = (b), .reciprocal = (uint32_t)((((uint64_t)1 << 32) + (b)-1) / (b)),   \
        .capacity = SLAB_BYTES(b) / (b), .spans = SLAB_BYTES(b) / SPAN_BYTES,          \
        .unit_shift = (b) > WIDE_MIN ? WIDE_UNIT_SHIFT : UNIT_SHIFT,                   \
        .batch = SLAB_BYTES(b) / (b) >= 16 ? SLAB_BYTES(b) / (b) / 8 : 1               \
    }
/* The eight classes of a doubling that starts above b. */
#define DOUBLING(b)                                                                    \
    CLASS((b)*9 / 8), CLASS((b)*10 / 8), CLASS((b)*11 / 8), CLASS((b)*12 / 8),         \
        CLASS((b)*13 / 8), CLASS((b)*14 / 8), CLASS((b)*15 / 8), CLASS((b)*2)
#define EIGHT(b)                                                                       \
    CLASS((b) + 16), CLASS((b) + 32), CLASS((b) + 48), CLASS((b) + 64),                \
        CLASS((b) + 80), CLASS((b) + 96), CLASS((b) + 112), CLASS((b) + 128)

const struct sizeclass sizeclass_table[CLASS_SLAB_COUNT] = {
    CLASS(16), /* malloc(0) */
    EIGHT(0),
    EIGHT(128),
    EIGHT(256),
    EIGHT(384),
    EIGHT(512),
    EIGHT(640),
    EIGHT(768),
    EIGHT(896),
    DOUBLING(1024),
    DOUBLING(2048),
    DOUBLING(4096),
    DOUBLING(8192),
    DOUBLING(16384),
};

/* The eight classes of a doubling, the first of them cls; its unit is `n` times 128 bytes. */
#define SAME(n, i, cls) [(n)*8 + (n) * (i)...(n) * 8 + (n) * (i) + (n)-1] = (cls) + (i)
#define MEDIUM(n, cls)                                                                 \
    SAME(n, 0, cls), SAME(n, 1, cls), SAME(n, 2, cls), SAME(n, 3, cls),                \
        SAME(n, 4, cls), SAME(n, 5, cls), SAME(n, 6, cls), SAME(n, 7, cls)

const uint8_t sizeclass_medium[SLAB_MAX >> MEDIUM_SHIFT] = {
    MEDIUM(1, CLASS_FAST_COUNT),
    MEDIUM(2, CLASS_FAST_COUNT + 8),
    MEDIUM(4, CLASS_FAST_COUNT + 16),
    MEDIUM(8, CLASS_FAST_COUNT + 24),
    MEDIUM(16, CLASS_FAST_COUNT + 32),
};
static_assert(FAST_MAX == 8 << MEDIUM_SHIFT, "where the first doubling begins");

unsigned sizeclass_of_aligned(size_t size, size_t alignment)
{
    size_t rounded;

    if (size > SLAB_MAX || alignment > SLAB_MAX) {
        return CLASS_COUNT;
    }
    /* Slabs start at a multiple of 64 KiB, wide ones too: blocks of a multiple of it are aligned. */
    rounded = bits_round_up(size != 0 ? size : 1, alignment);
    if (rounded > SLAB_MAX) {
        return CLASS_COUNT;
    }
    for (unsigned cls = sizeclass_of(rounded); cls < CLASS_SLAB_COUNT; cls++) {
        if ((sizeclass_table[cls].bytes & (alignment - 1)) == 0) {
            return cls;
        }
    }
    return CLASS_COUNT;
}

uint64_t sizeclass_bound(unsigned cls)
{
    if (cls < CLASS_SLAB_COUNT) {
        return sizeclass_table[cls].bytes;
    }
    if (cls < CLASS_COUNT - 1) {
        return (uint64_t)SPAN_BYTES << (cls - CLASS_SLAB_COUNT);
    }
    return cls == CLASS_COUNT - 1 ? (uint64_t)1 << 47 : 0;
}
