/*
 * requested - of live bytes, what was asked for
 *
 * Counters know blocks; samples know what was asked for, too. In each size class the sampled
 * blocks that are live say what share of a block is waste, and the exact live bytes of the class
 * say how much that is.
 */
#ifndef REQUESTED_H
#define REQUESTED_H

#include <mpstats.h>

/* Of all live bytes. Below 0: no live block was sampled. */
double requested_bytes(const mp_image_t *image);

#endif
