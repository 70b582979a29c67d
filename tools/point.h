/*
 * point - what a process is at one moment, as far as the history keeps it
 *
 * Owns: taking it from an image: the largest components and call stacks, what leaks, what resident
 * memory is made of. Does not own: how it is kept, and for how long (history_points.h).
 */
#ifndef POINT_H
#define POINT_H

#include "rss_parts.h"

#include <mpstats.h>

/*
 * The largest components and call stacks of a point, and in how many bytes they are kept: these are
 * enough for so many of a large process, and at the most what a month may have of each point: with
 * a page of SQLite's it is 5.5 KiB.
 */
enum {
    POINT_COMPONENTS = 256,
    POINT_SITES = 128,
    POINT_VERDICTS = 1024,
    POINT_COMPONENT_BYTES = 3072,
    POINT_SITE_BYTES = 2048,
    POINT_ROWS_BYTES = POINT_COMPONENT_BYTES
};

struct point_component {
    uint32_t row;
    uint64_t live_bytes;
    uint64_t live_blocks;
    uint64_t allocated_bytes;
};

struct point_site {
    uint32_t frame;
    uint32_t component;
    double live;
    double below; /* how far off, with 95 % */
    double above;
    double allocated;
};

struct point_verdict {
    uint32_t frame;
    uint32_t component;
    enum mp_verdict_kind kind;
    enum mp_severity severity;
    struct mp_estimate bytes_per_hour;
};

/* Of one image: the largest components and stacks, what is lost or grows. */
struct point {
    const mp_image_t *image; /* outlives it */
    enum mp_life life;
    uint64_t resident_bytes; /* of the kernel; MP_UNKNOWN */
    uint64_t limit_bytes;    /* MP_UNKNOWN: none */
    size_t component_count;
    size_t components_left_out; /* there are so many more */
    struct point_component components[POINT_COMPONENTS];
    size_t site_count;
    size_t sites_left_out;
    struct point_site sites[POINT_SITES];
    struct rss_parts parts;
    bool has_verdicts; /* they were made: what is not among them is none */
    size_t verdict_count;
    struct point_verdict verdicts[POINT_VERDICTS];
};

/*
 * Takes about as long as it takes to read the region; the process waits for nothing. with_verdicts:
 * they take 0.2 ms for each stack. life: as mp_image_life says. Ends the tool without memory.
 */
void point_take(
    struct point *p, const mp_image_t *image, enum mp_life life, bool with_verdicts);

#endif
