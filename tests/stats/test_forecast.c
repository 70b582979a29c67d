/* Growth of series whose growth is known, and when they reach a limit. */
#include "made_image.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>

enum { POINTS = 144, TRIALS = 2000 };

static struct mp_point points[POINTS];
static uint64_t state = 88172645463325252u;

static double uniform(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)((state >> 11) + 1) / 9007199254740993.0;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979 * uniform());
}

/* 10 minutes from point to point; `drift` per point. */
static void make(double drift, double noise, double walk, double lasting)
{
    double level = 1e6;
    double ar = 0;

    for (int i = 0; i < POINTS; i++) {
        level += drift + walk * normal();
        ar = 0.9 * ar + lasting * normal();
        points[i] = (struct mp_point){1.8e9 + 600.0 * i, level + noise * normal() + ar};
    }
}

static double coverage(double drift, double noise, double walk, double lasting)
{
    int held = 0;

    for (int i = 0; i < TRIALS; i++) {
        struct mp_forecast f;

        make(drift, noise, walk, lasting);
        cr_assert_eq(mp_forecast_make(points, POINTS, INFINITY, &f), 0);
        held += f.bytes_per_hour.low <= drift * 6 && drift * 6 <= f.bytes_per_hour.high;
    }
    return (double)held / TRIALS;
}

Test(stats_forecast, the_truth_is_in_the_interval)
{
    cr_expect(coverage(100, 0, 1000, 0) > 0.93, "walk: %f", coverage(100, 0, 1000, 0));
    cr_expect(coverage(0, 0, 1000, 0) > 0.93, "walk: %f", coverage(0, 0, 1000, 0));
    cr_expect(coverage(100, 1000, 0, 0) > 0.93);
    cr_expect(coverage(100, 0, 0, 1000) > 0.93, "AR: %f", coverage(100, 0, 0, 1000));
    cr_expect(coverage(0, 500, 500, 500) > 0.93);
}

Test(stats_forecast, growth_is_found_and_the_limit_with_it)
{
    struct mp_forecast f;

    make(1000, 2000, 0, 0);
    cr_assert_eq(mp_forecast_make(points, POINTS, 600000, &f), 0);
    cr_assert(f.grows);
    cr_assert(fabs(f.bytes_per_hour.value - 6000) < 300, "%f", f.bytes_per_hour.value);
    cr_assert(fabs(f.limit_s.value - 360000) < 18000);
    cr_assert(f.limit_s.low < f.limit_s.value && f.limit_s.value < f.limit_s.high);
    cr_assert(isfinite(f.limit_s.high));
    cr_assert_eq(mp_forecast_make(points, POINTS, -5, &f), 0);
    cr_assert(f.limit_s.value == 0);
}

Test(stats_forecast, what_is_not_sure_has_no_end)
{
    struct mp_forecast f;

    make(0, 2000, 0, 0);
    cr_assert_eq(mp_forecast_make(points, POINTS, 600000, &f), 0);
    cr_assert_not(f.grows);
    cr_assert(isinf(f.limit_s.high));
    cr_assert_eq(mp_forecast_make(points, 15, 600000, &f), -EAGAIN);
    cr_assert_eq(mp_forecast_make(points, 0, 600000, &f), -EAGAIN);
    for (int i = 0; i < POINTS; i++) {
        points[i].time_s = 5;
    }
    cr_assert_eq(mp_forecast_make(points, POINTS, 600000, &f), -EAGAIN);
}

Test(stats_forecast, gaps_do_no_harm)
{
    struct mp_forecast f;
    int used = 0;

    make(1000, 100, 0, 0);
    for (int i = 0; i < POINTS; i++) {
        if (i < 60 || i > 100) {
            points[used++] = points[i];
        }
    }
    cr_assert_eq(mp_forecast_make(points, (size_t)used, INFINITY, &f), 0);
    cr_assert(fabs(f.bytes_per_hour.value - 6000) < 100, "%f", f.bytes_per_hour.value);
    cr_assert(isinf(f.limit_s.value));
}

/* Six minutes of 1 MB, and then of 60 MB: nobody knows whether it goes on. */
Test(stats_forecast, a_step_is_no_certain_growth_and_no_certain_rest)
{
    enum { SECONDS = 360, LATE = 330 };
    struct make_shape shape = make_small;
    struct made made;
    mp_image_t *image;
    struct mp_timeline t;
    struct mp_forecast f;

    shape.moments[0] = shape.written[0] = SECONDS;
    make_region(&made, &shape);
    for (size_t i = LATE; i < SECONDS; i++) {
        struct mp_region_moment *m = made_record(&made, MP_SECTION_TIMELINE_1S, i);

        m->live_bytes = 60000000;
    }
    image = made_image(&made);
    mp_timeline_make(image, 0, &t);
    cr_assert_lt(t.bytes_per_hour.low, 0);
    cr_assert_gt(t.bytes_per_hour.value, 1e8);
    cr_assert_gt(t.bytes_per_hour.high, 5e8, "%f", t.bytes_per_hour.high);
    cr_assert_eq(mp_timeline_forecast(image, 0, 1e9, &f), 0);
    cr_assert_eq(f.bytes_per_hour.value, t.bytes_per_hour.value, "one estimate");
    cr_assert_eq(f.bytes_per_hour.low, t.bytes_per_hour.low);
    cr_assert_not(f.grows);
    mp_image_free(image);
    make_region_free(&made);
}
