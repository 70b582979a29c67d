/*
 * metric_table - the rows of the table of metrics: what metric_walk.c goes through
 */
#ifndef METRIC_TABLE_H
#define METRIC_TABLE_H

#include "metric_walk.h"

#include <stddef.h>

/* Where the samples of a row come from. */
enum metric_from {
    METRIC_FROM_ALERTS,
    METRIC_FROM_INFO,
    METRIC_FROM_TIMES,  /* at: 0 started, 1 published */
    METRIC_FROM_TOTALS, /* at: offset in the record; so in other records */
    METRIC_FROM_COMMITTED,
    METRIC_FROM_METADATA,
    METRIC_FROM_RECLAIM,
    METRIC_FROM_LIMIT,
    METRIC_FROM_PRESSURE,
    METRIC_FROM_COMPONENTS,
    METRIC_FROM_LIMITS,      /* of components; at: offset, or METRIC_LIMIT_BYTES */
    METRIC_FROM_CLASSES,     /* cells, summed over components */
    METRIC_FROM_CLASS_STATE, /* at: live blocks, live bytes, free bytes */
    METRIC_FROM_SIZES,
    METRIC_FROM_LIFETIMES,
    METRIC_FROM_POOLS,
    METRIC_FROM_COUNTERS,
    METRIC_FROM_SAMPLING,
    METRIC_FROM_PROFILER, /* at: the next but one enum */
    METRIC_FROM_INSIGHT,
    METRIC_FROM_KERNEL,
    METRIC_FROM_FAULTS,
    METRIC_FROM_CPU,
};

enum {
    METRIC_PROFILER_ENABLED,
    METRIC_PROFILER_INTERVAL,
    METRIC_PROFILER_SECONDS,
    METRIC_PROFILER_ESTIMATE,
    METRIC_PROFILER_DROPPED,
    METRIC_PROFILER_CUT,
};

enum {
    METRIC_EFFICIENCY,
    METRIC_SLACK,
    METRIC_SUSPECTS,
    METRIC_DETECTIONS,
    METRIC_GROWTH,
    METRIC_ADVICE,
    METRIC_SITES,
    METRIC_BASELINE_BYTES,
    METRIC_BASELINE_RATIO,
    METRIC_BASELINE_SITES,
    METRIC_INSIGHT_AGE,
};

enum { METRIC_LIMIT_BYTES = 4096 };
enum { METRIC_LIMITS_MAX = 64 }; /* in a scrape */
enum { METRIC_POOLS_MAX = 16 };  /* and counters of the program, in a scrape */

#define METRIC_PROFILE_PATH "/debug/pprof/allocs?process="

struct metric_row {
    struct metric metric;
    enum metric_from from;
    size_t at;
    bool is_detail; /* only where all is asked for */
};

/* The last has no name. metric_table.c */
extern const struct metric_row metric_table[];

#endif
