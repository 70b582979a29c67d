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
static struct tally plain(const mp_image_t *image, const struct series *s,
    const struct series_group *group, double *interval)
{
    struct tally live = {0};

    for (size_t i = 0; i < group->count; i++) {
        add_site(image, s->sites[group->first + i], &live, interval);
    }
    return live;
}

static struct mp_estimate estimate(const struct tally *live, double interval)
{
    struct estimate e = estimate_bytes(live, interval);

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

/*
 * No more than its component has, less what others surely have of that; counters may be a moment
 * old: so many bytes were allocated since.
 */
static void bound(const mp_image_t *image, uint32_t component, double since,
    const struct tally *mine, const struct tally *whole, struct mp_estimate *e)
{
    const struct mp_region_component *c = mp_image_component(image, component);
    struct tally others = {.samples = whole->samples - mine->samples,
        .bytes = {fmax(whole->bytes.value - mine->bytes.value, 0),
            fmax(whole->bytes.variance - mine->bytes.variance, 0), 0}};
    double most;

    if (c == NULL || mp_image_totals(image)->published_total == 0) {
        return;
    }
    most = (double)c->allocated_bytes_total - (double)c->freed_bytes_total + since;
    most -= others.samples > 0 ? estimate_bytes(&others, 0).low : 0;
    e->high = fmax(fmin(e->high, most), e->value);
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

struct held {
    struct mp_estimate *of_group;
    struct tally *plain;        /* of each group */
    struct tally *of_component; /* sums of them */
    uint32_t *part;             /* of each site */
    mp_estimates_t *parts;
    double interval;
};

static void fill(const mp_image_t *image, const struct series *s, struct held *h)
{
    struct mp_since since;

    mp_image_since(image, &since);
    for (size_t g = 0; g < s->group_count; g++) {
        const struct series_group *group = &s->groups[g];

        h->plain[g] = plain(image, s, group, &h->interval);
        if (group->component < mp_image_component_count(image)
            && s->sites[group->first] != 0) {
            tally_merge(&h->of_component[group->component], &h->plain[g]);
        }
    }
    for (size_t g = 0; g < s->group_count; g++) {
        const struct series_group *group = &s->groups[g];
        struct mp_estimate all = estimate(&h->plain[g], h->interval);
        struct mp_estimate *e = &h->of_group[g];
        uint32_t last = UINT32_MAX;

        if (s->sites[group->first] == 0) {
            *e = all; /* (overflow): no counter is its own */
            continue;
        }
        for (size_t i = 0; i < group->count; i++) { /* parts rise where new */
            uint32_t number = h->part[s->sites[group->first + i]];

            if (last == UINT32_MAX || number > last) {
                add(e, mp_estimates_group(h->parts, number));
                last = number;
            }
        }
        narrow(e, &all);
        if (group->component < mp_image_component_count(image)) {
            bound(image, group->component, (double)since.allocated_bytes, &h->plain[g],
                &h->of_component[group->component], e);
        }
    }
}

struct mp_estimate *held_make(const mp_image_t *image, const struct series *s)
{
    struct held h = {.of_group = calloc(s->group_count + 1, sizeof(*h.of_group)),
        .plain = calloc(s->group_count + 1, sizeof(*h.plain)),
        .of_component =
            calloc(mp_image_component_count(image) + 1, sizeof(*h.of_component)),
        .part = calloc(mp_image_site_count(image) + 1, sizeof(*h.part))};

    if (h.of_group != NULL && h.plain != NULL && h.of_component != NULL
        && h.part != NULL
        && mp_estimates_make(image, h.part, find_parts(image, s, h.part), &h.parts)
               == 0) {
        fill(image, s, &h);
    } else {
        free(h.of_group);
        h.of_group = NULL;
    }
    mp_estimates_free(h.parts);
    free(h.plain);
    free(h.of_component);
    free(h.part);
    return h.of_group;
}
