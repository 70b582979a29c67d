/*
 * efficiency - how much of the resident heap is what the program asked for
 */
#include <mpstats.h>

#include <math.h>
#include <stdlib.h>

/*
 * Of live bytes, what was asked for: stacks know it of their share, and the rest is taken to waste
 * as much. Its interval is that of the stacks' live bytes, which it is a part of.
 */
static struct mp_estimate find_requested(
    const mp_image_t *image, const mp_estimates_t *estimates, size_t groups)
{
    double live = (double)mp_image_totals(image)->live_bytes;
    double sampled = 0;
    double asked = 0;
    double down = 0;
    double up = 0;
    double share;

    for (size_t i = 0; i < groups; i++) {
        const struct mp_figures *f = mp_estimates_group(estimates, i);
        double value = (double)f->value[MP_LIVE_BYTES];

        if (value > 0 && f->live_requested > 0) {
            double waste = fmax(1 - (double)f->live_requested / value, 0);

            sampled += value;
            asked += fmin((double)f->live_requested, value);
            down = hypot(down, waste * ((double)f->high[MP_LIVE_BYTES] - value));
            up = hypot(up, waste * (value - (double)f->low[MP_LIVE_BYTES]));
        }
    }
    if (sampled <= 0) {
        return (struct mp_estimate){live, 0, live};
    }
    share = live / sampled;
    return (struct mp_estimate){fmin(asked * share, live),
        fmax((asked - down) * share, 0), fmin((asked + up) * share, live)};
}

int mp_efficiency_make(const mp_image_t *image, struct mp_efficiency *ret)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    mp_estimates_t *estimates;
    int error = mp_estimates_make(image, NULL, 0, &estimates);
    double live = (double)t->live_bytes;
    uint64_t metadata =
        t->metadata_span_bytes + t->metadata_heap_bytes + t->metadata_region_bytes;
    uint64_t used = t->live_bytes + metadata;

    *ret = (struct mp_efficiency){0};
    if (error != 0) {
        return error;
    }
    ret->requested = find_requested(image, estimates, mp_image_site_count(image));
    ret->slack = (struct mp_estimate){live - ret->requested.value,
        live - ret->requested.high, live - ret->requested.low};
    ret->metadata_bytes = metadata;
    ret->heap_bytes = t->resident_bytes > used ? t->resident_bytes : used;
    ret->free_bytes = ret->heap_bytes - used;
    ret->ratio =
        ret->heap_bytes > 0 ? ret->requested.value / (double)ret->heap_bytes : 0;
    mp_estimates_free(estimates);
    return 0;
}
