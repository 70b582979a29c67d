#include "poisson.h"

#define LN_2 0.69314718055994530942

/* 1 / n: a product takes a quarter of the time of a quotient. */
static const double inverse[] = {0, 1, 1. / 2, 1. / 3, 1. / 4, 1. / 5, 1. / 6, 1. / 7,
    1. / 8, 1. / 9, 1. / 10, 1. / 11, 1. / 12, 1. / 13, 1. / 14, 1. / 15};

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
    double t, square;
    double ln_m = 0;

    if (m > 1.41421356237309504880) { /* in [0.7, 1.42): the series is short */
        m /= 2;
        exponent++;
    }
    /* ln m = 2 (t + t^3 / 3 + t^5 / 5 + ...) with t = (m - 1) / (m + 1) */
    t = (m - 1) / (m + 1);
    square = t * t;
    for (unsigned n = 15; n > 1; n -= 2) {
        ln_m = (ln_m + inverse[n]) * square;
    }
    ln_m = (ln_m + 1) * 2 * t;
    return (53.0 - exponent) * LN_2 - ln_m;
}

double poisson_chance(double bytes, double interval)
{
    double x;
    unsigned halvings = 0;
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
    /* x - x^2 / 2 + x^3 / 6 - ... = x (1 - x / 2 (1 - x / 3 (...))): nothing cancels */
    for (unsigned n = 11; n > 1; n--) {
        chance = (1 - chance) * x * inverse[n];
    }
    chance = (1 - chance) * x;
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
