/*
 * survival - how long blocks live, from those that died and those that have not yet
 *
 * Owns: lifetimes of one group of sites: freed ones by buckets of mp_region_site.lifetimes, live
 * ones by age, which are censored on the right (Kaplan and Meier 1958). No state.
 */
#ifndef SURVIVAL_H
#define SURVIVAL_H

#include <mpalloc/region.h>

#include <stddef.h>
#include <stdint.h>

struct survival {
    uint64_t died[MP_REGION_LIFETIMES];
    uint64_t alive[MP_REGION_LIFETIMES]; /* by age */
    double age_us[MP_REGION_LIFETIMES];  /* sum of ages of those */
};

void survival_add(struct survival *s, double age_us);

/* Share of blocks that live at least 2^i microseconds: Kaplan and Meier's. */
void survival_curve(const struct survival *s, double ret[MP_REGION_LIFETIMES]);

/* Bucket of an age. */
unsigned survival_bucket(double us);

/*
 * Blocks older than 2^bucket microseconds: how many there were, how many of them died, and the
 * time that all of them have lived beyond it.
 */
struct survival_tail {
    double at_risk;
    double died;
    double exposure_us;
};
struct survival_tail survival_tail(const struct survival *s, unsigned bucket);

/*
 * P that so few of the old die if one lives for half of `observed_us` more, on average: small
 * when they do not die any more. The best of an eighth, a quarter and a half of that time is
 * taken as "old", and stands for all three; *ret_bucket says which.
 */
double survival_retained(
    const struct survival *s, double observed_us, unsigned *ret_bucket);

#endif
