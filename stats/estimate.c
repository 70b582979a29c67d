#include "estimate.h"

#include "beta.h"
#include "log_gamma.h"

#include <mpstats.h>

#include <math.h>

/* Above this shape the quantile of Wilson and Hilferty is exact to 1e-4 of it. */
#define SHAPE_LARGE 1000.0

double estimate_chance(double bytes, double interval)
{
    return interval > 0 ? -expm1(-bytes / interval) : 1;
}

static void sum_add(
    struct estimate_sum *s, double weight, double missed, uint64_t count)
{
    s->value += weight * (double)count;
    s->variance += weight * weight * missed * (double)count;
    s->heaviest = fmax(s->heaviest, weight * missed);
}

void tally_add(struct tally *t, double bytes, double interval, uint64_t count)
{
    double chance = estimate_chance(bytes, interval);

    if (count == 0 || chance <= 0) {
        return;
    }
    t->samples += count;
    sum_add(&t->bytes, bytes / chance, 1 - chance, count);
    sum_add(&t->blocks, 1 / chance, 1 - chance, count);
}

static void sum_merge(struct estimate_sum *s, const struct estimate_sum *other)
{
    s->value += other->value;
    s->variance += other->variance;
    s->heaviest = fmax(s->heaviest, other->heaviest);
}

void tally_merge(struct tally *t, const struct tally *other)
{
    t->samples += other->samples;
    sum_merge(&t->bytes, &other->bytes);
    sum_merge(&t->blocks, &other->blocks);
}

/* The regularised lower incomplete gamma function P(a, x), by its series. */
static double gamma_cdf_series(double a, double x)
{
    double term = 1 / a;
    double sum = term;

    for (double n = a + 1; term > sum * 1e-12; n++) {
        term *= x / n;
        sum += term;
    }
    return sum * exp(a * log(x) - x - log_gamma(a));
}

/* 1 - P(a, x) by its continued fraction (Lentz), for x > a + 1. */
static double gamma_tail_fraction(double a, double x)
{
    double b = x + 1 - a;
    double c = 1e300;
    double d = 1 / b;
    double h = d;

    for (int i = 1; i < 10000; i++) {
        double step = -i * (i - a);
        double change;

        b += 2;
        d = 1 / (step * d + b);
        c = b + step / c;
        change = d * c;
        h *= change;
        if (fabs(change - 1) < 1e-12) {
            break;
        }
    }
    return h * exp(a * log(x) - x - log_gamma(a));
}

static double gamma_cdf(double a, double x)
{
    if (x <= 0) {
        return 0;
    }
    return x <= a + 1 ? gamma_cdf_series(a, x) : 1 - gamma_tail_fraction(a, x);
}

/* Of the standard normal distribution, for the two that are needed: 2.5 % and 97.5 %. */
static double normal_quantile(double q)
{
    return q < 0.5 ? -1.959963984540054 : 1.959963984540054;
}

double estimate_gamma_quantile(double shape, double q)
{
    double z = normal_quantile(q);
    double root = 1 - 1 / (9 * shape) + z / (3 * sqrt(shape));
    double low = 0;
    double high = shape + 10 * sqrt(shape) + 10;

    if (shape > SHAPE_LARGE) {
        return shape * root * root * root;
    }
    for (int i = 0; i < 100 && high - low > 1e-9 * high; i++) {
        double middle = (low + high) / 2;

        if (gamma_cdf(shape, middle) < q) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (low + high) / 2;
}

/*
 * Fay and Feuer (1997), for a sum of weighted Poisson counts: the limits are quantiles of
 * gamma distributions with the mean and the variance of the sum; above, those of the sum with
 * one more sample, the heaviest. Where all weights are alike that is Garwood's exact interval,
 * and with many samples the normal one. Blocks much longer than R are all in the sample, so
 * that there is nothing to be unsure of.
 */
static struct estimate interval_of(const struct estimate_sum *s)
{
    double above = s->value + s->heaviest;
    double variance = s->variance + s->heaviest * s->heaviest;
    struct estimate e = {s->value, s->value, s->value};

    if (s->variance > 0) {
        double scale = s->variance / s->value;

        e.low = scale * estimate_gamma_quantile(s->value / scale, 0.025);
    }
    if (variance > 0) {
        double scale = variance / above;

        e.high = scale * estimate_gamma_quantile(above / scale, 0.975);
    }
    return e;
}

struct estimate estimate_bytes(const struct tally *t, double interval)
{
    if (t->samples == 0) {
        /* P(no sample) = exp(-bytes / R) is 5 % here, whatever the sizes are. */
        return (struct estimate){0, 0, -log(0.05) * interval};
    }
    return interval_of(&t->bytes);
}

struct estimate estimate_blocks(const struct tally *t)
{
    return interval_of(&t->blocks);
}

/* Twice what is seen weighs: R was another then. */
static bool is_heavy(double weight, const struct estimate_sum *s)
{
    return s->variance > 0 && weight * s->value > 2 * s->variance;
}

/*
 * The smaller part of a whole that is counted: part / (part + others), so both err. Where all
 * weigh the same that is the binomial variance, (1 - q) of the part's. One more sample of it may
 * weigh what any of the whole does, if R was longer once; but what nobody saw of it can only be
 * what the others leave.
 */
static struct estimate interval_of_part(
    const struct estimate_sum *part, const struct estimate_sum *others, double exact)
{
    double whole = part->value + others->value;
    double factor = exact / whole;
    double q = part->value / whole;
    double heaviest = fmax(part->heaviest, others->heaviest);
    struct estimate_sum s = {.value = part->value * factor,
        .variance = factor * factor
                    * ((1 - q) * (1 - q) * part->variance + q * q * others->variance),
        .heaviest = heaviest * factor * sqrt(1 - q)};
    struct estimate e = interval_of(&s);
    struct estimate_sum known = {others->value, others->variance, 0};

    if (is_heavy(heaviest, part)) {
        e.high = fmin(e.high, fmax(exact - interval_of(&known).low, e.value));
    }
    return e;
}

struct estimate estimate_calibrated(
    const struct tally *t, const struct tally *whole, double exact, double interval)
{
    struct estimate_sum others = {.value = fmax(whole->bytes.value - t->bytes.value, 0),
        .variance = fmax(whole->bytes.variance - t->bytes.variance, 0),
        .heaviest = whole->bytes.heaviest};
    struct estimate e;

    if (t->samples == 0 || whole->samples < ESTIMATE_CALIBRATED
        || whole->bytes.value <= 0) {
        return estimate_bytes(t, interval);
    }
    if (t->bytes.value <= whole->bytes.value / 2) {
        e = interval_of_part(&t->bytes, &others, exact);
    } else { /* by what is not it: seeing nothing of that does not mean there is nothing */
        struct estimate o = interval_of_part(&others, &t->bytes, exact);

        e = (struct estimate){
            exact - o.value, fmax(exact - o.high, 0), fmax(exact - o.low, 0)};
    }
    e.high = fmin(e.high, fmax(exact, e.value));
    return e;
}

double estimate_z(const struct tally *gone, const struct tally *come)
{
    double variance = gone->bytes.variance + come->bytes.variance;
    double difference = come->bytes.value - gone->bytes.value;

    if (variance > 0) {
        return difference / sqrt(variance);
    }
    return difference == 0
               ? 0
               : copysign(INFINITY, difference); /* blocks that are all seen */
}

/* ---- whether two sums differ ---- */

/* Bytes that one effective sample stands for; 0: there is nothing to be unsure of. */
static double scale_of(const struct tally *t, double interval,
    const struct tally *other, double other_interval)
{
    if (t->samples > 0) {
        return t->bytes.value > 0 ? t->bytes.variance / t->bytes.value : 0;
    }
    if (interval <= 0) {
        return 0;
    }
    /* As those of the other one, had they been sampled at this R. */
    return other->samples > 0 && other->bytes.variance > 0 && other_interval > 0
               ? other->bytes.variance / other->bytes.value
                     * (interval / other_interval)
               : interval;
}

/* A sum with an effective number of samples against a value that is known. */
static double p_of_known(double value, double scale, double known)
{
    double k = value / scale;
    double mean = known / scale;
    double above = k > 0 ? gamma_cdf(k, mean) : 1;
    double below = 1 - gamma_cdf(k + 1, mean);

    return fmin(1, 2 * fmin(above, below));
}

double estimate_p(const struct tally *gone, const struct tally *come,
    double gone_interval, double come_interval)
{
    double g = scale_of(gone, gone_interval, come, come_interval);
    double c = scale_of(come, come_interval, gone, gone_interval);
    double above;
    double below;

    if (come->bytes.value == gone->bytes.value) {
        return 1;
    }
    if (g <= 0 && c <= 0) {
        return 0;
    }
    if (g <= 0) {
        return p_of_known(come->bytes.value, c, gone->bytes.value);
    }
    if (c <= 0) {
        return p_of_known(gone->bytes.value, g, come->bytes.value);
    }
    above = beta_cdf(come->bytes.value / c, gone->bytes.value / g + 1, g / (g + c));
    below = beta_cdf(gone->bytes.value / g, come->bytes.value / c + 1, c / (g + c));
    return fmin(1, 2 * fmin(above, below));
}

double mp_figures_spread(double a, double b, bool is_cut)
{
    return is_cut ? a + b : hypot(a, b);
}

uint64_t estimate_down(double value)
{
    return value >= 0x1p62 ? 1ull << 62 : value > 0 ? (uint64_t)value : 0;
}

uint64_t estimate_up(double value)
{
    return estimate_down(ceil(value));
}
