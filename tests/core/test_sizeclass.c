#include "sizeclass.h"

#include <criterion/criterion.h>

Test(sizeclass, every_size_fits_its_class_and_not_the_one_below)
{
    for (size_t size = 1; size <= SLAB_MAX; size++) {
        unsigned cls = sizeclass_of(size);

        cr_assert_leq(size, sizeclass_bytes(cls), "size %zu", size);
        if (cls > 1) {
            cr_assert_gt(size, sizeclass_bytes(cls - 1), "size %zu", size);
        }
    }
}

Test(sizeclass, zero_has_a_class_of_its_own_that_gives_sixteen)
{
    cr_assert_eq(sizeclass_of(0), 0);
    cr_assert_eq(sizeclass_bytes(0), 16);
}

Test(sizeclass, sixteen_byte_steps_to_one_kib_then_at_most_an_eighth_is_wasted)
{
    for (size_t size = 1; size <= SLAB_MAX; size++) {
        size_t bytes = sizeclass_bytes(sizeclass_of(size));

        if (size <= 1024) {
            cr_assert_eq(bytes, bits_round_up(size, 16));
        } else {
            cr_assert_leq((bytes - size) * 8, bytes, "size %zu gets %zu", size, bytes);
        }
    }
}

Test(sizeclass, reciprocal_tells_starts_of_blocks_from_all_other_offsets)
{
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        const struct sizeclass *c = &sizeclass_table[cls];

        for (uint32_t offset = 0; offset < c->spans * (uint32_t)SPAN_BYTES; offset++) {
            uint32_t q = (uint32_t)(((uint64_t)offset * c->reciprocal) >> 32);

            cr_assert_eq(q * c->bytes == offset, offset % c->bytes == 0);
        }
    }
}

Test(sizeclass, aligned_classes_hold_the_size_and_keep_the_alignment)
{
    for (size_t alignment = 16; alignment <= SLAB_MAX; alignment *= 2) {
        for (size_t size = 1; size <= SLAB_MAX; size += 37) {
            unsigned cls = sizeclass_of_aligned(size, alignment);

            if (cls == CLASS_COUNT) {
                continue; /* a large block serves it */
            }
            cr_assert_geq(sizeclass_bytes(cls), size);
            cr_assert_eq(sizeclass_bytes(cls) % alignment, 0);
        }
    }
}

Test(sizeclass, large_classes_cover_all_sizes_in_rising_order)
{
    cr_assert_eq(sizeclass_of_large(SLAB_MAX + 4096), CLASS_SLAB_COUNT);
    cr_assert_eq(sizeclass_of_large((size_t)64 << 10), CLASS_SLAB_COUNT);
    cr_assert_eq(sizeclass_of_large(((size_t)64 << 10) + 1), CLASS_SLAB_COUNT + 1);
    cr_assert_eq(sizeclass_of_large(PTRDIFF_MAX), CLASS_COUNT - 1);
    for (unsigned cls = 1; cls < CLASS_COUNT; cls++) {
        cr_assert_geq(sizeclass_bound(cls), sizeclass_bound(cls - 1));
    }
}
