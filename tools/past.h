/*
 * past - what a process was for some time, out of the history: mpalloc report --since
 *
 * Owns: reading it, the growth and the forecast of it, and its form as text. Does not own: the tables
 * (history.h), how it came there (history_points.h), the document (document_past.h), the sheet
 * (past_sheet.h).
 */
#ifndef PAST_H
#define PAST_H

#include "rss_parts.h"

#include <mpstats.h>
#include <sqlite3.h>
#include <stdio.h>

enum { PAST_ROWS = 16, PAST_LARGEST = 10, PAST_RUNS = 64 };

struct past_run {
    int64_t id;
    uint64_t pid;
    char name[128]; /* fit to print */
    char state[16];
    int64_t started_s;
    int64_t last_s;
    uint64_t limit_bytes; /* MP_UNKNOWN: none */
};

/*
 * A component, or a call stack in one, at the first and at the last point of the last run: the
 * largest, and those that changed most. Points keep the largest: what was not among them then is
 * MP_UNKNOWN.
 */
struct past_row {
    char component[128];
    char stack[2048]; /* lines "function  file:line", the innermost first */
    uint64_t before;
    uint64_t after;
    uint64_t low; /* 95 %, of after */
    uint64_t high;
};

struct past_verdict {
    char component[128];
    char function[256];
    char verdict[16];
    int64_t first_s; /* when it was said first, and last */
    int64_t last_s;
    double bytes_per_hour;
};

struct past_point {
    int64_t time_s;
    uint64_t live_bytes;
    uint64_t high_bytes; /* highest since the point before */
    uint64_t heap_bytes;
    uint64_t resident_bytes; /* MP_UNKNOWN */
    size_t run;              /* index */
    struct rss_parts parts;
};

struct past {
    int64_t since_s;
    int64_t until_s;
    size_t run_count; /* of the name, in the time: it was started again */
    struct past_run runs[PAST_RUNS];
    size_t point_count;
    struct past_point *points;
    size_t component_count;
    struct past_row *components;
    size_t stack_count;
    struct past_row *stacks;
    size_t verdict_count;
    struct past_verdict *verdicts;
    int forecast_code; /* 0, or why there is none */
    struct mp_forecast forecast;
    uint64_t limit_bytes; /* MP_UNKNOWN: none */
};

/* The first and the last point of the last run; NULL without points. */
const struct past_point *past_first(const struct past *p);
const struct past_point *past_last(const struct past *p);

/* The first of which the parts are known; NULL: of none. */
const struct past_point *past_first_parts(const struct past *p);

/* Which runs: of a name; of a process id, the youngest; of this run_id. Two of them NULL or 0. */
struct past_of {
    const char *name;
    uint64_t pid;
    const uint8_t *run_id; /* 16 bytes */
};

/* False: the history has none. Ends the process without memory. */
bool past_load(struct past *p, sqlite3 *db, const struct past_of *of, int64_t since_s,
    int64_t until_s);

/* The same of a region's own timeline, as far as it goes; without components and stacks. */
void past_from_image(
    struct past *p, const mp_image_t *image, int64_t since_s, int64_t until_s);
void past_fini(struct past *p);

void past_render(FILE *out, const struct past *p, bool forecast_only);

#endif
