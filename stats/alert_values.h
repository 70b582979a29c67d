/*
 * alert_values - what a rule measures, out of the facts of a look and counters of earlier ones
 */
#ifndef ALERT_VALUES_H
#define ALERT_VALUES_H

#include <mpstats.h>

enum { COUNTS_MAX = 128 };

/* Counters at a look. */
struct alert_counts {
    uint64_t time_ns;
    bool is_start; /* of no look: all are 0 */
    double purged_bytes;
    double failures;
    double profiler_seconds;
    double cpu_seconds;
    double samples;
    double dropped;
};

/* Of one process, the oldest first; at most COUNTS_MAX, thinned out to reach back far enough. */
struct alert_past {
    size_t count;
    struct alert_counts at[COUNTS_MAX];
};

/* The counters of the facts are the newest now; `over_s`: how far back they will be wanted. */
void alert_past_add(
    struct alert_past *past, const struct mp_alert_facts *facts, double over_s);

struct alert_value {
    double value; /* NAN: not known, why says why not */
    double sure;  /* with 95 % probability it is at least as bad as that */
    bool counts;  /* false: it is too little to matter (rule.minimum) */
    const char *why;
};

/* The measure at facts->time_ns, of points up to then. */
struct alert_value alert_value_of(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *facts, const struct alert_past *past);

/* Whether points alone tell it, so that it can be known of the past. */
bool alert_is_of_points(enum mp_alert_measure measure);

#endif
