#include "document.h"

#include "cli.h"
#include "document_stacks.h"
#include "format.h"
#include "must.h"
#include "view.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *checked(json_t *value)
{
    return must(value);
}

void document_set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, checked(value)) != 0) {
        checked(NULL);
    }
}

static json_t *of_bytes(uint64_t value)
{
    return value == MP_UNKNOWN
               ? json_null()
               : json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

void document_set_bytes(json_t *object, const char *key, uint64_t value)
{
    document_set(object, key, of_bytes(value));
}

/* What was cut within a character is no UTF-8. */
json_t *document_string(const char *text)
{
    json_t *string = json_string(text);
    size_t size = 4 * strlen(text) + 1;
    char *escaped;

    if (string == NULL) {
        escaped = must(malloc(size));
        mp_text_escape(escaped, size, text, strlen(text));
        string = checked(json_string(escaped));
        free(escaped);
    }
    return string;
}

void document_set_text(json_t *object, const char *key, const char *text)
{
    char escaped[4096];

    mp_text_escape(escaped, sizeof(escaped), text, strlen(text));
    document_set(object, key, document_string(escaped));
}

void document_set_time(json_t *object, const char *key, uint64_t ns)
{
    document_set(
        object, key, ns == 0 ? json_null() : document_string(format_rfc3339(ns).text));
}

static void set_hex(json_t *object, const char *key, const uint8_t *bytes, size_t count)
{
    char text[2 * MP_REGION_BUILD_ID_BYTES + 1] = "";

    for (size_t i = 0; i < count && i < MP_REGION_BUILD_ID_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    document_set(object, key, count == 0 ? json_null() : document_string(text));
}

void document_append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, checked(value)) != 0) {
        checked(NULL);
    }
}

json_t *document_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *document_estimate(const struct mp_estimate *e)
{
    json_t *o = checked(json_object());

    document_set(o, "value", document_number(e->value));
    document_set(o, "low", document_number(e->low));
    document_set(o, "high", document_number(e->high));
    return o;
}

void document_set_range(
    json_t *object, const char *key, uint64_t value, uint64_t low, uint64_t high)
{
    json_t *o = checked(json_object());

    document_set_bytes(o, "value", value);
    document_set_bytes(o, "low", low);
    document_set_bytes(o, "high", high);
    document_set(object, key, o);
}

json_t *document_frames(const struct stack_name *frames, size_t depth)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < depth; i++) {
        const struct stack_name *f = &frames[i];
        json_t *o = checked(json_object());

        document_set(o, "function", document_string(f->function));
        document_set(
            o, "file", f->file != NULL ? document_string(f->file) : json_null());
        document_set(o, "line", f->line != 0 ? json_integer(f->line) : json_null());
        document_append(all, o);
    }
    return all;
}

json_t *document_new(const char *name)
{
    json_t *d = checked(json_object());
    char schema[64];

    snprintf(schema, sizeof(schema), "mpalloc.%s/1", name);
    document_set_text(d, "schema", schema);
    document_set_time(d, "generated", view_now_ns());
    return d;
}

json_t *document_process(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    enum mp_life life = mp_image_life(image);
    json_t *o = checked(json_object());

    document_set_bytes(o, "pid", p->pid);
    document_set_text(o, "name", p->service);
    document_set_text(o, "state", mp_life_name(life));
    document_set_text(o, "exe", p->exe);
    document_set_text(o, "command", p->command);
    document_set_bytes(o, "parent_pid", p->parent_pid);
    document_set_bytes(o, "uid", p->uid);
    document_set(o, "forked", json_boolean(p->forked != 0));
    document_set_time(o, "started", p->started_ns);
    document_set_time(o, "ended", p->ended_ns);
    document_set_time(o, "published", t->published_ns);
    document_set(o, "age_seconds", document_number(view_age_seconds(image)));
    document_set(o, "ran_seconds", document_number(view_ran_seconds(image)));
    set_hex(o, "run_id", p->run_id, sizeof(p->run_id));
    set_hex(o, "build_id", p->build_id, (size_t)p->build_id_bytes);
    document_set_text(o, "mpalloc_version", p->version);
    document_set_text(o, "region", mp_image_path(image));
    return o;
}

json_t *document_ledger(const struct mp_ledger *ledger)
{
    json_t *o = checked(json_object());
    json_t *parts = checked(json_array());

    for (size_t i = 0; i < ledger->count; i++) {
        const struct mp_ledger_part *p = &ledger->part[i];
        json_t *part = checked(json_object());

        document_set_text(part, "name", p->name);
        document_set_text(part, "label", p->label);
        document_set(part, "bytes", json_integer(p->bytes));
        document_set_text(part, "source", p->source);
        document_append(parts, part);
    }
    document_set(o, "parts", parts);
    document_set(o, "total_bytes", json_integer(ledger->total_bytes));
    document_set_bytes(o, "rss_bytes", ledger->resident_bytes);
    document_set(o, "measured", json_boolean(ledger->is_measured));
    document_set_bytes(o, "moved_bytes", ledger->moved_bytes);
    document_set(o, "read_seconds", document_number((double)ledger->read_ns / 1e9));
    return o;
}

#define SET(o, record, field) document_set_bytes((o), #field, (record)->field)

static void add_totals(json_t *d, const struct mp_region_totals *t)
{
    SET(d, t, live_bytes);
    SET(d, t, live_blocks);
    SET(d, t, live_peak_bytes);
    document_set_time(d, "live_peak_time", t->live_peak_ns);
    SET(d, t, allocated_bytes_total);
    SET(d, t, allocated_blocks_total);
    SET(d, t, freed_bytes_total);
    SET(d, t, freed_blocks_total);
    document_set_bytes(d, "allocated_bytes", t->live_bytes); /* jemalloc's six */
    SET(d, t, active_bytes);
    document_set_bytes(d, "metadata_bytes",
        t->metadata_span_bytes + t->metadata_heap_bytes + t->metadata_region_bytes);
    SET(d, t, resident_bytes);
    SET(d, t, mapped_bytes);
    SET(d, t, retained_bytes);
    SET(d, t, dirty_bytes);
    SET(d, t, cached_bytes);
    SET(d, t, large_bytes);
    SET(d, t, huge_bytes);
    SET(d, t, reserved_bytes);
    SET(d, t, resident_peak_bytes);
    SET(d, t, refills_total);
    SET(d, t, remote_folds_total);
    SET(d, t, slab_starts_total);
    SET(d, t, slab_releases_total);
    SET(d, t, purges_total);
    SET(d, t, purged_bytes_total);
    SET(d, t, trims_total);
    SET(d, t, trimmed_bytes_total);
    SET(d, t, allocation_failures_total);
    SET(d, t, invalid_frees_total);
    SET(d, t, threads);
    SET(d, t, threads_peak);
    SET(d, t, threads_total);
    SET(d, t, heaps);
    SET(d, t, components_refused_total);
}

static json_t *own_cost(const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    json_t *o = checked(json_object());

    document_set_bytes(o, "region_bytes", mp_image_file_bytes(image));
    document_set_bytes(o, "metadata_span_bytes", t->metadata_span_bytes);
    document_set_bytes(o, "metadata_heap_bytes", t->metadata_heap_bytes);
    SET(o, t, published_total);
    document_set(
        o, "publish_seconds_total", document_number((double)t->publish_ns_total / 1e9));
    document_set_bytes(o, "components_missing", t->counter_rows_missing);
    SET(o, t, modules_missing);
    return o;
}

static json_t *limits(const struct mp_region_process *p)
{
    json_t *o = checked(json_object());

    document_set_bytes(o, "cgroup_bytes",
        p->limit_cgroup_bytes != 0 ? p->limit_cgroup_bytes : MP_UNKNOWN);
    document_set_bytes(
        o, "rlimit_as_bytes", p->limit_as_bytes != 0 ? p->limit_as_bytes : MP_UNKNOWN);
    document_set_bytes(o, "rlimit_data_bytes",
        p->limit_data_bytes != 0 ? p->limit_data_bytes : MP_UNKNOWN);
    document_set_bytes(o, "physical_bytes", p->physical_bytes);
    return o;
}

static json_t *kernel(const mp_image_t *image)
{
    struct mp_proc k;
    json_t *o;

    if (mp_image_life(image) != MP_LIFE_RUNNING
        || mp_proc_read(mp_image_process(image)->pid, &k) != 0) {
        return checked(json_null());
    }
    o = checked(json_object());
    SET(o, &k, resident_bytes);
    SET(o, &k, resident_anon_bytes);
    SET(o, &k, resident_file_bytes);
    SET(o, &k, resident_shmem_bytes);
    SET(o, &k, resident_peak_bytes);
    SET(o, &k, virtual_bytes);
    SET(o, &k, text_bytes);
    SET(o, &k, data_bytes);
    SET(o, &k, stack_bytes);
    SET(o, &k, swap_bytes);
    SET(o, &k, proportional_bytes);
    SET(o, &k, huge_page_bytes);
    SET(o, &k, threads);
    SET(o, &k, mappings);
    return o;
}

static json_t *pressure(const mp_image_t *image)
{
    json_t *o = checked(json_object());
    json_t *parts = checked(json_object());
    struct mp_pressure p;
    struct mp_proc k;
    bool runs = mp_image_life(image) == MP_LIFE_RUNNING
                && mp_proc_read_again(mp_image_process(image)->pid, NULL, &k) == 0;

    mp_pressure_make(image, runs ? &k : NULL, &p);
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        json_t *part = checked(json_object());

        document_set(part, "value", document_number(p.part[i].value));
        document_set_text(part, "text", p.part[i].text);
        document_set(parts, mp_pressure_part_name((enum mp_pressure_kind)i), part);
    }
    document_set(o, "value", document_number(p.value));
    document_set(o, "parts", parts);
    document_set_bytes(
        o, "used_bytes", isnan(p.used_bytes) ? MP_UNKNOWN : (uint64_t)p.used_bytes);
    document_set_bytes(
        o, "limit_bytes", isnan(p.limit_bytes) ? MP_UNKNOWN : (uint64_t)p.limit_bytes);
    document_set(o, "some_avg10", document_number(p.some_10));
    document_set(o, "some_avg60", document_number(p.some_60));
    document_set(o, "full_avg10", document_number(p.full_10));
    document_set(o, "limit_seconds", document_number(p.limit_s));
    return o;
}

/* Limits of a component, with null where there is none. */
static void set_limit(json_t *o, const mp_image_t *image, size_t row)
{
    static const struct mp_region_limit none;
    const struct mp_region_limit *l = mp_image_limit_of(image, row);
    bool is_over = l != NULL && mp_limit_is_exceeded(image, l);

    l = l != NULL ? l : &none;
    document_set_bytes(
        o, "limit_soft_bytes", l->soft_bytes != 0 ? l->soft_bytes : MP_UNKNOWN);
    document_set_bytes(
        o, "limit_hard_bytes", l->hard_bytes != 0 ? l->hard_bytes : MP_UNKNOWN);
    document_set_bytes(o, "limit_hits_total", l->hits_total);
    document_set_bytes(o, "limit_refused_total", l->refused_total);
    document_set(o, "is_over_limit", checked(json_boolean(is_over)));
}

json_t *document_components(const mp_image_t *image)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_component_count(image); i++) {
        const struct mp_region_component *c = mp_image_component(image, i);
        const struct mp_region_component *parent =
            c->parent != 0 ? mp_image_component(image, c->parent) : NULL;
        json_t *o = checked(json_object());

        document_set_text(o, "name", c->name);
        if (parent != NULL) {
            document_set_text(o, "parent", parent->name);
        } else {
            document_set(o, "parent", json_null());
        }
        SET(o, c, live_bytes);
        SET(o, c, live_blocks);
        SET(o, c, live_peak_bytes);
        SET(o, c, allocated_bytes_total);
        SET(o, c, allocated_blocks_total);
        SET(o, c, freed_bytes_total);
        SET(o, c, freed_blocks_total);
        SET(o, c, tree_live_bytes);
        SET(o, c, tree_live_peak_bytes);
        document_set_bytes(o, "free_bytes", view_free_bytes(image, i));
        set_limit(o, image, i);
        document_append(all, o);
    }
    return all;
}

static json_t *pools(const mp_image_t *image)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_pool_count(image); i++) {
        const struct mp_region_pool *p = mp_image_pool(image, i);
        json_t *o = checked(json_object());

        SET(o, p, number);
        document_set_text(
            o, "component", mp_image_component(image, p->component)->name);
        SET(o, p, object_bytes);
        if (p->keep == UINT64_MAX) {
            document_set(o, "keep", json_null());
        } else {
            SET(o, p, keep);
        }
        SET(o, p, gets_total);
        SET(o, p, hits_total);
        SET(o, p, misses_total);
        SET(o, p, freed_total);
        SET(o, p, kept);
        SET(o, p, live);
        SET(o, p, peak);
        document_append(all, o);
    }
    return all;
}

static json_t *user_counters(const mp_image_t *image)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_user_counter_count(image); i++) {
        const struct mp_region_user_counter *c = mp_image_user_counter(image, i);
        json_t *o = checked(json_object());

        document_set_text(o, "name", c->name);
        document_set(o, "value", checked(json_integer(c->value)));
        document_append(all, o);
    }
    return all;
}

json_t *document_size_classes(const mp_image_t *image)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_class_count(image); i++) {
        const struct mp_region_class *c = mp_image_class(image, i);
        struct mp_region_cell sum;
        json_t *o;

        mp_image_class_sum(image, i, &sum);
        if (c->kind == MP_CLASS_UNUSED || sum.allocated_blocks_total == 0) {
            continue;
        }
        o = checked(json_object());
        SET(o, c, block_bytes);
        document_set_text(o, "kind", c->kind == MP_CLASS_LARGE ? "large" : "slab");
        document_set_bytes(o, "live_blocks",
            view_live(sum.allocated_blocks_total, sum.freed_blocks_total));
        document_set_bytes(o, "live_bytes",
            view_live(sum.allocated_bytes_total, sum.freed_bytes_total));
        SET(o, &sum, allocated_blocks_total);
        SET(o, &sum, allocated_bytes_total);
        SET(o, &sum, freed_blocks_total);
        SET(o, &sum, freed_bytes_total);
        SET(o, &sum, slab_bytes);
        document_set_bytes(o, "free_bytes", mp_cell_free_bytes(&sum));
        document_append(all, o);
    }
    return all;
}

static json_t *sizes(const mp_image_t *image)
{
    struct mp_size_sums s;
    json_t *all = checked(json_array());

    mp_size_sums_make(image, &s);
    for (unsigned i = 0; i < MP_SIZES; i++) {
        json_t *o = checked(json_object());

        document_set_text(o, "name", mp_size_name((enum mp_size)i));
        document_set_text(o, "blocks", mp_size_text((enum mp_size)i));
        document_set_bytes(o, "live_blocks", s.live_blocks[i]);
        document_set_bytes(o, "live_bytes", s.live_bytes[i]);
        document_set_bytes(o, "allocated_blocks_total", s.allocated_blocks_total[i]);
        document_set_bytes(o, "allocated_bytes_total", s.allocated_bytes_total[i]);
        document_append(all, o);
    }
    return all;
}

static json_t *options(const mp_image_t *image)
{
    static const char *const origins[] = {"default", "environment", "refused"};
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_option_count(image); i++) {
        const struct mp_region_option *option = mp_image_option(image, i);
        json_t *o = checked(json_object());

        document_set_text(o, "name", option->name);
        document_set_text(o, "value", option->value);
        document_set_text(
            o, "origin", option->origin < 3 ? origins[option->origin] : "unknown");
        document_append(all, o);
    }
    return all;
}

static json_t *warnings(const mp_image_t *image)
{
    json_t *all = checked(json_array());
    const char *text;

    for (unsigned i = 0; (text = view_warning(image, i)) != NULL; i++) {
        if (text[0] != '\0') {
            document_append(all, document_string(text));
        }
    }
    return all;
}

void document_add_snapshot(json_t *d, const mp_image_t *image)
{
    struct mp_ledger ledger;

    document_set(d, "process", document_process(image));
    document_set(d, "warnings", warnings(image));
    add_totals(d, mp_image_totals(image));
    document_set(d, "limits", limits(mp_image_process(image)));
    document_set(d, "kernel", kernel(image));
    document_set(d, "pressure", pressure(image));
    mp_ledger_make(image, &ledger);
    document_set(d, "rss_ledger", document_ledger(&ledger));
    document_set(d, "components", document_components(image));
    document_set(d, "size_classes", document_size_classes(image));
    document_set(d, "pools", pools(image));
    document_set(d, "user_counters", user_counters(image));
    document_set(d, "options", options(image));
    document_set(d, "own_cost", own_cost(image));
    document_add_sampling(d, image);
}

json_t *document_timeline(const mp_image_t *image, unsigned tier)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_moment_count(image, tier); i++) {
        const struct mp_region_moment *m = mp_image_moment(image, tier, i);
        json_t *o = checked(json_object());

        document_set_time(o, "time", m->time_ns);
        SET(o, m, live_bytes);
        SET(o, m, live_blocks);
        SET(o, m, live_high_bytes);
        SET(o, m, active_bytes);
        SET(o, m, dirty_bytes);
        SET(o, m, retained_bytes);
        SET(o, m, resident_bytes);
        SET(o, m, cached_bytes);
        SET(o, m, metadata_bytes);
        SET(o, m, profiler_bytes);
        SET(o, m, allocated_bytes_total);
        SET(o, m, allocated_blocks_total);
        SET(o, m, threads);
        document_append(all, o);
    }
    return all;
}

json_t *document_modules(const mp_image_t *image)
{
    json_t *all = checked(json_array());

    for (size_t i = 0; i < mp_image_module_count(image); i++) {
        const struct mp_region_module *m = mp_image_module(image, i);
        json_t *o = checked(json_object());

        document_set_text(o, "path", m->path);
        set_hex(o, "build_id", m->build_id,
            m->build_id_bytes <= sizeof(m->build_id) ? (size_t)m->build_id_bytes : 0);
        SET(o, m, bytes);
        document_append(all, o);
    }
    return all;
}

static json_t *trend(const mp_image_t *image)
{
    struct mp_timeline t;
    json_t *o = checked(json_object());

    mp_timeline_make(image, 0, &t);
    document_set_bytes(o, "points", t.points);
    document_set_time(o, "from", t.from_ns);
    document_set_time(o, "to", t.to_ns);
    document_set(o, "mean_live_bytes", document_number(t.mean_live_bytes));
    document_set_bytes(o, "high_bytes", t.high_bytes);
    document_set_time(o, "high_time", t.high_ns);
    document_set(o, "bytes_per_hour", document_estimate(&t.bytes_per_hour));
    return o;
}

void document_add_history(json_t *d, const mp_image_t *image)
{
    json_t *tiers = checked(json_object());

    document_set(tiers, "seconds", document_timeline(image, 0));
    document_set(tiers, "minutes", document_timeline(image, 1));
    document_set(tiers, "ten_minutes", document_timeline(image, 2));
    document_set(d, "timeline", tiers);
    document_set(d, "trend", trend(image));
    document_set(d, "sizes", sizes(image));
    document_set(d, "modules", document_modules(image));
}

int document_write(json_t *document, FILE *out, bool line)
{
    size_t flags = line ? JSON_COMPACT : JSON_INDENT(2);
    int bad = json_dumpf(document, out, flags | JSON_REAL_PRECISION(9));

    json_decref(document);
    if (bad == 0) {
        bad = putc('\n', out) == EOF;
    }
    return bad == 0 ? 0 : ferror(out) ? -EIO : -ENOMEM;
}

int document_print(json_t *document, bool line)
{
    if (document_write(document, stdout, line) != 0 || fflush(stdout) != 0) {
        fputs("mpalloc: standard output cannot be written\n", stderr);
        return EXIT_FAILED;
    }
    return EXIT_FINE;
}
