#include "poisson.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

Test(poisson, logarithm_as_libm)
{
    uint64_t state = 4711;

    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t r = poisson_random(&state);
        double want = -log((double)((r >> 11) + 1) / 9007199254740992.0);

        cr_assert_float_eq(poisson_exponential(r), want, 1e-12 * (1 + want), "of %lx",
            (unsigned long)r);
    }
    cr_assert_float_eq(poisson_exponential(0), 53 * log(2), 1e-12);
    cr_assert_float_eq(poisson_exponential(UINT64_MAX), 0, 1e-15);
}

Test(poisson, chance_as_libm)
{
    for (double x = 1e-12; x < 100; x *= 1.01) {
        double want = -expm1(-x);

        cr_assert_float_eq(
            poisson_chance(x * 1e6, 1e6), want, 1e-14 * want, "x = %g", x);
    }
    cr_assert_eq(poisson_chance(16, 0), 1);
}

/* Gaps are geometric: P(gap >= n) = (1 - p)^n. A chi-squared test over equal classes. */
static void check_gaps(uint64_t bytes, uint64_t interval)
{
    enum { CLASSES = 20, DRAWS = 200000 };
    double p = poisson_chance((double)bytes, (double)interval);
    unsigned counts[CLASSES] = {0};
    double chi2 = 0;
    uint64_t state = bytes * 31 + interval;
    double expected_sum = 0;

    for (unsigned i = 0; i < DRAWS; i++) {
        uint64_t gap = poisson_gap(&state, bytes, interval);
        /* The share of gaps that are smaller: uniform, but in steps. */
        double below = -expm1((double)gap * log1p(-p));

        counts[(unsigned)(below * CLASSES)]++;
    }
    for (unsigned i = 0; i < CLASSES; i++) {
        /* Gaps n with i <= CLASSES (1 - (1-p)^n) < i + 1 */
        double first = ceil(log1p(-(double)i / CLASSES) / log1p(-p) - 1e-9);
        double end = i + 1 == CLASSES
                         ? INFINITY
                         : ceil(log1p(-(double)(i + 1) / CLASSES) / log1p(-p) - 1e-9);
        double share = exp(first * log1p(-p)) - (isinf(end) ? 0 : exp(end * log1p(-p)));
        double expected = DRAWS * share;

        expected_sum += expected;
        if (expected > 0.5) {
            chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
        }
    }
    cr_assert_float_eq(expected_sum, DRAWS, 1);
    cr_assert_lt(chi2, 50, "chi squared %g of %lu in %lu", chi2, (unsigned long)bytes,
        (unsigned long)interval); /* 19 degrees: 50 is 1.3e-4 */
}

Test(poisson, gaps_are_geometric)
{
    check_gaps(16, 524288);
    check_gaps(4096, 524288);
    check_gaps(32768, 524288);
    check_gaps(32768, 32768);
    check_gaps(32768, 4096);
    cr_assert_eq(poisson_gap(&(uint64_t){1}, 16, 0), 0, "exact mode");
}
