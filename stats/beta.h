/*
 * beta - the distribution of beta variates: of shares, and behind Student's t
 */
#ifndef BETA_H
#define BETA_H

/* P(beta variate of that shape <= x); a = 0 is all at 0. No state, any thread. */
double beta_cdf(double a, double b, double x);

#endif
