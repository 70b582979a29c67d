/*
 * mpstats/alerts.h - alerts: rules, and what is to be told of a process by them
 *
 * A part of mpstats.h, by way of insight.h; what that says of errors and threads holds here. The
 * engine does no input or output and has no clock: the caller gives what it looks at, and when.
 */
#ifndef MPSTATS_ALERTS_H
#define MPSTATS_ALERTS_H

#include <mpstats/insight.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- rules ---- */

/* What a rule measures. Each is not known at times; then the alert says why. */
enum mp_alert_measure {
    MP_MEASURE_LIVE_RATIO,     /* "live/limit": live bytes of the limit */
    MP_MEASURE_RESIDENT_RATIO, /* "resident/limit": resident bytes of the process */
    MP_MEASURE_PEAK_RATIO,     /* "peak/limit": most that was live in the window */
    MP_MEASURE_PRESSURE,       /* "pressure": 0 to 1 */
    MP_MEASURE_LIVE,           /* "live": bytes */
    MP_MEASURE_RESIDENT,       /* "resident": bytes */
    MP_MEASURE_GROWTH,         /* "growth": bytes per hour, over the window */
    MP_MEASURE_GROWTH_RATIO,   /* "growth/live": the same, of what is live */
    MP_MEASURE_TIME_TO_LIMIT,  /* "time-to-limit": seconds, by that growth */
    MP_MEASURE_LEAKS,          /* "leaks": call stacks that grow or are lost */
    MP_MEASURE_DRIFT,          /* "drift": growth since a baseline; 0.5 is 50 % */
    MP_MEASURE_RECLAIM,        /* "reclaim": of the heap, given back each second */
    MP_MEASURE_EFFICIENCY,     /* "efficiency": see mp_efficiency */
    MP_MEASURE_ANOMALY,  /* "anomaly": standard deviations off the window's mean */
    MP_MEASURE_FAILURES, /* "failures": allocations refused in the window */
    MP_MEASURE_PROFILER_OVERHEAD, /* "profiler-overhead": of the process's CPU time */
    MP_MEASURE_PROFILER_DROPS,    /* "profiler-drops": of samples, those lost */
    MP_MEASURE_COMPONENT_RATIO,   /* "component/limit": of its soft limit, the worst */
    MP_MEASURES
};

enum mp_alert_unit {
    MP_UNIT_RATIO, /* written 80% */
    MP_UNIT_RATIO_PER_HOUR,
    MP_UNIT_RATIO_PER_SECOND,
    MP_UNIT_BYTES,
    MP_UNIT_BYTES_PER_HOUR,
    MP_UNIT_SECONDS,
    MP_UNIT_COUNT
};

MPS_EXPORT const char *mp_measure_name(enum mp_alert_measure measure);
MPS_EXPORT const char *mp_measure_text(enum mp_alert_measure measure); /* a phrase */
MPS_EXPORT enum mp_alert_unit mp_measure_unit(enum mp_alert_measure measure);
MPS_EXPORT bool mp_measure_find(const char *name, enum mp_alert_measure *ret);
/* Whether it looks back over rule.over_s. */
MPS_EXPORT bool mp_measure_has_window(enum mp_alert_measure measure);

enum { MP_ALERT_NAME_BYTES = 64 };

/*
 * It fires when the value has been beyond the threshold for `for_s` at every look, and is resolved
 * when it is back beyond `clears`, which lies on the good side of it.
 */
struct mp_alert_rule {
    char name[MP_ALERT_NAME_BYTES];
    enum mp_alert_measure measure;
    bool is_below; /* bad is below the threshold */
    double threshold;
    double clears;
    double for_s;
    double over_s;  /* window */
    double minimum; /* bytes, or bytes per hour or second: less of it does not count */
    enum mp_severity severity;
    bool is_enabled;
    /*
     * Rules of one matter, 0: of none. One that fires silences those of the same matter that are
     * less severe.
     */
    unsigned matter;
};

enum mp_alert_preset { MP_PRESET_PRODUCTION, MP_PRESET_DEVELOPMENT, MP_PRESETS };

/* The built-in rules of a preset; they live for ever. */
MPS_EXPORT const struct mp_alert_rule *mp_alert_rules(
    enum mp_alert_preset preset, size_t *ret_count);
MPS_EXPORT const char *mp_preset_name(enum mp_alert_preset preset);

/* One line for people: what it means; "" for a rule that is not built in. */
MPS_EXPORT const char *mp_alert_rule_text(const char *name);

/* A value in the unit of a measure, "81.3 %", "12.0 MiB/h", "3 h 20 min". */
MPS_EXPORT size_t mp_measure_format(
    enum mp_alert_measure measure, double value, char *ret, size_t size);

#ifdef __cplusplus
}
#endif

#endif
