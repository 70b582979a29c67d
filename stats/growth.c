#include "growth.h"

#include "trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * A cache that fills up gets slower; a leak does not. Growth is steady if the exponent of its
 * survivors is surely above the first of these (words of a text are new with 0.4 to 0.7, a
 * cache that fills with less), and its last third surely more than this share of what was.
 */
#define EXPONENT_LEAST 0.7
#define RECENT_LEAST   0.5
#define ONE_SIDED      1.645 /* 95 % */

enum { STARTS = 4 };

static const double starts[STARTS] = {
    0, 0.125, 0.25, 0.5}; /* of the time of the group */

/*
 * From where on survivors are looked at: the sooner the more of them, and the more the logarithm of
 * time tells; but what was there at the start, such as tables, is no part of what came after.
 */
static const double survivor_starts[] = {1.0 / 128, 1.0 / 32, 1.0 / 8, 1.0 / 4};

static int compare_births(const void *a, const void *b)
{
    double x = ((const struct growth_birth *)a)->at;
    double y = ((const struct growth_birth *)b)->at;

    return (x > y) - (x < y);
}

static double span_of(const struct growth_past *past)
{
    return past->now - past->first;
}

static unsigned first_epoch(const struct growth_past *past)
{
    return past->first > 0 ? (unsigned)fmin(past->first, past->epochs) : 0;
}

/* What was live when epoch i began. */
static double live_before(const struct growth_past *past, unsigned i)
{
    return i > 0 ? past->live[i - 1] : 0;
}

/* ---- does it drift ---- */

/* The past may have begun with something else, such as tables: later starts see less of it. */
static double drift_of(const struct growth_past *past)
{
    unsigned first = first_epoch(past);
    unsigned count = past->epochs - first;
    double best = 1;

    for (unsigned i = 0; i < STARTS && count >= GROWTH_EPOCHS_LEAST; i++) {
        unsigned from = first + (unsigned)(starts[i] * count);
        double p = trend_drift(
            past->live + from, live_before(past, from), past->epochs - from);

        best = fmin(best, p);
    }
    return fmin(best * STARTS, 1);
}

static void find_drift(const struct growth_past *past, struct growth *g)
{
    double by_epochs = drift_of(past);
    double by_marks = past->marks >= 5 ? trend_drift(
                          past->mark_live + 1, past->mark_live[0], past->marks - 1)
                                       : 1;

    g->is_by_marks = by_marks < 0.05;
    g->p_drift = past->marks >= 5 ? fmin(2 * fmin(by_epochs, by_marks), 1) : by_epochs;
    g->marks_deny = past->marks >= 5
                    && past->mark_live[past->marks - 1]
                           <= fmax(past->mark_live[0], past->mark_live[1]);
}

/* ---- when were the survivors born ---- */

/*
 * How much more the counts of epochs differ than independent births would: at least 1. Counts are
 * times scale, so that they vary as so many would that count 1 each.
 */
static double dispersion_of(const struct growth_past *past, double from, double to,
    double n, double scale, double exponent)
{
    double origin = past->first;
    double whole = pow(to - origin, exponent) - pow(from - origin, exponent);
    unsigned cells = (unsigned)fmin(16, fmax(4, n / 3));
    double sum = 0;
    size_t at = 0;

    while (at < past->birth_count && past->births[at].at < from) {
        at++;
    }
    for (unsigned i = 0; i < cells; i++) {
        double begin = from + (to - from) * i / cells;
        double end = from + (to - from) * (i + 1) / cells;
        double mean =
            n * (pow(end - origin, exponent) - pow(begin - origin, exponent)) / whole;
        double count = 0;

        for (; at < past->birth_count && past->births[at].at < end; at++) {
            count += past->births[at].count * scale;
        }
        sum += (count - mean) * (count - mean) / fmax(mean, 0.25);
    }
    return fmax(sum / (cells - 2), 1);
}

/* The youngest may be here for a moment only: the last 16th is left out. */
static void find_exponent(const struct growth_past *past, struct growth *g)
{
    double span = span_of(past);
    double to = past->now - span / 16;

    g->exponent_low = -INFINITY;
    g->exponent_high = INFINITY;
    for (size_t i = 0;
         i < sizeof(survivor_starts) / sizeof(survivor_starts[0]) && span > 1; i++) {
        double from = past->first + survivor_starts[i] * span;
        double length = to - past->first;
        double sum = 0;
        double count = 0;
        double squares = 0;
        double n;
        struct trend_power power;
        double deviation;

        for (size_t k = 0; k < past->birth_count; k++) {
            double at = past->births[k].at;

            if (at > from && at < to) {
                double one = past->births[k].count;

                sum += one * log((at - past->first) / length);
                count += one;
                squares += one * one;
            }
        }
        n = squares > 0 ? count * count / squares : 0; /* as good as so many alike */
        if (n < 3) {
            continue;
        }
        power = trend_power(sum * n / count, n, (from - past->first) / length);
        deviation = power.deviation
                    * sqrt(dispersion_of(past, from, to, n, n / count, power.exponent));
        if (i == 0) {
            g->exponent = power.exponent;
            g->exponent_high = power.exponent + ONE_SIDED * deviation;
        }
        if (power.exponent - ONE_SIDED * deviation > g->exponent_low) {
            g->exponent_low = power.exponent - ONE_SIDED * deviation;
            g->exponent = i == 0 ? g->exponent : power.exponent;
            g->exponent_high =
                fmax(g->exponent_high, power.exponent + ONE_SIDED * deviation);
        }
    }
}

static void count_generations(const struct growth_past *past, struct growth *g)
{
    unsigned last = UINT32_MAX;

    g->epochs = past->epochs - first_epoch(past) + 1;
    for (size_t i = 0; i < past->birth_count; i++) {
        unsigned epoch = (unsigned)fmax(past->births[i].at, 0);

        g->generations += epoch != last;
        last = epoch;
    }
}

/* ---- how much did it grow, and does it still ---- */

struct change {
    double value;
    double variance;
};

/* What one more sample weighs: the mean of weights, each as often as it weighs. */
static double weight_of(const struct growth_past *past)
{
    double sum = 0;
    double squares = 0;

    for (size_t i = 0; i < past->birth_count; i++) {
        sum += past->births[i].bytes;
        squares += past->births[i].bytes * past->births[i].bytes;
    }
    return sum > 0 ? squares / sum : 0;
}

/* From the start of that epoch until now: what came, and what went of what was there. */
static struct change change_since(const struct growth_past *past, unsigned epoch)
{
    double before = live_before(past, epoch);
    double now = past->live[past->epochs];
    double come = 0;
    double gone;

    for (size_t i = past->birth_count; i > 0 && past->births[i - 1].at >= epoch; i--) {
        come += past->births[i - 1].bytes;
    }
    gone = fmax(before + come - now, 0);
    return (struct change){now - before, weight_of(past) * (come + gone)};
}

static void find_recent(const struct growth_past *past, struct growth *g)
{
    unsigned first = first_epoch(past);
    unsigned count = past->epochs - first;
    unsigned from = first + count / 8;
    unsigned middle = first + (2 * count + 1) / 3;
    struct change all = change_since(past, from);
    struct change late = change_since(past, middle);
    double late_length = past->now - middle;
    double early_length = (double)middle - from;
    double early;
    double rate;
    double deviation;

    g->from = from;
    g->grown = all.value;
    g->grown_deviation = sqrt(all.variance);
    g->recent_low = -INFINITY;
    g->recent_high = INFINITY;
    if (count < GROWTH_EPOCHS_LEAST || late_length <= 0 || early_length <= 0) {
        return;
    }
    early = (all.value - late.value) / early_length;
    rate = late.value / late_length;
    if (early <= 0) { /* it only grows since */
        g->recent = g->recent_low =
            rate > ONE_SIDED * sqrt(late.variance) / late_length ? INFINITY : 0;
        return;
    }
    g->recent = rate / early;
    deviation = sqrt(late.variance / (late_length * late_length)
                     + RECENT_LEAST * RECENT_LEAST
                           * fmax(all.variance - late.variance, late.variance)
                           / (early_length * early_length))
                / early;
    g->recent_low = g->recent - ONE_SIDED * deviation;
    g->recent_high = g->recent + ONE_SIDED * deviation;
}

/* Floors, for they know nothing of what comes and goes. */
static void find_slope(const struct growth_past *past, struct growth *g)
{
    unsigned first = first_epoch(past);
    unsigned count = past->epochs - first;
    double line;
    double curve;
    double rate;

    g->slope = count > 1 ? trend_slope(past->live + first, count) : 0;
    if (trend_drift(past->floor + first, 0, count) < 0.05) {
        struct trend_kendall k = trend_kendall(past->floor + first, count);

        g->kendall = k.tau;
        g->floor_rises = k.z_corrected > ONE_SIDED;
    }
    if (count < GROWTH_EPOCHS_LEAST || g->exponent_low <= 1
        || g->generations < GROWTH_EPOCHS_LEAST) {
        return;
    }
    trend_lines(past->live + first + 1, count - 1, &line, &curve, &rate);
    /* Half of what a line leaves, twice doubled, and more survivors the later. */
    g->is_exponential = rate * (count - 1) > 2 * log(2) && curve < line / 2;
    g->doubling = g->is_exponential ? log(2) / rate : 0;
}

/* ---- the whole ---- */

static enum growth_shape shape_of(const struct growth *g)
{
    if (g->marks_deny || g->exponent_high < EXPONENT_LEAST
        || g->recent_high < RECENT_LEAST) {
        return GROWTH_SATURATES;
    }
    if (g->exponent_low > EXPONENT_LEAST && g->recent_low > RECENT_LEAST) {
        return GROWTH_STEADY;
    }
    return GROWTH_UNCLEAR;
}

void growth_find(struct growth_past *past, struct growth *ret)
{
    struct survival_tail tail;
    unsigned bucket;

    *ret = (struct growth){
        .live = past->live[past->epochs], .p = 1, .p_drift = 1, .p_retained = 1};
    if (past->birth_count > 0) {
        qsort(past->births, past->birth_count, sizeof(*past->births), compare_births);
    }
    find_drift(past, ret);
    ret->p_retained =
        survival_retained(&past->survival, fmax(past->observed_us, 1), &bucket);
    ret->p = fmax(ret->p_drift, ret->p_retained);
    tail = survival_tail(&past->survival, bucket);
    ret->old_us = ldexp(1, (int)bucket);
    ret->old_died = tail.died;
    ret->old_all = tail.at_risk;
    ret->leak_chance = (tail.at_risk - tail.died + 1) / (tail.at_risk + 2);
    count_generations(past, ret);
    find_exponent(past, ret);
    find_recent(past, ret);
    find_slope(past, ret);
    ret->shape = shape_of(ret);
}
