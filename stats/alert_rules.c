/*
 * alert_rules - the rules that are built in, and the words and units of what they measure
 */
#include "words.h"

#include <math.h>
#include <mpstats.h>
#include <stdio.h>
#include <string.h>

#define MINUTES(n) (60.0 * (n))
#define HOURS(n)   (3600.0 * (n))
#define MIB(n)     (1048576.0 * (n))

/* ---- what is measured ---- */

static const struct {
    const char *name;
    const char *text;
    enum mp_alert_unit unit;
    bool has_window;
} measures[MP_MEASURES] = {
    [MP_MEASURE_LIVE_RATIO] = {"live/limit", "live bytes of the limit", MP_UNIT_RATIO,
        false},
    [MP_MEASURE_RESIDENT_RATIO] = {"resident/limit", "resident memory of the limit",
        MP_UNIT_RATIO, false},
    [MP_MEASURE_PEAK_RATIO] = {"peak/limit", "the highest live bytes of the limit",
        MP_UNIT_RATIO, true},
    [MP_MEASURE_PRESSURE] = {"pressure", "memory pressure", MP_UNIT_RATIO, false},
    [MP_MEASURE_LIVE] = {"live", "live bytes", MP_UNIT_BYTES, false},
    [MP_MEASURE_RESIDENT] = {"resident", "resident memory", MP_UNIT_BYTES, false},
    [MP_MEASURE_GROWTH] = {"growth", "growth of live bytes", MP_UNIT_BYTES_PER_HOUR,
        true},
    [MP_MEASURE_GROWTH_RATIO] = {"growth/live", "growth of live bytes",
        MP_UNIT_RATIO_PER_HOUR, true},
    [MP_MEASURE_TIME_TO_LIMIT] = {"time-to-limit", "time until the limit is reached",
        MP_UNIT_SECONDS, true},
    [MP_MEASURE_LEAKS] = {"leaks", "call stacks that leak", MP_UNIT_COUNT, false},
    [MP_MEASURE_DRIFT] = {"drift", "growth since the baseline", MP_UNIT_RATIO, false},
    [MP_MEASURE_RECLAIM] = {"reclaim", "heap given back to the kernel and taken again",
        MP_UNIT_RATIO_PER_SECOND, true},
    [MP_MEASURE_EFFICIENCY] = {"efficiency", "of the resident heap, what is asked for",
        MP_UNIT_RATIO, false},
    [MP_MEASURE_ANOMALY] = {"anomaly", "standard deviations off the usual live bytes",
        MP_UNIT_COUNT, true},
    [MP_MEASURE_FAILURES] = {"failures", "allocations that failed", MP_UNIT_COUNT,
        true},
    [MP_MEASURE_PROFILER_OVERHEAD] = {"profiler-overhead",
        "processor time of the profiler, of that of the process", MP_UNIT_RATIO, true},
    [MP_MEASURE_PROFILER_DROPS] = {"profiler-drops", "samples that found no room",
        MP_UNIT_RATIO, true},
    [MP_MEASURE_COMPONENT_RATIO] = {"component/limit",
        "live bytes of the component nearest to its limit", MP_UNIT_RATIO, false},
};

const char *mp_measure_name(enum mp_alert_measure measure)
{
    return measure < MP_MEASURES ? measures[measure].name : "";
}

const char *mp_measure_text(enum mp_alert_measure measure)
{
    return measure < MP_MEASURES ? measures[measure].text : "";
}

enum mp_alert_unit mp_measure_unit(enum mp_alert_measure measure)
{
    return measure < MP_MEASURES ? measures[measure].unit : MP_UNIT_COUNT;
}

bool mp_measure_has_window(enum mp_alert_measure measure)
{
    return measure < MP_MEASURES && measures[measure].has_window;
}

bool mp_measure_find(const char *name, enum mp_alert_measure *ret)
{
    for (unsigned i = 0; i < MP_MEASURES; i++) {
        if (strcmp(measures[i].name, name) == 0) {
            *ret = (enum mp_alert_measure)i;
            return true;
        }
    }
    return false;
}

size_t mp_measure_format(
    enum mp_alert_measure measure, double value, char *ret, size_t size)
{
    enum mp_alert_unit unit = mp_measure_unit(measure);
    char text[WORDS_BYTES];
    int length;

    if (isnan(value)) {
        length = snprintf(ret, size, "not known");
    } else if (unit == MP_UNIT_BYTES || unit == MP_UNIT_BYTES_PER_HOUR) {
        length = snprintf(ret, size, "%s%s", words_bytes(value, text),
            unit == MP_UNIT_BYTES ? "" : "/h");
    } else if (unit == MP_UNIT_SECONDS) {
        length =
            snprintf(ret, size, "%s", isinf(value) ? "never" : words_time(value, text));
    } else if (unit == MP_UNIT_COUNT) {
        length = snprintf(ret, size, "%.3g", value);
    } else if (isinf(value)) {
        length = snprintf(ret, size, "without bound");
    } else {
        length = snprintf(ret, size, "%.1f %%%s", 100 * value,
            unit == MP_UNIT_RATIO_PER_HOUR     ? "/h"
            : unit == MP_UNIT_RATIO_PER_SECOND ? "/s"
                                               : "");
    }
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

/* ---- the rules ---- */

/* Rules of one matter: the worse silences the lesser. */
enum matter {
    MATTER_NONE,
    MATTER_MEMORY,
    MATTER_PRESSURE,
    MATTER_GROWTH,
    MATTER_DRIFT
};

enum { BELOW = true, ABOVE = false };

#define RULE(                                                                          \
    name, measure, side, threshold, clears, wait, over, least, severity, matter)       \
    {                                                                                  \
        name, MP_MEASURE_##measure, side, threshold, clears, wait, over, least,        \
            MP_SEVERITY_##severity, true, MATTER_##matter                              \
    }

/*
 * Production is careful: it wakes people. Development is for somebody who looks, and whose programs
 * live shortly: it says at once, and only what is far off.
 */
static const struct mp_alert_rule production[] = {
    RULE("MpallocMemoryHigh", LIVE_RATIO, ABOVE, 0.80, 0.75, MINUTES(10), 0, 0, WARNING,
        MEMORY),
    RULE("MpallocMemoryCritical", LIVE_RATIO, ABOVE, 0.90, 0.85, MINUTES(5), 0, 0,
        CRITICAL, MEMORY),
    RULE("MpallocPeakHigh", PEAK_RATIO, ABOVE, 0.95, 0.90, 0, MINUTES(10), 0, WARNING,
        MEMORY),
    RULE("MpallocPressureHigh", PRESSURE, ABOVE, 0.70, 0.65, MINUTES(5), 0, 0, WARNING,
        PRESSURE),
    RULE("MpallocPressureCritical", PRESSURE, ABOVE, 0.80, 0.75, MINUTES(2), 0, 0,
        CRITICAL, PRESSURE),
    RULE("MpallocGrowthHigh", GROWTH_RATIO, ABOVE, 0.10, 0.08, HOURS(1), HOURS(1),
        MIB(1), WARNING, GROWTH),
    RULE("MpallocLimitSoon", TIME_TO_LIMIT, BELOW, HOURS(4), HOURS(5), MINUTES(30),
        HOURS(1), 0, CRITICAL, GROWTH),
    RULE("MpallocLeakSuspected", LEAKS, ABOVE, 0, 0, MINUTES(15), 0, 0, WARNING, NONE),
    RULE("MpallocBaselineDrift", DRIFT, ABOVE, 0.50, 0.40, HOURS(1), 0, 0, WARNING,
        DRIFT),
    RULE("MpallocBaselineDriftCritical", DRIFT, ABOVE, 1.00, 0.80, MINUTES(30), 0, 0,
        CRITICAL, DRIFT),
    RULE("MpallocReclaimStorm", RECLAIM, ABOVE, 0.10, 0.05, MINUTES(5), MINUTES(1),
        MIB(16), WARNING, NONE),
    RULE("MpallocFragmentationHigh", EFFICIENCY, BELOW, 0.50, 0.55, MINUTES(30), 0,
        MIB(64), WARNING, NONE),
    RULE("MpallocAnomaly", ANOMALY, ABOVE, 3, 2, MINUTES(15), HOURS(1), 0, INFO, NONE),
    RULE("MpallocAllocFailures", FAILURES, ABOVE, 0, 0, 0, MINUTES(5), 0, CRITICAL,
        NONE),
    RULE("MpallocProfilerOverBudget", PROFILER_OVERHEAD, ABOVE, 0.02, 0.015,
        MINUTES(10), MINUTES(5), 0, WARNING, NONE),
    RULE("MpallocProfilerBlind", PROFILER_DROPS, ABOVE, 0.10, 0.05, MINUTES(15),
        MINUTES(5), 0, WARNING, NONE),
    RULE("MpallocComponentOverLimit", COMPONENT_RATIO, ABOVE, 1.00, 0.95, MINUTES(5), 0,
        0, WARNING, NONE),
};

static const struct mp_alert_rule development[] = {
    RULE("MpallocMemoryHigh", LIVE_RATIO, ABOVE, 0.90, 0.85, MINUTES(1), 0, 0, WARNING,
        MEMORY),
    RULE("MpallocMemoryCritical", LIVE_RATIO, ABOVE, 0.95, 0.90, 30, 0, 0, CRITICAL,
        MEMORY),
    RULE("MpallocPeakHigh", PEAK_RATIO, ABOVE, 0.98, 0.95, 0, MINUTES(1), 0, WARNING,
        MEMORY),
    RULE("MpallocPressureHigh", PRESSURE, ABOVE, 0.80, 0.75, MINUTES(1), 0, 0, WARNING,
        PRESSURE),
    RULE("MpallocPressureCritical", PRESSURE, ABOVE, 0.90, 0.85, 30, 0, 0, CRITICAL,
        PRESSURE),
    RULE("MpallocGrowthHigh", GROWTH_RATIO, ABOVE, 0.50, 0.40, MINUTES(2), MINUTES(10),
        MIB(16), WARNING, GROWTH),
    RULE("MpallocLimitSoon", TIME_TO_LIMIT, BELOW, HOURS(1), HOURS(1.5), MINUTES(1),
        MINUTES(10), 0, CRITICAL, GROWTH),
    RULE("MpallocLeakSuspected", LEAKS, ABOVE, 0, 0, 0, 0, 0, WARNING, NONE),
    RULE("MpallocBaselineDrift", DRIFT, ABOVE, 1.00, 0.80, MINUTES(1), 0, 0, WARNING,
        DRIFT),
    RULE("MpallocBaselineDriftCritical", DRIFT, ABOVE, 2.00, 1.60, MINUTES(1), 0, 0,
        CRITICAL, DRIFT),
    RULE("MpallocReclaimStorm", RECLAIM, ABOVE, 0.25, 0.15, 30, 15, MIB(16), WARNING,
        NONE),
    RULE("MpallocFragmentationHigh", EFFICIENCY, BELOW, 0.40, 0.45, MINUTES(1), 0,
        MIB(64), WARNING, NONE),
    RULE(
        "MpallocAnomaly", ANOMALY, ABOVE, 4, 3, MINUTES(1), MINUTES(10), 0, INFO, NONE),
    RULE("MpallocAllocFailures", FAILURES, ABOVE, 0, 0, 0, MINUTES(1), 0, CRITICAL,
        NONE),
    RULE("MpallocProfilerOverBudget", PROFILER_OVERHEAD, ABOVE, 0.05, 0.04, MINUTES(1),
        MINUTES(1), 0, WARNING, NONE),
    RULE("MpallocProfilerBlind", PROFILER_DROPS, ABOVE, 0.10, 0.05, MINUTES(1),
        MINUTES(1), 0, WARNING, NONE),
    RULE("MpallocComponentOverLimit", COMPONENT_RATIO, ABOVE, 1.00, 0.95, 10, 0, 0,
        WARNING, NONE),
};

enum { RULES = sizeof(production) / sizeof(production[0]) };
_Static_assert(sizeof(development) == sizeof(production), "the same rules, in order");

const struct mp_alert_rule *mp_alert_rules(
    enum mp_alert_preset preset, size_t *ret_count)
{
    *ret_count = RULES;
    return preset == MP_PRESET_DEVELOPMENT ? development : production;
}

const char *mp_preset_name(enum mp_alert_preset preset)
{
    return preset == MP_PRESET_DEVELOPMENT ? "development" : "production";
}

/* In the order of the rules. */
static const char *const texts[RULES] = {
    "the process holds much of the memory it may have",
    "the process is about to reach its memory limit",
    "for a moment the process nearly reached its memory limit",
    "memory is short for the process",
    "memory is very short for the process",
    "the process grows fast",
    "the process will reach its memory limit soon",
    "memory is allocated and not freed any more",
    "the process holds more than its baseline",
    "the process holds far more than its baseline",
    "memory is given back to the kernel and taken again, over and over",
    "much of the resident heap is not in use",
    "live bytes are unusual for this process",
    "allocations failed for want of memory",
    "profiling costs more than it may",
    "the profiler loses samples: its figures are too small",
    "a component holds more than its limit",
};

const char *mp_alert_rule_text(const char *name)
{
    for (unsigned i = 0; i < RULES; i++) {
        if (strcmp(production[i].name, name) == 0) {
            return texts[i];
        }
    }
    return "";
}
