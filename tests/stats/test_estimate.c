#include "estimate.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

static const double INTERVAL = 512 * KIB;

static uint64_t state;

static double uniform(void) /* in (0, 1] */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)((state >> 11) + 1) / 9007199254740992.0;
}

/* How many of `count` blocks are sampled, by the law of the allocator: gaps between samples. */
static uint64_t draw_at(uint64_t count, double bytes, double interval)
{
    uint64_t sampled = 0;

    for (double at = 0;; at++, sampled++) {
        at += floor(-log(uniform()) * interval / bytes);
        if (at >= (double)count) {
            return sampled;
        }
    }
}

static uint64_t draw(uint64_t count, double bytes)
{
    return draw_at(count, bytes, INTERVAL);
}

static bool is_near(double a, double b, double part)
{
    return fabs(a - b) <= part * fabs(b);
}

/* By tables of the chi-squared distribution: halves of its quantiles. */
Test(estimate, gamma_quantiles)
{
    cr_assert(is_near(estimate_gamma_quantile(1, 0.025), 0.025318, 1e-4));
    cr_assert(is_near(estimate_gamma_quantile(1, 0.975), 3.688879, 1e-6));
    cr_assert(is_near(estimate_gamma_quantile(5, 0.025), 1.623486, 1e-6));
    cr_assert(is_near(estimate_gamma_quantile(11, 0.975), 18.390356, 1e-6));
    cr_assert(is_near(estimate_gamma_quantile(50, 0.975), 64.780597, 1e-6));
    cr_assert(is_near(estimate_gamma_quantile(999.9, 0.975),
        estimate_gamma_quantile(1000.1, 0.975), 3e-4));
}

Test(estimate, few_samples_of_one_size_have_the_intervals_of_garwood)
{
    /* n, lower and upper limit of the mean of a Poisson count */
    static const double garwood[][3] = {{1, 0.0253, 5.5716}, {2, 0.2422, 7.2247},
        {5, 1.6235, 11.6683}, {20, 12.2165, 30.8884}};

    for (unsigned i = 0; i < sizeof(garwood) / sizeof(garwood[0]); i++) {
        struct tally t = {0};
        struct estimate e;

        tally_add(&t, 16, INTERVAL, (uint64_t)garwood[i][0]);
        e = estimate_bytes(&t, INTERVAL);
        cr_assert(is_near(e.value, garwood[i][0] * INTERVAL, 1e-3));
        cr_assert(
            is_near(e.low, garwood[i][1] * INTERVAL, 2e-3), "%g", e.low / INTERVAL);
        cr_assert(
            is_near(e.high, garwood[i][2] * INTERVAL, 2e-3), "%g", e.high / INTERVAL);
    }
}

Test(estimate, no_sample_is_less_than_three_intervals)
{
    struct tally t = {0};
    struct estimate e = estimate_bytes(&t, INTERVAL);

    cr_assert_eq(e.low, 0);
    cr_assert(is_near(e.high, 3 * INTERVAL, 0.01));
}

Test(estimate, exact_recording_is_exact)
{
    struct tally t = {0};
    struct estimate e;

    tally_add(&t, 48, 0, 1000);
    e = estimate_bytes(&t, 0);
    cr_assert_eq(e.value, 48000);
    cr_assert_eq(e.low, 48000);
    cr_assert_eq(e.high, 48000);
    cr_assert_eq(estimate_blocks(&t).value, 1000);
    cr_assert_eq(estimate_bytes(&(struct tally){0}, 0).high, 0);
}

Test(estimate, what_is_long_is_known)
{
    struct tally t = {0};
    struct estimate e;

    tally_add(&t, 64 * MIB, INTERVAL, 1);
    e = estimate_bytes(&t, INTERVAL);
    cr_assert(is_near(e.low, 64 * MIB, 1e-6));
    cr_assert(is_near(e.high, 64 * MIB, 1e-6));
}

/* A mix of sizes, with so many bytes in each. */
struct mix {
    const char *name;
    double size[4];
    double bytes[4];
};

static const struct mix mixes[] = {
    {"1 MiB of 16 B", {16}, {MIB}},
    {"3 MiB of 100 B", {112}, {3 * MIB}},
    {"10 MiB of 1 KiB", {KIB}, {10 * MIB}},
    {"100 MiB of 64 B", {64}, {100 * MIB}},
    {"4 MiB of 32 KiB", {32 * KIB}, {4 * MIB}},
    {"8 MiB of 256 KiB", {256 * KIB}, {8 * MIB}},
    {"16 MiB of 512 KiB", {512 * KIB}, {16 * MIB}},
    {"40 MiB of 1 MiB", {MIB}, {40 * MIB}},
    {"small ones and some large", {32, 512, 16 * KIB, MIB},
        {2 * MIB, 2 * MIB, MIB, 4 * MIB}},
    {"small ones among large", {48, 256 * KIB, MIB, 8 * MIB},
        {2 * MIB, 2 * MIB, 8 * MIB, 64 * MIB}},
    {"much of everything", {24 * 1.0, 400, 8 * KIB, 128 * KIB},
        {20 * MIB, 20 * MIB, 20 * MIB, 20 * MIB}},
};
enum { MIXES = sizeof(mixes) / sizeof(mixes[0]), TRIALS = 4000 };

/* One sample of the mix; what is true is left in *ret_bytes and *ret_blocks. */
static struct tally sample(const struct mix *m, double *ret_bytes, double *ret_blocks)
{
    struct tally t = {0};

    *ret_bytes = *ret_blocks = 0;
    for (unsigned i = 0; i < 4 && m->size[i] > 0; i++) {
        uint64_t count = (uint64_t)(m->bytes[i] / m->size[i]);

        tally_add(&t, m->size[i], INTERVAL, draw(count, m->size[i]));
        *ret_blocks += (double)count;
        *ret_bytes += (double)count * m->size[i];
    }
    return t;
}

Test(estimate, intervals_cover_what_is_true_in_95_of_100)
{
    state = 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < MIXES; i++) {
        unsigned covered = 0;
        unsigned covered_blocks = 0;
        double mean = 0;
        double bytes = 0;

        for (unsigned n = 0; n < TRIALS; n++) {
            double blocks;
            struct tally t = sample(&mixes[i], &bytes, &blocks);
            struct estimate e = estimate_bytes(&t, INTERVAL);
            struct estimate b = estimate_blocks(&t);

            mean += e.value / TRIALS;
            covered += e.low <= bytes && bytes <= e.high;
            covered_blocks += t.samples == 0 || (b.low <= blocks && blocks <= b.high);
        }
        printf("%-28s mean %.3f of the truth, bytes covered %.1f %%, blocks %.1f %%\n",
            mixes[i].name, mean / bytes, 100.0 * covered / TRIALS,
            100.0 * covered_blocks / TRIALS);
        cr_assert(is_near(mean, bytes, 0.04), "%s: unbiased", mixes[i].name);
        cr_assert(covered >= 0.93 * TRIALS, "%s", mixes[i].name);
        cr_assert(covered <= 0.999 * TRIALS, "%s", mixes[i].name);
        cr_assert(covered_blocks >= 0.93 * TRIALS, "%s, blocks", mixes[i].name);
    }
}

/* A site with a quarter of a class whose bytes are counted. */
Test(estimate, calibrated_ones_add_up_and_cover)
{
    static const struct mix part = {"", {64}, {8 * MIB}};
    static const struct mix rest = {"", {64}, {24 * MIB}};
    unsigned covered = 0;
    double width = 0;
    double plain_width = 0;

    state = 0xda942042e4dd58b5u;
    for (unsigned n = 0; n < TRIALS; n++) {
        double bytes;
        double blocks;
        double others;
        struct tally mine = sample(&part, &bytes, &blocks);
        struct tally theirs = sample(&rest, &others, &blocks);
        struct tally whole = mine;
        struct estimate e;
        struct estimate f;

        tally_merge(&whole, &theirs);
        e = estimate_calibrated(&mine, &whole, bytes + others, INTERVAL);
        f = estimate_calibrated(&theirs, &whole, bytes + others, INTERVAL);
        if (mine.samples > 0 && theirs.samples > 0) {
            cr_assert(is_near(e.value + f.value, bytes + others, 1e-9));
        }
        covered += e.low <= bytes && bytes <= e.high;
        width += e.high - e.low;
        f = estimate_bytes(&mine, INTERVAL);
        plain_width += f.high - f.low;
    }
    printf("calibrated: covered %.1f %%, %.2f of the width\n", 100.0 * covered / TRIALS,
        width / plain_width);
    cr_assert(covered >= 0.93 * TRIALS && covered <= 0.999 * TRIALS);
    cr_assert(width < 0.95 * plain_width);
}

/* What is live, and what was freed: so much at each of two intervals, R and `long_r` R. */
struct change {
    const char *name;
    double long_r;
    double live[2];
    double freed[2];
    double others_live[2];
    double others_freed[2];
    double width_most; /* of the mean upper limit, in what is true */
};

static struct tally sample_change(
    double long_r, const double live[2], const double freed[2])
{
    enum { BYTES = 1024 };
    double interval[2] = {INTERVAL, long_r * INTERVAL};
    struct tally t = {0};
    struct tally all = {0};

    for (unsigned i = 0; i < 2; i++) {
        uint64_t n = draw_at((uint64_t)(live[i] / BYTES), BYTES, interval[i]);

        tally_add(&t, BYTES, interval[i], n);
        tally_add(&all, BYTES, interval[i],
            n + draw_at((uint64_t)(freed[i] / BYTES), BYTES, interval[i]));
    }
    t.bytes.heaviest = all.bytes.heaviest; /* of a site it is that ever seen */
    return t;
}

/* R was longer for a while: the governor, mpalloc sample. */
Test(estimate, intervals_cover_where_the_interval_of_sampling_changed)
{
    static const struct change changes[] = {
        {"all alike", 1, {2 * MIB, 0}, {0, 0}, {30 * MIB, 0}, {0, 0}, 2.7},
        {"a burst at 32 R, all freed", 32, {5 * MIB, 0}, {0, 200 * MIB}, {20 * MIB, 0},
            {0, 0}, 2.3},
        {"the same, others too", 32, {5 * MIB, 0}, {0, 200 * MIB}, {20 * MIB, 0},
            {0, 200 * MIB}, 2.3},
        {"most of the class", 32, {5 * MIB, 0}, {0, 200 * MIB}, {2 * MIB, 0}, {0, 0},
            1.4},
        {"live at both", 8, {2 * MIB, 4 * MIB}, {0, 0}, {10 * MIB, 10 * MIB}, {0, 0},
            3.4},
        {"live at both, and freed", 8, {2 * MIB, 4 * MIB}, {50 * MIB, 50 * MIB},
            {10 * MIB, 10 * MIB}, {50 * MIB, 50 * MIB}, 3.4},
        {"much at both", 8, {20 * MIB, 40 * MIB}, {0, 0}, {100 * MIB, 100 * MIB},
            {0, 0}, 1.6},
        {"others at 8 R", 8, {10 * MIB, 0}, {0, 0}, {0, 40 * MIB}, {0, 0}, 2.7},
        {"it at 8 R", 8, {0, 20 * MIB}, {0, 0}, {40 * MIB, 0}, {0, 0}, 2.1},
    };

    state = 0x2545f4914f6cdd1du;
    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct change *c = &changes[i];
        double bytes = c->live[0] + c->live[1];
        double exact = bytes + c->others_live[0] + c->others_live[1];
        unsigned covered = 0;
        unsigned seen = 0;
        double high = 0;

        for (unsigned n = 0; n < TRIALS; n++) {
            struct tally mine = sample_change(c->long_r, c->live, c->freed);
            struct tally others =
                sample_change(c->long_r, c->others_live, c->others_freed);
            struct tally whole = mine;
            struct estimate e;

            tally_merge(&whole, &others);
            if (mine.samples > 0) {
                e = estimate_calibrated(&mine, &whole, exact, INTERVAL);
                covered += e.low <= bytes && bytes <= e.high;
                high += e.high / bytes;
                seen++;
            }
        }
        high /= seen;
        printf("%-28s covered %.1f %%, upper limit %.2f of the truth\n", c->name,
            100.0 * covered / seen, high);
        cr_assert(covered >= 0.94 * seen, "%s", c->name);
        cr_assert_lt(high, c->width_most, "%s", c->name);
    }
}

/* A part that all samples are of: what else there is, nobody saw. */
Test(estimate, all_that_was_seen_is_not_surely_all)
{
    static const struct mix part = {"", {64}, {30 * MIB}};
    static const struct mix rest = {"", {64}, {2 * MIB}};
    unsigned covered = 0;
    struct tally t = {0};
    struct estimate e;

    tally_add(&t, 64, INTERVAL, 10);
    e = estimate_calibrated(&t, &t, 4 * MIB, INTERVAL);
    cr_assert(is_near(e.value, 4 * MIB, 1e-9));
    cr_assert(is_near(e.low, (1 - 0.369) * 4 * MIB, 1e-3), "%g", e.low / MIB);
    cr_assert(is_near(e.high, 4 * MIB, 1e-9));
    t = (struct tally){0};
    tally_add(&t, 64 * MIB, INTERVAL, 10); /* but of long blocks none is missed */
    e = estimate_calibrated(&t, &t, 640 * MIB, INTERVAL);
    cr_assert(is_near(e.low, 640 * MIB, 1e-9));

    state = 0x2545f4914f6cdd1du;
    for (unsigned n = 0; n < TRIALS; n++) {
        double mine_bytes;
        double bytes;
        double blocks;
        struct tally mine = sample(&part, &mine_bytes, &blocks);
        struct tally theirs = sample(&rest, &bytes, &blocks);
        struct tally whole = mine;

        tally_merge(&whole, &theirs);
        e = estimate_calibrated(&mine, &whole, mine_bytes + bytes, INTERVAL);
        covered += e.low <= mine_bytes && mine_bytes <= e.high;
    }
    printf("most of a whole: covered %.1f %%\n", 100.0 * covered / TRIALS);
    cr_assert(covered >= 0.93 * TRIALS);
}

/* 5 MiB more are as easy to see in a large heap as alone; of no change 5 % look like one. */
Test(estimate, differences_are_tested_over_what_came_and_went)
{
    static const struct mix half = {"", {128}, {16 * MIB}};
    static const struct mix more = {"", {128}, {64 * MIB}};
    unsigned alarms = 0;
    unsigned found = 0;

    state = 0x2545f4914f6cdd1du;
    for (unsigned n = 0; n < TRIALS; n++) {
        double bytes;
        double blocks;
        struct tally gone = sample(&half, &bytes, &blocks);
        struct tally come = sample(&half, &bytes, &blocks);
        struct tally grown = sample(&more, &bytes, &blocks);

        alarms += fabs(estimate_z(&gone, &come)) > 1.96;
        found += estimate_z(&gone, &grown) > 1.96;
    }
    printf("differences: false alarms %.1f %%, found %.1f %%\n",
        100.0 * alarms / TRIALS, 100.0 * found / TRIALS);
    cr_assert(alarms <= 0.065 * TRIALS);
    cr_assert(found >= 0.95 * TRIALS);
    cr_assert_eq(estimate_z(&(struct tally){0}, &(struct tally){0}), 0);
}
