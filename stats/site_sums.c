#include "site_sums.h"

#include <math.h>
#include <mpstats.h>
#include <string.h>

/* ---- arithmetic ---- */

static struct estimate_sum sum_above(
    const struct estimate_sum *a, const struct estimate_sum *b)
{
    return (struct estimate_sum){.value = fmax(a->value - b->value, 0),
        .variance = fmax(a->variance - b->variance, 0)};
}

/* What a has more than b. */
static struct tally above(const struct tally *a, const struct tally *b)
{
    return (struct tally){
        .samples = a->samples > b->samples ? a->samples - b->samples : 0,
        .bytes = sum_above(&a->bytes, &b->bytes),
        .blocks = sum_above(&a->blocks, &b->blocks)};
}

static struct estimate_sum lesser_sum(
    const struct estimate_sum *a, const struct estimate_sum *b)
{
    return (struct estimate_sum){
        .value = fmin(a->value, b->value), .variance = fmin(a->variance, b->variance)};
}

static struct tally lesser(const struct tally *a, const struct tally *b)
{
    return (struct tally){.samples = a->samples < b->samples ? a->samples : b->samples,
        .bytes = lesser_sum(&a->bytes, &b->bytes),
        .blocks = lesser_sum(&a->blocks, &b->blocks)};
}

/* Without samples nothing is live: what the sums differ by is rounding. */
static struct tally live_of(const struct tally *allocated, const struct tally *freed)
{
    return allocated->samples > freed->samples ? above(allocated, freed)
                                               : (struct tally){0};
}

static struct tally share_of(const struct tally *t, double share)
{
    return (struct tally){.samples = (uint64_t)((double)t->samples * share + 0.5),
        .bytes = {.value = t->bytes.value * share,
            .variance = t->bytes.variance * share},
        .blocks = {
            .value = t->blocks.value * share, .variance = t->blocks.variance * share}};
}

/* ---- of a site ---- */

static struct tally allocated_of(const struct mp_region_site *t)
{
    return (struct tally){.samples = t->allocated_samples,
        .bytes = {t->allocated_bytes, t->allocated_bytes_variance, 0},
        .blocks = {t->allocated_blocks, t->allocated_blocks_variance, 0}};
}

static struct tally freed_of(const struct mp_region_site *t)
{
    return (struct tally){.samples = t->freed_samples,
        .bytes = {t->freed_bytes, t->freed_bytes_variance, 0},
        .blocks = {t->freed_blocks, t->freed_blocks_variance, 0}};
}

static struct tally counted_allocated_of(const struct mp_region_site *t)
{
    return (struct tally){.samples = t->counted_allocated_samples,
        .bytes = {t->counted_allocated_bytes, t->counted_allocated_bytes_variance, 0},
        .blocks = {
            t->counted_allocated_blocks, t->counted_allocated_blocks_variance, 0}};
}

static struct tally counted_freed_of(const struct mp_region_site *t)
{
    return (struct tally){.samples = t->counted_freed_samples,
        .bytes = {t->counted_freed_bytes, t->counted_freed_bytes_variance, 0},
        .blocks = {t->counted_freed_blocks, t->counted_freed_blocks_variance, 0}};
}

/* Sums as of the counters: what was noted of them if the site changed since, else those of now. */
struct counted {
    struct tally allocated;
    struct tally freed;
};

static struct counted counted_of(const struct mp_region_site *t, uint64_t published)
{
    bool has_changed = published != UINT64_MAX && t->counted_number >= published;

    if (published == 0) {
        return (struct counted){0};
    }
    return has_changed ? (struct counted){counted_allocated_of(t), counted_freed_of(t)}
                       : (struct counted){allocated_of(t), freed_of(t)};
}

static double share_of_short(const struct mp_region_site *t)
{
    uint64_t sum = 0;
    uint64_t below = 0;

    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        sum += t->lifetimes[i];
        below += i < MP_SHORT_BUCKET ? t->lifetimes[i] : 0;
    }
    return sum > 0 ? (double)below / (double)sum : 0;
}

/* The variance of blocks is not recorded: it is that of bytes, blocks being alike. */
static struct tally peak_of(const struct mp_region_site *t,
    const struct mp_region_sampling *g, const struct tally *live)
{
    struct tally r = {.samples = t->peak_samples};

    if (t->peak_number != g->peak_number) {
        return *live;
    }
    if (r.samples > 0 && t->peak_bytes > 0) {
        double blocks_per_byte = t->peak_blocks / t->peak_bytes;

        r.bytes.value = t->peak_bytes;
        r.bytes.variance = t->peak_bytes_variance;
        r.blocks.value = t->peak_blocks;
        r.blocks.variance = r.bytes.variance * blocks_per_byte * blocks_per_byte;
    }
    return r;
}

/*
 * The weight of a sample that is not there is S / p, times 1 - p for what is known of it. The
 * heaviest in bytes and the one that stands for most blocks may be different ones, so this
 * bounds it: by both, and by its share of the variance, which is S^2 (1 - p) / p^2.
 */
static double heaviest(double weight, double blocks, double variance)
{
    double missed = blocks > 1 ? 1 - 1 / blocks : 0;

    return fmin(weight * missed, sqrt(variance * missed));
}

void site_sums_since(const struct mp_region_site *t, uint64_t published,
    struct tally *ret_allocated, struct tally *ret_freed)
{
    struct tally allocated = allocated_of(t);
    struct tally freed = freed_of(t);
    struct counted then = counted_of(t, published);

    *ret_allocated = above(&allocated, &then.allocated);
    *ret_freed = above(&freed, &then.freed);
}

void site_sums_of(const struct mp_region_site *t, const struct mp_region_sampling *g,
    uint64_t published, struct tally ret[SITE_PARTS])
{
    struct tally allocated = allocated_of(t);
    struct tally freed = freed_of(t);
    struct tally live = live_of(&allocated, &freed);
    struct counted then = counted_of(t, published);
    struct tally live_then = live_of(&then.allocated, &then.freed);
    struct tally come = above(&allocated, &then.allocated);
    struct tally gone = above(&freed, &then.freed);
    double share = share_of_short(t);
    double bytes =
        heaviest(t->heaviest_bytes, t->heaviest_blocks, t->allocated_bytes_variance);
    double blocks =
        heaviest(t->heaviest_blocks, t->heaviest_blocks, t->allocated_blocks_variance);

    ret[SITE_LIVE] = live_then;
    ret[SITE_FREED] = then.freed;
    ret[SITE_PEAK] = peak_of(t, g, &live);
    ret[SITE_SHORT] = share_of(&then.freed, share);
    ret[SITE_KEPT] = lesser(&live_then, &live);
    ret[SITE_COME] = above(&live, &live_then);
    ret[SITE_GONE] = lesser(&come, &gone);
    ret[SITE_FRESH] = lesser(&come, &live);
    ret[SITE_FREED_SINCE] = gone;
    ret[SITE_SHORT_SINCE] = share_of(&gone, share);
    for (unsigned i = 0; i < SITE_PARTS; i++) {
        ret[i].bytes.heaviest = bytes;
        ret[i].blocks.heaviest = blocks;
    }
}
