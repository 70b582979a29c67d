#include "requested.h"

#include <math.h>

/* Of live blocks that were sampled: their bytes, and what was asked for. */
struct sampled {
    double bytes;
    double asked;
};

static void add(struct sampled *s, const struct mp_region_site *t)
{
    double bytes = fmax(t->allocated_bytes - t->freed_bytes, 0);

    s->bytes += bytes;
    s->asked += fmin(fmax(t->allocated_requested - t->freed_requested, 0), bytes);
}

double requested_bytes(const mp_image_t *image)
{
    struct sampled of_class[MP_REGION_CLASSES] = {{0}};
    struct sampled all = {0};
    double live = (double)mp_image_totals(image)->live_bytes;
    double waste = 0;

    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        if (t->allocated_samples > t->freed_samples) {
            add(&all, t);
            if (i > 0 && t->class_number < MP_REGION_CLASSES) {
                add(&of_class[t->class_number], t);
            }
        }
    }
    if (all.bytes <= 0) {
        return -1;
    }
    for (size_t i = 0; i < mp_image_class_count(image); i++) {
        const struct sampled *s =
            i < MP_REGION_CLASSES && of_class[i].bytes > 0 ? &of_class[i] : &all;
        struct mp_region_cell sum;

        mp_image_class_sum(image, i, &sum);
        if (sum.allocated_bytes_total > sum.freed_bytes_total) {
            waste += (double)(sum.allocated_bytes_total - sum.freed_bytes_total)
                     * (1 - s->asked / s->bytes);
        }
    }
    return fmin(fmax(live - waste, 0), live);
}
