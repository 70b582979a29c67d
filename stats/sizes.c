/*
 * sizes - counters of size classes, rolled up to five sizes
 */
#include <mpstats.h>

static enum mp_size size_of(uint64_t block_bytes)
{
    return block_bytes <= 1u << 10   ? MP_SIZE_TINY
           : block_bytes <= 1u << 16 ? MP_SIZE_SMALL
           : block_bytes <= 1u << 20 ? MP_SIZE_MEDIUM
           : block_bytes <= 1u << 24 ? MP_SIZE_LARGE
                                     : MP_SIZE_HUGE;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0; /* a torn pair may be the wrong way round */
}

void mp_size_sums_make(const mp_image_t *image, struct mp_size_sums *ret)
{
    *ret = (struct mp_size_sums){0};
    for (size_t i = 0; i < mp_image_class_count(image); i++) {
        const struct mp_region_class *c = mp_image_class(image, i);
        enum mp_size size = size_of(c->block_bytes);
        struct mp_region_cell sum;

        if (c->kind != MP_CLASS_UNUSED) {
            mp_image_class_sum(image, i, &sum);
            ret->live_blocks[size] +=
                less(sum.allocated_blocks_total, sum.freed_blocks_total);
            ret->live_bytes[size] +=
                less(sum.allocated_bytes_total, sum.freed_bytes_total);
            ret->allocated_blocks_total[size] += sum.allocated_blocks_total;
            ret->allocated_bytes_total[size] += sum.allocated_bytes_total;
        }
    }
}

const char *mp_size_name(enum mp_size size)
{
    static const char *const names[MP_SIZES] = {
        "tiny", "small", "medium", "large", "huge"};

    return size < MP_SIZES ? names[size] : "";
}

const char *mp_size_text(enum mp_size size)
{
    static const char *const texts[MP_SIZES] = {"up to 1 KiB", "up to 64 KiB",
        "up to 1 MiB", "up to 16 MiB", "more than 16 MiB"};

    return size < MP_SIZES ? texts[size] : "";
}
