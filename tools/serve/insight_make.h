/*
 * insight_make - what is to be said of one process, beside its figures
 */
#ifndef INSIGHT_MAKE_H
#define INSIGHT_MAKE_H

#include "insights.h"

enum { INSIGHT_LEAKS_MAX = 1024 };

/* Leaks of one process that were counted. */
struct insight_seen {
    size_t count;
    char id[INSIGHT_LEAKS_MAX][STACK_ID_BYTES];
    uint64_t detections[3];
};

/*
 * `before`: what was made last, or NULL: names are taken from it. age_s is not set. False: no
 * memory, or nothing can be said.
 */
bool insight_make(const mp_image_t *image, const struct insights_options *options,
    const struct metric_insight *before, struct insight_seen *seen,
    struct metric_insight *ret);

#endif
