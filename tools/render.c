#include "render.h"

#include "format.h"
#include "parts.h"
#include "render_advice.h"
#include "render_alerts.h"
#include "render_stacks.h"
#include "report_analysis.h"
#include "view.h"

#include <math.h>
#include <string.h>

enum { CHART_COLUMNS = 64, CHART_ROWS = 6, NAME_COLUMNS = 40 };

static void heading(FILE *out, const char *text)
{
    fprintf(out, "\n%s%s%s\n", format_begin(STYLE_BOLD), text, format_end());
}

/* ---- head ---- */

static const char *name_of(const mp_image_t *image, char *ret, size_t size)
{
    return format_name(ret, size, mp_image_process(image)->service, NAME_COLUMNS);
}

static void put_title(FILE *out, const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    enum mp_life life = mp_image_life(image);
    char name[256];

    fprintf(out, "%s%s%s  pid %llu  %s%s%s  ran %s since %s", format_begin(STYLE_BOLD),
        name_of(image, name, sizeof(name)), format_end(), (unsigned long long)p->pid,
        format_begin(life == MP_LIFE_RUNNING ? STYLE_GREEN : STYLE_YELLOW),
        mp_life_name(life), format_end(), format_seconds(view_ran_seconds(image)).text,
        format_time(p->started_ns).text);
    if (life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE) {
        fprintf(out, "  figures %s old", format_seconds(view_age_seconds(image)).text);
    } else if (life == MP_LIFE_COPY) {
        fprintf(out, "  of %s ago", format_seconds(view_age_seconds(image)).text);
    } else if (life == MP_LIFE_DIED) {
        fprintf(
            out, "  last heard %s ago", format_seconds(view_age_seconds(image)).text);
    }
    fputc('\n', out);
    format_name(name, sizeof(name), p->command, 100);
    fprintf(out, "%s%s%s\n", format_begin(STYLE_DIM), name, format_end());
}

static void put_warnings(FILE *out, const mp_image_t *image)
{
    const char *text;

    for (unsigned i = 0; (text = view_warning(image, i)) != NULL; i++) {
        if (text[0] != '\0') {
            fprintf(
                out, "%snote%s  %s\n", format_begin(STYLE_YELLOW), format_end(), text);
        }
    }
}

static void put_trend(FILE *out, const mp_image_t *image)
{
    struct mp_timeline t;

    mp_timeline_make(image, 0, &t);
    if (t.points > 1) {
        fprintf(out, "  %-10s %11s", "mean", format_bytes(t.mean_live_bytes).text);
        if (isfinite(t.bytes_per_hour.low)) {
            fprintf(out, "  growth %s/h after warm-up (%s to %s)",
                format_bytes(t.bytes_per_hour.value).text,
                format_bytes(t.bytes_per_hour.low).text,
                format_bytes(t.bytes_per_hour.high).text);
        }
        fputc('\n', out);
    }
}

static void put_totals(FILE *out, const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    const struct mp_region_process *p = mp_image_process(image);
    double ran = view_ran_seconds(image);
    double peak_after = t->live_peak_ns > p->started_ns
                            ? (double)(t->live_peak_ns - p->started_ns) / 1e9
                            : 0;
    const char *source;
    uint64_t limit = view_limit(image, &source);

    fprintf(out, "\n  %-10s %11s  in %s blocks\n", "live",
        format_bytes((double)t->live_bytes).text,
        format_count((double)t->live_blocks).text);
    fprintf(out, "  %-10s %11s  after %s\n", "peak",
        format_bytes((double)t->live_peak_bytes).text, format_seconds(peak_after).text);
    put_trend(out, image);
    fprintf(out, "  %-10s %11s  in %s blocks since the start", "allocated",
        format_bytes((double)t->allocated_bytes_total).text,
        format_count((double)t->allocated_blocks_total).text);
    if (ran > 0) {
        fprintf(
            out, ", %s/s", format_bytes((double)t->allocated_bytes_total / ran).text);
    }
    fprintf(out, "\n  %-10s %11llu  %llu at most, %llu in all\n", "threads",
        (unsigned long long)t->threads, (unsigned long long)t->threads_peak,
        (unsigned long long)t->threads_total);
    if (limit != MP_UNKNOWN) {
        fprintf(out, "  %-10s %11s  %s\n", "limit", format_bytes((double)limit).text,
            source);
    }
}

/* ---- ledger ---- */

static void put_ledger(FILE *out, const mp_image_t *image)
{
    struct mp_ledger l;
    char total[128];

    mp_ledger_make(image, &l);
    heading(out, "Where resident memory is");
    for (size_t i = 0; i < l.count; i++) {
        if (l.part[i].bytes != 0) {
            fprintf(out, "  %11s  %7s  %s\n",
                format_bytes((double)l.part[i].bytes).text,
                format_percent((double)l.part[i].bytes, (double)l.total_bytes).text,
                l.part[i].label);
        }
    }
    fprintf(out, "  %11s  %7s  %s%s%s\n", format_bytes((double)l.total_bytes).text,
        "100.0 %", format_begin(STYLE_BOLD),
        view_ledger_total(&l, total, sizeof(total)), format_end());
}

static void put_kernel(FILE *out, const mp_image_t *image)
{
    struct mp_proc k;

    if (mp_image_life(image) != MP_LIFE_RUNNING
        || mp_proc_read(mp_image_process(image)->pid, &k) != 0) {
        return;
    }
    fprintf(out, "\n  RSS peak %s, virtual %s, text %s, data %s, stack %s, swap %s\n",
        format_known(k.resident_peak_bytes).text, format_known(k.virtual_bytes).text,
        format_known(k.text_bytes).text, format_known(k.data_bytes).text,
        format_known(k.stack_bytes).text, format_known(k.swap_bytes).text);
}

static void put_pressure(FILE *out, const mp_image_t *image)
{
    struct mp_pressure p;
    struct mp_proc k;
    bool runs = mp_image_life(image) == MP_LIFE_RUNNING
                && mp_proc_read_again(mp_image_process(image)->pid, NULL, &k) == 0;

    mp_pressure_make(image, runs ? &k : NULL, &p);
    heading(out, "Memory pressure");
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        fprintf(out, "  %7s  %-5s  %s\n", format_ratio(p.part[i].value).text,
            mp_pressure_part_name((enum mp_pressure_kind)i), p.part[i].text);
    }
    fprintf(out, "  %7s  %shighest of them, from 0 to 1%s\n",
        format_ratio(p.value).text, format_begin(STYLE_BOLD), format_end());
}

/* ---- tables ---- */

static unsigned depth_of(const mp_image_t *image, const struct mp_region_component *c)
{
    unsigned depth = 0;

    while (c->parent != 0 && depth < 16) { /* parents have lower rows: it ends */
        c = mp_image_component(image, c->parent);
        depth++;
    }
    return depth;
}

static void put_components(FILE *out, const mp_image_t *image, unsigned most)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    uint16_t rows[MP_REGION_COMPONENT_ROWS];
    size_t count = view_components(image, rows, MP_REGION_COMPONENT_ROWS);
    uint64_t own_sum = 0;
    uint64_t shown_sum = 0;
    double ran = view_ran_seconds(image);

    heading(out, "Components: with all below them, and of their own");
    fprintf(out, "  %11s  %7s  %11s  %11s  %9s  %11s  %11s  %s\n", "live", "share",
        "peak", "own live", "blocks", "allocated", "a second", "component");
    for (size_t i = 0; i < count; i++) {
        const struct mp_region_component *c = mp_image_component(image, rows[i]);
        char name[256];

        own_sum += c->live_bytes;
        if (i >= most) {
            continue;
        }
        shown_sum += c->live_bytes;
        fprintf(out, "  %11s  %7s  %11s  %11s  %9s  %11s  %11s  %*s%s%s\n",
            format_bytes((double)c->tree_live_bytes).text,
            format_percent((double)c->tree_live_bytes, (double)t->live_bytes).text,
            format_bytes((double)c->tree_live_peak_bytes).text,
            format_bytes((double)c->live_bytes).text,
            format_count((double)c->live_blocks).text,
            format_bytes((double)c->allocated_bytes_total).text,
            ran > 0 ? format_bytes((double)c->allocated_bytes_total / ran).text : "",
            (int)depth_of(image, c), "", format_name(name, sizeof(name), c->name, 60),
            view_limit_mark(image, rows[i]).text);
    }
    if (count > most) {
        fprintf(out, "  %11s  %7s  %11s  %11s  %zu more (--all)\n", "", "", "",
            format_bytes((double)(own_sum - shown_sum)).text, count - most);
    }
    fprintf(out, "  %11s  %7s  %11s  %11s  the sum of all\n", "", "", "",
        format_bytes((double)own_sum).text);
}

/* A limit that is not set: "-". */
static struct format limit_text(uint64_t bytes)
{
    return bytes != 0 ? format_bytes((double)bytes) : (struct format){"-"};
}

static void put_limits(FILE *out, const mp_image_t *image, unsigned most)
{
    size_t count = mp_image_limit_count(image);

    if (count == 0) {
        return;
    }
    heading(out, "Limits: of a component with all below it");
    fprintf(out, "  %11s  %11s  %11s  %9s  %9s  %s\n", "live", "soft", "hard", "passed",
        "refused", "component");
    for (size_t i = 0; i < count && i < most; i++) {
        const struct mp_region_limit *l = mp_image_limit(image, i);
        const struct mp_region_component *c = mp_image_component(image, l->component);
        char name[256];

        fprintf(out, "  %11s  %11s  %11s  %9s  %9s  %s%s\n",
            format_bytes((double)c->tree_live_bytes).text,
            limit_text(l->soft_bytes).text, limit_text(l->hard_bytes).text,
            format_count((double)l->hits_total).text,
            format_count((double)l->refused_total).text,
            format_name(name, sizeof(name), c->name, 60),
            view_limit_mark(image, l->component).text);
    }
    if (count > most) {
        fprintf(out, "  %11s  %zu more (--all)\n", "", count - most);
    }
}

static void put_classes(FILE *out, const struct profile *profile, unsigned most)
{
    struct sheet *sheet = sheet_create("");

    report_analysis_classes(sheet, profile, most);
    sheet_put_text(sheet, out);
    sheet_destroy(sheet);
}

/* Exact: sums over size classes. */
static void put_sizes(FILE *out, const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    struct mp_size_sums s;

    mp_size_sums_make(image, &s);
    heading(out, "Sizes");
    for (unsigned i = 0; i < MP_SIZES; i++) {
        if (s.allocated_blocks_total[i] > 0) {
            fprintf(out, "  %11s  %7s  %9s  %11s  %9s  %-6s  %s\n",
                format_bytes((double)s.live_bytes[i]).text,
                format_percent((double)s.live_bytes[i], (double)t->live_bytes).text,
                format_count((double)s.live_blocks[i]).text,
                format_bytes((double)s.allocated_bytes_total[i]).text,
                format_count((double)s.allocated_blocks_total[i]).text,
                mp_size_name((enum mp_size)i), mp_size_text((enum mp_size)i));
        }
    }
}

/* ---- timeline ---- */

static void put_timeline(FILE *out, const mp_image_t *image)
{
    unsigned tier = view_pick_tier(image);
    size_t count = mp_image_moment_count(image, tier);
    double column[CHART_COLUMNS] = {0};
    double most = 0;
    size_t columns = count < CHART_COLUMNS ? count : CHART_COLUMNS;
    unsigned wide = columns > 0 ? (unsigned)(CHART_COLUMNS / columns) : 1;
    uint64_t first;
    uint64_t last;

    if (count < 2) {
        return;
    }
    first = mp_image_moment(image, tier, 0)->time_ns;
    last = mp_image_moment(image, tier, count - 1)->time_ns;
    for (size_t i = 0; i < count; i++) {
        const struct mp_region_moment *m = mp_image_moment(image, tier, i);
        size_t at = i * columns / count;
        double high = (double)view_high(m);

        column[at] = high > column[at] ? high : column[at];
        most = high > most ? high : most;
    }
    heading(out, "Live bytes over time");
    format_chart(out, column, columns, CHART_ROWS, wide, format_bytes(most).text);
    fprintf(out, "  %11s  %s to %s, %s a column\n", "", format_time(first).text,
        format_time(last).text + 11,
        format_seconds((double)(last - first) / 1e9 / (double)(columns * wide)).text);
}

/* Some moments of the time, the parts of what the heap had in memory at each. */
static void put_parts(FILE *out, const mp_image_t *image)
{
    enum { MOMENTS = 8 };
    unsigned tier = view_pick_tier(image);
    size_t count = mp_image_moment_count(image, tier);
    size_t rows = count < MOMENTS ? count : MOMENTS;

    if (count < 2) {
        return;
    }
    heading(out, "Memory of the heap over time");
    fprintf(out, "  %8s  %11s  %11s  %11s  %11s  %11s  %11s\n", "", "live", "free",
        "dirty", "metadata", "profiler", "all");
    for (size_t i = 0; i < rows; i++) {
        const struct mp_region_moment *m =
            mp_image_moment(image, tier, i * (count - 1) / (rows - 1));
        double value[PARTS];

        parts_of(m, value);
        fprintf(out, "  %8s", format_time(m->time_ns).text + 11);
        for (unsigned p = 0; p < PARTS; p++) {
            fprintf(out, "  %11s", format_bytes(value[p]).text);
        }
        fprintf(out, "  %11s\n", format_bytes((double)m->resident_bytes).text);
    }
}

/* ---- cost ---- */

static void put_allocator(FILE *out, const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    double ran = view_ran_seconds(image);

    heading(out, "The allocator");
    fprintf(out, "  active %s, cached %s, dirty %s, retained %s, mapped %s\n",
        format_bytes((double)t->active_bytes).text,
        format_bytes((double)t->cached_bytes).text,
        format_bytes((double)t->dirty_bytes).text,
        format_bytes((double)t->retained_bytes).text,
        format_bytes((double)t->mapped_bytes).text);
    fprintf(out,
        "  slow paths: %s refills, %s remote folds, %s slabs begun, %s released\n",
        format_count((double)t->refills_total).text,
        format_count((double)t->remote_folds_total).text,
        format_count((double)t->slab_starts_total).text,
        format_count((double)t->slab_releases_total).text);
    fprintf(out, "  given back: %s in %s purges, %s in %s trims\n",
        format_bytes((double)t->purged_bytes_total).text,
        format_count((double)t->purges_total).text,
        format_bytes((double)t->trimmed_bytes_total).text,
        format_count((double)t->trims_total).text);
    if (t->allocation_failures_total != 0 || t->invalid_frees_total != 0) {
        fprintf(out, "  %sfailed allocations %llu, invalid frees %llu%s\n",
            format_begin(STYLE_RED), (unsigned long long)t->allocation_failures_total,
            (unsigned long long)t->invalid_frees_total, format_end());
    }
    heading(out, "Own cost");
    fprintf(out, "  memory: region %s, span table %s, heaps and components %s\n",
        format_bytes((double)mp_image_file_bytes(image)).text,
        format_bytes((double)t->metadata_span_bytes).text,
        format_bytes((double)t->metadata_heap_bytes).text);
    fprintf(out, "  time: %s publications in %s%s%s%s\n",
        format_count((double)t->published_total).text,
        format_seconds((double)t->publish_ns_total / 1e9).text, ran > 0 ? ", " : "",
        format_percent((double)t->publish_ns_total / 1e9, ran).text,
        ran > 0 ? " of the time that it ran" : "");
}

static void put_pools(FILE *out, const mp_image_t *image, unsigned most)
{
    size_t count = mp_image_pool_count(image);

    if (count == 0) {
        return;
    }
    heading(out, "Pools of objects");
    fprintf(out, "  %11s  %9s  %7s  %9s  %9s  %9s  %s\n", "object", "gets", "hits",
        "in use", "kept", "peak", "component");
    for (size_t i = 0; i < count && i < most; i++) {
        const struct mp_region_pool *p = mp_image_pool(image, i);
        const struct mp_region_component *c = mp_image_component(image, p->component);
        char name[256];

        fprintf(out, "  %11s  %9s  %7s  %9s  %9s  %9s  %s\n",
            p->object_bytes != 0 ? format_bytes((double)p->object_bytes).text
                                 : "others",
            format_count((double)p->gets_total).text,
            format_percent((double)p->hits_total, (double)p->gets_total).text,
            format_count((double)p->live).text, format_count((double)p->kept).text,
            format_count((double)p->peak).text,
            format_name(name, sizeof(name), c->name, 60));
    }
    if (count > most) {
        fprintf(out, "  %11s  %zu more (--all)\n", "", count - most);
    }
}

static void put_user_counters(FILE *out, const mp_image_t *image)
{
    size_t count = mp_image_user_counter_count(image);

    if (count != 0) {
        heading(out, "Counters of the program");
    }
    for (size_t i = 0; i < count; i++) {
        const struct mp_region_user_counter *c = mp_image_user_counter(image, i);
        char name[256];

        fprintf(out, "  %20lld  %s\n", (long long)c->value,
            format_name(name, sizeof(name), c->name, 60));
    }
}

void render_summary(FILE *out, const mp_image_t *image)
{
    put_title(out, image);
    put_warnings(out, image);
    put_totals(out, image);
    put_ledger(out, image);
}

void render_report(FILE *out, const mp_image_t *image, const struct render_options *o)
{
    unsigned most = o->all ? MP_REGION_COMPONENT_ROWS : o->rows;
    struct profile *profile = profile_create(image);

    format_set_output(out);
    render_summary(out, image);
    put_kernel(out, image);
    put_pressure(out, image);
    put_components(out, image, most);
    put_limits(out, image, most);
    put_classes(out, profile, most);
    put_sizes(out, image);
    put_pools(out, image, most);
    put_user_counters(out, image);
    render_stacks(out, profile, o->all ? SIZE_MAX : o->rows);
    render_advice(out, image, o->all);
    render_report_alerts(out, image);
    put_timeline(out, image);
    put_parts(out, image);
    put_allocator(out, image);
    profile_destroy(profile);
}
