/*
 * log_gamma - the logarithm of the gamma function, for many threads
 *
 * lgamma writes the sign of the function to a variable of all threads; here it is above 0 anyway.
 */
#ifndef LOG_GAMMA_H
#define LOG_GAMMA_H

#include <math.h>

/* x above 0. */
static inline double log_gamma(double x)
{
    int sign;

    return lgamma_r(x, &sign);
}

#endif
