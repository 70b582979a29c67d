/*
 * held - what groups of sites hold now, fitted to the counters
 *
 * Owns: a group of sites (series.h) as the sum of its parts, one for each size class, as
 * mp_estimates_make has them: so that a verdict says what a report says.
 */
#ifndef HELD_H
#define HELD_H

#include "series.h"

/* Of each group of the series; free it. NULL: out of memory. */
struct mp_estimate *held_make(const mp_image_t *image, const struct series *s);

#endif
