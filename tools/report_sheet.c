#include "report_sheet.h"

#include "advice.h"
#include "format.h"
#include "leaks.h"
#include "parts.h"
#include "report_alerts.h"
#include "report_analysis.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAKS_SHOWN = 10, ADVICE_SHOWN = 10, FRAMES_SHOWN = 8, TEXT_BYTES = 2048 };

struct making {
    struct sheet *sheet;
    const mp_image_t *image;
    size_t rows;
    struct leaks *leaks; /* their verdicts are part of the advice, too */
};

/* ---- texts ---- */

static const char *estimate_text(
    double value, double low, double high, char *ret, size_t size)
{
    snprintf(ret, size, "%s %s", format_estimate(value, low, high).text,
        format_spread(value, low, high).text);
    return ret;
}

static const char *hex_text(const uint8_t *bytes, size_t count, char *ret, size_t size)
{
    ret[0] = '\0';
    for (size_t i = 0; i < count && 2 * i + 3 <= size; i++) {
        snprintf(ret + 2 * i, size - 2 * i, "%02x", bytes[i]);
    }
    return ret;
}

static void add_frames(struct sheet *s, const struct stack_name *frames, size_t depth)
{
    for (size_t i = 0; i < depth && i < FRAMES_SHOWN; i++) {
        if (frames[i].file != NULL && frames[i].line != 0) {
            sheet_code(
                s, "%s  %s:%u", frames[i].function, frames[i].file, frames[i].line);
        } else {
            sheet_code(s, "%s", frames[i].function);
        }
    }
    if (depth > FRAMES_SHOWN) {
        sheet_code(s, "and %zu more", depth - FRAMES_SHOWN);
    }
}

/* ---- sections ---- */

static void add_row(
    struct sheet *s, const char *what, const char *value, const char *more)
{
    sheet_cell(s, "%s", what);
    sheet_cell(s, "%s", value);
    sheet_cell(s, "%s", more);
}

static void add_figures(struct making *m)
{
    const struct mp_region_totals *t = mp_image_totals(m->image);
    const struct mp_region_process *p = mp_image_process(m->image);
    struct sheet *s = m->sheet;
    struct mp_timeline line;
    char text[128];
    const char *source;
    uint64_t limit = view_limit(m->image, &source);

    mp_timeline_make(m->image, 0, &line);
    sheet_table(s);
    sheet_column(s, "", SHEET_LEFT);
    sheet_column(s, "", SHEET_RIGHT);
    sheet_column(s, "", SHEET_LEFT);
    snprintf(
        text, sizeof(text), "in %s blocks", format_count((double)t->live_blocks).text);
    add_row(s, "live", format_bytes((double)t->live_bytes).text, text);
    snprintf(text, sizeof(text), "at %s",
        t->live_peak_ns != 0 ? format_time(t->live_peak_ns).text : "the start");
    add_row(s, "peak", format_bytes((double)t->live_peak_bytes).text, text);
    if (line.points > 1) {
        snprintf(text, sizeof(text), "of %zu points since %s", line.points,
            format_time(line.from_ns).text);
        add_row(s, "mean", format_bytes(line.mean_live_bytes).text, text);
    }
    if (isfinite(line.bytes_per_hour.low) && line.points > 1) {
        snprintf(text, sizeof(text), "per hour, after warm-up: from %s to %s",
            format_bytes(line.bytes_per_hour.low).text,
            format_bytes(line.bytes_per_hour.high).text);
        add_row(s, "growth", format_bytes(line.bytes_per_hour.value).text, text);
    }
    snprintf(text, sizeof(text), "in %s blocks since the start",
        format_count((double)t->allocated_blocks_total).text);
    add_row(s, "allocated", format_bytes((double)t->allocated_bytes_total).text, text);
    snprintf(text, sizeof(text), "%llu at most, %llu in all",
        (unsigned long long)t->threads_peak, (unsigned long long)t->threads_total);
    add_row(s, "threads", format_count((double)t->threads).text, text);
    if (limit != MP_UNKNOWN) {
        add_row(s, "limit", format_bytes((double)limit).text, source);
    }
    sheet_fold(s, "The run");
    sheet_point(
        s, "run id %s", hex_text(p->run_id, sizeof(p->run_id), text, sizeof(text)));
    sheet_point(s, "build id %s",
        hex_text(p->build_id,
            p->build_id_bytes < sizeof(p->build_id) ? p->build_id_bytes
                                                    : sizeof(p->build_id),
            text, sizeof(text)));
    sheet_point(s, "mpalloc %.31s", p->version);
    sheet_unfold(s);
}

static void add_summary(struct making *m)
{
    const struct mp_region_process *p = mp_image_process(m->image);
    const char *text;
    char name[1100];

    sheet_line(m->sheet, "pid %llu, %s; ran %s since %s; figures %s old",
        (unsigned long long)p->pid, mp_life_name(mp_image_life(m->image)),
        format_seconds(view_ran_seconds(m->image)).text,
        format_time(p->started_ns).text,
        format_seconds(view_age_seconds(m->image)).text);
    sheet_code(m->sheet, "%s", format_name(name, sizeof(name), p->command, 200));
    for (unsigned i = 0; (text = view_warning(m->image, i)) != NULL; i++) {
        if (text[0] != '\0') {
            sheet_line(m->sheet, "Note: %s.", text);
        }
    }
    sheet_heading(m->sheet, "Summary");
    add_figures(m);
}

static void add_chart(struct making *m)
{
    unsigned tier = view_pick_tier(m->image);
    size_t count = mp_image_moment_count(m->image, tier);
    uint64_t first;
    double most = 0;

    if (count < 2) {
        return;
    }
    first = mp_image_moment(m->image, tier, 0)->time_ns;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, (double)view_high(mp_image_moment(m->image, tier, i)));
    }
    sheet_heading(m->sheet, "Live bytes over time");
    sheet_chart(m->sheet, "live bytes over time", format_bytes(most).text,
        format_time(first).text,
        format_time(mp_image_moment(m->image, tier, count - 1)->time_ns).text);
    for (size_t i = 0; i < count; i++) {
        const struct mp_region_moment *n = mp_image_moment(m->image, tier, i);

        sheet_chart_point(m->sheet,
            n->time_ns > first ? (double)(n->time_ns - first) / 1e9 : 0,
            (double)view_high(n));
    }
}

/* The ledger's own parts, over time: what others have in memory the library does not know. */
static void add_parts(struct making *m)
{
    unsigned tier = view_pick_tier(m->image);
    size_t count = mp_image_moment_count(m->image, tier);
    double values[PARTS];
    double most = 0;
    uint64_t first;

    if (count < 2) {
        return;
    }
    first = mp_image_moment(m->image, tier, 0)->time_ns;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, (double)mp_image_moment(m->image, tier, i)->resident_bytes);
    }
    sheet_heading(m->sheet, "Memory of the heap over time");
    sheet_chart(m->sheet, "memory of the heap over time", format_bytes(most).text,
        format_time(first).text,
        format_time(mp_image_moment(m->image, tier, count - 1)->time_ns).text);
    for (unsigned p = 0; p < PARTS; p++) {
        parts_of(mp_image_moment(m->image, tier, count - 1), values);
        sheet_chart_layer(m->sheet, part_label(p), format_bytes(values[p]).text);
        for (size_t i = 0; i < count; i++) {
            const struct mp_region_moment *n = mp_image_moment(m->image, tier, i);

            parts_of(n, values);
            sheet_chart_point(m->sheet,
                n->time_ns > first ? (double)(n->time_ns - first) / 1e9 : 0, values[p]);
        }
    }
}

static void add_ledger(struct making *m)
{
    struct mp_ledger l;
    double below = 0;
    char total[128];

    mp_ledger_make(m->image, &l);
    sheet_heading(m->sheet, "Where resident memory is");
    for (size_t i = 0; i < l.count; i++) {
        below += l.part[i].bytes < 0 ? (double)-l.part[i].bytes : 0;
    }
    sheet_line(m->sheet, "%s %s%s%s.", format_bytes((double)l.total_bytes).text,
        view_ledger_total(&l, total, sizeof(total)),
        below > 0 ? "; of the parts, never touched or in swap: " : "",
        below > 0 ? format_bytes(below).text : "");
    sheet_bar(m->sheet);
    for (size_t i = 0; i < l.count; i++) {
        sheet_part(m->sheet, l.part[i].label, (double)l.part[i].bytes,
            format_bytes((double)l.part[i].bytes).text);
    }
}

static void add_pressure(struct making *m)
{
    struct mp_pressure p;
    struct mp_proc k;
    bool runs = mp_image_life(m->image) == MP_LIFE_RUNNING
                && mp_proc_read_again(mp_image_process(m->image)->pid, NULL, &k) == 0;

    mp_pressure_make(m->image, runs ? &k : NULL, &p);
    sheet_heading(m->sheet, "Memory pressure");
    sheet_line(m->sheet, "%s, from 0 to 1: the highest of its parts that are known.",
        format_ratio(p.value).text);
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        sheet_point(m->sheet, "%s %s: %s",
            mp_pressure_part_name((enum mp_pressure_kind)i),
            format_ratio(p.part[i].value).text, p.part[i].text);
    }
}

static void add_alerts(struct making *m)
{
    size_t count;
    struct alert_notice *list = report_alerts_make(m->image, &count);

    if (count > 0) {
        sheet_heading(m->sheet, "Alerts");
    }
    for (size_t i = 0; i < count; i++) {
        sheet_point(m->sheet, "%s: %s: %s", mp_severity_name(list[i].severity),
            list[i].name, list[i].text);
    }
    free(list);
}

static void add_advice(struct making *m)
{
    struct advice *a = advice_create(m->image, m->leaks->verdicts);
    const struct mp_efficiency *e = &a->efficiency;
    char gain[128];

    sheet_heading(m->sheet, "What to do");
    if (e->heap_bytes > 0 && !view_is_ended(m->image)) {
        sheet_line(m->sheet,
            "Efficiency %.2f: of %s resident, %s are asked for, slack %s, free %s, "
            "tables %s.",
            e->ratio, format_bytes((double)e->heap_bytes).text,
            format_bytes(e->requested.value).text, format_bytes(e->slack.value).text,
            format_bytes((double)e->free_bytes).text,
            format_bytes((double)e->metadata_bytes).text);
    }
    if (a->count == 0) {
        sheet_line(m->sheet, "Nothing stands out.");
    }
    if (view_is_young(m->image)) {
        sheet_line(m->sheet,
            "It ran too short to tell what leaks: minutes are wanted, or "
            "mpalloc leaks --scan.");
    }
    for (size_t i = 0; i < a->count && i < ADVICE_SHOWN; i++) {
        const struct advice_item *item = &a->all[i];

        sheet_title(m->sheet, "%s%s%s%s%s", mp_finding_name(item->finding->code),
            item->finding->unit != MP_GAIN_NONE ? ": " : "",
            item->finding->unit != MP_GAIN_NONE
                ? advice_gain(item->finding, gain, sizeof(gain))
                : "",
            item->component[0] != '\0' ? ", " : "", item->component);
        for (unsigned k = 0; k < item->finding->line_count; k++) {
            sheet_point(m->sheet, "%s", item->finding->line[k]);
        }
        add_frames(m->sheet, item->frames, item->depth < 3 ? item->depth : 3);
        sheet_point(m->sheet, "%s", mp_finding_text(item->finding->code));
    }
    advice_destroy(a);
}

static void add_leaks(struct making *m)
{
    const struct leaks *l = m->leaks;
    size_t shown = 0;

    sheet_heading(m->sheet, "Leaks");
    sheet_line(m->sheet,
        "%zu lost, %zu growing, %zu suspect, %zu cache-like, %zu fine.",
        l->of_kind[MP_VERDICT_LOST], l->of_kind[MP_VERDICT_GROWING],
        l->of_kind[MP_VERDICT_SUSPECT], l->of_kind[MP_VERDICT_CACHE_LIKE],
        l->of_kind[MP_VERDICT_FINE]);
    for (size_t i = 0; i < l->count && shown < LEAKS_SHOWN; i++) {
        const struct leak *k = &l->all[i];
        const struct mp_verdict *v = k->verdict;
        char text[128];

        if (v->kind > MP_VERDICT_SUSPECT) {
            break;
        }
        shown++;
        sheet_title(m->sheet, "%s: %s holds %s, grows by %s per hour%s%s",
            mp_verdict_name(v->kind), k->component,
            estimate_text(v->live_bytes.value, v->live_bytes.low, v->live_bytes.high,
                text, sizeof(text)),
            format_bytes(v->bytes_per_hour.value).text,
            k->ack != NULL                    ? ", acknowledged"
            : v->severity != MP_SEVERITY_INFO ? ", "
                                              : "",
            k->ack == NULL && v->severity != MP_SEVERITY_INFO
                ? mp_severity_name(v->severity)
                : "");
        for (unsigned n = 0; n < v->line_count; n++) {
            sheet_point(m->sheet, "%s", v->line[n]);
        }
        for (size_t n = 0; n < k->depth && n < 3; n++) {
            sheet_code(m->sheet, "%s", k->frames[n].function);
        }
    }
}

static void add_components(struct making *m)
{
    uint16_t numbers[MP_REGION_COMPONENT_ROWS];
    size_t count = view_components(m->image, numbers, MP_REGION_COMPONENT_ROWS);
    struct sheet *s = m->sheet;
    double live = (double)mp_image_totals(m->image)->live_bytes;
    double ran = view_ran_seconds(m->image);

    sheet_heading(s, "Components");
    sheet_table(s);
    sheet_column(s, "live, with all below", SHEET_RIGHT);
    sheet_column(s, "share", SHEET_RIGHT);
    sheet_column(s, "peak", SHEET_RIGHT);
    sheet_column(s, "own live", SHEET_RIGHT);
    sheet_column(s, "blocks", SHEET_RIGHT);
    sheet_column(s, "free between", SHEET_RIGHT);
    sheet_column(s, "allocated", SHEET_RIGHT);
    sheet_column(s, "a second", SHEET_RIGHT);
    sheet_column(s, "component", SHEET_LEFT);
    for (size_t i = 0; i < count && i < m->rows; i++) {
        const struct mp_region_component *c = mp_image_component(m->image, numbers[i]);
        char name[4 * MP_REGION_NAME_BYTES + 1];

        sheet_cell(s, "%s", format_bytes((double)c->tree_live_bytes).text);
        sheet_cell(s, "%s", format_percent((double)c->tree_live_bytes, live).text);
        sheet_cell(s, "%s", format_bytes((double)c->tree_live_peak_bytes).text);
        sheet_cell(s, "%s", format_bytes((double)c->live_bytes).text);
        sheet_cell(s, "%s", format_count((double)c->live_blocks).text);
        sheet_cell(
            s, "%s", format_bytes((double)view_free_bytes(m->image, numbers[i])).text);
        sheet_cell(s, "%s", format_bytes((double)c->allocated_bytes_total).text);
        sheet_cell(s, "%s",
            ran > 0 ? format_bytes((double)c->allocated_bytes_total / ran).text : "");
        sheet_cell(s, "%s%s", format_name(name, sizeof(name), c->name, 80),
            view_limit_mark(m->image, numbers[i]).text);
    }
    if (count > m->rows) {
        sheet_line(s, "%zu more.", count - m->rows);
    }
}

static void add_limit(struct sheet *s, uint64_t bytes)
{
    sheet_cell(s, "%s", bytes != 0 ? format_bytes((double)bytes).text : "");
}

static void add_limits(struct making *m)
{
    size_t count = mp_image_limit_count(m->image);
    struct sheet *s = m->sheet;

    if (count == 0) {
        return;
    }
    sheet_heading(s, "Limits");
    sheet_table(s);
    sheet_column(s, "live, with all below", SHEET_RIGHT);
    sheet_column(s, "soft", SHEET_RIGHT);
    sheet_column(s, "hard", SHEET_RIGHT);
    sheet_column(s, "passed", SHEET_RIGHT);
    sheet_column(s, "refused", SHEET_RIGHT);
    sheet_column(s, "component", SHEET_LEFT);
    for (size_t i = 0; i < count && i < m->rows; i++) {
        const struct mp_region_limit *l = mp_image_limit(m->image, i);
        const struct mp_region_component *c =
            mp_image_component(m->image, l->component);
        char name[4 * MP_REGION_NAME_BYTES + 1];

        sheet_cell(s, "%s", format_bytes((double)c->tree_live_bytes).text);
        add_limit(s, l->soft_bytes);
        add_limit(s, l->hard_bytes);
        sheet_cell(s, "%s", format_count((double)l->hits_total).text);
        sheet_cell(s, "%s", format_count((double)l->refused_total).text);
        sheet_cell(s, "%s%s", format_name(name, sizeof(name), c->name, 80),
            view_limit_mark(m->image, l->component).text);
    }
    if (count > m->rows) {
        sheet_line(s, "%zu more.", count - m->rows);
    }
}

static void add_roll_up(struct making *m)
{
    struct mp_size_sums sums;
    struct sheet *s = m->sheet;

    mp_size_sums_make(m->image, &sums);
    sheet_heading(s, "Sizes");
    sheet_table(s);
    sheet_column(s, "blocks of", SHEET_LEFT);
    sheet_column(s, "live", SHEET_RIGHT);
    sheet_column(s, "live blocks", SHEET_RIGHT);
    sheet_column(s, "allocated", SHEET_RIGHT);
    sheet_column(s, "all blocks", SHEET_RIGHT);
    for (unsigned i = 0; i < MP_SIZES; i++) {
        sheet_cell(s, "%s", mp_size_text((enum mp_size)i));
        sheet_cell(s, "%s", format_bytes((double)sums.live_bytes[i]).text);
        sheet_cell(s, "%s", format_count((double)sums.live_blocks[i]).text);
        sheet_cell(s, "%s", format_bytes((double)sums.allocated_bytes_total[i]).text);
        sheet_cell(s, "%s", format_count((double)sums.allocated_blocks_total[i]).text);
    }
}

static void put_value(struct sheet *s, const struct stack *k, enum profile_value i)
{
    char text[TEXT_BYTES];

    sheet_cell(s, "%s",
        estimate_text((double)k->value[i], (double)k->low[i], (double)k->high[i], text,
            sizeof(text)));
}

static void add_stack_table(struct making *m, const struct profile *p,
    const struct stacks *k, enum profile_value by)
{
    struct sheet *s = m->sheet;

    sheet_table(s);
    sheet_column(s, by == PROFILE_PEAK_BYTES ? "then" : "live", SHEET_RIGHT);
    sheet_column(s, "blocks", SHEET_RIGHT);
    sheet_column(s, "allocated", SHEET_RIGHT);
    sheet_column(s, "component", SHEET_LEFT);
    sheet_column(s, "stack", SHEET_LEFT);
    for (size_t i = 0; i < k->count && i < m->rows; i++) {
        put_value(s, &k->stack[i], by);
        sheet_cell(s, "%s", format_count((double)k->stack[i].value[by - 1]).text);
        put_value(s, &k->stack[i], PROFILE_ALLOCATED_BYTES);
        sheet_cell(s, "%s", k->stack[i].component);
        report_analysis_stack_cell(s, p, &k->stack[i]);
    }
}

/* What was live when it was most, by the samples; of one that ended the first table is that. */
static void add_peak(struct making *m, const struct profile *p, struct stacks *k)
{
    const struct mp_region_sampling *g = mp_image_sampling(m->image);
    double peak = mp_image_peak_bytes(m->image);

    if (g->peak_ns == 0 || peak <= 0 || view_is_ended(m->image)) {
        return;
    }
    sheet_heading(m->sheet, "The peak");
    sheet_line(m->sheet, "%s live at %s%s.", format_bytes(peak).text,
        format_time(g->peak_ns).text,
        g->peak_ns > mp_image_totals(m->image)->published_ns
            ? ", by samples newer than the counters"
            : "");
    stacks_sort(k, PROFILE_PEAK_BYTES);
    add_stack_table(m, p, k, PROFILE_PEAK_BYTES);
}

static void add_stacks(struct making *m, const struct profile *p)
{
    enum profile_value by =
        view_is_ended(m->image) ? PROFILE_PEAK_BYTES : PROFILE_LIVE_BYTES;
    struct stacks *k;
    char how[100];

    if (!p->has_stacks) {
        return;
    }
    k = stacks_create(p);
    stacks_sort(k, by);
    sheet_heading(m->sheet, "Top stacks");
    sheet_line(m->sheet, "%s.", profile_describe(p, how, sizeof(how)));
    add_stack_table(m, p, k, by);
    add_peak(m, p, k);
    report_analysis_stacks(m->sheet, p, k, m->rows);
    report_analysis_tops(m->sheet, p, m->rows);
    stacks_destroy(k);
}

static void add_pools(struct making *m)
{
    size_t count = mp_image_pool_count(m->image);
    struct sheet *s = m->sheet;

    if (count == 0) {
        return;
    }
    sheet_heading(s, "Pools of objects");
    sheet_table(s);
    sheet_column(s, "object", SHEET_RIGHT);
    sheet_column(s, "gets", SHEET_RIGHT);
    sheet_column(s, "hits", SHEET_RIGHT);
    sheet_column(s, "in use", SHEET_RIGHT);
    sheet_column(s, "kept", SHEET_RIGHT);
    sheet_column(s, "peak", SHEET_RIGHT);
    sheet_column(s, "component", SHEET_LEFT);
    for (size_t i = 0; i < count && i < m->rows; i++) {
        const struct mp_region_pool *p = mp_image_pool(m->image, i);
        char name[4 * MP_REGION_NAME_BYTES + 1];

        sheet_cell(s, "%s",
            p->object_bytes != 0 ? format_bytes((double)p->object_bytes).text
                                 : "others");
        sheet_cell(s, "%s", format_count((double)p->gets_total).text);
        sheet_cell(
            s, "%s", format_percent((double)p->hits_total, (double)p->gets_total).text);
        sheet_cell(s, "%s", format_count((double)p->live).text);
        sheet_cell(s, "%s", format_count((double)p->kept).text);
        sheet_cell(s, "%s", format_count((double)p->peak).text);
        sheet_cell(s, "%s",
            format_name(name, sizeof(name),
                mp_image_component(m->image, p->component)->name, 80));
    }
}

static void add_user_counters(struct making *m)
{
    size_t count = mp_image_user_counter_count(m->image);

    if (count != 0) {
        sheet_heading(m->sheet, "Counters of the program");
        sheet_table(m->sheet);
        sheet_column(m->sheet, "value", SHEET_RIGHT);
        sheet_column(m->sheet, "name", SHEET_LEFT);
    }
    for (size_t i = 0; i < count; i++) {
        const struct mp_region_user_counter *c = mp_image_user_counter(m->image, i);
        char name[256];

        sheet_cell(m->sheet, "%lld", (long long)c->value);
        sheet_cell(m->sheet, "%s", format_name(name, sizeof(name), c->name, 60));
    }
}

static void add_cost(struct making *m)
{
    const struct mp_region_totals *t = mp_image_totals(m->image);
    const struct mp_region_sampling *g = mp_image_sampling(m->image);
    double ran = view_ran_seconds(m->image);

    sheet_heading(m->sheet, "What mpalloc itself costs");
    sheet_point(m->sheet, "memory: region %s, span table %s, heaps and components %s",
        format_bytes((double)mp_image_file_bytes(m->image)).text,
        format_bytes((double)t->metadata_span_bytes).text,
        format_bytes((double)t->metadata_heap_bytes).text);
    sheet_point(m->sheet, "time: publishing %s (%s of the run), sampling %s (%s)",
        format_seconds((double)t->publish_ns_total / 1e9).text,
        format_percent((double)t->publish_ns_total / 1e9, ran).text,
        format_seconds((double)g->cost_ns_total / 1e9).text,
        format_percent((double)g->cost_ns_total / 1e9, ran).text);
}

struct sheet *report_sheet_create(const mp_image_t *image, size_t rows)
{
    struct making m = {
        .image = image, .rows = rows, .leaks = leaks_create(image, NULL)};
    struct profile *p = profile_create(image);
    char title[512];
    char name[256];

    snprintf(title, sizeof(title), "%s: memory",
        format_name(name, sizeof(name), mp_image_process(image)->service, 80));
    m.sheet = sheet_create(title);
    add_summary(&m);
    add_chart(&m);
    add_ledger(&m);
    add_parts(&m);
    add_pressure(&m);
    add_alerts(&m);
    add_advice(&m);
    add_leaks(&m);
    add_components(&m);
    add_limits(&m);
    add_stacks(&m, p);
    report_analysis_classes(m.sheet, p, rows);
    add_roll_up(&m);
    add_pools(&m);
    add_user_counters(&m);
    add_cost(&m);
    leaks_destroy(m.leaks);
    profile_destroy(p);
    return m.sheet;
}
