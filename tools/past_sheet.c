#include "past_sheet.h"

#include "format.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

static struct format time_of(int64_t s)
{
    return format_time((uint64_t)s * 1000000000u);
}

static struct format bytes_of(uint64_t bytes)
{
    return bytes != MP_UNKNOWN ? format_bytes((double)bytes) : (struct format){"?"};
}

static struct format change_of(uint64_t before, uint64_t after)
{
    double change = (double)after - (double)before;
    struct format text = {"?"};

    if (before != MP_UNKNOWN && after != MP_UNKNOWN) {
        snprintf(text.text, sizeof(text.text), "%s%.38s", change > 0 ? "+" : "",
            format_bytes(change).text);
    }
    return text;
}

/* ---- summary ---- */

static void add_head(struct sheet *s, const struct past *p)
{
    const struct past_run *r = &p->runs[0];

    sheet_line(s, "%s, pid %llu, %s; %zu points from %s to %s.", r->name,
        (unsigned long long)r->pid, r->state, p->point_count,
        time_of(p->points[0].time_s).text,
        time_of(p->points[p->point_count - 1].time_s).text);
    for (size_t i = 1; i < p->run_count; i++) {
        sheet_point(s, "before that pid %llu, %s to %s, %s",
            (unsigned long long)p->runs[i].pid, time_of(p->runs[i].started_s).text,
            time_of(p->runs[i].last_s).text, p->runs[i].state);
    }
}

static void add_figure(struct sheet *s, const char *what, double bytes,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void add_figure(
    struct sheet *s, const char *what, double bytes, const char *format, ...)
{
    char more[160];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(more, sizeof(more), format, arguments);
    va_end(arguments);
    sheet_cell(s, "%s", what);
    sheet_cell(s, "%s", format_bytes(bytes).text);
    sheet_cell(s, "%s", more);
}

static void add_summary(struct sheet *s, const struct past *p)
{
    const struct past_point *least = &p->points[0];
    const struct past_point *most = &p->points[0];
    const struct past_point *last = &p->points[p->point_count - 1];
    double sum = 0;

    for (size_t i = 0; i < p->point_count; i++) {
        const struct past_point *q = &p->points[i];

        least = q->live_bytes < least->live_bytes ? q : least;
        most = q->high_bytes > most->high_bytes ? q : most;
        sum += (double)q->live_bytes;
    }
    sheet_heading(s, "Summary");
    sheet_table(s);
    sheet_column(s, "", SHEET_LEFT);
    sheet_column(s, "", SHEET_RIGHT);
    sheet_column(s, "", SHEET_LEFT);
    add_figure(
        s, "live now", (double)last->live_bytes, "at %s", time_of(last->time_s).text);
    add_figure(
        s, "mean", sum / (double)p->point_count, "of %zu points", p->point_count);
    add_figure(
        s, "lowest", (double)least->live_bytes, "at %s", time_of(least->time_s).text);
    add_figure(
        s, "highest", (double)most->high_bytes, "at %s", time_of(most->time_s).text);
}

/* ---- over time ---- */

static void begin_chart(
    struct sheet *s, const struct past *p, const char *name, double most)
{
    sheet_chart(s, name, format_bytes(most).text, time_of(p->points[0].time_s).text,
        time_of(p->points[p->point_count - 1].time_s).text);
}

static double at(const struct past *p, size_t i)
{
    return (double)(p->points[i].time_s - p->points[0].time_s);
}

static void add_live(struct sheet *s, const struct past *p)
{
    double most = 0;

    if (p->point_count < 2) {
        return;
    }
    for (size_t i = 0; i < p->point_count; i++) {
        most = fmax(most, (double)p->points[i].high_bytes);
    }
    sheet_heading(s, "Live bytes over time");
    begin_chart(s, p, "live bytes over time", most);
    for (size_t i = 0; i < p->point_count; i++) {
        sheet_chart_point(s, at(p, i), (double)p->points[i].high_bytes);
    }
}

/* What is below zero has no height: it is in the table. */
static double height(const struct past_point *p, unsigned part)
{
    int64_t bytes = p->parts.bytes[part];

    return bytes != RSS_UNKNOWN && bytes > 0 ? (double)bytes : 0;
}

static void add_parts_chart(struct sheet *s, const struct past *p)
{
    double most = 0;

    if (p->point_count < 2) {
        return;
    }
    for (size_t i = 0; i < p->point_count; i++) {
        double sum = 0;

        for (unsigned part = 0; part < RSS_PARTS; part++) {
            sum += height(&p->points[i], part);
        }
        most = fmax(most, sum);
    }
    begin_chart(s, p, "resident memory over time", most);
    for (unsigned part = 0; part < RSS_PARTS; part++) {
        sheet_chart_layer(s, rss_part_label(part),
            format_bytes(height(&p->points[p->point_count - 1], part)).text);
        for (size_t i = 0; i < p->point_count; i++) {
            sheet_chart_point(s, at(p, i), height(&p->points[i], part));
        }
    }
}

static struct format part_text(int64_t bytes)
{
    return bytes != RSS_UNKNOWN ? format_bytes((double)bytes) : (struct format){"?"};
}

static bool is_there(int64_t bytes)
{
    return bytes != RSS_UNKNOWN && bytes != 0;
}

static void add_part_row(struct sheet *s, int64_t then, int64_t now, const char *label)
{
    sheet_cell(s, "%s", part_text(then).text);
    sheet_cell(s, "%s", part_text(now).text);
    if (then == RSS_UNKNOWN || now == RSS_UNKNOWN) {
        sheet_cell(s, "?");
    } else {
        sheet_cell(
            s, "%s%s", now > then ? "+" : "", format_bytes((double)(now - then)).text);
    }
    sheet_cell(s, "%s", label);
}

static void add_parts(struct sheet *s, const struct past *p)
{
    const struct past_point *then = past_first_parts(p);
    const struct past_point *now = past_last(p);
    struct mp_estimate before;
    struct mp_estimate after;

    if (then == NULL) {
        return;
    }
    sheet_heading(s, "Where resident memory was, and is");
    add_parts_chart(s, p);
    sheet_table(s);
    sheet_column(s, "then", SHEET_RIGHT);
    sheet_column(s, "now", SHEET_RIGHT);
    sheet_column(s, "change", SHEET_RIGHT);
    sheet_column(s, "part", SHEET_LEFT);
    for (unsigned i = 0; i < RSS_PARTS; i++) {
        if (is_there(then->parts.bytes[i]) || is_there(now->parts.bytes[i])) {
            add_part_row(
                s, then->parts.bytes[i], now->parts.bytes[i], rss_part_label(i));
        }
    }
    add_part_row(s, rss_parts_total(&then->parts), rss_parts_total(&now->parts),
        now->resident_bytes != MP_UNKNOWN ? "resident" : "of these");
    before = rss_parts_efficiency(&then->parts, then->heap_bytes);
    after = rss_parts_efficiency(&now->parts, now->heap_bytes);
    if (!isnan(after.value)) {
        sheet_line(s,
            "Efficiency, what is asked for of the resident heap: %s then, %s now.",
            format_ratio(before.value).text, format_ratio(after.value).text);
    }
}

/* ---- what holds it ---- */

static void add_rows(struct sheet *s, const char *heading, const struct past_row *rows,
    size_t count, bool is_stacks)
{
    if (count == 0) {
        return;
    }
    sheet_heading(s, heading);
    sheet_table(s);
    sheet_column(s, "then", SHEET_RIGHT);
    sheet_column(s, "now", SHEET_RIGHT);
    sheet_column(s, "change", SHEET_RIGHT);
    sheet_column(s, "component", SHEET_LEFT);
    if (is_stacks) {
        sheet_column(s, "function", SHEET_LEFT);
    }
    for (size_t i = 0; i < count; i++) {
        sheet_cell(s, "%s", bytes_of(rows[i].before).text);
        sheet_cell(s, "%s", bytes_of(rows[i].after).text);
        sheet_cell(s, "%s", change_of(rows[i].before, rows[i].after).text);
        sheet_cell(s, "%s", rows[i].component);
        if (is_stacks) {
            sheet_cell(s, "%.*s", (int)strcspn(rows[i].stack, "\n"), rows[i].stack);
        }
    }
}

static void add_verdicts(struct sheet *s, const struct past *p)
{
    if (p->verdict_count == 0) {
        return;
    }
    sheet_heading(s, "Leaks, as they were judged");
    for (size_t i = 0; i < p->verdict_count; i++) {
        const struct past_verdict *v = &p->verdicts[i];

        sheet_point(s, "%s by %s per hour, %s to %s: %s, %s", v->verdict,
            format_bytes(v->bytes_per_hour).text, time_of(v->first_s).text,
            time_of(v->last_s).text, v->component, v->function);
    }
}

static void add_forecast(struct sheet *s, const struct past *p)
{
    const struct mp_forecast *f = &p->forecast;

    sheet_heading(s, "Forecast, if it goes on like this");
    if (p->forecast_code != 0) {
        sheet_line(s, "Too few points yet: %zu, wanted are 16.", f->points);
        return;
    }
    sheet_line(s, "Growth %s per hour (%s to %s, 95 %%)%s.",
        format_bytes(f->bytes_per_hour.value).text,
        format_bytes(f->bytes_per_hour.low).text,
        format_bytes(f->bytes_per_hour.high).text, f->grows ? "" : ": not surely any");
    if (p->limit_bytes == MP_UNKNOWN) {
        return;
    }
    if (isfinite(f->limit_s.value)) {
        sheet_line(s, "The limit of %s is reached in %s (%s to %s).",
            format_bytes((double)p->limit_bytes).text,
            format_seconds(f->limit_s.value).text, format_seconds(f->limit_s.low).text,
            isfinite(f->limit_s.high) ? format_seconds(f->limit_s.high).text : "never");
    } else {
        sheet_line(s, "The limit of %s is not reached.",
            format_bytes((double)p->limit_bytes).text);
    }
}

struct sheet *past_sheet_create(const struct past *p)
{
    char title[300];
    struct sheet *s;

    snprintf(title, sizeof(title), "%s: memory since %s", p->runs[0].name,
        time_of(p->points[0].time_s).text);
    s = sheet_create(title);
    add_head(s, p);
    add_summary(s, p);
    add_live(s, p);
    add_parts(s, p);
    add_rows(s, "Components", p->components, p->component_count, false);
    add_rows(s, "Call stacks, estimates", p->stacks, p->stack_count, true);
    add_verdicts(s, p);
    add_forecast(s, p);
    return s;
}
