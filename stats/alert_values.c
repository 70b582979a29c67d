#include "alert_values.h"

#include <math.h>
#include <string.h>

enum { STRETCHES = 48, STRETCHES_LEAST = 16 };

static const char too_young[] =
    "not known before the process ran for half of the rule's time";
static const char no_limit[] =
    "does not apply: the process has no limit (memory.max of its cgroup, RLIMIT_AS, "
    "RLIMIT_DATA)";
static const char second_look[] = "known from the second look on";

static struct alert_value known(double value)
{
    return (struct alert_value){value, value, true, NULL};
}

static struct alert_value unknown(const char *why)
{
    return (struct alert_value){NAN, NAN, false, why};
}

/* ---- points ---- */

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e9 : 0;
}

/* How many points there are up to a time. */
static size_t points_until(const struct mp_alert_facts *f, uint64_t time_ns)
{
    size_t low = 0;
    size_t high = f->point_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (f->points[middle].time_ns <= time_ns) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/*
 * Means of equal stretches of the window that ends at the look. One without a point has what the
 * point before had: a process that does not allocate makes none. Returns how many there are, 0
 * when too little of the window is known.
 */
static size_t make_stretches(
    const struct mp_alert_facts *f, double over_s, struct mp_point ret[STRETCHES])
{
    uint64_t window = (uint64_t)(over_s * 1e9);
    uint64_t from = f->time_ns > window ? f->time_ns - window : 0;
    size_t end = points_until(f, f->time_ns);
    size_t at = points_until(f, from);
    double level;
    double span;
    size_t n;

    if (end == 0) {
        return 0;
    }
    level = f->points[at > 0 ? at - 1 : 0].live_bytes;
    if (at == 0) {
        from = f->points[0].time_ns;
    }
    span = seconds(from, f->time_ns);
    n = span < STRETCHES ? (size_t)span : STRETCHES; /* a second each, at least */
    if (span < over_s / 2 || n < STRETCHES_LEAST) {
        return 0;
    }
    for (size_t k = 0; k < n; k++) {
        double until = span * (double)(k + 1) / (double)n;
        double sum = 0;
        size_t count = 0;

        while (
            at < end && (k + 1 == n || seconds(from, f->points[at].time_ns) < until)) {
            level = f->points[at].live_bytes;
            sum += level;
            count++;
            at++;
        }
        ret[k].time_s = span * ((double)k + 0.5) / (double)n;
        ret[k].bytes = count > 0 ? sum / (double)count : level;
    }
    return n;
}

static int make_forecast(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, double room, struct mp_forecast *ret)
{
    struct mp_point point[STRETCHES];
    size_t count = make_stretches(f, rule->over_s, point);

    return mp_forecast_make(point, count, room, ret);
}

/* Of the limit. fmax passes over NAN. */
static double used_bytes(const struct mp_alert_facts *f)
{
    return fmax(fmax(f->resident_bytes, f->live_bytes), f->counted_bytes);
}

static struct alert_value growth(
    const struct mp_alert_rule *rule, const struct mp_alert_facts *f)
{
    struct alert_value v = {.counts = true};
    struct mp_forecast forecast;
    double base = 1;

    if (make_forecast(rule, f, INFINITY, &forecast) != 0) {
        return unknown(too_young);
    }
    if (rule->measure == MP_MEASURE_GROWTH_RATIO) {
        base = f->live_bytes;
        if (!(base > 0)) {
            return known(0);
        }
    }
    v.value = forecast.bytes_per_hour.value / base;
    v.sure = forecast.bytes_per_hour.low / base;
    v.counts = forecast.grows && forecast.bytes_per_hour.value >= rule->minimum;
    return v;
}

static struct alert_value time_to_limit(
    const struct mp_alert_rule *rule, const struct mp_alert_facts *f)
{
    struct alert_value v = {.counts = true};
    struct mp_forecast forecast;

    if (isnan(f->limit_bytes)) {
        return unknown(no_limit);
    }
    if (make_forecast(rule, f, f->limit_bytes - used_bytes(f), &forecast) != 0) {
        return unknown(too_young);
    }
    if (!forecast.grows || forecast.bytes_per_hour.value < rule->minimum) {
        return known(INFINITY);
    }
    v.value = forecast.limit_s.value;
    v.sure = forecast.limit_s.high;
    return v;
}

static struct alert_value anomaly(
    const struct mp_alert_rule *rule, const struct mp_alert_facts *f)
{
    struct mp_point point[STRETCHES];
    size_t count = make_stretches(f, rule->over_s, point);
    double mean = 0;
    double squares = 0;
    double spread;

    if (count == 0) {
        return unknown(too_young);
    }
    for (size_t i = 0; i < count; i++) {
        mean += point[i].bytes / (double)count;
    }
    for (size_t i = 0; i < count; i++) {
        squares += (point[i].bytes - mean) * (point[i].bytes - mean);
    }
    /* A floor, so that 5 % off is never more than 3 of them. */
    spread = fmax(sqrt(squares / (double)count), mean / 60);
    return known(spread > 0 ? fabs(f->live_bytes - mean) / spread : 0);
}

static double peak_bytes(
    const struct mp_alert_rule *rule, const struct mp_alert_facts *f)
{
    uint64_t window = (uint64_t)(rule->over_s * 1e9);
    uint64_t from = f->time_ns > window ? f->time_ns - window : 0;
    double most = f->live_bytes;

    for (size_t i = points_until(f, from); i < points_until(f, f->time_ns); i++) {
        most = fmax(most, fmax(f->points[i].live_bytes, f->points[i].high_bytes));
    }
    return most;
}

/* ---- counters ---- */

static struct alert_counts counts_of(const struct mp_alert_facts *f)
{
    return (struct alert_counts){f->time_ns, false, f->purged_bytes, f->failures,
        f->profiler_seconds, f->cpu_seconds, f->samples, f->dropped};
}

void alert_past_add(
    struct alert_past *past, const struct mp_alert_facts *facts, double over_s)
{
    if (past->count == 0 && facts->started_ns != 0
        && seconds(facts->started_ns, facts->time_ns) > 0) {
        past->at[past->count++] =
            (struct alert_counts){.time_ns = facts->started_ns, .is_start = true};
    }
    while (past->count > 0 && past->at[past->count - 1].time_ns >= facts->time_ns) {
        past->count--; /* the clock went back: what was is not before now */
    }
    /* Every other one, of those that are older than what is wanted all. */
    if (past->count == COUNTS_MAX) {
        size_t kept = 0;

        for (size_t i = 0; i < past->count; i++) {
            if (i % 2 == 0
                && (i + 2 >= past->count
                    || seconds(past->at[i + 2].time_ns, facts->time_ns) <= over_s)) {
                past->at[kept++] = past->at[i];
            }
        }
        past->count = kept;
    }
    past->at[past->count++] = counts_of(facts);
}

/*
 * What was counted since the last look before the window, or since the first, or the start when
 * that is in the window. False: the first look at a process that ran for longer. `whole`: then its
 * whole life will do.
 */
static bool count_window(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, const struct alert_past *past, bool whole,
    struct alert_counts *ret, double *ret_seconds)
{
    struct alert_counts now = counts_of(f);
    const struct alert_counts *from = NULL;
    uint64_t window = (uint64_t)(rule->over_s * 1e9);
    uint64_t begin = f->time_ns > window ? f->time_ns - window : 0;

    for (size_t i = 0; i < past->count; i++) {
        const struct alert_counts *c = &past->at[i];

        if (c->time_ns >= f->time_ns) {
            break;
        }
        if (from == NULL || c->time_ns <= begin) {
            from = c;
        }
    }
    if (from == NULL) {
        return false;
    }
    *ret_seconds = seconds(from->time_ns, f->time_ns);
    if (!whole && from->is_start && *ret_seconds > rule->over_s) {
        return false; /* what was within the window cannot be told from it */
    }
    *ret = (struct alert_counts){.purged_bytes = now.purged_bytes - from->purged_bytes,
        .failures = now.failures - from->failures,
        .profiler_seconds = now.profiler_seconds - from->profiler_seconds,
        .cpu_seconds = now.cpu_seconds - from->cpu_seconds,
        .samples = now.samples - from->samples,
        .dropped = now.dropped - from->dropped};
    return *ret_seconds > 0;
}

static struct alert_value reclaim(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, const struct alert_past *past)
{
    struct alert_value v;
    struct alert_counts c;
    double span;

    if (isnan(f->purged_bytes) || !(f->heap_bytes > 0)
        || !count_window(rule, f, past, false, &c, &span)) {
        return unknown(second_look);
    }
    if (span < rule->over_s / 2) {
        return unknown(too_young);
    }
    v = known(c.purged_bytes / span / f->heap_bytes);
    v.counts = c.purged_bytes / span >= rule->minimum;
    return v;
}

static struct alert_value failures(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, const struct alert_past *past)
{
    struct alert_counts c;
    double span;

    if (isnan(f->failures)) {
        return unknown("not counted");
    }
    if (f->failures <= 0) {
        return known(0);
    }
    return count_window(rule, f, past, false, &c, &span) ? known(c.failures)
                                                         : unknown(second_look);
}

/* Of a process that hardly runs any share is large: 1 ms a second hurts nobody. */
static const double PROFILER_LEAST = 0.001;

static struct alert_value overhead(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, const struct alert_past *past)
{
    struct alert_value v;
    struct alert_counts c;
    double span;
    double of;

    if (isnan(f->profiler_seconds) || !count_window(rule, f, past, true, &c, &span)) {
        return unknown(second_look);
    }
    of = isnan(c.cpu_seconds) ? span : c.cpu_seconds;
    if (of < 1) {
        return unknown("not known before the process used a second of processor time");
    }
    v = known(c.profiler_seconds / of);
    v.counts = c.profiler_seconds >= PROFILER_LEAST * span;
    return v;
}

static struct alert_value drops(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, const struct alert_past *past)
{
    struct alert_counts c;
    double span;

    if (isnan(f->samples) || !count_window(rule, f, past, true, &c, &span)) {
        return unknown(second_look);
    }
    return c.samples + c.dropped < 100
               ? unknown("not known before there are 100 samples")
               : known(c.dropped / (c.samples + c.dropped));
}

/* ---- all of them ---- */

static struct alert_value ratio_of_limit(
    const struct mp_alert_rule *rule, const struct mp_alert_facts *f, double bytes)
{
    struct alert_value v;

    if (isnan(f->limit_bytes) || !(f->limit_bytes > 0)) {
        return unknown(no_limit);
    }
    if (isnan(bytes)) {
        return unknown("the kernel does not say");
    }
    v = known(bytes / f->limit_bytes);
    v.counts = bytes >= rule->minimum;
    return v;
}

static struct alert_value or_unknown(double value, const char *why)
{
    return isnan(value) ? unknown(why) : known(value);
}

static struct alert_value efficiency(
    const struct mp_alert_rule *rule, const struct mp_alert_facts *f)
{
    struct alert_value v;

    if (isnan(f->efficiency.value)) {
        return unknown("not known");
    }
    v = known(f->efficiency.value);
    v.sure = rule->is_below ? f->efficiency.high : f->efficiency.low;
    v.counts = f->heap_bytes >= rule->minimum;
    return v;
}

struct alert_value alert_value_of(const struct mp_alert_rule *rule,
    const struct mp_alert_facts *f, const struct alert_past *past)
{
    switch (rule->measure) {
    case MP_MEASURE_LIVE_RATIO:
        return ratio_of_limit(rule, f, f->live_bytes);
    case MP_MEASURE_RESIDENT_RATIO:
        return ratio_of_limit(rule, f, fmax(f->resident_bytes, f->counted_bytes));
    case MP_MEASURE_PEAK_RATIO:
        return ratio_of_limit(rule, f, peak_bytes(rule, f));
    case MP_MEASURE_PRESSURE:
        return or_unknown(f->pressure, isnan(f->limit_bytes) ? no_limit : "not known");
    case MP_MEASURE_LIVE:
        return or_unknown(f->live_bytes, "not known");
    case MP_MEASURE_RESIDENT:
        return or_unknown(f->resident_bytes, "the kernel does not say");
    case MP_MEASURE_GROWTH:
    case MP_MEASURE_GROWTH_RATIO:
        return growth(rule, f);
    case MP_MEASURE_TIME_TO_LIMIT:
        return time_to_limit(rule, f);
    case MP_MEASURE_LEAKS:
        return or_unknown(f->leaks, "stacks were not looked at");
    case MP_MEASURE_DRIFT:
        return or_unknown(fmax(f->drift, f->component_drift), /* passes over NAN */
            "there is no baseline of this program (mpalloc baseline save NAME TARGET)");
    case MP_MEASURE_RECLAIM:
        return reclaim(rule, f, past);
    case MP_MEASURE_EFFICIENCY:
        return efficiency(rule, f);
    case MP_MEASURE_ANOMALY:
        return anomaly(rule, f);
    case MP_MEASURE_FAILURES:
        return failures(rule, f, past);
    case MP_MEASURE_PROFILER_OVERHEAD:
        return overhead(rule, f, past);
    case MP_MEASURE_PROFILER_DROPS:
        return drops(rule, f, past);
    default:
        return or_unknown(f->component_ratio,
            "does not apply: no component has a limit (mp_component_limit)");
    }
}

bool alert_is_of_points(enum mp_alert_measure measure)
{
    switch (measure) {
    case MP_MEASURE_LIVE_RATIO:
    case MP_MEASURE_RESIDENT_RATIO:
    case MP_MEASURE_PEAK_RATIO:
    case MP_MEASURE_LIVE:
    case MP_MEASURE_RESIDENT:
    case MP_MEASURE_GROWTH:
    case MP_MEASURE_GROWTH_RATIO:
    case MP_MEASURE_TIME_TO_LIMIT:
    case MP_MEASURE_ANOMALY:
        return true;
    default:
        return false;
    }
}
