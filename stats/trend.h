/*
 * trend - whether a series rises, and how: the tests behind verdicts
 *
 * Owns: the formulas; README.md ("Growth") says where each is from and what it takes for granted.
 * No state, any thread. Probabilities are one-sided: small ones speak for growth.
 */
#ifndef TREND_H
#define TREND_H

#include <stddef.h>

/* P(normal > z), P(Student's t with df > t), P(Poisson of that mean <= count). */
double trend_normal_tail(double z);
double trend_student_tail(double t, double df);
double trend_poisson_at_most(double count, double mean);

/* Median slope of all pairs (Theil 1950, Sen 1968), for a step of 1 in x; n <= TREND_MOST. */
enum { TREND_MOST = 64 };
double trend_slope(const double *y, size_t n);

/*
 * Mann (1945) and Kendall with ties. `corrected`: the variance as Hamed and Rao (1998) have it, by
 * the autocorrelation of the ranks about the trend; never less than without.
 */
struct trend_kendall {
    double s;
    double tau; /* of all pairs, those that rise less those that fall: -1 to 1 */
    double z;
    double z_corrected;
};
struct trend_kendall trend_kendall(const double *y, size_t n);

/*
 * P that increments without drift have a mean like these. The largest one is left out: one step
 * up is no drift. Levels may be the sum of all that was before (a series of live bytes is), so
 * it is not the levels that are taken to be independent.
 */
double trend_drift(const double *y, double before, size_t n);

/*
 * Events at times x (0 < s < x < 1), n of them, of a rate that goes with x^(exponent - 1): 1 is
 * steady (Crow 1974, truncated on the left). From the sum of log(x).
 */
struct trend_power {
    double exponent;
    double deviation;
};
struct trend_power trend_power(double sum_log, double n, double s);

/* Benjamini and Hochberg (1995): the largest p that is significant at false-discovery rate q. */
double trend_threshold(const double *p, size_t n, double q, double *scratch);

/* Squares that a straight line, and an exponential one, leave of y. */
void trend_lines(
    const double *y, size_t n, double *ret_line, double *ret_curve, double *ret_rate);

#endif
