#include "poisson.h"

#define LN_2 0.69314718055994530942

uint64_t poisson_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1du;
}

double poisson_exponential(uint64_t random)
{
    uint64_t u = (random >> 11) + 1; /* 1 to 2^53, over 2^53 */
    unsigned exponent = 63u - (unsigned)__builtin_clzll(u);
    double m = (double)u / (double)((uint64_t)1 << exponent); /* in [1, 2) */
    double t, square, term;
    double ln_m = 0;

    if (m > 1.41421356237309504880) { /* in [0.7, 1.42): the series is short */
        m /= 2;
        exponent++;
    }
    /* ln m = 2 (t + t^3 / 3 + t^5 / 5 + ...) with t = (m - 1) / (m + 1) */
    t = (m - 1) / (m + 1);
    square = t * t;
    term = 2 * t;
    for (unsigned n = 1; n <= 15; n += 2) {
        ln_m += term / n;
        term *= square;
    }
    return (53.0 - exponent) * LN_2 - ln_m;
}

double poisson_chance(double bytes, double interval)
{
    double x;
    unsigned halvings = 0;
    double term;
    double chance = 0;

    if (interval <= 0) {
        return 1;
    }
    x = bytes / interval;
    if (x > 40) {
        return 1; /* but for 4e-18 */
    }
    for (; x > 0.25; x /= 2) {
        halvings++;
    }
    term = x; /* x - x^2 / 2 + x^3 / 6 - ...: nothing cancels */
    for (unsigned n = 2; n <= 12; n++) {
        chance += term;
        term *= -x / n;
    }
    for (; halvings > 0; halvings--) { /* 1 - (1 - c)^2 */
        chance *= 2 - chance;
    }
    return chance;
}

uint64_t poisson_gap(uint64_t *state, uint64_t bytes, uint64_t interval)
{
    if (interval == 0) {
        return 0;
    }
    return (uint64_t)(poisson_exponential(poisson_random(state)) * (double)interval
                      / (double)bytes);
}
