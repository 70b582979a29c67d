/*
 * diff - what changed between two images: what its parts share
 *
 * Owns: the comparison, and rows by component and class (diff.c), which are differences of
 * counters. Rows by site, which are estimates, are made in diff_sites.c.
 */
#ifndef DIFF_H
#define DIFF_H

#include "estimate.h"

#include <mpstats.h>

#define NO_NUMBER UINT32_MAX

struct diff_rows {
    size_t count;
    size_t room;
    struct mp_difference *row;
};

struct mp_diff {
    const mp_image_t *image[2];
    struct mp_diff_options options;
    unsigned flags;
    struct mp_difference total;
    struct diff_rows rows[MP_DIFF_BYS];
};

/* A new row, all 0, in neither image; NULL: no memory. */
struct mp_difference *diff_add_row(struct diff_rows *rows);

/* Two figures that are known exactly. */
struct mp_change diff_exact(uint64_t before, uint64_t after);

/* R in force; 0 where every allocation is recorded. */
double diff_interval(const mp_image_t *image);

/* Fills rows[MP_DIFF_SITE], in no order; 0 or -ENOMEM. */
int diff_sites_make(struct mp_diff *d);

#endif
