#include "peaks.h"

#include "image.h"

#include <math.h>

double peaks_most(const mp_image_t *image)
{
    const struct mp_region_sampling *g = mp_image_sampling(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    bool is_exact = g->interval_bytes == MP_SAMPLING_EXACT && g->changes_total == 0;
    bool is_newer = g->peak_ns > t->published_ns || t->published_total == 0;

    /* Of what was then: the most that there ever was may have been a moment later. */
    return is_exact || is_newer ? INFINITY
                                : fmin((double)t->live_peak_bytes, g->peak_bytes);
}

double mp_image_peak_bytes(const mp_image_t *image)
{
    return fmin(mp_image_sampling(image)->peak_bytes, peaks_most(image));
}

static void cut(struct mp_figures *f, unsigned figure, double factor, double most)
{
    double high = fmin((double)f->high[figure], most);

    f->value[figure] = (uint64_t)((double)f->value[figure] * factor);
    f->low[figure] = (uint64_t)((double)f->low[figure] * factor);
    f->high[figure] =
        high > (double)f->value[figure] ? (uint64_t)high : f->value[figure];
}

void peaks_cut(struct mp_figures *figures, size_t count, double most)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += (double)figures[i].value[MP_PEAK_BYTES];
    }
    for (size_t i = 0; i < count && sum > most; i++) {
        struct mp_figures *f = &figures[i];
        double bytes = (double)f->value[MP_PEAK_BYTES];
        double blocks = (double)f->value[MP_PEAK_BLOCKS];

        cut(f, MP_PEAK_BLOCKS, most / sum,
            bytes > 0 ? most * blocks / bytes : INFINITY);
        cut(f, MP_PEAK_BYTES, most / sum, most);
        if (f->peak_requested > f->value[MP_PEAK_BYTES]) {
            f->peak_requested = f->value[MP_PEAK_BYTES];
        }
    }
}
