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
    MP_MEASURE_DRIFT,          /* "drift": growth since a baseline; 0.5 is 50 %, of all
                                  or of one component, whichever is more */
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

/* ---- what is looked at ---- */

struct mp_alert_point {
    uint64_t time_ns; /* CLOCK_REALTIME */
    double live_bytes;
    double high_bytes;     /* the most since the point before */
    double resident_bytes; /* NAN: not known */
};

enum { MP_ALERT_DETAIL_BYTES = 128 };

/* Figures of a process at a moment. NAN: not known. Counters count since its start. */
struct mp_alert_facts {
    uint64_t time_ns;    /* CLOCK_REALTIME of the look */
    uint64_t started_ns; /* of the start of the process; 0: not known */
    double live_bytes;
    double heap_bytes;     /* resident heap */
    double resident_bytes; /* of the process */
    double
        limit_bytes; /* of its group or its own, else the machine's memory; NAN: none */
    double
        counted_bytes; /* what counts there, where that is more than RSS: RLIMIT_AS; NAN */
    double pressure;         /* 0 to 1: mp_pressure_make */
    double purged_bytes;     /* counter: given back to the kernel */
    double failures;         /* counter: allocations that failed for want of memory */
    double profiler_seconds; /* counter */
    double cpu_seconds;      /* counter: of the process */
    double samples;          /* counter: taken */
    double dropped;          /* counter: of them, without a place */
    double drift;            /* since the baseline */
    char baseline[MP_ALERT_DETAIL_BYTES];
    double
        component_drift; /* the same of the component that grew most of what it had */
    char drift_component[MP_ALERT_DETAIL_BYTES]; /* its name and sizes, in words */
    double component_ratio; /* of the one nearest to its soft limit */
    char component[MP_ALERT_DETAIL_BYTES];

    /* These take long to make. When they were not made this time, what was said last holds. */
    bool has_slow;
    struct mp_estimate efficiency;
    double leaks; /* call stacks that grow or are lost */
    enum mp_severity leak_severity;
    char leak[MP_ALERT_DETAIL_BYTES]; /* of the worst, in words */

    size_t point_count; /* up to the look, the oldest first; the last may be of now */
    const struct mp_alert_point *points;
};

struct mp_pressure; /* pressure.h */

/* All of it unknown. */
MPS_EXPORT void mp_alert_facts_init(struct mp_alert_facts *ret, uint64_t time_ns);

/*
 * Out of an image, what the kernel says (NULL: nothing), its pressure (NULL: it is made), and
 * verdicts (NULL: has_slow is false).
 * is_known: for each verdict whether somebody knows of it, so that it does not count; may be NULL.
 * older: points of before the image's timeline, such as those of a history. Free with
 * mp_alert_facts_fini. What comes from elsewhere, drift, is to be set then. -ENOMEM.
 */
MPS_EXPORT int mp_alert_facts_make(const mp_image_t *image,
    const struct mp_proc *kernel, const struct mp_pressure *pressure,
    const mp_verdicts_t *verdicts, const bool *is_known,
    const struct mp_alert_point *older, size_t older_count, uint64_t time_ns,
    struct mp_alert_facts *ret);
MPS_EXPORT void mp_alert_facts_fini(struct mp_alert_facts *facts);

/* ---- alerts ---- */

enum mp_alert_state {
    MP_ALERT_INACTIVE,
    MP_ALERT_PENDING, /* beyond the threshold, but not yet for long enough */
    MP_ALERT_FIRING,
    MP_ALERT_RESOLVED, /* it fired; for an hour, then it is inactive */
};

/* What is to be told since the last look. */
enum mp_alert_event {
    MP_EVENT_NONE,
    MP_EVENT_FIRED,
    MP_EVENT_WORSE, /* it was told, and is more severe now */
    MP_EVENT_RESOLVED,
};

enum { MP_ALERT_PROCESS_BYTES = 64, MP_ALERT_TEXT_BYTES = 448 };

struct mp_alert {
    const struct mp_alert_rule *rule; /* lives as long as the engine */
    char process[MP_ALERT_PROCESS_BYTES];
    enum mp_alert_state state;
    /*
     * That of the rule; one less where an estimate crosses the threshold, but its interval does
     * not; of leaks that of the worst. While it fires it does not fall.
     */
    enum mp_severity severity;
    enum mp_alert_event event;
    bool is_told; /* it fired, somebody heard of it, and it was not resolved since */
    uint64_t since_ns;                       /* beyond the threshold; 0: it is not */
    uint64_t fired_ns;                       /* fires, or fired last; 0: never */
    uint64_t resolved_ns;                    /* 0: it was not */
    uint64_t seen_ns;                        /* the last look; 0: none */
    double value;                            /* NAN: not known, and `text` says why */
    const struct mp_alert_rule *silenced_by; /* a worse one of the same matter; NULL */
    char text[MP_ALERT_TEXT_BYTES];          /* one line */
};

typedef struct mp_alerts mp_alerts_t;

/* Copies the rules; those that are not enabled are left out. -ENOMEM. */
MPS_EXPORT int mp_alerts_create(
    const struct mp_alert_rule *rules, size_t count, mp_alerts_t **ret);
MPS_EXPORT void mp_alerts_free(mp_alerts_t *alerts);

/*
 * Looks at a process, by whatever name the caller has for it. At the first look the points of the
 * facts are gone through as if they had been looked at, so that what lasts for long enough fires at
 * once; of what they do not tell, a wait (`for`) begins now. Times may stand still and even go
 * back. -ENOMEM, -ENAMETOOLONG.
 */
MPS_EXPORT int mp_alerts_look(
    mp_alerts_t *alerts, const char *process, const struct mp_alert_facts *facts);

/* It ended: what fires is resolved. */
MPS_EXPORT void mp_alerts_end(
    mp_alerts_t *alerts, const char *process, uint64_t time_ns);
MPS_EXPORT void mp_alerts_forget(mp_alerts_t *alerts, const char *process);

/*
 * As it was in another life: before the first look at the process. state, severity, is_told, times
 * and value are taken; the rule is found by its name, and one that there is not is passed over.
 */
MPS_EXPORT int mp_alerts_restore(
    mp_alerts_t *alerts, const char *rule_name, const struct mp_alert *was);

/* Of one process, in the order of the rules, and of all. NULL: there is none. */
MPS_EXPORT const struct mp_alert *mp_alerts_of(
    const mp_alerts_t *alerts, const char *process, size_t *ret_count);
MPS_EXPORT size_t mp_alerts_count(const mp_alerts_t *alerts);
MPS_EXPORT const struct mp_alert *mp_alerts_at(
    const mp_alerts_t *alerts, size_t number);

/* Keys: "inactive", "pending", "firing", "resolved". */
MPS_EXPORT const char *mp_alert_state_name(enum mp_alert_state state);

/* ---- a program that watches itself ---- */

/*
 * The thread of mps_on_leak, or the same one, also looks at the rules every `period_s` (at least 1),
 * and calls fn for each alert that fired, got worse, or was resolved (alert->event). rules are
 * copied; NULL: those of production. The alert and the image live until fn returns; fn may allocate,
 * and may call mps_stop_watch, which then only asks. mps_stop_watch ends both. One of each per
 * process. 0; -EBUSY: there is one, or the watch is being stopped; -EINVAL; -ENOMEM; -EAGAIN: no
 * thread; or why the region is not there.
 */
typedef void mps_alert_fn(
    const struct mp_alert *alert, const mp_image_t *image, void *arg);
MPS_EXPORT int mps_on_alert(mps_alert_fn *fn, void *arg,
    const struct mp_alert_rule *rules, size_t count, unsigned period_s);

#ifdef __cplusplus
}
#endif

#endif
