/*
 * efficiency - how much of the resident heap is what the program asked for
 */
#include <mpstats.h>

#include "requested.h"

#include <math.h>

/*
 * Of live bytes, what was asked for. What samples do not know of it is as much as of the waste of
 * each site.
 */
static struct mp_estimate find_requested(const mp_image_t *image)
{
    double live = (double)mp_image_totals(image)->live_bytes;
    double asked = requested_bytes(image);
    double sampled = 0;
    double variance = 0;
    double half;

    if (asked < 0) {
        return (struct mp_estimate){live, 0, live};
    }
    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);
        double bytes = t->allocated_bytes - t->freed_bytes;

        if (t->allocated_samples > t->freed_samples && bytes > 0) {
            double waste =
                fmax(1 - (t->allocated_requested - t->freed_requested) / bytes, 0);

            sampled += bytes;
            variance +=
                waste * waste
                * fmax(t->allocated_bytes_variance - t->freed_bytes_variance, 0);
        }
    }
    half = 1.96 * sqrt(variance) * (live / sampled);
    return (struct mp_estimate){asked, fmax(asked - half, 0), fmin(asked + half, live)};
}

int mp_efficiency_make(const mp_image_t *image, struct mp_efficiency *ret)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    double live = (double)t->live_bytes;
    uint64_t metadata =
        t->metadata_span_bytes + t->metadata_heap_bytes + t->metadata_region_bytes;
    uint64_t used = t->live_bytes + metadata;

    *ret = (struct mp_efficiency){0};
    ret->requested = find_requested(image);
    ret->slack = (struct mp_estimate){live - ret->requested.value,
        live - ret->requested.high, live - ret->requested.low};
    ret->metadata_bytes = metadata;
    ret->heap_bytes = t->resident_bytes > used ? t->resident_bytes : used;
    ret->free_bytes = ret->heap_bytes - used;
    ret->ratio =
        ret->heap_bytes > 0 ? ret->requested.value / (double)ret->heap_bytes : 0;
    return 0;
}
