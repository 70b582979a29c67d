#include "document_past.h"

#include "document.h"

#include <math.h>
#include <stdio.h>

static json_t *rows_of(const struct past_row *rows, size_t count, bool is_stack)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *o = json_object();

        document_set_text(o, is_stack ? "component" : "name", rows[i].component);
        document_set_bytes(o, "before", rows[i].before);
        document_set_bytes(o, "after", rows[i].after);
        document_set_bytes(o, "low", rows[i].low);
        document_set_bytes(o, "high", rows[i].high);
        if (is_stack) {
            document_set(o, "frames", document_string(rows[i].stack));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *part_number(int64_t bytes)
{
    return bytes != RSS_UNKNOWN ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *parts_of_point(const struct past_point *p)
{
    json_t *o = json_object();
    char key[64];

    for (unsigned i = 0; i < RSS_PARTS; i++) {
        snprintf(key, sizeof(key), "%s_bytes", rss_part_name(i));
        document_set(o, key, part_number(p->parts.bytes[i]));
    }
    return o;
}

static json_t *efficiency_of(const struct past_point *p)
{
    struct mp_estimate e = {NAN, NAN, NAN};

    if (p != NULL) {
        e = rss_parts_efficiency(&p->parts, p->heap_bytes);
    }
    return isnan(e.value) ? json_null() : document_estimate(&e);
}

/* Then and now, of the last run. */
static void add_ledger(json_t *d, const struct past *p)
{
    const struct past_point *then = past_first_parts(p);
    const struct past_point *now = past_last(p);
    json_t *ledger = json_object();
    json_t *efficiency = json_object();
    json_t *list = json_array();

    for (unsigned i = 0; then != NULL && i < RSS_PARTS; i++) {
        json_t *o = json_object();

        document_set_text(o, "name", rss_part_name(i));
        document_set_text(o, "label", rss_part_label(i));
        document_set(o, "before", part_number(then->parts.bytes[i]));
        document_set(o, "after", part_number(now->parts.bytes[i]));
        json_array_append_new(list, o);
    }
    document_set(ledger, "parts", list);
    document_set_bytes(
        ledger, "rss_bytes_before", then != NULL ? then->resident_bytes : MP_UNKNOWN);
    document_set_bytes(
        ledger, "rss_bytes_after", now != NULL ? now->resident_bytes : MP_UNKNOWN);
    document_set(d, "rss_ledger", ledger);
    document_set(efficiency, "before", efficiency_of(then));
    document_set(efficiency, "after", efficiency_of(now));
    document_set(d, "efficiency", efficiency);
}

static json_t *points_of(const struct past *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->point_count; i++) {
        json_t *o = json_object();

        document_set_time(o, "time", (uint64_t)p->points[i].time_s * 1000000000u);
        document_set_bytes(o, "live_bytes", p->points[i].live_bytes);
        document_set_bytes(o, "live_high_bytes", p->points[i].high_bytes);
        document_set_bytes(o, "heap_bytes", p->points[i].heap_bytes);
        document_set_bytes(o, "resident_bytes", p->points[i].resident_bytes);
        document_set_bytes(o, "pid", p->runs[p->points[i].run].pid);
        document_set(o, "parts", parts_of_point(&p->points[i]));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *verdicts_of(const struct past *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->verdict_count; i++) {
        const struct past_verdict *v = &p->verdicts[i];
        json_t *o = json_object();

        document_set_text(o, "verdict", v->verdict);
        document_set_text(o, "component", v->component);
        document_set_text(o, "function", v->function);
        document_set_time(o, "first", (uint64_t)v->first_s * 1000000000u);
        document_set_time(o, "last", (uint64_t)v->last_s * 1000000000u);
        document_set(o, "bytes_per_hour", document_number(v->bytes_per_hour));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *runs_of(const struct past *p)
{
    json_t *list = json_array();

    for (size_t i = 0; i < p->run_count; i++) {
        const struct past_run *r = &p->runs[i];
        json_t *o = json_object();

        document_set_bytes(o, "pid", r->pid);
        document_set_text(o, "name", r->name);
        document_set_text(o, "state", r->state);
        document_set_time(o, "started", (uint64_t)r->started_s * 1000000000u);
        document_set_time(o, "last", (uint64_t)r->last_s * 1000000000u);
        json_array_append_new(list, o);
    }
    return list;
}

json_t *document_past(const struct past *p)
{
    json_t *d = document_new("history");
    json_t *f = json_object();

    document_set_time(d, "since", (uint64_t)p->since_s * 1000000000u);
    document_set(d, "runs", runs_of(p));
    document_set(d, "points", points_of(p));
    add_ledger(d, p);
    document_set(d, "components", rows_of(p->components, p->component_count, false));
    document_set(d, "stacks", rows_of(p->stacks, p->stack_count, true));
    document_set(d, "verdicts", verdicts_of(p));
    document_set(f, "bytes_per_hour",
        p->forecast_code == 0 ? document_estimate(&p->forecast.bytes_per_hour)
                              : json_null());
    document_set(f, "limit_bytes",
        p->limit_bytes != MP_UNKNOWN ? json_integer((json_int_t)p->limit_bytes)
                                     : json_null());
    document_set(f, "limit_seconds",
        p->forecast_code == 0 ? document_estimate(&p->forecast.limit_s) : json_null());
    document_set(f, "grows", json_boolean(p->forecast_code == 0 && p->forecast.grows));
    document_set_bytes(f, "points", p->forecast.points);
    document_set(d, "forecast", f);
    return d;
}
