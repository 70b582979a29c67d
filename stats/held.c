#include "held.h"

#include "estimate.h"

#include <math.h>
#include <stdlib.h>

static void add_site(
    const mp_image_t *image, size_t number, struct tally *live, double *interval)
{
    const struct mp_region_site *t = mp_image_site(image, number);
    const struct mp_region_sampling *g = mp_image_sampling(image);
    struct tally one = {.samples = t->allocated_samples - t->freed_samples};

    if (g->interval_bytes != MP_SAMPLING_EXACT
        && g->interval_bytes != MP_SAMPLING_OFF) {
        *interval = (double)g->interval_bytes;
    }
    if (one.samples > 0) {
        one.bytes.value = fmax(t->allocated_bytes - t->freed_bytes, 0);
        one.bytes.variance =
            fmax(t->allocated_bytes_variance - t->freed_bytes_variance, 0);
        one.bytes.heaviest = one.bytes.variance > 0 ? t->heaviest_bytes : 0;
        tally_merge(live, &one);
    }
}

/* By the samples alone, of all classes together. */
static struct mp_estimate plain(
    const mp_image_t *image, const struct series *s, const struct series_group *group)
{
    struct tally live = {0};
    double interval = 0;
    struct estimate e;

    for (size_t i = 0; i < group->count; i++) {
        add_site(image, s->sites[group->first + i], &live, &interval);
    }
    e = estimate_bytes(&live, interval);
    return (struct mp_estimate){e.value, fmin(e.low, e.value), fmax(e.high, e.value)};
}

/*
 * A few samples in each of many classes say little of each, but more of the sum: the limits of
 * all of them together hold, too, as parts of the value.
 */
static void narrow(struct mp_estimate *e, const struct mp_estimate *all)
{
    double factor = all->value > 0 ? e->value / all->value : 0;

    if (factor > 0) {
        e->low = fmax(e->low, all->low * factor);
        e->high = fmin(e->high, all->high * factor);
    }
}

/* Which part a site belongs to: its group and class. Returns how many there are. */
static size_t find_parts(
    const mp_image_t *image, const struct series *s, uint32_t *ret_part)
{
    uint32_t of_class[MP_REGION_CLASSES];
    uint32_t count = 0;

    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        ret_part[i] = UINT32_MAX; /* without a sample */
    }
    for (size_t g = 0; g < s->group_count; g++) {
        uint32_t first = count;

        for (unsigned c = 0; c < MP_REGION_CLASSES; c++) {
            of_class[c] = UINT32_MAX;
        }
        for (size_t i = 0; i < s->groups[g].count; i++) {
            uint32_t site = s->sites[s->groups[g].first + i];
            unsigned c = mp_image_site(image, site)->class_number % MP_REGION_CLASSES;

            if (of_class[c] == UINT32_MAX) {
                of_class[c] = count++;
            }
            ret_part[site] = of_class[c];
        }
        if (s->sites[s->groups[g].first] == 0) {
            ret_part[0] = UINT32_MAX;
            count = first;
        }
    }
    return count;
}

/* Errors of two parts have nothing to do with each other. */
static void add(struct mp_estimate *sum, const struct mp_figures *f)
{
    double value = (double)f->value[MP_LIVE_BYTES];
    double below = hypot(sum->value - sum->low, value - (double)f->low[MP_LIVE_BYTES]);
    double above =
        hypot(sum->high - sum->value, (double)f->high[MP_LIVE_BYTES] - value);

    sum->value += value;
    sum->low = fmax(sum->value - below, 0);
    sum->high = sum->value + above;
}

struct mp_estimate *held_make(const mp_image_t *image, const struct series *s)
{
    uint32_t *part = calloc(mp_image_site_count(image) + 1, sizeof(*part));
    struct mp_estimate *ret = calloc(s->group_count + 1, sizeof(*ret));
    mp_estimates_t *e = NULL;

    if (part == NULL || ret == NULL
        || mp_estimates_make(image, part, find_parts(image, s, part), &e) != 0) {
        free(part);
        free(ret);
        return NULL;
    }
    for (size_t g = 0; g < s->group_count; g++) {
        struct mp_estimate all = plain(image, s, &s->groups[g]);
        uint32_t last = UINT32_MAX;

        if (s->sites[s->groups[g].first] == 0) {
            ret[g] = all; /* (overflow): no counter is its own */
            continue;
        }
        for (size_t i = 0; i < s->groups[g].count; i++) { /* parts rise where new */
            uint32_t number = part[s->sites[s->groups[g].first + i]];

            if (last == UINT32_MAX || number > last) {
                add(&ret[g], mp_estimates_group(e, number));
                last = number;
            }
        }
        narrow(&ret[g], &all);
    }
    mp_estimates_free(e);
    free(part);
    return ret;
}
