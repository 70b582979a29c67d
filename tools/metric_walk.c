#include "metric_table.h"

#include "view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- samples ---- */

struct out {
    const struct metric *metric;
    metric_fn *fn;
    void *arg;
};

static void put(const struct out *out, struct metric_sample *s)
{
    out->fn(out->arg, out->metric, s);
}

static void put_whole(const struct out *out, uint64_t value)
{
    put(out, &(struct metric_sample){.type = METRIC_WHOLE, .whole = value});
}

static void put_known(const struct out *out, uint64_t value)
{
    if (value != MP_UNKNOWN) {
        put_whole(out, value);
    }
}

static void put_real(const struct out *out, double value)
{
    if (isfinite(value)) {
        put(out, &(struct metric_sample){.type = METRIC_REAL, .real = value});
    }
}

static void put_labelled(
    const struct out *out, const char *key, const char *label, uint64_t value)
{
    put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                 .whole = value,
                 .label_count = 1,
                 .label = {{key, label}}});
}

static uint64_t value_at(const void *record, size_t offset)
{
    uint64_t value;

    memcpy(&value, (const char *)record + offset, sizeof(value));
    return value;
}

/* ---- facts ---- */

static void hex(char *ret, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *ret++ = digits[bytes[i] >> 4];
        *ret++ = digits[bytes[i] & 15];
    }
    *ret = '\0';
}

static void walk_info(const struct metric_source *s, const struct out *out, size_t at)
{
    const struct mp_region_process *p = mp_image_process(s->image);
    char exe[4 * 256 + 1];
    char version[4 * sizeof(p->version) + 1];
    char run_id[2 * sizeof(p->run_id) + 1];
    char build_id[2 * MP_REGION_BUILD_ID_BYTES + 1];

    (void)at;
    mp_text_escape(
        exe, sizeof(exe), p->exe, sizeof(p->exe) < 256 ? sizeof(p->exe) : 256);
    mp_text_escape(version, sizeof(version), p->version, sizeof(p->version));
    hex(run_id, p->run_id, sizeof(p->run_id));
    hex(build_id, p->build_id,
        p->build_id_bytes < sizeof(p->build_id) ? (size_t)p->build_id_bytes
                                                : sizeof(p->build_id));
    put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                 .whole = 1,
                 .label_count = s->pid != NULL ? 7 : 5,
                 .label = {{"id", s->id}, {"exe", exe}, {"build_id", build_id},
                     {"run_id", run_id}, {"version", version}, {"process", s->name},
                     {"pid", s->pid}}});
}

static void walk_times(const struct metric_source *s, const struct out *out, size_t at)
{
    uint64_t ns = at == 0 ? mp_image_process(s->image)->started_ns
                          : mp_image_totals(s->image)->published_ns;

    put_real(out, (double)ns / 1e9);
}

/* ---- totals ---- */

static void walk_totals(const struct metric_source *s, const struct out *out, size_t at)
{
    uint64_t value = value_at(mp_image_totals(s->image), at);
    struct metric_sample sample = {.type = METRIC_WHOLE, .whole = value};
    char profile[128];

    if (at == offsetof(struct mp_region_totals, allocated_bytes_total)
        && s->id[0] != '\0') {
        size_t n = strlen(s->id);

        memcpy(profile, METRIC_PROFILE_PATH, sizeof(METRIC_PROFILE_PATH));
        memcpy(profile + sizeof(METRIC_PROFILE_PATH) - 1, s->id, n + 1);
        sample.profile = profile;
    }
    put(out, &sample);
}

static void walk_committed(
    const struct metric_source *s, const struct out *out, size_t at)
{
    const struct mp_region_totals *t = mp_image_totals(s->image);

    (void)at;
    put_whole(out, t->active_bytes + t->dirty_bytes + t->metadata_span_bytes
                       + t->metadata_heap_bytes + t->metadata_region_bytes);
}

static void walk_metadata(
    const struct metric_source *s, const struct out *out, size_t at)
{
    const struct mp_region_totals *t = mp_image_totals(s->image);

    (void)at;
    put_labelled(out, "kind", "span", t->metadata_span_bytes);
    put_labelled(out, "kind", "heap", t->metadata_heap_bytes);
    put_labelled(out, "kind", "region", t->metadata_region_bytes);
}

static void walk_reclaim(
    const struct metric_source *s, const struct out *out, size_t at)
{
    const struct mp_region_totals *t = mp_image_totals(s->image);

    (void)at;
    put_labelled(out, "kind", "fold", t->remote_folds_total);
    put_labelled(out, "kind", "flush", t->slab_releases_total);
    put_labelled(out, "kind", "decay", t->purges_total);
    put_labelled(out, "kind", "trim", t->trims_total);
}

/* The limit that counts: of the cgroup, else of the process, else the machine. */
static void walk_limit(const struct metric_source *s, const struct out *out, size_t at)
{
    const char *source = "";
    uint64_t limit = view_limit(s->image, &source);

    (void)at;
    if (s->kernel != NULL && s->kernel->limit_cgroup_bytes != MP_UNKNOWN) {
        put_labelled(out, "source", "cgroup", s->kernel->limit_cgroup_bytes);
    } else if (limit != MP_UNKNOWN) {
        put_labelled(out, "source",
            source[0] == 'R'   ? "rlimit"
            : source[0] == 't' ? "system"
                               : source,
            limit);
    }
}

static void walk_pressure(
    const struct metric_source *s, const struct out *out, size_t at)
{
    const struct mp_pressure *p = s->pressure;
    struct mp_pressure made;

    (void)at;
    if (p == NULL) {
        mp_pressure_make(s->image, s->kernel, &made);
        p = &made;
    }
    for (unsigned i = 0; i < MP_PRESSURE_PARTS; i++) {
        if (!isnan(p->part[i].value)) {
            put(out, &(struct metric_sample){.type = METRIC_REAL,
                         .real = p->part[i].value,
                         .label_count = 1,
                         .label = {{"part",
                             mp_pressure_part_name((enum mp_pressure_kind)i)}}});
        }
    }
}

/* ---- components, classes, pools, counters ---- */

static void walk_components(
    const struct metric_source *s, const struct out *out, size_t at)
{
    char name[4 * MP_REGION_NAME_BYTES + 1];
    uint64_t shown = 0;
    uint64_t all = 0;
    size_t used = 0;

    for (unsigned i = 0; i < s->rows.count; i++) {
        const struct mp_region_component *c =
            mp_image_component(s->image, s->rows.row[i]);

        if (c != NULL) {
            mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
            put_labelled(out, "component", name, value_at(c, at));
            shown += value_at(c, at);
        }
    }
    for (size_t i = 0; i < mp_image_component_count(s->image); i++) {
        const struct mp_region_component *c = mp_image_component(s->image, i);

        all += value_at(c, at);
        used += c->allocated_blocks_total != 0;
    }
    /* Peaks do not add, nor what is counted in parents, too. */
    if (used > s->rows.count
        && at != offsetof(struct mp_region_component, tree_live_bytes)
        && at != offsetof(struct mp_region_component, live_peak_bytes)) {
        put_labelled(out, "component", "other", view_live(all, shown));
    }
}

static const char *name_of_limit(const mp_image_t *image, size_t i)
{
    return mp_image_component(image, mp_image_limit(image, i)->component)->name;
}

/* Whether a limit before it is of one with that name: of damaged regions. */
static bool is_known_limit(const mp_image_t *image, size_t number)
{
    for (size_t i = 0; i < number; i++) {
        if (strcmp(name_of_limit(image, i), name_of_limit(image, number)) == 0) {
            return true;
        }
    }
    return false;
}

static void put_limit(
    const struct out *out, const char *component, const char *kind, uint64_t bytes)
{
    if (bytes != 0) {
        put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                     .whole = bytes,
                     .label_count = 2,
                     .label = {{"component", component}, {"kind", kind}}});
    }
}

static void walk_limits(const struct metric_source *s, const struct out *out, size_t at)
{
    size_t most = s->options.all ? SIZE_MAX : METRIC_LIMITS_MAX;

    for (size_t i = 0; i < mp_image_limit_count(s->image) && i < most; i++) {
        const struct mp_region_limit *l = mp_image_limit(s->image, i);
        char name[4 * MP_REGION_NAME_BYTES + 1];

        if (is_known_limit(s->image, i)) {
            continue;
        }
        mp_text_escape(
            name, sizeof(name), name_of_limit(s->image, i), MP_REGION_NAME_BYTES);
        if (at != METRIC_LIMIT_BYTES) {
            put_labelled(out, "component", name, value_at(l, at));
            continue;
        }
        put_limit(out, name, "soft", l->soft_bytes);
        put_limit(out, name, "hard", l->hard_bytes);
    }
}

static void put_class(
    const struct out *out, const struct metric_class *c, uint64_t value)
{
    char name[24];
    char *at = name + sizeof(name);

    *--at = '\0';
    for (uint64_t rest = c->block_bytes; rest != 0 || *at == '\0'; rest /= 10) {
        *--at = (char)('0' + rest % 10);
    }
    put_labelled(out, "size_class", at, value);
}

static void walk_classes(
    const struct metric_source *s, const struct out *out, size_t at)
{
    for (size_t i = 0; i < s->class_count && s->options.size_classes; i++) {
        put_class(out, &s->class[i], value_at(&s->class[i].sum, at));
    }
}

enum { CLASS_LIVE_BLOCKS, CLASS_LIVE_BYTES, CLASS_FREE_BYTES };

static void walk_class_state(
    const struct metric_source *s, const struct out *out, size_t at)
{
    for (size_t i = 0; i < s->class_count && s->options.size_classes; i++) {
        const struct mp_region_cell *c = &s->class[i].sum;

        put_class(out, &s->class[i],
            at == CLASS_LIVE_BLOCKS
                ? view_live(c->allocated_blocks_total, c->freed_blocks_total)
            : at == CLASS_LIVE_BYTES
                ? view_live(c->allocated_bytes_total, c->freed_bytes_total)
                : mp_cell_free_bytes(c));
    }
}

/* Bounds are powers of 4: among them those of mp_size_sums. */
static void walk_sizes(const struct metric_source *s, const struct out *out, size_t at)
{
    enum { FIRST = 4, STEP = 2, LAST = 26 }; /* 16 bytes to 64 MiB */
    double bound[(LAST - FIRST) / STEP + 1];
    uint64_t cumulative[(LAST - FIRST) / STEP + 1];
    struct metric_histogram h = {.bound = bound, .cumulative = cumulative};
    size_t next = 0;

    (void)at;
    for (unsigned power = FIRST; power <= LAST + STEP; power += STEP) {
        while (next < s->class_count
               && (power > LAST || s->class[next].block_bytes <= 1ull << power)) {
            h.total += s->class[next].sum.allocated_blocks_total;
            h.sum += (double)s->class[next++].sum.allocated_bytes_total;
        }
        if (power <= LAST) {
            bound[h.count] = (double)(1ull << power);
            cumulative[h.count++] = h.total;
        }
    }
    put(out, &(struct metric_sample){.histogram = &h});
}

/* Bounds are powers of 8 microseconds, up to a day. */
static void walk_lifetimes(
    const struct metric_source *s, const struct out *out, size_t at)
{
    enum { STEP = 3, LAST = 36 };
    double bound[LAST / STEP];
    uint64_t cumulative[LAST / STEP];
    struct metric_histogram h = {
        .bound = bound, .cumulative = cumulative, .sum = s->lifetime_s};

    (void)at;
    if (mp_image_sampling(s->image)->allocated_total == 0) {
        return;
    }
    for (unsigned i = 0; i < MP_REGION_LIFETIMES; i++) {
        h.total += s->lifetimes[i];
        if ((i + 1) % STEP == 0 && i < LAST) { /* [i] is what is below 2^(i+1) */
            bound[h.count] = ldexp(1e-6, (int)i + 1);
            cumulative[h.count++] = h.total;
        }
    }
    put(out, &(struct metric_sample){.histogram = &h});
}

/* Whether a record before it has that number: of damaged regions. */
static bool is_known_pool(const mp_image_t *image, size_t number)
{
    uint64_t mine = mp_image_pool(image, number)->number;

    for (size_t i = 0; i < number; i++) {
        if (mp_image_pool(image, i)->number == mine) {
            return true;
        }
    }
    return false;
}

/* Of all pools that have no record of their own, there is a sum: its number says how many. */
static void walk_pools(const struct metric_source *s, const struct out *out, size_t at)
{
    size_t most = s->options.all ? SIZE_MAX : METRIC_POOLS_MAX;

    for (size_t i = 0; i < mp_image_pool_count(s->image) && i < most; i++) {
        const struct mp_region_pool *p = mp_image_pool(s->image, i);
        const struct mp_region_component *c =
            mp_image_component(s->image, p->component);
        char name[4 * MP_REGION_NAME_BYTES + 1] = "";
        char number[24];

        if (is_known_pool(s->image, i)) {
            continue;
        }
        if (c != NULL) {
            mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
        }
        snprintf(number, sizeof(number), "%llu", (unsigned long long)p->number);
        put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                     .whole = value_at(p, at),
                     .label_count = 2,
                     .label = {{"pool", p->object_bytes == 0 ? "others" : number},
                         {"component", name}}});
    }
}

static bool is_known_counter(const mp_image_t *image, size_t number)
{
    const char *name = mp_image_user_counter(image, number)->name;

    for (size_t i = 0; i < number; i++) {
        if (strcmp(mp_image_user_counter(image, i)->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void walk_counters(
    const struct metric_source *s, const struct out *out, size_t at)
{
    size_t most = s->options.all ? SIZE_MAX : METRIC_POOLS_MAX;

    (void)at;
    for (size_t i = 0; i < mp_image_user_counter_count(s->image) && i < most; i++) {
        const struct mp_region_user_counter *c = mp_image_user_counter(s->image, i);
        char name[4 * sizeof(c->name) + 1];

        if (!is_known_counter(s->image, i)) {
            mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
            put(out, &(struct metric_sample){.type = METRIC_SIGNED,
                         .number = c->value,
                         .label_count = 1,
                         .label = {{"name", name}}});
        }
    }
}

/* ---- the profiler ---- */

static void walk_sampling(
    const struct metric_source *s, const struct out *out, size_t at)
{
    put_whole(out, value_at(mp_image_sampling(s->image), at));
}

static void walk_profiler(
    const struct metric_source *s, const struct out *out, size_t at)
{
    const struct mp_region_sampling *g = mp_image_sampling(s->image);
    const struct mp_region_totals *t = mp_image_totals(s->image);
    bool is_on = g->interval_bytes != MP_SAMPLING_OFF;

    switch (at) {
    case METRIC_PROFILER_ENABLED:
        put_whole(out, is_on);
        break;
    case METRIC_PROFILER_INTERVAL: /* exact mode: of each byte */
        if (is_on) {
            put_whole(
                out, g->interval_bytes == MP_SAMPLING_EXACT ? 1 : g->interval_bytes);
        }
        break;
    case METRIC_PROFILER_SECONDS:
        put_real(out, (double)(g->cost_ns_total + t->publish_ns_total) / 1e9);
        break;
    case METRIC_PROFILER_ESTIMATE:
        if (g->allocated_total != 0) {
            put_real(out, s->estimated_live_bytes > 0 ? s->estimated_live_bytes : 0);
        }
        break;
    case METRIC_PROFILER_DROPPED:
        put_labelled(out, "reason", "memory", g->samples_refused_total);
        put_labelled(out, "reason", "table_full", g->sites_refused_total);
        break;
    case METRIC_PROFILER_CUT:
        put_labelled(out, "reason", "depth", g->stacks_truncated_total);
        put_labelled(out, "reason", "unwind", g->stacks_lost_total);
        put_labelled(out, "reason", "table_full", g->frames_refused_total);
        break;
    }
}

/* ---- verdicts ---- */

static void put_severities(const struct out *out, const uint64_t count[3])
{
    for (unsigned i = 0; i < 3; i++) {
        put_labelled(out, "severity", mp_severity_name((enum mp_severity)i), count[i]);
    }
}

static void put_baselines(
    const struct metric_insight *k, const struct out *out, size_t at)
{
    for (size_t i = 0; i < k->baseline_count; i++) {
        const struct metric_baseline *b = &k->baseline[i];
        struct metric_sample s = {
            .type = METRIC_REAL, .label_count = 1, .label = {{"baseline", b->name}}};

        s.real = at == METRIC_BASELINE_BYTES   ? b->bytes
                 : at == METRIC_BASELINE_RATIO ? b->ratio
                                               : (double)b->significant_sites;
        if (isfinite(s.real)
            && (at != METRIC_BASELINE_SITES || b->significant_sites >= 0)) {
            put(out, &s);
        }
    }
}

static void put_sites(
    const struct metric_insight *k, const struct out *out, bool hides_functions)
{
    unsigned labels = hides_functions ? 1 : 2; /* the function is the last one */

    for (size_t i = 0; i < k->site_count; i++) {
        const struct metric_site *site = &k->site[i];

        put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                     .whole = site->live_bytes,
                     .label_count = labels,
                     .label = {{"site", site->id}, {"function", site->function}}});
    }
    if (k->site_count > 0) {
        put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                     .whole = k->other_sites_bytes,
                     .label_count = labels,
                     .label = {{"site", "other"}, {"function", ""}}});
    }
}

static void walk_insight(
    const struct metric_source *s, const struct out *out, size_t at)
{
    const struct metric_insight *k = s->insight;

    if (k == NULL) {
        return;
    }
    switch (at) {
    case METRIC_EFFICIENCY:
    case METRIC_SLACK:
        if (k->has_efficiency) {
            put_real(out, at == METRIC_SLACK ? k->slack_bytes : k->efficiency_ratio);
        }
        break;
    case METRIC_SUSPECTS:
        put_severities(out, k->suspects);
        break;
    case METRIC_DETECTIONS:
        put_severities(out, k->detections);
        break;
    case METRIC_GROWTH:
        put_real(out, k->growth_bytes_per_second);
        break;
    case METRIC_ADVICE:
        for (unsigned i = 0; i < MP_FINDINGS; i++) {
            put_labelled(
                out, "code", mp_finding_name((enum mp_finding_code)i), k->advice[i]);
        }
        break;
    case METRIC_SITES:
        put_sites(k, out, s->hides_functions);
        break;
    case METRIC_INSIGHT_AGE:
        put_real(out, k->age_s);
        break;
    default:
        put_baselines(k, out, at);
    }
}

static void walk_alerts(const struct metric_source *s, const struct out *out, size_t at)
{
    (void)at;
    for (size_t i = 0; s->alerts != NULL && i < s->alerts->count; i++) {
        const struct metric_alert *a = &s->alerts->at[i];

        put(out, &(struct metric_sample){.type = METRIC_WHOLE,
                     .whole = a->total,
                     .label_count = 2,
                     .label = {{"rule", a->rule},
                         {"severity", mp_severity_name(a->severity)}}});
    }
}

/* ---- the kernel ---- */

static void walk_kernel(const struct metric_source *s, const struct out *out, size_t at)
{
    if (s->kernel != NULL) {
        put_known(out, value_at(s->kernel, at));
    }
}

static void walk_faults(const struct metric_source *s, const struct out *out, size_t at)
{
    (void)at;
    if (s->kernel != NULL && s->kernel->minor_faults_total != MP_UNKNOWN) {
        put_labelled(out, "kind", "minor", s->kernel->minor_faults_total);
        put_labelled(out, "kind", "major", s->kernel->major_faults_total);
    }
}

static void walk_cpu(const struct metric_source *s, const struct out *out, size_t at)
{
    (void)at;
    if (s->kernel != NULL && s->kernel->cpu_ns_total != MP_UNKNOWN) {
        put_real(out, (double)s->kernel->cpu_ns_total / 1e9);
    }
}

/* ---- the table ---- */

typedef void walk_fn(const struct metric_source *s, const struct out *out, size_t at);

static walk_fn *const walks[] = {
    [METRIC_FROM_ALERTS] = walk_alerts,
    [METRIC_FROM_INFO] = walk_info,
    [METRIC_FROM_TIMES] = walk_times,
    [METRIC_FROM_TOTALS] = walk_totals,
    [METRIC_FROM_COMMITTED] = walk_committed,
    [METRIC_FROM_METADATA] = walk_metadata,
    [METRIC_FROM_RECLAIM] = walk_reclaim,
    [METRIC_FROM_LIMIT] = walk_limit,
    [METRIC_FROM_PRESSURE] = walk_pressure,
    [METRIC_FROM_COMPONENTS] = walk_components,
    [METRIC_FROM_CLASSES] = walk_classes,
    [METRIC_FROM_CLASS_STATE] = walk_class_state,
    [METRIC_FROM_SIZES] = walk_sizes,
    [METRIC_FROM_LIFETIMES] = walk_lifetimes,
    [METRIC_FROM_LIMITS] = walk_limits,
    [METRIC_FROM_POOLS] = walk_pools,
    [METRIC_FROM_COUNTERS] = walk_counters,
    [METRIC_FROM_SAMPLING] = walk_sampling,
    [METRIC_FROM_PROFILER] = walk_profiler,
    [METRIC_FROM_INSIGHT] = walk_insight,
    [METRIC_FROM_KERNEL] = walk_kernel,
    [METRIC_FROM_FAULTS] = walk_faults,
    [METRIC_FROM_CPU] = walk_cpu,
};

void metric_walk_one(
    const struct metric_source *source, size_t number, metric_fn *fn, void *arg)
{
    const struct metric_row *row = &metric_table[number];
    struct out out = {&row->metric, fn, arg};

    if (source->options.all || !row->is_detail) {
        walks[row->from](source, &out, row->at);
    }
}

const struct metric *metric_at(size_t number)
{
    return metric_table[number].metric.name != NULL ? &metric_table[number].metric
                                                    : NULL;
}

bool metric_is_detail(size_t number)
{
    return metric_table[number].is_detail;
}

void metric_walk(const struct metric_source *source, metric_fn *fn, void *arg)
{
    for (size_t i = 0; metric_at(i) != NULL; i++) {
        metric_walk_one(source, i, fn, arg);
    }
}
