#include "trend.h"

#include "beta.h"
#include "log_gamma.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* ---- distributions ---- */

double trend_normal_tail(double z)
{
    return 0.5 * erfc(z / sqrt(2));
}

double trend_student_tail(double t, double df)
{
    double half = 0.5 * beta_cdf(df / 2, 0.5, df / (df + t * t));

    return t > 0 ? half : 1 - half;
}

double trend_poisson_at_most(double count, double mean)
{
    double term;
    double sum = 0;

    if (mean <= 0) {
        return 1;
    }
    if (count > 1000) { /* Wilson and Hilferty */
        double c = 1 - 1 / (9 * (count + 1));

        return trend_normal_tail((cbrt(mean / (count + 1)) - c) * 3 * sqrt(count + 1));
    }
    for (double i = 0; i <= count; i++) {
        term = i * log(mean) - mean - log_gamma(i + 1);
        sum += exp(term);
    }
    return fmin(sum, 1);
}

/* ---- slope ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

enum { PAIRS_MOST = TREND_MOST * (TREND_MOST - 1) / 2 };

/* Of all pairs, in no order; returns how many. */
static size_t list_slopes(const double *y, size_t n, double slopes[PAIRS_MOST])
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n && count < PAIRS_MOST; k++) {
            slopes[count++] = (y[k] - y[i]) / (double)(k - i);
        }
    }
    return count;
}

static void swap(double *a, double *b)
{
    double kept = *a;

    *a = *b;
    *b = kept;
}

/*
 * The value that number `rank` would have if they were sorted; those before it are not greater
 * then, those behind it not less. Hoare's selection: to sort all takes several times as long.
 */
static double select_rank(double *x, size_t count, size_t rank)
{
    size_t low = 0;
    size_t high = count - 1;

    while (low < high) {
        double pivot = x[low + (high - low) / 2];
        size_t i = low;
        size_t k = high;

        for (;;) {
            while (x[i] < pivot) {
                i++;
            }
            while (x[k] > pivot) {
                k--;
            }
            if (i >= k) {
                break;
            }
            swap(&x[i++], &x[k--]);
        }
        /* All up to k are at most the pivot, all behind it at least. */
        if (rank <= k) {
            high = k;
        } else {
            low = k + 1;
        }
    }
    return x[rank];
}

/*
 * A series that never falls has no slope below 0, one that never rises none above. If pairs that
 * are level reach the middle, too, the median is 0: most stacks got what they hold at one time.
 */
static bool is_level(const double *y, size_t n)
{
    size_t count = n * (n - 1) / 2;
    size_t level = 0;
    size_t run = 1;
    bool rises = false;
    bool falls = false;

    for (size_t i = 1; i < n; i++) {
        rises |= y[i] > y[i - 1];
        falls |= y[i] < y[i - 1];
        level += y[i] == y[i - 1] ? run++ : (run = 1, 0);
    }
    return !(rises && falls) && level > count / 2;
}

double trend_slope(const double *y, size_t n)
{
    double slopes[PAIRS_MOST];
    size_t count;
    double upper;
    double lower;

    if (n < 2 || is_level(y, n)) {
        return 0;
    }
    count = list_slopes(y, n, slopes);
    upper = select_rank(slopes, count, count / 2);
    lower = slopes[count / 2];
    if (count % 2 == 0) { /* the greatest of those before it */
        lower = slopes[0];
        for (size_t i = 1; i < count / 2; i++) {
            lower = slopes[i] > lower ? slopes[i] : lower;
        }
    }
    return (lower + upper) / 2;
}

/* ---- Mann and Kendall ---- */

static double sign(double x)
{
    return (x > 0) - (x < 0);
}

/* Var(S) without trend; groups of equal values take from it. */
static double kendall_variance(const double *y, size_t n)
{
    double size = (double)n;
    double sum = size * (size - 1) * (2 * size + 5);

    for (size_t i = 0; i < n; i++) {
        double ties = 0;

        for (size_t k = 0; k < n; k++) {
            ties += y[k] == y[i];
        }
        sum -= (ties - 1) * (2 * ties + 5); /* each of the group says its part */
    }
    return sum / 18;
}

/* What autocorrelation of the ranks, without the trend, makes of the variance: at least 1. */
static double hamed_rao(const double *y, size_t n)
{
    double rank[TREND_MOST];
    double rest[TREND_MOST];
    double slope = trend_slope(y, n);
    double size = (double)n;
    double mean = (size + 1) / 2;
    double variance = 0;
    double factor = 1;

    for (size_t i = 0; i < n; i++) {
        rest[i] = y[i] - slope * (double)i;
    }
    for (size_t i = 0; i < n; i++) {
        rank[i] = 0.5;
        for (size_t k = 0; k < n; k++) {
            rank[i] += rest[k] < rest[i] ? 1 : rest[k] == rest[i] ? 0.5 : 0;
        }
        variance += (rank[i] - mean) * (rank[i] - mean);
    }
    for (size_t lag = 1; variance > 0 && lag + 3 < n; lag++) {
        double l = (double)lag;
        double sum = 0;
        double correlation;

        for (size_t i = 0; i + lag < n; i++) {
            sum += (rank[i] - mean) * (rank[i + lag] - mean);
        }
        correlation = sum / variance;
        if (fabs(correlation) > 1.96 / sqrt(size)) {
            factor += 2 / (size * (size - 1) * (size - 2)) * (size - l) * (size - l - 1)
                      * (size - l - 2) * correlation;
        }
    }
    return fmax(factor, 1);
}

struct trend_kendall trend_kendall(const double *y, size_t n)
{
    struct trend_kendall r = {0};
    double variance;

    if (n < 4 || n > TREND_MOST) {
        return r;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            r.s += sign(y[k] - y[i]);
        }
    }
    r.tau = r.s / ((double)n * (double)(n - 1) / 2);
    variance = kendall_variance(y, n);
    if (variance > 0) {
        r.z = (r.s - sign(r.s)) / sqrt(variance);
        r.z_corrected = r.z / sqrt(hamed_rao(y, n));
    }
    return r;
}

/* ---- drift ---- */

double trend_drift(const double *y, double before, size_t n)
{
    double sum = 0;
    double squares = 0;
    double largest = 0;
    double count = (double)n - 1;
    double mean;
    double variance;

    if (n < 4) {
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        double step = y[i] - (i > 0 ? y[i - 1] : before);

        largest = fmax(largest, step);
        sum += step;
        squares += step * step;
    }
    sum -= largest;
    squares -= largest * largest;
    mean = sum / count;
    variance = fmax(squares - sum * mean, 0) / (count - 1);
    if (mean <= 0) {
        return 1;
    }
    /* Steps that are all the same: as if one differed. */
    variance = fmax(variance, mean * mean / count);
    return trend_student_tail(mean / sqrt(variance / count), count - 1);
}

/* ---- a rate that goes with a power of time ---- */

/* Mean of log(x) for that exponent b on (s, 1); l is log(s), below 0. */
static double mean_log(double b, double l)
{
    if (fabs(b * l) < 1e-6) {
        return l / 2;
    }
    return -l * exp(b * l) / (1 - exp(b * l)) - 1 / b;
}

static double variance_log(double b, double l)
{
    double e = exp(b * l);

    if (fabs(b * l) < 1e-2) {
        return l * l / 12;
    }
    return 1 / (b * b) - l * l * e / ((1 - e) * (1 - e));
}

struct trend_power trend_power(double sum_log, double n, double s)
{
    double l = log(s);
    double wanted = n > 0 ? sum_log / n : 0;
    double low = -20;
    double high = 60;
    struct trend_power r = {0, 100};

    if (n < 1) {
        return r;
    }
    for (int i = 0; i < 80; i++) { /* it rises with b */
        double b = (low + high) / 2;

        if (mean_log(b, l) < wanted) {
            low = b;
        } else {
            high = b;
        }
    }
    r.exponent = (low + high) / 2;
    r.deviation = 1 / sqrt(n * variance_log(r.exponent, l));
    return r;
}

/* ---- many tests ---- */

double trend_threshold(const double *p, size_t n, double q, double *scratch)
{
    double threshold = 0;

    for (size_t i = 0; i < n; i++) {
        scratch[i] = p[i];
    }
    qsort(scratch, n, sizeof(*scratch), compare);
    for (size_t i = 0; i < n; i++) {
        if (scratch[i] <= q * (double)(i + 1) / (double)n) {
            threshold = scratch[i];
        }
    }
    return threshold;
}

/* ---- straight or bent ---- */

static void fit(const double *y, size_t n, double *ret_a, double *ret_b)
{
    double x_mean = ((double)n - 1) / 2;
    double mean = 0;
    double xy = 0;
    double xx = 0;

    for (size_t i = 0; i < n; i++) {
        mean += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double x = (double)i - x_mean;

        xy += x * (y[i] - mean);
        xx += x * x;
    }
    *ret_b = xx > 0 ? xy / xx : 0;
    *ret_a = mean - *ret_b * x_mean;
}

void trend_lines(
    const double *y, size_t n, double *ret_line, double *ret_curve, double *ret_rate)
{
    double logs[TREND_MOST] = {0};
    double a;
    double b;

    *ret_line = *ret_curve = *ret_rate = 0;
    for (size_t i = 0; i < n && i < TREND_MOST; i++) {
        if (y[i] <= 0) {
            *ret_curve = INFINITY;
            return;
        }
        logs[i] = log(y[i]);
    }
    fit(y, n, &a, &b);
    for (size_t i = 0; i < n; i++) {
        double miss = y[i] - a - b * (double)i;

        *ret_line += miss * miss;
    }
    fit(logs, n, &a, &b);
    for (size_t i = 0; i < n; i++) {
        double miss = y[i] - exp(a + b * (double)i);

        *ret_curve += miss * miss;
    }
    *ret_rate = b;
}
