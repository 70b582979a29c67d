/*
 * alert_facts - what alerts are about, out of an image
 */
#include "words.h"

#include <errno.h>
#include <math.h>
#include <mpstats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mp_alert_facts_init(struct mp_alert_facts *f, uint64_t time_ns)
{
    *f = (struct mp_alert_facts){.time_ns = time_ns,
        .live_bytes = NAN,
        .heap_bytes = NAN,
        .resident_bytes = NAN,
        .limit_bytes = NAN,
        .counted_bytes = NAN,
        .pressure = NAN,
        .purged_bytes = NAN,
        .failures = NAN,
        .profiler_seconds = NAN,
        .cpu_seconds = NAN,
        .samples = NAN,
        .dropped = NAN,
        .drift = NAN,
        .component_drift = NAN,
        .component_ratio = NAN,
        .efficiency = {NAN, NAN, NAN},
        .leaks = NAN};
}

void mp_alert_facts_fini(struct mp_alert_facts *f)
{
    free((void *)f->points);
    f->points = NULL;
    f->point_count = 0;
}

/* ---- points ---- */

static void add_point(struct mp_alert_point *points, size_t *count,
    const struct mp_alert_point *p, uint64_t now_ns)
{
    if (p->time_ns != 0 && p->time_ns <= now_ns
        && (*count == 0 || p->time_ns > points[*count - 1].time_ns)) {
        points[(*count)++] = *p;
    }
}

/* From when on tiers that are finer know more. */
static uint64_t first_of(const mp_image_t *image, unsigned tier)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; i < tier; i++) {
        if (mp_image_moment_count(image, i) > 0
            && mp_image_moment(image, i, 0)->time_ns < first) {
            first = mp_image_moment(image, i, 0)->time_ns;
        }
    }
    return first;
}

/* The older ones, then what each tier knows of before the next finer one begins, then now. */
static int make_points(struct mp_alert_facts *f, const mp_image_t *image,
    const struct mp_alert_point *older, size_t older_count)
{
    size_t most = older_count + 1;
    struct mp_alert_point *points;
    size_t count = 0;

    for (unsigned tier = 0; tier < MP_REGION_TIMELINE_TIERS; tier++) {
        most += mp_image_moment_count(image, tier);
    }
    points = calloc(most, sizeof(*points));
    if (points == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < older_count
                       && older[i].time_ns < first_of(image, MP_REGION_TIMELINE_TIERS);
         i++) {
        add_point(points, &count, &older[i], f->time_ns);
    }
    for (unsigned tier = MP_REGION_TIMELINE_TIERS; tier-- > 0;) {
        uint64_t until = first_of(image, tier);
        size_t moments = mp_image_moment_count(image, tier);

        for (size_t i = 0; i < moments; i++) {
            const struct mp_region_moment *m = mp_image_moment(image, tier, i);
            struct mp_alert_point p = {
                m->time_ns, (double)m->live_bytes, (double)m->live_high_bytes, NAN};

            if (m->time_ns < until) {
                add_point(points, &count, &p, f->time_ns);
            }
        }
    }
    add_point(points, &count,
        &(struct mp_alert_point){
            f->time_ns, f->live_bytes, f->live_bytes, f->resident_bytes},
        f->time_ns);
    f->points = points;
    f->point_count = count;
    return 0;
}

/* ---- figures ---- */

static void make_leaks(struct mp_alert_facts *f, const mp_image_t *image,
    const mp_verdicts_t *verdicts, const bool *is_known)
{
    const struct mp_verdict *worst = NULL;
    char rate[WORDS_BYTES];

    f->leaks = 0;
    for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);

        if (v->kind > MP_VERDICT_GROWING || (is_known != NULL && is_known[i])) {
            continue;
        }
        f->leaks++;
        if (v->severity > f->leak_severity) {
            f->leak_severity = v->severity;
        }
        if (worst == NULL || v->bytes_per_hour.value > worst->bytes_per_hour.value) {
            worst = v;
        }
    }
    if (worst != NULL) {
        const struct mp_region_component *c =
            mp_image_component(image, worst->component);
        char name[64];

        mp_text_escape(name, sizeof(name), c != NULL ? c->name : "",
            c != NULL ? sizeof(c->name) : 0);
        snprintf(f->leak, sizeof(f->leak), "the fastest, in %s, is %s by %s/h", name,
            mp_verdict_name(worst->kind),
            words_bytes(worst->bytes_per_hour.value, rate));
    }
}

static int make_slow(struct mp_alert_facts *f, const mp_image_t *image,
    const mp_verdicts_t *verdicts, const bool *is_known)
{
    struct mp_efficiency e;
    int code = mp_efficiency_make(image, &e);

    if (code == 0 && e.heap_bytes > 0) {
        double heap = (double)e.heap_bytes;

        f->efficiency = (struct mp_estimate){
            e.ratio, e.requested.low / heap, e.requested.high / heap};
    }
    make_leaks(f, image, verdicts, is_known);
    f->has_slow = true;
    return code;
}

/* Of the component that is nearest to its soft limit, or furthest beyond. */
static void make_component(struct mp_alert_facts *f, const mp_image_t *image)
{
    for (size_t i = 0; i < mp_image_limit_count(image); i++) {
        const struct mp_region_limit *l = mp_image_limit(image, i);
        const struct mp_region_component *c =
            l->component < mp_image_component_count(image)
                ? mp_image_component(image, (size_t)l->component)
                : NULL;
        double ratio;

        if (c == NULL || l->soft_bytes == 0) {
            continue;
        }
        ratio = (double)c->tree_live_bytes / (double)l->soft_bytes;
        if (!(ratio <= f->component_ratio)) {
            char live[WORDS_BYTES];
            char soft[WORDS_BYTES];
            char name[64];

            mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
            f->component_ratio = ratio;
            snprintf(f->component, sizeof(f->component), "%s holds %s of %s", name,
                words_bytes((double)c->tree_live_bytes, live),
                words_bytes((double)l->soft_bytes, soft));
        }
    }
}

int mp_alert_facts_make(const mp_image_t *image, const struct mp_proc *kernel,
    const struct mp_pressure *pressure, const mp_verdicts_t *verdicts,
    const bool *is_known, const struct mp_alert_point *older, size_t older_count,
    uint64_t time_ns, struct mp_alert_facts *ret)
{
    const struct mp_region_totals *t = mp_image_totals(image);
    const struct mp_region_sampling *g = mp_image_sampling(image);
    struct mp_alert_facts *f = ret;
    struct mp_pressure made;
    enum mp_limit_source source;
    uint64_t limit;
    int code;

    mp_alert_facts_init(f, time_ns);
    f->started_ns = mp_image_process(image)->started_ns;
    f->live_bytes = (double)t->live_bytes;
    f->heap_bytes = (double)t->resident_bytes;
    if (kernel != NULL && kernel->resident_bytes != MP_UNKNOWN) {
        f->resident_bytes = (double)kernel->resident_bytes;
    }
    limit = mp_process_limit(
        image, kernel != NULL ? kernel->limit_cgroup_bytes : MP_UNKNOWN, &source);
    f->limit_bytes = limit != MP_UNKNOWN ? (double)limit : NAN;
    if (source == MP_LIMIT_AS && kernel != NULL
        && kernel->virtual_bytes != MP_UNKNOWN) {
        f->counted_bytes = (double)kernel->virtual_bytes;
    }
    if (pressure == NULL) {
        mp_pressure_make(image, kernel, &made);
        pressure = &made;
    }
    f->pressure = pressure->value;
    f->purged_bytes = (double)t->purged_bytes_total;
    f->failures = (double)mp_image_memory_failures(image);
    f->profiler_seconds =
        ((double)t->publish_ns_total + (double)g->cost_ns_total) / 1e9;
    if (kernel != NULL && kernel->cpu_ns_total != MP_UNKNOWN) {
        f->cpu_seconds = (double)kernel->cpu_ns_total / 1e9;
    }
    f->samples = (double)g->allocated_total;
    f->dropped = (double)g->samples_refused_total + (double)g->sites_refused_total;
    make_component(f, image);
    code = make_points(f, image, older, older_count);
    if (code == 0 && verdicts != NULL) {
        code = make_slow(f, image, verdicts, is_known);
    }
    if (code != 0) {
        mp_alert_facts_fini(f);
    }
    return code;
}
