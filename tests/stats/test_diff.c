/* What changed from one image to another: sums that fit, and noise that is called noise. */
#include "estimate.h"
#include "made_image.h"

#include <math.h>
#include <string.h>

static struct made made[2];
static mp_image_t *image[2];
static mp_diff_t *diff;

static void make(void)
{
    make_region(&made[0], &make_small);
    make_region(&made[1], &make_small);
}

static void unmake(void)
{
    mp_diff_free(diff);
    for (unsigned i = 0; i < 2; i++) {
        mp_image_free(image[i]);
        make_region_free(&made[i]);
    }
}

TestSuite(stats_diff, .init = make, .fini = unmake);

static void compare(const struct mp_diff_options *options)
{
    mp_diff_free(diff);
    for (unsigned i = 0; i < 2; i++) {
        mp_image_free(image[i]);
        image[i] = made_image(&made[i]);
    }
    cr_assert_eq(mp_diff_make(image[0], image[1], options, &diff), 0);
}

static struct mp_region_site *site(unsigned of, size_t number)
{
    return made_record(&made[of], MP_SECTION_SITES, number);
}

static struct mp_region_process *process(unsigned of)
{
    return made_record(&made[of], MP_SECTION_PROCESS, 0);
}

/* Blocks of a component and class, counted in the second region. */
static void count(size_t component, size_t number, uint64_t blocks, uint64_t bytes)
{
    struct mp_region_component *c =
        made_record(&made[1], MP_SECTION_COMPONENTS, component);
    struct mp_region_totals *t = made_record(&made[1], MP_SECTION_TOTALS, 0);

    if (component
        == 0) { /* the only row of counters that the small shape has room for */
        struct mp_region_cell *k = made_record(&made[1], MP_SECTION_COUNTERS, number);

        k->allocated_blocks_total += blocks;
        k->allocated_bytes_total += bytes;
    }
    c->allocated_blocks_total += blocks;
    c->allocated_bytes_total += bytes;
    c->live_blocks += blocks;
    c->live_bytes += bytes;
    t->allocated_blocks_total += blocks;
    t->allocated_bytes_total += bytes;
    t->live_blocks += blocks;
    t->live_bytes += bytes;
    t->published_total++;
}

static const struct mp_difference *row_of(
    enum mp_diff_by by, unsigned side, uint32_t number)
{
    for (size_t i = 0; i < mp_diff_count(diff, by); i++) {
        if (mp_diff_at(diff, by, i)->number[side] == number) {
            return mp_diff_at(diff, by, i);
        }
    }
    return NULL;
}

static void check_sums(void)
{
    for (unsigned by = 0; by < MP_DIFF_BYS; by++) {
        for (unsigned f = 0; f < MP_DIFF_PEAK_BYTES; f++) {
            double sum = 0;

            for (size_t i = 0; i < mp_diff_count(diff, (enum mp_diff_by)by); i++) {
                sum += mp_diff_at(diff, (enum mp_diff_by)by, i)->figure[f].change;
            }
            cr_assert(fabs(sum - mp_diff_total(diff)->figure[f].change) < 2,
                "by %u, figure %u: %f", by, f, sum);
        }
    }
}

Test(stats_diff, an_image_does_not_differ_from_itself)
{
    compare(NULL);
    cr_assert_eq(mp_diff_flags(diff), MP_DIFF_SAME_RUN);
    for (unsigned by = 0; by < MP_DIFF_BYS; by++) {
        for (size_t i = 0; i < mp_diff_count(diff, (enum mp_diff_by)by); i++) {
            const struct mp_difference *r = mp_diff_at(diff, (enum mp_diff_by)by, i);

            cr_assert_not(r->is_significant);
            for (unsigned f = 0; f < MP_DIFF_PEAK_BYTES; f++) {
                cr_assert(r->figure[f].change == 0, "by %u, row %zu, figure %u: %f", by,
                    i, f, r->figure[f].change);
            }
        }
    }
    cr_assert(mp_diff_drift(diff, NULL, NULL) == 0);
}

Test(stats_diff, counters_differ_exactly)
{
    count(4, 7, 10, 1280);
    compare(NULL);
    check_sums();
    cr_assert(mp_diff_total(diff)->figure[MP_DIFF_LIVE_BYTES].change == 1280);
    cr_assert(mp_diff_total(diff)->figure[MP_DIFF_ALLOCATED_BLOCKS].change == 10);
    cr_assert_eq(mp_diff_at(diff, MP_DIFF_COMPONENT, 0)->number[0], 4);
    cr_assert(mp_diff_at(diff, MP_DIFF_COMPONENT, 0)->is_significant);
    cr_assert_not(mp_diff_at(diff, MP_DIFF_COMPONENT, 1)->is_significant);
    cr_assert(fabs(mp_diff_drift(diff, NULL, NULL) - 1280.0 / 80640) < 1e-9);
}

Test(stats_diff, what_lived_through_both_blurs_nothing)
{
    static const struct made_samples grown = {64, 60, MAKE_INTERVAL, 3, 0, 0};
    const struct mp_difference *r;
    double weight = 64 / (1 - exp(-64.0 / MAKE_INTERVAL));

    made_add_samples(site(1, 1), &grown);
    count(0, 3, 192, 12288);
    compare(NULL);
    check_sums();
    r = row_of(MP_DIFF_SITE, 0, 1);
    cr_assert_eq(r->number[1], 1);
    cr_assert(fabs(r->figure[MP_DIFF_LIVE_BYTES].change - 3 * weight) < 1e-6);
    /* Unlisted ones of both: 3 each, and the 3 that came. */
    cr_assert_eq(r->samples, 3 + 6);
    /* All of its samples are listed, and in both. */
    cr_assert(row_of(MP_DIFF_SITE, 0, 4)->figure[MP_DIFF_LIVE_BYTES].high == 0);
}

Test(stats_diff, components_and_stacks_that_only_one_has)
{
    struct mp_region_component *c = made_record(&made[1], MP_SECTION_COMPONENTS, 4);
    const struct mp_difference *gone;
    const struct mp_difference *come;

    strcpy(c->name, "search");
    memset(process(1)->run_id, 1, 16);
    compare(NULL);
    check_sums();
    cr_assert_eq(mp_diff_flags(diff), 0);
    gone = row_of(MP_DIFF_COMPONENT, 0, 4);
    come = row_of(MP_DIFF_COMPONENT, 1, 4);
    cr_assert_eq(gone->number[1], UINT32_MAX);
    cr_assert(gone->figure[MP_DIFF_LIVE_BYTES].change
              == -come->figure[MP_DIFF_LIVE_BYTES].change);
    /* Site 3 is of that component: it is another one. */
    cr_assert_eq(row_of(MP_DIFF_SITE, 0, 3)->number[1], UINT32_MAX);
    cr_assert_eq(row_of(MP_DIFF_SITE, 1, 3)->number[0], UINT32_MAX);
    cr_assert_eq(row_of(MP_DIFF_SITE, 0, 1)->number[1], 1);
}

Test(stats_diff, stacks_of_another_build_are_matched_by_the_keys_given)
{
    uint64_t key[MAKE_SITES] = {0, 11, 12, 13, 14};
    uint64_t turned[MAKE_SITES] = {0, 12, 11, 13, 14};
    struct mp_diff_options o = {.key = {key, key}};

    memset(process(1)->run_id, 1, 16);
    process(1)->build_id[0]++;
    ((struct mp_region_module *)made_record(&made[1], MP_SECTION_MODULES, 0))
        ->build_id[0]++;
    compare(NULL);
    cr_assert_eq(mp_diff_flags(diff), MP_DIFF_OTHER_BUILD);
    cr_assert_eq(row_of(MP_DIFF_SITE, 0, 1)->number[1], UINT32_MAX);
    compare(&o);
    check_sums();
    cr_assert_eq(row_of(MP_DIFF_SITE, 0, 1)->number[1], 1);
    cr_assert_not(row_of(MP_DIFF_SITE, 0, 1)->is_significant);
    o.key[1] = turned;
    compare(&o);
    cr_assert_eq(row_of(MP_DIFF_SITE, 0, 1)->number[1], 2);
}

Test(stats_diff, what_hinders_a_comparison_is_said)
{
    struct mp_region_sampling *g = made_record(&made[1], MP_SECTION_SAMPLING, 0);
    struct mp_region_totals *t = made_record(&made[1], MP_SECTION_TOTALS, 0);

    t->published_total--;
    compare(NULL);
    cr_assert_eq(mp_diff_flags(diff), MP_DIFF_SAME_RUN | MP_DIFF_BACKWARDS);
    memset(process(1)->run_id, 1, 16);
    strcpy(process(1)->exe, "/usr/bin/other");
    g->interval_bytes = 8192;
    process(1)->state = MP_STATE_EXITED;
    compare(NULL);
    cr_assert_eq(mp_diff_flags(diff),
        MP_DIFF_OTHER_PROGRAM | MP_DIFF_OTHER_RATE | MP_DIFF_OTHER_MOMENT);
    g->interval_bytes = MP_SAMPLING_OFF;
    g->allocated_total = 0;
    compare(NULL);
    cr_assert((mp_diff_flags(diff) & MP_DIFF_NO_STACKS) != 0);
    cr_assert_gt(mp_diff_count(diff, MP_DIFF_COMPONENT), 0);
}

/* ---- the test of differences ---- */

static struct tally of(double bytes, double interval, uint64_t samples)
{
    struct tally t = {0};

    tally_add(&t, bytes, interval, samples);
    return t;
}

static double p_of(uint64_t gone, uint64_t come, double interval)
{
    struct tally a = of(1, 1e6, gone);
    struct tally b = of(1, interval, come);

    return estimate_p(&a, &b, 1e6, interval);
}

/* By the binomial law. */
Test(stats_diff, p_of_few_samples_is_exact)
{
    cr_assert(fabs(p_of(0, 5, 1e6) - 2 * pow(0.5, 5)) < 1e-5);
    cr_assert(fabs(p_of(2, 10, 1e6) - 2 * 79 / 4096.0) < 1e-5);
    cr_assert(fabs(p_of(10, 2, 1e6) - 2 * 79 / 4096.0) < 1e-5);
    cr_assert(p_of(4, 4, 1e6) == 1);
    cr_assert(p_of(0, 1, 1e6) > 0.99999);
    /* At half the interval there are twice as many samples: 2 in 3 are of that. */
    cr_assert(fabs(p_of(0, 6, 0.5e6) - 2 * pow(2 / 3.0, 6)) < 1e-5);
    /* Where all was recorded a difference is a difference. */
    cr_assert(estimate_p(&(struct tally){.samples = 1, .bytes = {100, 0, 0}},
                  &(struct tally){.samples = 1, .bytes = {101, 0, 0}}, 0, 0)
              == 0);
}

static uint64_t state = 88172645463325252u;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)((state >> 11) + 1) / 9007199254740993.0;
}

static uint64_t draw(double count, double bytes, double interval)
{
    uint64_t n = 0;

    for (double at = -log(uniform()) * interval / bytes; at < count; n++) {
        at += -log(uniform()) * interval / bytes;
    }
    return n;
}

/* How often `a` and `b` blocks of so many bytes are told apart at 5 %. */
static double told_apart(double a, double b, double bytes, double r, double s)
{
    enum { TRIALS = 4000 };
    unsigned told = 0;

    for (unsigned i = 0; i < TRIALS; i++) {
        struct tally gone = of(bytes, r, draw(a, bytes, r));
        struct tally come = of(bytes, s, draw(b, bytes, s));

        told += estimate_p(&gone, &come, r, s) <= 0.05;
    }
    return told / (double)TRIALS;
}

Test(stats_diff, noise_is_called_a_change_in_at_most_one_of_twenty)
{
    static const double expected[] = {1, 2, 5, 10, 20, 50, 200};
    double r = 524288;

    for (unsigned i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
        double n = expected[i] * r / 64;

        cr_expect(told_apart(n, n, 64, r, r) <= 0.055, "%g samples: %f", expected[i],
            told_apart(n, n, 64, r, r));
        cr_expect(told_apart(n, n, 64, r, r / 4) <= 0.055, "%g samples, another R: %f",
            expected[i], told_apart(n, n, 64, r, r / 4));
    }
}

Test(stats_diff, changes_are_found)
{
    double r = 524288;
    double n = 100 * r / 64;

    cr_expect(told_apart(n, 2 * n, 64, r, r) > 0.99);
    cr_expect(told_apart(n, 1.5 * n, 64, r, r) > 0.85);
    cr_expect(told_apart(0, n / 10, 64, r, r) > 0.85);
}
