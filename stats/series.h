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
    bool has_history;   /* else some site of it found no row */
    size_t first_birth; /* in `births` of all */
    size_t birth_count;
};

struct series {
    size_t group_count;
    struct series_group *groups;
    uint32_t *sites;             /* by group */
    struct growth_birth *births; /* of all groups, one after the other */
    uint64_t now_mono_ns;        /* the last moment that the image knows of */
    unsigned epochs;             /* that ended */
    double now;                  /* in epochs */
};

int series_make(const mp_image_t *image, struct series *ret);
void series_free(struct series *s);

/*
 * The past of a group. It is 2 KiB long, and there may be a hundred thousand of them: so it is put
 * together for one at a time. Its births are those of the series; to sort them is allowed.
 */
void series_past(const mp_image_t *image, const struct series *s,
    const struct series_group *group, struct growth_past *ret);

/* How long ago epoch `at` was, in seconds. */
double series_seconds_since(const mp_image_t *image, const struct series *s, double at);

#endif
