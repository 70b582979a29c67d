/* What stacks hold: adds up to the counters, and the truth is in the intervals. */
#include "made_image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct made made;
static mp_image_t *image;
static mp_estimates_t *estimates;

static void make(void)
{
    make_region(&made, &make_small);
}

static void unmake(void)
{
    mp_estimates_free(estimates);
    mp_image_free(image);
    make_region_free(&made);
}

TestSuite(stats_estimates, .init = make, .fini = unmake);

static struct mp_region_sampling *sampling(void)
{
    return made_record(&made, MP_SECTION_SAMPLING, 0);
}

static struct mp_region_site *site(size_t number)
{
    return made_record(&made, MP_SECTION_SITES, number);
}

static struct mp_region_cell *cell(size_t number)
{
    return made_record(&made, MP_SECTION_COUNTERS, number);
}

static void judge(const uint32_t *group, size_t group_count)
{
    mp_estimates_free(estimates);
    mp_image_free(image);
    image = made_image(&made);
    cr_assert_eq(mp_estimates_make(image, group, group_count, &estimates), 0);
}

static const struct mp_figures *of(size_t number)
{
    return mp_estimates_group(estimates, number);
}

static void expect_order(const struct mp_figures *f)
{
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        cr_assert_leq(f->low[i], f->value[i], "%u", i);
        cr_assert_leq(f->value[i], f->high[i], "%u", i);
    }
    for (unsigned unit = 0; unit < 2; unit++) {
        cr_assert_leq(
            f->value[MP_LIVE_BLOCKS + unit], f->value[MP_ALLOCATED_BLOCKS + unit]);
        cr_assert_leq(f->value[MP_SHORT_BLOCKS + unit],
            f->value[MP_ALLOCATED_BLOCKS + unit] - f->value[MP_LIVE_BLOCKS + unit]);
    }
    cr_assert_leq(f->requested, f->value[MP_ALLOCATED_BYTES]);
}

/* Of one cell: the groups that are given, and the rest. */
static void expect_sum(size_t row, size_t number, const size_t *groups, size_t count)
{
    const struct mp_region_cell *c = mp_image_cell(image, row, number);
    uint64_t sum[MP_FIGURES] = {0};
    struct mp_figures rest;

    mp_estimates_rest(estimates, row, number, &rest);
    expect_order(&rest);
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        sum[i] = rest.value[i];
        for (size_t n = 0; n < count; n++) {
            sum[i] += of(groups[n])->value[i];
        }
    }
    for (size_t n = 0; n < count; n++) {
        expect_order(of(groups[n]));
    }
    cr_assert_eq(sum[MP_ALLOCATED_BLOCKS], c->allocated_blocks_total);
    cr_assert_eq(sum[MP_ALLOCATED_BYTES], c->allocated_bytes_total);
    cr_assert_eq(
        sum[MP_LIVE_BLOCKS], c->allocated_blocks_total - c->freed_blocks_total);
    cr_assert_eq(sum[MP_LIVE_BYTES], c->allocated_bytes_total - c->freed_bytes_total);
}

Test(stats_estimates, what_is_counted_is_shared_out_by_the_samples)
{
    const struct mp_figures *f;

    /* 2,304 live bytes of 64: five samples of site 1 and one of site 2 */
    judge(NULL, 0);
    expect_sum(0, 3, (size_t[]){1, 2}, 2);
    f = of(1);
    cr_assert_eq(f->value[MP_LIVE_BYTES], 1920);
    cr_assert_eq(f->value[MP_LIVE_BLOCKS], 30);
    cr_assert_gt(f->low[MP_LIVE_BYTES], 300);
    cr_assert_lt(f->low[MP_LIVE_BYTES], 830, "of Clopper and Pearson, for 5 of 6");
    cr_assert_leq(f->high[MP_LIVE_BYTES], 2304, "no more than there is");
    cr_assert_eq(f->samples, 6);
    cr_assert_eq(f->live_samples, 5);
    cr_assert_eq(f->first_ns, 1700000000000000001u);
    cr_assert_eq(of(2)->value[MP_LIVE_BYTES], 384);
    expect_sum(0, 7, NULL, 0); /* nothing was sampled */
    cr_assert_null(of(MAKE_SITES));
}

Test(stats_estimates, few_samples_are_not_calibrated_but_fit)
{
    struct mp_figures rest;

    /* two samples were freed, of one each: some 4,160 bytes where 1,536 were freed */
    judge(NULL, 0);
    cr_assert_eq(of(1)->value[MP_ALLOCATED_BYTES] - 1920, 768);
    cr_assert_eq(of(2)->value[MP_ALLOCATED_BYTES] - 384, 768);
    cell(3)->freed_bytes_total =
        1000000; /* and where there is more, no more than they say */
    cell(3)->freed_blocks_total = 15625;
    cell(3)->allocated_bytes_total = 1000000 + 2304;
    cell(3)->allocated_blocks_total = 15625 + 36;
    judge(NULL, 0);
    expect_sum(0, 3, (size_t[]){1, 2}, 2);
    cr_assert_eq(of(1)->value[MP_ALLOCATED_BYTES] - 1920, 4128);
    mp_estimates_rest(estimates, 0, 3, &rest);
    cr_assert_eq(rest.value[MP_LIVE_BYTES], 0);
    cr_assert_eq(rest.value[MP_ALLOCATED_BYTES], 1000000 - 2 * 4128);
    cr_assert_lt(rest.low[MP_ALLOCATED_BYTES], rest.value[MP_ALLOCATED_BYTES]);
    cr_assert_gt(rest.high[MP_ALLOCATED_BYTES], rest.value[MP_ALLOCATED_BYTES]);
}

Test(stats_estimates, without_a_counter_they_are_plain)
{
    double weight = 1 / (1 - exp(-128.0 / MAKE_INTERVAL));

    judge(NULL, 0);
    /* three sampled, one freed, and the row of component 4 is not in the region */
    cr_assert_eq(of(3)->value[MP_LIVE_BLOCKS], (uint64_t)(2 * weight + 0.5));
    cr_assert_eq(of(3)->value[MP_LIVE_BYTES], (uint64_t)(2 * weight * 128 + 0.5));
    expect_order(of(3));
}

/* A quarter of what is live by the samples: it is kept back, and nothing counts twice. */
Test(stats_estimates, what_is_in_overflow_is_in_the_rests)
{
    struct made_samples what = {64, 64, MAKE_INTERVAL, 2, 0, 0};
    struct mp_figures rest;

    memset(site(3), 0, sizeof(*site(3)));
    memset(site(4), 0, sizeof(*site(4)));
    made_add_samples(site(0), &what);
    site(0)->peak_number = 0;
    judge(NULL, 0);
    expect_sum(0, 3, (size_t[]){0, 1, 2}, 3);
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES], 1920 * 3 / 4);
    cr_assert_eq(of(2)->value[MP_LIVE_BYTES], 384 * 3 / 4);
    mp_estimates_rest(estimates, 0, 3, &rest);
    cr_assert_eq(rest.value[MP_LIVE_BYTES], 2304 / 4);
    cr_assert_lt(rest.low[MP_LIVE_BYTES], 2304 / 4);
    cr_assert_gt(rest.high[MP_LIVE_BYTES], 2304 / 4);
    cr_assert_eq(of(0)->value[MP_LIVE_BYTES], 0);
    cr_assert_eq(of(0)->samples, 2);
    cr_assert_gt(of(0)->value[MP_PEAK_BYTES], 8000);
}

static struct mp_region_totals *totals(void)
{
    return made_record(&made, MP_SECTION_TOTALS, 0);
}

Test(stats_estimates, peaks_that_are_older_are_what_is_live)
{
    double weight = 1 / (1 - exp(-64.0 / MAKE_INTERVAL));

    cell(3)->live_peak_bytes = totals()->live_peak_bytes = 1u << 30; /* no bound */
    sampling()->peak_bytes = 1u << 30;
    judge(NULL, 0);
    cr_assert_eq(of(1)->value[MP_PEAK_BLOCKS], (uint64_t)(6 * weight + 0.5));
    cr_assert_eq(of(2)->value[MP_PEAK_BLOCKS], (uint64_t)(1 * weight + 0.5));
    expect_order(of(2));
}

/* The same figures in mpalloc leaks and in mpalloc report. */
Test(stats_estimates, verdicts_say_the_same)
{
    mp_verdicts_t *verdicts;
    unsigned found = 0;

    judge(NULL, 0);
    cr_assert_eq(mp_verdicts_make(image, NULL, &verdicts), 0);
    for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);
        uint64_t sum = 0;

        for (size_t k = 0; k < v->site_count && v->sites[0] != 0; k++) {
            sum += of(v->sites[k])->value[MP_LIVE_BYTES];
        }
        if (v->sites[0] != 0) {
            cr_assert_eq(v->live_bytes.value, (double)sum);
            cr_assert_leq(v->live_bytes.low, v->live_bytes.value);
            cr_assert_leq(v->live_bytes.value, v->live_bytes.high);
            found++;
        }
        if (v->site_count == 1 && v->sites[0] == 1) {
            cr_assert_eq(v->live_bytes.high, (double)of(1)->high[MP_LIVE_BYTES]);
            cr_assert_leq(v->live_bytes.high, 2304, "no more than is counted");
        }
    }
    cr_assert_geq(found, 3);
    mp_verdicts_free(verdicts);
}

static uint64_t sum_of_peaks(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < MAKE_SITES; i++) {
        expect_order(of(i));
        cr_assert_leq(of(i)->peak_requested, of(i)->value[MP_PEAK_BYTES]);
        sum += of(i)->value[MP_PEAK_BYTES];
    }
    return sum;
}

/* Seven samples of 64 bytes, each of which stands for R: counters saw 3,000 bytes at most. */
Test(stats_estimates, peaks_are_no_higher_than_counters_saw)
{
    double share;

    sampling()->peak_bytes = 48 << 20;
    totals()->live_peak_bytes = 1u << 30;
    cell(3)->live_peak_bytes = 3000;
    judge(NULL, 0);
    cr_assert_geq(of(1)->value[MP_PEAK_BYTES] + of(2)->value[MP_PEAK_BYTES], 2999);
    cr_assert_leq(of(1)->value[MP_PEAK_BYTES] + of(2)->value[MP_PEAK_BYTES], 3000);
    share = (double)of(1)->value[MP_PEAK_BYTES] / 3000;
    cr_assert(fabs(share - 6.0 / 7) < 0.01, "%g", share);
    cr_assert_leq(of(1)->high[MP_PEAK_BYTES], 3000);
    cr_assert(fabs((double)of(1)->value[MP_PEAK_BLOCKS] - 3000.0 / 64 * 6 / 7) < 1.01);
    totals()->live_peak_bytes = 2000;
    judge(NULL, 0);
    cr_assert_leq(sum_of_peaks(), 2000);
    cr_assert_geq(sum_of_peaks(), 2000 - MAKE_SITES);
    cr_assert_leq(of(1)->high[MP_PEAK_BYTES], 2000);
    cr_assert_eq(mp_image_peak_bytes(image), 2000);
    sampling()->peak_bytes = 1500; /* the stacks are of a moment before */
    judge(NULL, 0);
    cr_assert_leq(sum_of_peaks(), 1500);
    cr_assert_geq(sum_of_peaks(), 1500 - MAKE_SITES);
    cr_assert_eq(mp_image_peak_bytes(image), 1500);
}

Test(stats_estimates, peaks_that_counters_do_not_know_are_plain)
{
    uint64_t plain;

    cell(3)->live_peak_bytes = totals()->live_peak_bytes = 1u << 30;
    sampling()->peak_bytes = 48 << 20;
    judge(NULL, 0);
    plain = sum_of_peaks();
    cell(3)->live_peak_bytes = totals()->live_peak_bytes = 2000;
    sampling()->peak_ns = totals()->published_ns + 1;
    judge(NULL, 0);
    cr_assert_eq(sum_of_peaks(), plain);
    cr_assert_eq(mp_image_peak_bytes(image), 48 << 20);
    sampling()->peak_ns = totals()->published_ns;
    sampling()->interval_bytes = MP_SAMPLING_EXACT;
    sampling()->changes_total = 0;
    judge(NULL, 0);
    cr_assert_eq(mp_image_peak_bytes(image), 48 << 20);
    cr_assert_gt(sum_of_peaks(), 2000);
}

Test(stats_estimates, those_of_a_group_are_one)
{
    static const uint32_t one[MAKE_SITES] = {0, 1, 1, 2, 3};

    judge(one, 4);
    expect_sum(0, 3, (size_t[]){1}, 1);
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES], 2304);
    cr_assert_lt(of(1)->low[MP_LIVE_BYTES], 2304, "there may be others");
    cr_assert_eq(of(1)->high[MP_LIVE_BYTES], 2304, "but not more than is counted");
    cr_assert_eq(of(1)->samples, 8);
    cr_assert_eq(of(2)->samples, 3);
}

Test(stats_estimates, young_deaths_are_a_part_of_what_was_freed)
{
    judge(NULL, 0);
    cr_assert_gt(of(1)->value[MP_SHORT_BYTES], 0); /* 100 us */
    cr_assert_eq(of(2)->value[MP_SHORT_BYTES], 0); /* 20 ms */
    cr_assert(fabs(of(2)->lifetime_s - 0.02 * 12) < 1e-6, "%g", of(2)->lifetime_s);
}

Test(stats_estimates, what_was_recorded_exactly_is_exact)
{
    static const struct made_samples what = {64, 60, 0, 36 + 23, 23, 100};
    struct mp_figures rest;

    sampling()->interval_bytes = MP_SAMPLING_EXACT;
    memset(site(1), 0, sizeof(*site(1)));
    memset(site(2), 0, sizeof(*site(2)));
    site(1)->class_number = 3;
    made_add_samples(site(1), &what);
    judge(NULL, 0);
    expect_sum(0, 3, (size_t[]){1, 2}, 2);
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        cr_assert_eq(of(1)->low[i], of(1)->value[i]);
        cr_assert_eq(of(1)->high[i], of(1)->value[i]);
    }
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES], 36 * 64);
    cr_assert_eq(of(1)->value[MP_SHORT_BLOCKS], 23);
    cr_assert_eq(of(1)->requested, 59 * 60);
    mp_estimates_rest(estimates, 0, 3, &rest); /* one was freed that nobody saw */
    cr_assert_eq(rest.value[MP_ALLOCATED_BYTES], 64);
    cr_assert_eq(rest.low[MP_ALLOCATED_BYTES], 64);
    cr_assert_eq(rest.high[MP_ALLOCATED_BYTES], 64);
    cell(3)->allocated_bytes_total = 2000; /* read a moment before the samples */
    cell(3)->freed_bytes_total = 0;
    judge(NULL, 0);
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES], 36 * 64, "what was recorded is so");
    cr_assert_eq(of(1)->high[MP_LIVE_BYTES], 36 * 64);
    mp_estimates_rest(estimates, 0, 3, &rest);
    cr_assert_eq(rest.value[MP_LIVE_BYTES], 0);
}

/* ---- newer than the counters ---- */

static struct mp_since since(void)
{
    struct mp_since r;

    mp_image_since(image, &r);
    return r;
}

Test(stats_estimates, exact_stacks_that_are_newer_than_counters_are_what_they_are)
{
    static const struct made_samples before = {64, 60, 0, 50, 20, 100};
    static const struct made_samples after = {64, 60, 0, 100, 110, 100};
    struct mp_figures rest;

    sampling()->interval_bytes = MP_SAMPLING_EXACT;
    memset(site(1), 0, sizeof(*site(1)));
    memset(site(2), 0, sizeof(*site(2)));
    site(1)->class_number = 3;
    made_add_samples(site(1), &before);
    made_count_now(&made, site(1));
    made_add_samples(site(1), &after);
    *cell(3) = (struct mp_region_cell){53, 21, 53 * 64, 21 * 64, 0, 0};
    judge(NULL, 0);
    cr_assert_eq(of(1)->value[MP_LIVE_BLOCKS], 20);
    cr_assert_eq(of(1)->value[MP_ALLOCATED_BYTES], 150 * 64);
    cr_assert_eq(of(1)->value[MP_SHORT_BLOCKS], 130);
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        cr_assert_eq(of(1)->low[i], of(1)->value[i]);
        cr_assert_eq(of(1)->high[i], of(1)->value[i]);
    }
    mp_estimates_rest(
        estimates, 0, 3, &rest); /* three nobody saw, of which one was freed */
    cr_assert_eq(rest.value[MP_LIVE_BLOCKS], 2);
    cr_assert_eq(rest.value[MP_ALLOCATED_BLOCKS], 3);
    cr_assert_eq(since().allocated_samples, 100);
    cr_assert_eq(since().freed_bytes, 110 * 64);
}

Test(stats_estimates, sites_that_the_counters_do_not_know_are_shown)
{
    static const struct made_samples what = {64, 60, 0, 36, 0, 100};

    sampling()->interval_bytes = MP_SAMPLING_EXACT;
    memset(site(1), 0, sizeof(*site(1)));
    memset(site(2), 0, sizeof(*site(2)));
    memset(cell(3), 0, sizeof(*cell(3)));
    site(1)->class_number = 3;
    made_count_now(&made, site(1));
    made_add_samples(site(1), &what);
    judge(NULL, 0);
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES], 36 * 64);
    site(1)->counted_number = 0; /* of an older publication: these counters know it */
    judge(NULL, 0);
    cr_assert_eq(since().allocated_samples, 0);
}

Test(stats_estimates, what_came_after_the_counters_is_added_to_what_they_say)
{
    struct made_samples more = {64, 64, MAKE_INTERVAL, 12, 4, 100};
    double weight = 64 / (1 - exp(-64.0 / MAKE_INTERVAL));
    struct mp_figures then[3];
    struct mp_figures rest;

    judge(NULL, 0);
    then[1] = *of(1);
    then[2] = *of(2);
    made_count_now(&made, site(1));
    made_add_samples(site(1), &more);
    judge(NULL, 0);
    expect_order(of(1));
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES],
        then[1].value[MP_LIVE_BYTES] + (uint64_t)(8 * weight + 0.5));
    cr_assert_eq(of(1)->value[MP_ALLOCATED_BYTES], then[1].value[MP_ALLOCATED_BYTES]
                                                       + (uint64_t)(8 * weight + 0.5)
                                                       + (uint64_t)(4 * weight + 0.5));
    cr_assert_gt(of(1)->high[MP_LIVE_BYTES],
        then[1].value[MP_LIVE_BYTES] + (uint64_t)(12 * weight));
    cr_assert_eq(memcmp(of(2), &then[2], sizeof(then[2])), 0, "nothing came to it");
    mp_estimates_rest(estimates, 0, 3, &rest);
    cr_assert_eq(rest.value[MP_LIVE_BYTES], 0);
    cr_assert_eq(since().allocated_samples, 12);
    cr_assert_eq(since().freed_samples, 4);
}

Test(stats_estimates, what_was_freed_after_the_counters_keeps_its_share)
{
    struct made_samples freed = {64, 64, MAKE_INTERVAL, 0, 4, 100};
    struct mp_figures then;

    judge(NULL, 0);
    then = *of(1);
    made_count_now(&made, site(1));
    made_add_samples(site(1), &freed); /* four of five that were live */
    judge(NULL, 0);
    expect_order(of(1));
    cr_assert_eq(of(1)->value[MP_LIVE_BYTES], then.value[MP_LIVE_BYTES] / 5);
    cr_assert_eq(of(1)->value[MP_ALLOCATED_BYTES], then.value[MP_ALLOCATED_BYTES]);
    cr_assert_gt(of(1)->high[MP_LIVE_BYTES], then.value[MP_LIVE_BYTES] / 4);
}

Test(stats_estimates, what_came_to_overflow_after_the_counters_is_its_own)
{
    struct made_samples what = {64, 64, MAKE_INTERVAL, 2, 0, 0};
    double weight = 64 / (1 - exp(-64.0 / MAKE_INTERVAL));

    made_add_samples(site(0), &what);
    site(0)->peak_number = 0;
    made_count_now(&made, site(0));
    made_add_samples(site(0), &what);
    judge(NULL, 0);
    expect_sum(0, 3, (size_t[]){1, 2}, 2);
    cr_assert_eq(of(0)->value[MP_LIVE_BYTES], (uint64_t)(2 * weight + 0.5));
    expect_order(of(0));
}

/* ---- against the truth ---- */

static uint64_t state;

static double uniform(void) /* in (0, 1] */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)((state >> 11) + 1) / 9007199254740992.0;
}

static unsigned draw(unsigned count, double bytes)
{
    unsigned sampled = 0;

    for (double at = 0;; at++, sampled++) {
        at += floor(-log(uniform()) * MAKE_INTERVAL / bytes);
        if (at >= count) {
            return sampled;
        }
    }
}

/* Three stacks of one class; of each so many blocks live on and so many were freed. */
enum { STACKS = 3, TRIALS = 1500, BYTES = 64 };
static const unsigned live[STACKS] = {4000, 600, 100};
static const unsigned freed[STACKS] = {1000, 9000, 50};

static void draw_all(void)
{
    for (unsigned i = 0; i < STACKS; i++) {
        unsigned survivors = draw(live[i], BYTES);
        unsigned gone = draw(freed[i], BYTES);
        struct made_samples what = {
            BYTES, BYTES, MAKE_INTERVAL, survivors + gone, gone, 100};

        memset(site(i + 1), 0, sizeof(*site(1)));
        site(i + 1)->class_number = 3;
        made_add_samples(site(i + 1), &what);
    }
}

Test(stats_estimates, the_truth_is_in_95_of_100_intervals)
{
    unsigned covered[STACKS][MP_FIGURES] = {{0}};
    unsigned calm = 0;

    state = 0x9e3779b97f4a7c15u;
    memset(site(4), 0, sizeof(*site(4)));
    *cell(3) =
        (struct mp_region_cell){14750, 10050, 14750 * BYTES, 10050 * BYTES, 0, 0};
    for (unsigned n = 0; n < TRIALS; n++) {
        draw_all();
        judge(NULL, 0);
        expect_sum(0, 3, (size_t[]){1, 2, 3}, 3);
        for (unsigned i = 0; i < STACKS; i++) {
            const struct mp_figures *f = of(i + 1);
            uint64_t truth[MP_FIGURES] = {[MP_LIVE_BLOCKS] = live[i],
                [MP_LIVE_BYTES] = live[i] * BYTES,
                [MP_ALLOCATED_BLOCKS] = live[i] + freed[i],
                [MP_ALLOCATED_BYTES] = (live[i] + freed[i]) * BYTES,
                [MP_SHORT_BLOCKS] = freed[i],
                [MP_SHORT_BYTES] = freed[i] * BYTES};

            for (unsigned k = 0; k < MP_FIGURES; k++) {
                covered[i][k] += f->samples == 0
                                 || (f->low[k] <= truth[k] && truth[k] <= f->high[k]);
            }
            calm += f->samples > 0;
        }
    }
    for (unsigned i = 0; i < STACKS; i++) {
        printf("%5u live, %5u freed: covered live %.1f %%, allocated %.1f %%, short "
               "%.1f %%\n",
            live[i], freed[i], 100.0 * covered[i][MP_LIVE_BYTES] / TRIALS,
            100.0 * covered[i][MP_ALLOCATED_BYTES] / TRIALS,
            100.0 * covered[i][MP_SHORT_BYTES] / TRIALS);
        for (unsigned k = 0; k < MP_FIGURES; k++) {
            if (k != MP_PEAK_BLOCKS && k != MP_PEAK_BYTES) {
                cr_assert_geq(
                    covered[i][k], 0.93 * TRIALS, "stack %u, figure %u", i, k);
            }
        }
    }
    cr_assert_gt(calm, 0.9 * STACKS * TRIALS);
}

/*
 * Half of what lives was allocated before the counters were published, and half of what was
 * freed; of what was live then a tenth is freed by now.
 */
static void draw_newer(unsigned i)
{
    unsigned old = live[i] / 2;
    unsigned dying = old / 10;
    unsigned gone = draw(freed[i] / 2, BYTES);
    unsigned survivors = draw(old, BYTES);
    unsigned dead = draw(dying, BYTES);
    struct made_samples before = {
        BYTES, BYTES, MAKE_INTERVAL, survivors + dead + gone, gone, 100};
    unsigned new_gone = draw(freed[i] - freed[i] / 2 - dying, BYTES);
    unsigned new_live = draw(live[i] - old, BYTES);
    struct made_samples after = {
        BYTES, BYTES, MAKE_INTERVAL, new_live + new_gone, new_gone + dead, 100};

    memset(site(i + 1), 0, sizeof(*site(1)));
    site(i + 1)->class_number = 3;
    made_add_samples(site(i + 1), &before);
    made_count_now(&made, site(i + 1));
    made_add_samples(site(i + 1), &after);
}

static void count_before(struct mp_region_cell *c)
{
    *c = (struct mp_region_cell){0};
    for (unsigned i = 0; i < STACKS; i++) {
        c->freed_blocks_total += freed[i] / 2;
        c->allocated_blocks_total += freed[i] / 2 + live[i] / 2 + live[i] / 2 / 10;
    }
    c->allocated_bytes_total = c->allocated_blocks_total * BYTES;
    c->freed_bytes_total = c->freed_blocks_total * BYTES;
}

Test(stats_estimates, and_so_it_is_where_stacks_are_newer_than_counters)
{
    unsigned covered[STACKS][2] = {{0}};
    double error[STACKS] = {0};

    state = 0x853c49e6748fea9bu;
    memset(site(4), 0, sizeof(*site(4)));
    count_before(cell(3));
    for (unsigned n = 0; n < TRIALS; n++) {
        for (unsigned i = 0; i < STACKS; i++) {
            draw_newer(i);
        }
        judge(NULL, 0);
        for (unsigned i = 0; i < STACKS; i++) {
            const struct mp_figures *f = of(i + 1);
            uint64_t truth[2] = {live[i] * BYTES, (live[i] + freed[i]) * BYTES};

            expect_order(f);
            covered[i][0] += f->samples == 0
                             || (f->low[MP_LIVE_BYTES] <= truth[0]
                                 && truth[0] <= f->high[MP_LIVE_BYTES]);
            covered[i][1] += f->samples == 0
                             || (f->low[MP_ALLOCATED_BYTES] <= truth[1]
                                 && truth[1] <= f->high[MP_ALLOCATED_BYTES]);
            error[i] += (double)f->value[MP_ALLOCATED_BYTES] - (double)truth[1];
        }
    }
    for (unsigned i = 0; i < STACKS; i++) {
        printf(
            "%5u live, %5u freed: covered live %.1f %%, allocated %.1f %%; allocated "
            "%+.1f %%\n",
            live[i], freed[i], 100.0 * covered[i][0] / TRIALS,
            100.0 * covered[i][1] / TRIALS,
            100 * error[i] / TRIALS / BYTES / (live[i] + freed[i]));
        cr_assert_geq(covered[i][0], 0.93 * TRIALS, "stack %u, live", i);
        cr_assert_geq(covered[i][1], 0.93 * TRIALS, "stack %u, allocated", i);
    }
}

/* ---- damage, and size ---- */

Test(stats_estimates, sums_that_make_no_sense_do_no_harm)
{
    static const double values[] = {0, 1e-320, 1e-9, 1, 3e7, 1e18, 1e40, -1, NAN};

    state = 4711;
    for (unsigned n = 0; n < 300; n++) {
        for (size_t i = 0; i < MAKE_SITES; i++) {
            double *sum = &site(i)->allocated_blocks;

            for (unsigned k = 0; k < 13; k++) {
                sum[k] = values[(size_t)(uniform() * 8.99)];
            }
            site(i)->allocated_samples = (uint64_t)(uniform() * 20);
            site(i)->peak_bytes_variance = values[(size_t)(uniform() * 8.99)];
            site(i)->lifetimes[3] = UINT32_MAX;
            site(i)->counted_number = n % 2 == 0 ? UINT64_MAX : 0;
            site(i)->counted_allocated_samples = (uint64_t)(uniform() * 20);
            for (unsigned k = 0; k < 8; k++) {
                (&site(i)->counted_allocated_blocks)[k] =
                    values[(size_t)(uniform() * 8.99)];
            }
        }
        cell(3)->allocated_bytes_total = n % 3 == 0 ? UINT64_MAX : 5;
        cell(3)->freed_blocks_total = n % 7 == 0 ? UINT64_MAX : 0;
        judge(NULL, 0);
        for (size_t i = 0; i < MAKE_SITES; i++) {
            for (unsigned k = 0; k < MP_FIGURES; k++) {
                cr_assert_leq(of(i)->low[k], of(i)->value[k], "%u %zu %u", n, i, k);
                cr_assert_leq(of(i)->value[k], of(i)->high[k], "%u %zu %u", n, i, k);
            }
        }
    }
}

Test(stats_estimates, as_many_stacks_as_there_can_be_take_seconds_at_most)
{
    struct make_shape shape = make_small;
    struct timespec from;
    struct timespec to;
    double seconds;

    shape.sites = MP_REGION_SITES_MAX;
    make_region_free(&made);
    make_region(&made, &shape);
    sampling()->site_count = shape.sites;
    *cell(3) = (struct mp_region_cell){1 << 26, 1 << 25, 1ll << 32, 1ll << 31, 0, 0};
    state = 99;
    for (size_t i = 1; i < shape.sites; i++) {
        unsigned n = (unsigned)(1 / uniform());
        struct made_samples what = {64, 60, MAKE_INTERVAL, n, n / 2, 100};

        site(i)->class_number = 3;
        made_add_samples(site(i), &what);
    }
    clock_gettime(CLOCK_MONOTONIC, &from);
    judge(NULL, 0);
    clock_gettime(CLOCK_MONOTONIC, &to);
    seconds =
        (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    printf("%d sites: %.2f s\n", MP_REGION_SITES_MAX, seconds);
    cr_assert_lt(seconds, 20);
}
