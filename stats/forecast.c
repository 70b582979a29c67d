/*
 * forecast - how fast a series grows, and when it reaches a limit
 *
 * Owns: the formula. README.md, "Forecasts".
 */
#include "trend.h"

#include <errno.h>
#include <math.h>
#include <mpstats.h>

enum { BLOCKS_LEAST = 4, BLOCKS_MOST = 12, POINTS_EACH = 4 };

/* Means of successive blocks of equal time; those without a point are left out. */
static size_t make_blocks(const struct mp_point *points, size_t count, size_t wanted,
    struct mp_point ret[BLOCKS_MOST])
{
    double begin = points[0].time_s;
    double length = (points[count - 1].time_s - begin) / (double)wanted;
    size_t used = 0;
    size_t at = 0;

    for (size_t i = 0; i < wanted; i++) {
        struct mp_point sum = {0, 0};
        size_t first = at;

        while (at < count
               && (i + 1 == wanted
                   || points[at].time_s < begin + length * (double)(i + 1))) {
            sum.time_s += points[at].time_s;
            sum.bytes += points[at].bytes;
            at++;
        }
        if (at > first) {
            ret[used++] = (struct mp_point){
                sum.time_s / (double)(at - first), sum.bytes / (double)(at - first)};
        }
    }
    return used;
}

/* The t that Student's distribution exceeds with 2.5 %. */
static double student_quantile(double df)
{
    double low = 1.9;
    double high = 13;

    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;

        if (trend_student_tail(middle, df) > 0.025) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/*
 * Slopes between neighbours. Where the series wanders they are of increments, which hardly depend
 * on each other: those of means of blocks have a correlation of 1/4, which makes the variance of
 * their mean 1.5 times as large. Where it keeps near a line they make up for each other, and the
 * interval is wider than it must be.
 */
static struct mp_estimate slope_of(const struct mp_point *block, size_t count)
{
    double n = (double)count - 1;
    double step = (block[count - 1].time_s - block[0].time_s) / n;
    double mean = (block[count - 1].bytes - block[0].bytes) / n / step;
    double squares = 0;
    double error;

    for (size_t i = 1; i < count; i++) {
        double wide = block[i].time_s - block[i - 1].time_s;
        double off = (block[i].bytes - block[i - 1].bytes) / wide - mean;

        squares += off * off * wide / step;
    }
    error = student_quantile(n - 1) * sqrt(1.5 * squares / (n - 1) / n);
    return (struct mp_estimate){mean, mean - error, mean + error};
}

int mp_forecast_make(const struct mp_point *points, size_t count, double room_bytes,
    struct mp_forecast *ret)
{
    struct mp_point block[BLOCKS_MOST];
    size_t wanted = count / POINTS_EACH;
    struct mp_estimate slope;
    size_t used;

    *ret = (struct mp_forecast){
        .points = count, .limit_s = {INFINITY, INFINITY, INFINITY}};
    if (wanted < BLOCKS_LEAST || !(points[count - 1].time_s > points[0].time_s)) {
        return -EAGAIN;
    }
    used =
        make_blocks(points, count, wanted < BLOCKS_MOST ? wanted : BLOCKS_MOST, block);
    if (used < BLOCKS_LEAST) {
        return -EAGAIN;
    }
    slope = slope_of(block, used);
    ret->seconds = points[count - 1].time_s - points[0].time_s;
    ret->bytes_per_hour =
        (struct mp_estimate){3600 * slope.value, 3600 * slope.low, 3600 * slope.high};
    ret->grows = slope.low > 0;
    room_bytes = fmax(room_bytes, 0);
    if (slope.value > 0 && isfinite(room_bytes)) {
        ret->limit_s = (struct mp_estimate){room_bytes / slope.value,
            room_bytes / slope.high, slope.low > 0 ? room_bytes / slope.low : INFINITY};
    }
    return 0;
}
