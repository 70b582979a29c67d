/*
 * site_sums - what the samples of one site say, up to the counters and since
 *
 * Owns: the sums of a site as tallies, and which of its samples the counters of the image know
 * of. Counters are published by ticks; sites are told of at once, and remember what they had
 * when counters were published last.
 * Does not own: what is made of it (estimates.c).
 */
#ifndef SITE_SUMS_H
#define SITE_SUMS_H

#include "estimate.h"

#include <mpalloc/region.h>

/*
 * At the counters: of live and freed, and short, a part of freed. Since: blocks that are young
 * are taken to die first, so that KEPT is the lesser of what was live and what is.
 *
 *     live now   KEPT + COME               freed now   FREED + (LIVE - KEPT) + GONE
 */
enum site_part {
    SITE_LIVE,
    SITE_FREED,
    SITE_PEAK,
    SITE_SHORT,
    SITE_KEPT,
    SITE_COME,
    SITE_GONE,
    SITE_FRESH,       /* of what is live now, what may be new: at least COME */
    SITE_FREED_SINCE, /* at least GONE */
    SITE_SHORT_SINCE, /* a part of it */
    SITE_PARTS
};

/*
 * published: published_total of the counters, 0: there are none yet; UINT64_MAX: as if they
 * knew of everything.
 */
void site_sums_of(const struct mp_region_site *t, const struct mp_region_sampling *g,
    uint64_t published, struct tally ret[SITE_PARTS]);

/* What was allocated and what was freed since. */
void site_sums_since(const struct mp_region_site *t, uint64_t published,
    struct tally *ret_allocated, struct tally *ret_freed);

#endif
