/*
 * metric_walk - the metrics of a process: one table for Prometheus, OpenMetrics and OTLP
 *
 * Owns: names, units, help, labels, what is left out when there are too many, and where each
 * figure comes from. Does not own: how it is written (metric_text.h), verdicts (insight.h of
 * serve, which are handed in).
 *
 * Names are the keys of the JSON documents with the prefix mpalloc_, in base units; a counter's
 * key ends in _total, as its sample does. Label values are fit to print (mp_text_escape), and
 * differ within a family: what a damaged region repeats is summed or left out.
 *
 * Threads: a source is of one thread; the table does not change.
 */
#ifndef METRIC_WALK_H
#define METRIC_WALK_H

#include "stack_id.h"

#include <mpstats.h>

enum metric_kind {
    METRIC_GAUGE,   /* peaks, ratios, times: sums of it mean nothing */
    METRIC_SUM,     /* a gauge that adds up over labels and processes (UpDownCounter) */
    METRIC_COUNTER, /* name is without _total */
    METRIC_HISTOGRAM, /* cumulative, since the start */
    METRIC_INFO,      /* 1; name is without _info */
};

struct metric {
    const char *name; /* "mpalloc_live_bytes" */
    const char
        *unit; /* its last word: "bytes", "seconds", "ratio", "blocks"; "": none */
    enum metric_kind kind;
    const char *help; /* one line, without backslashes */
};

struct metric_label {
    const char *key;
    const char *value;
};

enum { METRIC_LABELS_MAX = 8, METRIC_BOUNDS_MAX = 48 };

struct metric_histogram {
    size_t count; /* of bounds; the bucket without a bound is `total` */
    const double *bound;
    const uint64_t *cumulative;
    uint64_t total;
    double sum;
};

enum metric_type { METRIC_WHOLE, METRIC_SIGNED, METRIC_REAL };

struct metric_sample {
    size_t label_count;
    struct metric_label label[METRIC_LABELS_MAX];
    enum metric_type type; /* of what a histogram has instead: nothing */
    uint64_t whole;
    int64_t number;
    double real;
    const struct metric_histogram *histogram; /* NULL: a number */
    const char *profile; /* of counters: where the stacks behind it are, or NULL */
};

typedef void metric_fn(
    void *arg, const struct metric *metric, const struct metric_sample *sample);

/* ---- what costs time, and is made now and then ---- */

enum { METRIC_BASELINES_MAX = 4, METRIC_SITES_MAX = 100 };

/* Verdicts and what else rests on stacks, of a moment. */
struct metric_insight {
    bool has_efficiency;
    double efficiency_ratio;
    double slack_bytes;
    uint64_t suspects[3];           /* by enum mp_severity: lost and growing ones */
    uint64_t detections[3];         /* ever: those that were new */
    double growth_bytes_per_second; /* of lost and growing ones, its lower limit */
    uint64_t advice[MP_FINDINGS];   /* findings by code */
    size_t baseline_count;
    struct metric_baseline {
        char name[128];
        double bytes;              /* live now less then */
        double ratio;              /* that, of what was live then */
        int64_t significant_sites; /* beyond noise; -1: of another build, not known */
    } baseline[METRIC_BASELINES_MAX];
    size_t site_count; /* 0 unless asked for; the largest first */
    struct metric_site {
        char id[STACK_ID_BYTES]; /* as mpalloc leaks has it */
        char function[192];      /* the innermost of the program's own: fit to print */
        uint64_t live_bytes;
    } site[METRIC_SITES_MAX];
    uint64_t other_sites_bytes; /* live bytes of all the rest */
    double age_s;               /* when it is written */
};

enum { METRIC_ALERTS_MAX = 64 };

/* Alerts of a process that began to fire, by rule and severity. */
struct metric_alerts {
    size_t count;
    struct metric_alert {
        char rule[64]; /* fit to print */
        enum mp_severity severity;
        uint64_t total;
    } at[METRIC_ALERTS_MAX];
};

/* ---- a process ---- */

struct metric_options {
    unsigned components; /* series of their own; the rest is "other" */
    bool size_classes;
    bool
        all; /* also what export has, and a scrape has not: pools, counters of classes */
};

/* Rows of components that have series of their own: once there, for ever. */
struct metric_rows {
    unsigned count;
    uint16_t row[MP_REGION_COMPONENT_ROWS];
};

struct metric_class {
    uint64_t block_bytes;
    struct mp_region_cell sum;
};

struct metric_source {
    const mp_image_t *image;
    const struct mp_proc *kernel;         /* NULL: not known */
    const struct metric_insight *insight; /* NULL: not made yet */
    const struct metric_alerts *alerts; /* NULL: nobody looks for them; set it later */
    const struct mp_pressure *pressure; /* NULL: it is made; set it later */
    bool hides_functions;               /* sites have their id only; set it later */
    struct metric_options options;
    char id[64];      /* "PID-STARTTIME", for addresses; "": none */
    const char *name; /* labels of mpalloc_process: of what is about one process, and */
    const char *pid;  /* has them nowhere else; NULL: none */
    struct metric_rows rows;
    size_t class_count;
    struct metric_class class
        [MP_REGION_CLASSES]; /* in use, by block_bytes, which differ */
    double estimated_live_bytes;
    uint64_t lifetimes[MP_REGION_LIFETIMES]; /* freed blocks: estimate */
    double lifetime_s;                       /* their sum */
};

/*
 * Everything but ret outlives the source. rows NULL: chosen now; else filled up, so that they
 * stay the same from scrape to scrape. insight, kernel: may be NULL.
 */
void metric_source_make(struct metric_source *ret, const mp_image_t *image,
    const struct mp_proc *kernel, const struct metric_insight *insight,
    const struct metric_options *options, struct metric_rows *rows);

/* The table. NULL past the end. */
const struct metric *metric_at(size_t number);

/* Whether it is only there where options.all is set. */
bool metric_is_detail(size_t number);

/* Samples of one metric, none where it is not known. */
void metric_walk_one(
    const struct metric_source *source, size_t number, metric_fn *fn, void *arg);

/* All of them, metric after metric. */
void metric_walk(const struct metric_source *source, metric_fn *fn, void *arg);

#endif
