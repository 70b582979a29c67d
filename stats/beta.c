#include "beta.h"

#include "log_gamma.h"

#include <math.h>

/* The continued fraction of the incomplete beta function (Lentz), for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    double c = 1;
    double d = 1 / fmax(1 - (a + b) * x / (a + 1), 1e-300);
    double h = d;

    for (int m = 1; m < 10000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double change;

        d = 1 / (1 + even * d);
        c = 1 + even / c;
        h *= c * d;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        change = c * d;
        h *= change;
        if (fabs(change - 1) < 1e-12) {
            break;
        }
    }
    return h;
}

double beta_cdf(double a, double b, double x)
{
    double front;

    if (a <= 0 || x >= 1) {
        return 1;
    }
    if (b <= 0 || x <= 0) {
        return 0;
    }
    front = exp(
        log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}
