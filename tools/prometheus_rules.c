#include "prometheus_rules.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { EXPRESSION_BYTES = 1024, WINDOW_BYTES = 24 };

/* ---- pieces ---- */

/* "90s", "5m", "4h": whole seconds. */
static const char *duration(double seconds, char ret[WINDOW_BYTES])
{
    unsigned long s = seconds > 0 ? (unsigned long)ceil(seconds) : 0;
    bool is_hours = s % 3600 == 0 && s > 0;
    bool is_minutes = s % 60 == 0 && s > 0;

    snprintf(ret, WINDOW_BYTES, "%lu%s",
        is_hours     ? s / 3600
        : is_minutes ? s / 60
                     : s,
        is_hours     ? "h"
        : is_minutes ? "m"
                     : "s");
    return ret;
}

/* A rate wants several scrapes in its window. */
static double rate_window(const struct mp_alert_rule *r)
{
    return r->over_s > 120 ? r->over_s : 120;
}

static double window_of(const struct mp_alert_rule *r)
{
    return r->over_s > 0 ? r->over_s : 3600;
}

/*
 * What the rule measures. False: Prometheus has no such figure. Counters are given to rate and
 * increase, gauges to deriv and predict_linear, never the other way round.
 */
static bool put_measure(const struct mp_alert_rule *r, char *ret)
{
    char w[WINDOW_BYTES];
    char least[WINDOW_BYTES];

    duration(window_of(r), w);
    duration(rate_window(r), least);
    switch (r->measure) {
    case MP_MEASURE_LIVE_RATIO:
        return snprintf(ret, EXPRESSION_BYTES, "mpalloc:live_ratio") > 0;
    case MP_MEASURE_RESIDENT_RATIO:
        return snprintf(ret, EXPRESSION_BYTES, "mpalloc:resident_ratio") > 0;
    case MP_MEASURE_PEAK_RATIO:
        return snprintf(
                   ret, EXPRESSION_BYTES, "max_over_time(mpalloc:live_ratio[%s])", w)
               > 0;
    case MP_MEASURE_LIVE:
        return snprintf(ret, EXPRESSION_BYTES, "mpalloc_live_bytes") > 0;
    case MP_MEASURE_RESIDENT:
        return snprintf(ret, EXPRESSION_BYTES, "mpalloc_process_resident_bytes") > 0;
    case MP_MEASURE_GROWTH:
        return snprintf(
                   ret, EXPRESSION_BYTES, "deriv(mpalloc_live_bytes[%s]) * 3600", w)
               > 0;
    case MP_MEASURE_GROWTH_RATIO:
        return snprintf(ret, EXPRESSION_BYTES,
                   "deriv(mpalloc_live_bytes[%s]) * 3600 / mpalloc_live_bytes", w)
               > 0;
    case MP_MEASURE_TIME_TO_LIMIT: /* what it will hold then, against the limit */
        return r->is_below
               && snprintf(ret, EXPRESSION_BYTES,
                      "predict_linear(mpalloc_live_bytes[%s], %.15g)", w, r->threshold)
                      > 0;
    case MP_MEASURE_LEAKS:
        return snprintf(ret, EXPRESSION_BYTES,
                   "sum without (severity) (mpalloc_leak_suspects)")
               > 0;
    case MP_MEASURE_DRIFT:
        return snprintf(ret, EXPRESSION_BYTES,
                   "(mpalloc_baseline_drift_ratio unless "
                   "mpalloc_baseline_significant_sites == 0)")
               > 0;
    case MP_MEASURE_RECLAIM:
        return snprintf(ret, EXPRESSION_BYTES,
                   "rate(mpalloc_purged_bytes_total[%s]) / mpalloc_committed_bytes",
                   least)
               > 0;
    case MP_MEASURE_EFFICIENCY:
        return snprintf(ret, EXPRESSION_BYTES, "mpalloc_efficiency_ratio") > 0;
    case MP_MEASURE_ANOMALY:
        return snprintf(ret, EXPRESSION_BYTES, "abs(mpalloc:live_bytes:zscore%s)", w)
               > 0;
    case MP_MEASURE_FAILURES:
        return snprintf(ret, EXPRESSION_BYTES,
                   "increase(mpalloc_allocation_failures_total[%s])", least)
               > 0;
    case MP_MEASURE_PROFILER_OVERHEAD:
        return snprintf(ret, EXPRESSION_BYTES,
                   "rate(mpalloc_profiler_cpu_seconds_total[%s]) / "
                   "rate(mpalloc_process_cpu_seconds_total[%s])",
                   least, least)
               > 0;
    case MP_MEASURE_PROFILER_DROPS:
        return snprintf(ret, EXPRESSION_BYTES,
                   "sum without (reason) "
                   "(rate(mpalloc_profiler_dropped_samples_total[%s])) / "
                   "rate(mpalloc_profiler_samples_total[%s])",
                   least, least)
               > 0;
    case MP_MEASURE_COMPONENT_RATIO:
        return snprintf(ret, EXPRESSION_BYTES,
                   "mpalloc_component_tree_live_bytes / ignoring (kind) "
                   "mpalloc_component_limit_bytes{kind=\"soft\"}")
               > 0;
    default:
        return false;
    }
}

/* What must hold besides: of little it does not count. "" when there is nothing. */
static void put_floor(const struct mp_alert_rule *r, char *ret)
{
    char w[WINDOW_BYTES];

    ret[0] = '\0';
    if (r->measure == MP_MEASURE_ANOMALY) { /* noise of what hardly moves is no news */
        duration(window_of(r), w);
        snprintf(ret, EXPRESSION_BYTES,
            " and abs(mpalloc_live_bytes - mpalloc:live_bytes:avg%s) > 0.05 * "
            "mpalloc:live_bytes:avg%s",
            w, w);
    } else if (r->minimum > 0 && r->measure == MP_MEASURE_GROWTH_RATIO) {
        snprintf(ret, EXPRESSION_BYTES,
            " and deriv(mpalloc_live_bytes[%s]) * 3600 > %.15g",
            duration(window_of(r), w), r->minimum);
    } else if (r->minimum > 0 && r->measure == MP_MEASURE_RECLAIM) {
        snprintf(ret, EXPRESSION_BYTES,
            " and rate(mpalloc_purged_bytes_total[%s]) > %.15g",
            duration(rate_window(r), w), r->minimum);
    } else if (r->minimum > 0 && r->measure == MP_MEASURE_EFFICIENCY) {
        snprintf(
            ret, EXPRESSION_BYTES, " and mpalloc_resident_bytes > %.15g", r->minimum);
    } else if (r->minimum > 0) {
        snprintf(ret, EXPRESSION_BYTES, " and mpalloc_live_bytes > %.15g", r->minimum);
    }
}

/* "$value" as people read it. */
static const char *value_text(enum mp_alert_measure measure)
{
    switch (mp_measure_unit(measure)) {
    case MP_UNIT_RATIO:
        return "{{ $value | humanizePercentage }}";
    case MP_UNIT_RATIO_PER_HOUR:
        return "{{ $value | humanizePercentage }} per hour";
    case MP_UNIT_RATIO_PER_SECOND:
        return "{{ $value | humanizePercentage }} per second";
    case MP_UNIT_BYTES:
        return "{{ $value | humanize1024 }}B";
    case MP_UNIT_BYTES_PER_HOUR:
        return "{{ $value | humanize1024 }}B per hour";
    default:
        return "{{ $value | humanize }}";
    }
}

/* The command that shows the reason. */
static const char *command_of(enum mp_alert_measure measure)
{
    switch (measure) {
    case MP_MEASURE_LEAKS:
    case MP_MEASURE_GROWTH:
    case MP_MEASURE_GROWTH_RATIO:
    case MP_MEASURE_TIME_TO_LIMIT:
        return "mpalloc leaks {{ $labels.pid }}";
    case MP_MEASURE_DRIFT:
        return "mpalloc diff --baseline {{ $labels.baseline }} {{ $labels.pid }}";
    default:
        return "mpalloc report {{ $labels.pid }}";
    }
}

/* In single quotes of YAML. */
static void put_quoted(FILE *out, const char *text)
{
    putc('\'', out);
    for (; *text != '\0'; text++) {
        fputs(*text == '\'' ? "''" : (char[]){*text, '\0'}, out);
    }
    fputs("'\n", out);
}

/* ---- rules ---- */

static void put_alert(FILE *out, const char *name, const char *expression, double for_s,
    const char *severity, const char *summary, const char *description,
    const struct prometheus_options *o)
{
    char w[WINDOW_BYTES];

    fprintf(out, "  - alert: %s\n    expr: ", name);
    put_quoted(out, expression);
    fprintf(out, "    for: %s\n    labels:\n      severity: %s\n    annotations:\n",
        duration(for_s, w), severity);
    fputs("      summary: ", out);
    put_quoted(out, summary);
    fputs("      description: ", out);
    put_quoted(out, description);
    fprintf(out, "      runbook_url: '%s#",
        o->runbook != NULL ? o->runbook : "http://{{ $labels.instance }}/runbook");
    for (; *name != '\0'; name++) {
        putc(tolower((unsigned char)*name), out);
    }
    fputs("'\n", out);
}

static void put_rule(
    FILE *out, const struct mp_alert_rule *r, const struct prometheus_options *o)
{
    char measure[EXPRESSION_BYTES];
    char bound[EXPRESSION_BYTES];
    char all[3 * EXPRESSION_BYTES];
    char summary[512];
    char description[512];
    char w[WINDOW_BYTES];
    const char *text = mp_alert_rule_text(r->name);

    if (!r->is_enabled) {
        return;
    }
    if (!put_measure(r, measure)) {
        fprintf(out, "  # %s: \"%s\" is judged by mpalloc serve alone.\n", r->name,
            mp_measure_name(r->measure));
        return;
    }
    put_floor(r, bound);
    if (r->measure == MP_MEASURE_TIME_TO_LIMIT) {
        snprintf(all, sizeof(all), "%s > max without (source) (mpalloc_limit_bytes)",
            measure);
    } else {
        snprintf(all, sizeof(all), "%s %s %.15g%s", measure, r->is_below ? "<" : ">",
            r->threshold, bound);
    }
    snprintf(summary, sizeof(summary), "{{ $labels.process }} ({{ $labels.pid }}): %s",
        text[0] != '\0' ? text : mp_measure_text(r->measure));
    if (r->measure == MP_MEASURE_TIME_TO_LIMIT) {
        snprintf(description, sizeof(description),
            "live bytes in %s: {{ $value | humanize1024 }}B. On that machine: %s",
            duration(r->threshold, w), command_of(r->measure));
    } else {
        snprintf(description, sizeof(description), "%s: %s. On that machine: %s",
            mp_measure_text(r->measure), value_text(r->measure),
            command_of(r->measure));
    }
    put_alert(out, r->name, all, r->for_s, mp_severity_name(r->severity), summary,
        description, o);
}

static void put_record(FILE *out, const char *name, const char *expression)
{
    fprintf(out, "  - record: %s\n    expr: ", name);
    put_quoted(out, expression);
}

/*
 * Of the time before the wait of the rule: what lasts would else soon be part of what it is compared
 * with. What hardly moves is taken to move by 1 %.
 */
static void put_window_records(FILE *out, double window_s, double wait_s)
{
    char window[WINDOW_BYTES];
    char wait[WINDOW_BYTES];
    char name[64];
    char of[128];
    char expression[EXPRESSION_BYTES];

    duration(window_s, window);
    snprintf(of, sizeof(of), "(mpalloc_live_bytes[%s]%s%s)", window,
        wait_s > 0 ? " offset " : "", wait_s > 0 ? duration(wait_s, wait) : "");
    snprintf(name, sizeof(name), "mpalloc:live_bytes:avg%s", window);
    snprintf(expression, sizeof(expression), "avg_over_time%s", of);
    put_record(out, name, expression);
    snprintf(name, sizeof(name), "mpalloc:live_bytes:zscore%s", window);
    snprintf(expression, sizeof(expression),
        "(mpalloc_live_bytes - avg_over_time%s) / "
        "((stddev_over_time%s > 0.01 * avg_over_time%s) or 0.01 * avg_over_time%s)",
        of, of, of, of);
    put_record(out, name, expression);
}

static void put_records(FILE *out, const struct mp_alert_rule *rules, size_t count)
{
    bool is_there = false;

    put_record(out, "mpalloc:live_ratio",
        "mpalloc_live_bytes / max without (source) (mpalloc_limit_bytes)");
    put_record(out, "mpalloc:resident_ratio",
        "mpalloc_process_resident_bytes / max without (source) (mpalloc_limit_bytes)");
    put_record(
        out, "mpalloc:live_bytes:growth1h", "deriv(mpalloc_live_bytes[1h]) * 3600");
    put_record(out, "mpalloc:live_bytes:predicted4h",
        "predict_linear(mpalloc_live_bytes[1h], 14400)");
    put_record(out, "mpalloc:allocated_bytes:rate5m",
        "rate(mpalloc_allocated_bytes_total[5m])");
    put_record(out, "mpalloc:component_live_bytes:sum",
        "sum without (pid) (mpalloc_component_live_bytes)");
    put_record(out, "mpalloc:pool_hit_ratio5m",
        "rate(mpalloc_pool_hits_total[5m]) / rate(mpalloc_pool_gets_total[5m])");
    put_record(out, "mpalloc:profiler_cpu_ratio5m",
        "rate(mpalloc_profiler_cpu_seconds_total[5m]) / "
        "rate(mpalloc_process_cpu_seconds_total[5m])");
    for (size_t i = 0; i < count && !is_there; i++) {
        if (rules[i].measure == MP_MEASURE_ANOMALY) {
            put_window_records(out, window_of(&rules[i]), rules[i].for_s);
            is_there = true;
        }
    }
    if (!is_there) {
        put_window_records(out, 3600, 900);
    }
}

/* What only somebody outside can see: that the exporter is gone, and that a process is. */
static void put_exporter_rules(FILE *out, const struct prometheus_options *o)
{
    char expression[EXPRESSION_BYTES];

    snprintf(expression, sizeof(expression),
        "up{job=\"%s\"} == 0 or absent(up{job=\"%s\"})", o->job, o->job);
    put_alert(out, "MpallocExporterDown", expression, 300, "warning",
        "mpalloc serve does not answer on {{ $labels.instance }}",
        "Nothing is known of the memory of its processes. On that machine: mpalloc "
        "doctor",
        o);
    put_alert(out, "MpallocProcessDied",
        "increase(mpalloc_exporter_processes_ended_total{state=\"died\"}[10m]) > 0", 0,
        "info", "a process was killed or crashed on {{ $labels.instance }}",
        "Its last figures are still there. On that machine: mpalloc ps, and mpalloc "
        "report of the one that died",
        o);
    put_alert(out, "MpallocRegionUnreadable",
        "mpalloc_exporter_processes{state=\"unreadable\"} > 0", 900, "info",
        "{{ $value }} regions cannot be read on {{ $labels.instance }}",
        "They are damaged, of another version, or not permitted. On that machine: "
        "mpalloc "
        "ps",
        o);
    put_alert(out, "MpallocExporterSlow", "mpalloc_exporter_scrape_seconds > 1", 600,
        "info", "mpalloc serve takes long on {{ $labels.instance }}",
        "A scrape takes {{ $value | humanizeDuration }} to write: fewer components or "
        "sites make it shorter",
        o);
}

void prometheus_rules_write(FILE *out, const struct mp_alert_rule *rules, size_t count,
    const struct prometheus_options *o)
{
    fputs("# Rules for Prometheus, as `mpalloc export rules` writes them: its options "
          "change thresholds.\n"
          "groups:\n",
        out);
    /* One group: its rules are evaluated in order, so that alerts see what was recorded just now. */
    fprintf(out, "- name: mpalloc\n  interval: %us\n  rules:\n", o->interval_s);
    put_records(out, rules, count);
    for (size_t i = 0; i < count; i++) {
        put_rule(out, &rules[i], o);
    }
    put_exporter_rules(out, o);
}
