/* Growth: what is found of leaks, and what is said of innocents, by simulation. */
#include "simulate.h"

#include <trend.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { INNOCENTS = SHAPES - LEAKS };

/* ---- the formulas ---- */

Test(stats_growth, distributions_are_those_of_the_tables)
{
    cr_assert_float_eq(trend_normal_tail(1.959964), 0.025, 1e-6);
    cr_assert_float_eq(trend_student_tail(2.228139, 10), 0.025, 1e-6);
    cr_assert_float_eq(trend_student_tail(-1, 5), 1 - 0.1816087, 1e-6);
    cr_assert_float_eq(trend_poisson_at_most(2, 5), 0.124652, 1e-6);
    cr_assert_float_eq(trend_poisson_at_most(2000, 2000), 0.505947, 1e-3);
}

Test(stats_growth, slopes_and_ranks_of_known_series)
{
    static const double rising[] = {1, 2, 4, 7, 8, 12, 13, 100};
    static const double tied[] = {3, 3, 3, 3, 3, 3, 3, 3};
    struct trend_kendall k = trend_kendall(rising, 8);

    cr_assert_eq(k.s, 28);
    cr_assert_float_eq(k.z, 27 / sqrt(8 * 7 * 21 / 18.0), 1e-9);
    cr_assert_leq(k.z_corrected, k.z);
    cr_assert_float_eq(
        trend_slope(rising, 8), 2.1, 0.4); /* the outlier does not count */
    cr_assert_eq(trend_kendall(tied, 8).z, 0);
    cr_assert_eq(trend_drift(tied, 3, 8), 1);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median of all slopes, as sorting finds it; with many that are the same, too. */
Test(stats_growth, a_slope_is_the_median_of_all_slopes)
{
    static double slopes[TREND_MOST * TREND_MOST];
    double y[TREND_MOST];
    unsigned state = 1;

    for (unsigned round = 0; round < 2000; round++) {
        size_t n = 2 + round % (TREND_MOST - 1);
        size_t count = 0;
        unsigned range = round % 3 == 0 ? 3 : round % 3 == 1 ? 50 : 1 << 30;

        for (size_t i = 0; i < n; i++) {
            state = state * 1103515245 + 12345;
            y[i] = (double)((state >> 8) % range);
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t k = i + 1; k < n; k++) {
                slopes[count++] = (y[k] - y[i]) / (double)(k - i);
            }
        }
        qsort(slopes, count, sizeof(*slopes), compare_doubles);
        cr_assert_eq(
            trend_slope(y, n), (slopes[(count - 1) / 2] + slopes[count / 2]) / 2);
    }
    cr_assert_eq(trend_slope(y, 1), 0);
}

Test(stats_growth, exponents_are_found_again)
{
    static const double exponents[] = {0.3, 0.7, 1, 2};
    struct dice d = {7};

    for (unsigned i = 0; i < 4; i++) {
        double s = 1.0 / 32;
        double sum = 0;

        for (unsigned k = 0; k < 4000; k++) { /* by inversion */
            double low = pow(s, exponents[i]);
            double x = low + (1 - low) * dice_uniform(&d);

            sum += log(x) / exponents[i];
        }
        cr_assert_float_eq(trend_power(sum, 4000, s).exponent, exponents[i], 0.1);
        cr_assert_lt(trend_power(sum, 4000, s).deviation, 0.06);
    }
}

/* Under no drift p is below q in at most about q of the cases, for levels that are sums. */
Test(stats_growth, random_walks_do_not_drift)
{
    struct dice d = {3};
    unsigned below = 0;

    for (unsigned i = 0; i < 4000; i++) {
        double y[24];
        double level = 1000;

        for (unsigned k = 0; k < 24; k++) {
            level +=
                sqrt(-2 * log(dice_uniform(&d))) * cos(2 * M_PI * dice_uniform(&d));
            y[k] = level;
        }
        below += trend_drift(y, 1000, 24) < 0.05;
    }
    cr_assert_leq(below, 4000 * 0.06);
}

Test(stats_growth, benjamini_and_hochberg_on_their_example)
{
    static const double p[] = {0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298,
        0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1};
    double scratch[15];

    cr_assert_eq(trend_threshold(p, 15, 0.05, scratch), 0.0095);
}

/* Blocks that all stay, as many each time; from half time on one in four of them is sampled. */
Test(stats_growth, a_leak_is_as_steady_when_fewer_are_sampled)
{
    enum { EPOCHS = 16, BIRTHS = 400 };
    struct growth_birth births[BIRTHS];
    struct growth_past past = {.epochs = EPOCHS, .now = EPOCHS, .births = births};
    struct growth g;

    for (unsigned i = 0; i < BIRTHS; i++) {
        bool is_early = i < BIRTHS / 2;
        double at = (i + 0.5) * EPOCHS / BIRTHS;

        if (is_early || i % 4 == 0) {
            births[past.birth_count++] = (struct growth_birth){.at = at,
                .bytes = is_early ? 1000 : 4000,
                .count = is_early ? 0.25 : 1};
        }
    }
    for (unsigned i = 0; i <= EPOCHS; i++) {
        past.live[i] = past.floor[i] = 1000.0 * BIRTHS * i / EPOCHS;
    }
    past.observed_us = 1e6;
    growth_find(&past, &g);
    printf("exponent %.2f, above %.2f\n", g.exponent, g.exponent_low);
    cr_assert_gt(g.exponent, 0.9);
    cr_assert_lt(g.exponent, 1.1);
    cr_assert_gt(g.exponent_low, 0.5);
}

/* ---- many stacks at once ---- */

struct tallies {
    unsigned worlds_wrong; /* in which an innocent was called growing */
    unsigned innocents;
    unsigned called; /* of them */
    unsigned leaks;
    unsigned found;
    double false_share; /* mean of false ones among those that are called growing */
};

/* One program: 24 innocents and some leaks of one kind, judged together. */
static void judge_world(struct dice *d, enum shape leak, double samples, double share,
    unsigned leaks, struct tallies *t)
{
    enum { COUNT = 28 };
    static const double sizes[] = {8, 30, 100, 400, 2000};
    struct growth growth[COUNT];
    double p[COUNT];
    double scratch[COUNT];
    unsigned called = 0;
    unsigned wrong = 0;
    double threshold;

    for (unsigned i = 0; i < COUNT; i++) {
        struct growth_past past;

        if (i < leaks) {
            simulate(d, leak, samples, share, &past);
        } else {
            simulate(d, LEAKS + (enum shape)(dice_uniform(d) * INNOCENTS),
                sizes[(unsigned)(dice_uniform(d) * 5)], 0, &past);
        }
        growth_find(&past, &growth[i]);
        p[i] = growth[i].p;
        simulate_free(&past);
    }
    threshold = trend_threshold(p, COUNT, 0.05, scratch);
    for (unsigned i = 0; i < COUNT; i++) {
        bool is_called = p[i] <= threshold && p[i] < 0.05
                         && growth[i].shape == GROWTH_STEADY
                         && growth[i].generations >= GROWTH_EPOCHS_LEAST;

        called += is_called;
        wrong += is_called && i >= leaks;
        t->found += is_called && i < leaks;
    }
    t->leaks += leaks;
    t->innocents += COUNT - leaks;
    t->called += wrong;
    t->worlds_wrong += wrong > 0;
    t->false_share += called > 0 ? (double)wrong / called : 0;
}

static struct tallies judge_worlds(
    enum shape leak, double samples, double share, unsigned leaks, unsigned worlds)
{
    struct dice d = {samples < 1 ? 1 : (uint64_t)samples};
    struct tallies t = {0};

    for (unsigned i = 0; i < worlds; i++) {
        judge_world(&d, leak, samples, share, leaks, &t);
    }
    printf("%-22s %6.0f samples: %u of %u found; %u of %u innocents called growing, "
           "false discovery %.4f\n",
        shape_names[leak], samples * (leak == LEAK_TRAFFIC ? share : 1), t.found,
        t.leaks, t.called, t.innocents, t.false_share / worlds);
    return t;
}

Test(stats_growth, innocents_alone_are_not_called_growing, .timeout = 100)
{
    struct tallies t = judge_worlds(LEAK_PURE, 0, 0, 0, 120);

    cr_assert_leq(t.worlds_wrong, 6); /* 5 % of 120 */
    cr_assert_leq(t.called, 3);
}

/* Of traffic of so many samples that leak to 10, 1 and 0.1 %. */
Test(stats_growth, leaks_of_one_percent_are_found, .timeout = 100)
{
    struct tallies t = judge_worlds(LEAK_TRAFFIC, 4000, 0.1, 2, 20);

    cr_assert_geq(t.found, 39);
    cr_assert_leq(t.false_share / 20, 0.05);
    t = judge_worlds(LEAK_TRAFFIC, 30000, 0.01, 2, 20); /* 15 GiB at R = 512 KiB */
    cr_assert_geq(t.found, 36);
    cr_assert_leq(t.false_share / 20, 0.05);
}

Test(stats_growth, leaks_of_all_forms_are_found, .timeout = 100)
{
    cr_assert_geq(judge_worlds(LEAK_PURE, 200, 0, 2, 20).found, 34);
    cr_assert_geq(judge_worlds(LEAK_BURSTS, 300, 0, 2, 20).found, 30);
    cr_assert_geq(judge_worlds(LEAK_TABLES, 300, 0, 2, 20).found, 34);
    cr_assert_geq(judge_worlds(LEAK_FASTER, 300, 0, 2, 20).found, 28);
}

/* The sooner survivors count, the fewer do; but not those that were there at the start. */
Test(stats_growth, few_samples_are_used_well, .timeout = 100)
{
    cr_assert_geq(judge_worlds(LEAK_BURSTS, 150, 0, 2, 20).found, 34);
    cr_assert_geq(judge_worlds(LEAK_PURE, 80, 0, 2, 40).found, 54);
    cr_assert_geq(judge_worlds(LEAK_TABLES, 150, 0, 2, 20).found, 32);
}

/* What saturates is said to, if it has samples enough to tell. */
Test(stats_growth, an_index_and_words_saturate, .timeout = 100)
{
    struct dice d = {5};
    unsigned steady = 0;

    for (unsigned i = 0; i < 100; i++) {
        struct growth_past past;
        struct growth g;

        simulate(&d, i % 2 == 0 ? INDEX : INTERNING, 500, 0, &past);
        growth_find(&past, &g);
        simulate_free(&past);
        steady += g.shape == GROWTH_STEADY;
    }
    cr_assert_leq(steady, 2);
}
