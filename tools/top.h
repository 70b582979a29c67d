/*
 * top - what verb_top.c, top_plain.c and top_screen.c share: one view of a process, and
 * how its figures changed since the view before
 */
#ifndef TOP_H
#define TOP_H

#include "format.h"

#include <mpstats.h>

enum { TOP_HISTORY = 120, TOP_ROWS = 512 };

enum top_table {
    TOP_COMPONENTS,
    TOP_CLASSES,
    TOP_LEDGER, /* this and what follows is text: top_views.h */
    TOP_LEAKS,
    TOP_ADVICE,
    TOP_ALERTS,
    TOP_TABLES
};
enum top_sort { TOP_BY_LIVE, TOP_BY_RATE, TOP_BY_PEAK, TOP_BY_BLOCKS };

struct top_row {
    char name[MP_REGION_NAME_BYTES * 4];
    struct format mark; /* ", over 512.0 MiB", or "" */
    uint64_t live_bytes;
    uint64_t live_blocks;
    uint64_t peak_bytes;     /* MP_UNKNOWN for size classes */
    double bytes_per_second; /* allocated */
    double blocks_per_second;
    double growth_per_second; /* of live bytes */
};

struct top_views;

struct top {
    const char *path;
    enum top_table table;
    enum top_sort sort;
    mp_image_t *now;
    mp_image_t *before; /* NULL: no rates yet */
    bool ended;         /* its region is gone */
    uint64_t rss_bytes;
    double bytes_per_second;
    double blocks_per_second;
    double growth_per_second;
    double history[TOP_HISTORY]; /* live bytes, the oldest first */
    size_t history_count;
    struct top_row rows[TOP_ROWS];
    size_t row_count;
    struct top_views *views; /* text of the other tables */
};

/* Read the region again. 0, or an exit code after a line on stderr in `error`. */
int top_refresh(struct top *top, struct mp_error *error);

/* The rows of the current table in the current order, from the current images. */
void top_make_rows(struct top *top);
void top_free(struct top *top);

const char *top_sort_name(enum top_sort sort);
const char *top_table_name(enum top_table table); /* "components" */

/* Frames as text; iterations 0: until the process ends. Return an exit code. */
int top_plain(struct top *top, unsigned interval_ms, uint64_t iterations);
int top_json(struct top *top, unsigned interval_ms, uint64_t iterations);

/* The screen, until q is pressed or the process ends. */
int top_screen(struct top *top, unsigned interval_ms);

#endif
