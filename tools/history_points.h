/*
 * history_points - what processes were, point by point: tables runs, points, components, sites,
 * stacks, verdicts and names of the history
 *
 * Owns: what a point is, for how long it is kept, and that this is bounded: every 10 s for an hour,
 * every minute for a day, every 10 minutes for 30 days. Does not own: the file (history.h).
 *
 * Times are given, so that a clock can be simulated. Codes are those of SQLite; after an error
 * nothing of the call is in the database.
 */
#ifndef HISTORY_POINTS_H
#define HISTORY_POINTS_H

#include <mpstats.h>
#include <sqlite3.h>

enum { POINT_COMPONENTS = 16, POINT_SITES = 16, POINT_VERDICTS = 8 };

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
    struct point_component components[POINT_COMPONENTS];
    size_t site_count;
    struct point_site sites[POINT_SITES];
    size_t verdict_count;
    struct point_verdict verdicts[POINT_VERDICTS];
};

/*
 * life: as mp_image_life says. with_verdicts: they take 0.2 ms for each stack. Ends the process
 * without memory.
 */
void point_take(
    struct point *p, const mp_image_t *image, enum mp_life life, bool with_verdicts);

/* One more point; one of the same process and second is replaced. */
int history_add_point(sqlite3 *db, const struct point *p, int64_t now_s);

/* Whether there is a point of it after its end: nothing new will come. */
bool history_knows_end(sqlite3 *db, const mp_image_t *image);

/* Thins out what got old and removes what is no use any more. About once a minute. */
int history_tidy(sqlite3 *db, int64_t now_s);

#endif
