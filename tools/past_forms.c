/*
 * past_forms - the past of a process as text
 */
#include "format.h"
#include "past.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHART_COLUMNS = 72, CHART_ROWS = 6, ROWS_SHOWN = PAST_ROWS, SPARK_COLUMNS = 24 };

static struct format time_of(int64_t s)
{
    return format_time((uint64_t)s * 1000000000u);
}

/* ---- text ---- */

static void put_head(FILE *out, const struct past *p)
{
    const struct past_run *r = &p->runs[0];
    const struct past_point *first = &p->points[0];
    const struct past_point *last = &p->points[p->point_count - 1];

    fprintf(out, "%s%s %llu%s, %s: %s to %s, %zu points\n", format_begin(STYLE_BOLD),
        r->name, (unsigned long long)r->pid, format_end(), r->state,
        time_of(first->time_s).text, time_of(last->time_s).text, p->point_count);
    for (size_t i = 1; i < p->run_count; i++) {
        fprintf(out, "  before that %llu, %s to %s, %s\n",
            (unsigned long long)p->runs[i].pid, time_of(p->runs[i].started_s).text,
            time_of(p->runs[i].last_s).text, p->runs[i].state);
    }
}

static void put_summary(FILE *out, const struct past *p)
{
    const struct past_point *least = &p->points[0];
    const struct past_point *most = &p->points[0];
    double sum = 0;

    for (size_t i = 0; i < p->point_count; i++) {
        const struct past_point *q = &p->points[i];

        least = q->live_bytes < least->live_bytes ? q : least;
        most = q->high_bytes > most->high_bytes ? q : most;
        sum += (double)q->live_bytes;
    }
    fprintf(out,
        "\n  live now   %12s\n  mean       %12s\n  lowest     %12s  %s\n"
        "  highest    %12s  %s\n",
        format_bytes((double)p->points[p->point_count - 1].live_bytes).text,
        format_bytes(sum / (double)p->point_count).text,
        format_bytes((double)least->live_bytes).text, time_of(least->time_s).text,
        format_bytes((double)most->high_bytes).text, time_of(most->time_s).text);
}

static void put_chart(FILE *out, const struct past *p)
{
    double value[CHART_COLUMNS] = {0};
    int64_t begin = p->points[0].time_s;
    int64_t length = p->points[p->point_count - 1].time_s - begin;
    double most = 0;

    if (length <= 0) {
        return;
    }
    for (size_t i = 0; i < p->point_count; i++) {
        int64_t at = (p->points[i].time_s - begin) * (CHART_COLUMNS - 1) / length;

        at = at < 0 ? 0 : at < CHART_COLUMNS ? at : CHART_COLUMNS - 1;
        value[at] = fmax(value[at], (double)p->points[i].live_bytes);
        most = fmax(most, value[at]);
    }
    for (size_t i = 1; i < CHART_COLUMNS; i++) { /* no point: as before */
        value[i] = value[i] == 0 ? value[i - 1] : value[i];
    }
    fprintf(
        out, "\n%sLive bytes over time%s\n", format_begin(STYLE_BOLD), format_end());
    format_chart(out, value, CHART_COLUMNS, CHART_ROWS, 1, format_bytes(most).text);
}

/* ---- what resident memory was made of ---- */

static void put_change(FILE *out, double then, double now)
{
    double change = now - then;
    char text[48];

    if (isnan(change)) {
        fprintf(out, "  %12s", "?");
        return;
    }
    snprintf(
        text, sizeof(text), "%s%s", change > 0 ? "+" : "", format_bytes(change).text);
    fprintf(out, "  %s%12s%s",
        change > 0   ? format_begin(STYLE_RED)
        : change < 0 ? format_begin(STYLE_GREEN)
                     : "",
        text, format_end());
}

static double part_of(const struct past_point *p, unsigned part)
{
    int64_t bytes =
        part < RSS_PARTS ? p->parts.bytes[part] : rss_parts_total(&p->parts);

    return bytes != RSS_UNKNOWN ? (double)bytes : NAN;
}

/* RSS_PARTS: their sum. The highest of each stretch of time, of the last run. */
static void put_spark(FILE *out, const struct past *p, unsigned part)
{
    double value[SPARK_COLUMNS] = {0};
    char text[4 * SPARK_COLUMNS + 1];
    const struct past_point *first = past_first(p);
    int64_t length = past_last(p)->time_s - first->time_s;

    for (size_t i = 0; i < p->point_count; i++) {
        const struct past_point *q = &p->points[i];
        int64_t at =
            length > 0 ? (q->time_s - first->time_s) * (SPARK_COLUMNS - 1) / length : 0;
        double bytes = part_of(q, part);

        if (q->run == 0 && bytes > 0 && at >= 0 && at < SPARK_COLUMNS) {
            value[at] = fmax(value[at], bytes);
        }
    }
    for (size_t i = 1; i < SPARK_COLUMNS; i++) { /* no point: as before */
        value[i] = value[i] == 0 ? value[i - 1] : value[i];
    }
    format_sparkline(text, value, SPARK_COLUMNS);
    fprintf(out, "  %s", text);
}

static void put_part(FILE *out, const struct past *p, const struct past_point *then,
    unsigned part, const char *label)
{
    const struct past_point *now = past_last(p);
    double before = part_of(then, part);
    double after = part_of(now, part);

    if ((isnan(before) || before == 0) && (isnan(after) || after == 0)) {
        return;
    }
    fprintf(out, "  %12s %12s", isnan(before) ? "?" : format_bytes(before).text,
        isnan(after) ? "?" : format_bytes(after).text);
    put_change(out, before, after);
    put_spark(out, p, part);
    fprintf(out, "  %s\n", label);
}

static void put_efficiency(FILE *out, const char *when, const struct past_point *p)
{
    struct mp_estimate e = rss_parts_efficiency(&p->parts, p->heap_bytes);

    if (!isnan(e.value)) {
        fprintf(out, "%s %s (%s to %s)", when, format_ratio(e.value).text,
            format_ratio(e.low).text, format_ratio(e.high).text);
    }
}

static void put_parts(FILE *out, const struct past *p)
{
    const struct past_point *then = past_first_parts(p);
    const struct past_point *now = past_last(p);

    if (then == NULL) {
        return; /* recorded by an mpalloc that did not keep them */
    }
    fprintf(out, "\n%sWhere resident memory was, and is%s\n  %12s %12s  %12s  %s\n",
        format_begin(STYLE_BOLD), format_end(), "then", "now", "change", "over time");
    for (unsigned i = 0; i < RSS_PARTS; i++) {
        put_part(out, p, then, i, rss_part_label(i));
    }
    put_part(out, p, then, RSS_PARTS,
        now->resident_bytes != MP_UNKNOWN ? "resident" : "of these");
    if (!isnan(rss_parts_efficiency(&now->parts, now->heap_bytes).value)) {
        fputs("  efficiency, asked for of the resident heap:", out);
        put_efficiency(out, " then", then);
        put_efficiency(out, ", now", now);
        fputc('\n', out);
    }
}

static void put_row(FILE *out, const struct past_row *r, const char *name)
{
    bool is_known = r->before != MP_UNKNOWN;

    fprintf(out, "  %12s %12s", is_known ? format_bytes((double)r->before).text : "?",
        format_bytes((double)r->after).text);
    put_change(out, is_known ? (double)r->before : NAN, (double)r->after);
    fprintf(out, "  %s\n", name);
}

static void put_rows(FILE *out, const struct past *p)
{
    fprintf(out, "\n%sComponents%s\n  %12s %12s  %12s\n", format_begin(STYLE_BOLD),
        format_end(), "then", "now", "change");
    for (size_t i = 0; i < p->component_count && i < ROWS_SHOWN; i++) {
        put_row(out, &p->components[i], p->components[i].component);
    }
    fprintf(
        out, "\n%sCall stacks%s, estimates\n", format_begin(STYLE_BOLD), format_end());
    for (size_t i = 0; i < p->stack_count && i < ROWS_SHOWN; i++) {
        char name[512];

        snprintf(name, sizeof(name), "%.100s  %.*s", p->stacks[i].component,
            (int)strcspn(p->stacks[i].stack, "\n"), p->stacks[i].stack);
        put_row(out, &p->stacks[i], name);
    }
    for (size_t i = 0; i < p->verdict_count; i++) {
        const struct past_verdict *v = &p->verdicts[i];

        if (i == 0) {
            fprintf(out, "\n%sLeaks, as they were judged%s\n", format_begin(STYLE_BOLD),
                format_end());
        }
        fprintf(out, "  %-8s %12s/h  %s to %s  %s  %s\n", v->verdict,
            format_bytes(v->bytes_per_hour).text, time_of(v->first_s).text,
            time_of(v->last_s).text, v->component, v->function);
    }
}

static void put_forecast(FILE *out, const struct past *p)
{
    const struct mp_forecast *f = &p->forecast;
    struct format limit = p->limit_bytes != MP_UNKNOWN ? format_known(p->limit_bytes)
                                                       : (struct format){"none"};

    fprintf(out,
        "\n%sForecast%s, of live bytes after warm-up, if it goes on like this\n",
        format_begin(STYLE_BOLD), format_end());
    if (p->forecast_code != 0) {
        fprintf(out, "  too few points yet: %zu, wanted are 16\n", f->points);
        return;
    }
    fprintf(out, "  growth     %12s/h  (%s to %s, 95 %%; %zu points of %s)%s\n",
        format_bytes(f->bytes_per_hour.value).text,
        format_bytes(f->bytes_per_hour.low).text,
        format_bytes(f->bytes_per_hour.high).text, f->points,
        format_seconds(f->seconds).text, f->grows ? "" : ": not surely any");
    fprintf(out, "  limit      %12s", limit.text);
    if (isfinite(f->limit_s.value)) {
        fprintf(out, "  reached in %s (%s to %s)",
            format_seconds(f->limit_s.value).text, format_seconds(f->limit_s.low).text,
            isfinite(f->limit_s.high) ? format_seconds(f->limit_s.high).text : "never");
    } else if (p->limit_bytes != MP_UNKNOWN) {
        fputs("  not reached", out);
    }
    fputc('\n', out);
}

void past_render(FILE *out, const struct past *p, bool forecast_only)
{
    format_set_output(out);
    put_head(out, p);
    if (!forecast_only) {
        put_summary(out, p);
        put_chart(out, p);
        put_parts(out, p);
        if (p->components != NULL) {
            put_rows(out, p);
        }
    }
    put_forecast(out, p);
}
