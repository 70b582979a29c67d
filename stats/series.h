/*
 * series - the past of groups of sites, from an image
 *
 * Owns: the groups, sites of one stack in one component; for each what it held epoch by epoch,
 * when its survivors were born, how long its blocks lived.
 * Does not own: what that means (growth.h).
 */
#ifndef SERIES_H
#define SERIES_H

#include "growth.h"

#include <mpstats.h>

struct series_group {
    uint32_t frame;
    uint32_t component;
    size_t first; /* in `sites` of all */
    size_t count;
    bool has_history; /* else some site of it found no row */
    struct growth_past past;
};

struct series {
    size_t group_count;
    struct series_group *groups;
    uint32_t *sites;             /* by group */
    struct growth_birth *births; /* of all groups, one after the other */
    uint64_t now_mono_ns;        /* the last moment that the image knows of */
};

int series_make(const mp_image_t *image, struct series *ret);
void series_free(struct series *s);

/* How long ago epoch `at` was, in seconds. */
double series_seconds_since(const mp_image_t *image, const struct series *s, double at);

#endif
