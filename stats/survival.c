#include "survival.h"

#include "trend.h"

#include <math.h>

/* Of lifetimes that are known to lie between 2^i and 2^(i + 1), spread evenly over the log. */
#define MIDDLE (1 / 0.6931471805599453)

unsigned survival_bucket(double us)
{
    int exponent;

    if (!(us >= 2)) {
        return 0;
    }
    frexp(us, &exponent);
    return exponent - 1 < MP_REGION_LIFETIMES ? (unsigned)exponent - 1
                                              : MP_REGION_LIFETIMES - 1;
}

void survival_add(struct survival *s, double age_us)
{
    unsigned bucket = survival_bucket(age_us);

    s->alive[bucket]++;
    s->age_us[bucket] += fmax(age_us, 0);
}

void survival_curve(const struct survival *s, double ret[MP_REGION_LIFETIMES])
{
    double at_risk = 0;
    double share = 1;

    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        at_risk += (double)s->died[i] + (double)s->alive[i];
    }
    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        /* Ages are spread over the bucket, too: half of them count for what dies in it. */
        double looked_at = at_risk - (double)s->alive[i] / 2;

        ret[i] = share;
        if (looked_at > 0) {
            share *= fmax(1 - (double)s->died[i] / looked_at, 0);
        }
        at_risk -= (double)s->died[i] + (double)s->alive[i];
    }
}

/* Where a bucket begins. */
static double us_of(unsigned bucket)
{
    return (double)(UINT64_C(1) << bucket);
}

struct survival_tail survival_tail(const struct survival *s, unsigned bucket)
{
    double from = us_of(bucket);
    struct survival_tail r = {0};

    for (unsigned i = bucket; i < MP_REGION_LIFETIMES; i++) {
        double died = (double)s->died[i];
        double alive = (double)s->alive[i];

        if (s->died[i] == 0 && s->alive[i] == 0) { /* most are */
            continue;
        }
        r.died += died;
        r.at_risk += died + alive;
        r.exposure_us += died * fmax(MIDDLE * us_of(i) - from, 0)
                         + fmax(s->age_us[i] - alive * from, 0);
    }
    return r;
}

double survival_retained(
    const struct survival *s, double observed_us, unsigned *ret_bucket)
{
    double best = 1;

    *ret_bucket = survival_bucket(observed_us / 8);
    for (unsigned part = 8; part >= 2; part /= 2) {
        unsigned bucket = survival_bucket(observed_us / part);
        struct survival_tail t = survival_tail(s, bucket);
        double p = trend_poisson_at_most(t.died, 2 * t.exposure_us / observed_us);

        if (p < best) {
            best = p;
            *ret_bucket = bucket;
        }
    }
    return fmin(3 * best, 1);
}
