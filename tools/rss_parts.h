/*
 * rss_parts - what resident memory is made of, in the parts that the history keeps
 *
 * Owns: the parts, their names and order, how a ledger is summed up in them, and the efficiency
 * that follows. Does not own: the ledger (mpstats.h), where parts are kept (history_points.h).
 *
 * They add up to what the ledger adds up to: what is resident, where that was measured.
 */
#ifndef RSS_PARTS_H
#define RSS_PARTS_H

#include <mpstats.h>

enum rss_part {
    RSS_REQUESTED, /* live blocks: what was asked for; all of them where samples do not say */
    RSS_SLACK,    /* what was added to it; unknown where samples do not say */
    RSS_CACHED,   /* free blocks in slabs that hold live ones */
    RSS_DIRTY,    /* free spans, not yet given back */
    RSS_METADATA, /* span table, heaps, threads, components */
    RSS_PROFILER, /* the region */
    RSS_DIFFERENCE, /* of all these never touched (below zero), or newer than the figures */
    RSS_OTHER, /* not mpalloc's: files, stacks, other mappings; unknown without /proc */
    RSS_PARTS
};

#define RSS_UNKNOWN INT64_MIN

struct rss_parts {
    int64_t bytes[RSS_PARTS]; /* RSS_UNKNOWN */
    /* 95 % of what was asked for; MP_UNKNOWN: the samples do not say */
    uint64_t requested_low;
    uint64_t requested_high;
};

const char *rss_part_name(enum rss_part part);  /* "requested"; NULL past the end */
const char *rss_part_label(enum rss_part part); /* for people */

/*
 * Of an image, now, without a look at the pages of the process, for that makes it wait: see
 * mp_ledger_make_quick. Ends the tool without memory.
 */
void rss_parts_take(const mp_image_t *image, struct rss_parts *ret);

/* Of a point of an image's own timeline: what others have is not known. */
void rss_parts_of_moment(const struct mp_region_moment *m, struct rss_parts *ret);

/* Sum of those that are known. */
int64_t rss_parts_total(const struct rss_parts *p);

/* Live requested by resident heap, as mp_efficiency has it; NAN where it is not known. */
struct mp_estimate rss_parts_efficiency(const struct rss_parts *p, uint64_t heap_bytes);

#endif
