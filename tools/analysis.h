/*
 * analysis - sums over sites that no profile has: how long blocks live, what is asked of each class
 *
 * Does not own: stacks (stacks.h), how it looks (report_analysis.h, document_analysis.h).
 */
#ifndef ANALYSIS_H
#define ANALYSIS_H

#include "profile.h"

/* Freed blocks by the time that they lived: [i] from 2^i microseconds on, [0] also less. Estimates. */
struct analysis_lifetimes {
    double blocks[MP_REGION_LIFETIMES];
    double bytes[MP_REGION_LIFETIMES];
    double all_blocks; /* 0: nothing that was sampled was freed */
    double all_bytes;
};

void analysis_lifetimes_make(const mp_image_t *image, struct analysis_lifetimes *ret);

/*
 * The part of the live bytes of each size class that was asked for, by what was sampled of it, from
 * 0 to 1; below 0: none of it was.
 */
void analysis_asked(const struct profile *p, double ret[MP_REGION_CLASSES]);

#endif
