#include "point.h"

#include "must.h"
#include "stack_id.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- sites ---- */

struct member {
    uint32_t frame;
    uint32_t component;
    uint32_t class_number;
    uint32_t site;
};

static int compare_members(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct member));
}

static int compare_sites(const void *a, const void *b)
{
    const struct point_site *x = a;
    const struct point_site *y = b;

    return (x->live < y->live) - (x->live > y->live);
}

static void add_figures(struct point_site *s, const struct mp_figures *f)
{
    s->live += (double)f->value[MP_LIVE_BYTES];
    s->below =
        hypot(s->below, (double)(f->value[MP_LIVE_BYTES] - f->low[MP_LIVE_BYTES]));
    s->above =
        hypot(s->above, (double)(f->high[MP_LIVE_BYTES] - f->value[MP_LIVE_BYTES]));
    s->allocated += (double)f->value[MP_ALLOCATED_BYTES];
}

/* By stack in a component, all sizes; then the largest. */
static void take_sites(struct point *p, const mp_image_t *image)
{
    size_t count = mp_image_site_count(image);
    struct member *all = must(calloc(count + 1, sizeof(*all)));
    uint32_t *group = must(calloc(count + 1, sizeof(*group)));
    struct point_site *sites = must(calloc(count + 1, sizeof(*sites)));
    mp_estimates_t *estimates;
    uint32_t groups = 0;
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        group[i] = UINT32_MAX;
        if (i > 0 && t->allocated_samples > 0) {
            all[used++] = (struct member){
                stack_first(image, t->frame), t->component, t->class_number, i};
        }
    }
    qsort(all, used, sizeof(*all), compare_members);
    for (size_t i = 0; i < used; i++) {
        groups += i == 0 || memcmp(&all[i], &all[i - 1], 3 * sizeof(uint32_t)) != 0;
        group[all[i].site] = groups - 1;
    }
    if (mp_estimates_make(image, group, groups, &estimates) != 0) {
        must(NULL);
    }
    count = 0;
    for (size_t i = 0; i < used; i++) {
        if (i == 0 || memcmp(&all[i], &all[i - 1], 2 * sizeof(uint32_t)) != 0) {
            sites[count++] = (struct point_site){
                .frame = all[i].frame, .component = all[i].component};
        }
        if (i == 0 || group[all[i].site] != group[all[i - 1].site]) {
            add_figures(
                &sites[count - 1], mp_estimates_group(estimates, group[all[i].site]));
        }
    }
    qsort(sites, count, sizeof(*sites), compare_sites);
    p->site_count = count < POINT_SITES ? count : POINT_SITES;
    p->sites_left_out = count - p->site_count;
    memcpy(p->sites, sites, p->site_count * sizeof(*sites));
    mp_estimates_free(estimates);
    free(all);
    free(group);
    free(sites);
}

/* ---- the rest of a point ---- */

static int compare_components(const void *a, const void *b)
{
    const struct point_component *x = a;
    const struct point_component *y = b;

    return (x->live_bytes < y->live_bytes) - (x->live_bytes > y->live_bytes);
}

static void take_components(struct point *p, const mp_image_t *image)
{
    size_t count = mp_image_component_count(image);
    struct point_component *all = must(calloc(count + 1, sizeof(*all)));
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        if (c->allocated_blocks_total > 0) {
            all[used++] = (struct point_component){
                i, c->live_bytes, c->live_blocks, c->allocated_bytes_total};
        }
    }
    qsort(all, used, sizeof(*all), compare_components);
    p->component_count = used < POINT_COMPONENTS ? used : POINT_COMPONENTS;
    p->components_left_out = used - p->component_count;
    memcpy(p->components, all, p->component_count * sizeof(*all));
    free(all);
}

static void take_verdicts(struct point *p, const mp_image_t *image)
{
    mp_verdicts_t *verdicts;

    if (mp_verdicts_make(image, NULL, &verdicts) != 0) {
        must(NULL);
    }
    for (size_t i = 0;
         i < mp_verdicts_count(verdicts) && p->verdict_count < POINT_VERDICTS; i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);

        if (v->kind <= MP_VERDICT_SUSPECT) {
            p->verdicts[p->verdict_count++] = (struct point_verdict){
                v->frame, v->component, v->kind, v->severity, v->bytes_per_hour};
        }
    }
    mp_verdicts_free(verdicts);
}

void point_take(
    struct point *p, const mp_image_t *image, enum mp_life life, bool with_verdicts)
{
    const char *source;

    *p = (struct point){.image = image,
        .life = life,
        .resident_bytes = MP_UNKNOWN,
        .limit_bytes = view_limit(image, &source)};
    if (life == MP_LIFE_RUNNING) {
        p->resident_bytes = mp_proc_resident(mp_image_process(image)->pid);
    }
    rss_parts_take(image, &p->parts);
    take_components(p, image);
    take_sites(p, image);
    p->has_verdicts = with_verdicts;
    if (with_verdicts) {
        take_verdicts(p, image);
    }
}
