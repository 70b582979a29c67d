/*
 * growth - whether what one call stack holds grows without end, by its past and its survivors
 *
 * Owns: the evidence of one group of sites, and the shape that it shows; README.md ("Growth")
 * has the method. No state, any thread.
 * Does not own: where the past comes from (series.h), what is said about it (verdict.h).
 */
#ifndef GROWTH_H
#define GROWTH_H

#include "survival.h"

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A sample that is live. */
struct growth_birth {
    double at;    /* when it was born, in epochs from the first on */
    double bytes; /* that it stands for */
    /*
     * How many samples it counts for: 1 of the longest interval, less of a shorter one, which took
     * more of the same blocks. The interval is doubled, now and then, to save time: without this a
     * steady leak would seem to get slower.
     */
    double count;
    double age_us;
};

struct growth_past {
    unsigned epochs; /* that ended; at live[epochs] and floor[epochs] is now */
    double now;      /* in epochs: at least `epochs` */
    double first;    /* when its first sample was born, the same */
    double live[MP_REGION_EPOCHS + 1];
    double floor[MP_REGION_EPOCHS + 1];
    struct growth_birth *births; /* sorted by growth_find */
    size_t birth_count;
    struct survival survival;
    double observed_us; /* from the first sample until now */
    unsigned marks;     /* of one name */
    double mark_live[MP_REGION_MARKS];
};

enum growth_shape {
    GROWTH_NONE,      /* no growth beyond chance */
    GROWTH_SATURATES, /* it grew, and does so no more, or less and less */
    GROWTH_UNCLEAR,   /* it grows, and may yet saturate */
    GROWTH_STEADY,    /* as fast as before, and nothing old dies */
};

struct growth {
    double live;       /* now */
    double p;          /* of growth of blocks that stay: the greater of the next two */
    double p_drift;    /* what is live drifts upwards, epoch by epoch or mark by mark */
    double p_retained; /* old ones do not die any more */
    bool is_by_marks;  /* marks say so, too */
    bool marks_deny;   /* at the same state it holds as much as before */
    enum growth_shape shape; /* taken for granted that p is small */
    double slope;            /* Theil and Sen's, bytes per epoch */
    double kendall;          /* tau of the floors, if these drift upwards; else 0 */
    bool floor_rises;
    bool is_exponential;
    double doubling;      /* in epochs, if so */
    unsigned generations; /* epochs that have survivors */
    unsigned epochs;      /* that they could be of */
    double exponent;      /* of the rate of survivors by time: 1 is steady */
    double exponent_low;  /* 95 %, one-sided each */
    double exponent_high;
    double recent;     /* growth in the last third, per epoch, over that before */
    double recent_low; /* the same */
    double recent_high;
    double from;  /* the epoch since which growth is measured */
    double grown; /* bytes since */
    double grown_deviation;
    double old_died; /* of blocks that got old: how many died, of how many */
    double old_all;
    double old_us; /* how old that is */
    double
        leak_chance; /* that an old one is never freed: (n - d + 1) / (n + 2), Laplace */
};

/* Fewer epochs of the group than this are no series. */
enum { GROWTH_EPOCHS_LEAST = 8 };

void growth_find(struct growth_past *past, struct growth *ret);

#endif
