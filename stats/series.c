#include "series.h"

#include "estimate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- time, in epochs ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t find_now(const mp_image_t *image)
{
    uint64_t now = later(mp_image_totals(image)->published_mono_ns,
        mp_image_epochs(image)->written_mono_ns);

    for (size_t i = 0; i < mp_image_sample_count(image); i++) {
        now = later(now, mp_image_sample(image, i)->born_ns);
    }
    return now;
}

/* Of the epoch that has not ended, how much is gone. */
static double part_of(const struct mp_region_epochs *e)
{
    double part =
        e->epoch_bytes > 0 ? e->work_bytes / e->epoch_bytes - (double)e->current : 1;

    return fmin(fmax(part, 1e-3), 1);
}

static double now_of(const mp_image_t *image)
{
    const struct mp_region_epochs *e = mp_image_epochs(image);

    return (double)e->current + part_of(e);
}

/* Within an epoch work is taken to be even. */
static double epoch_at(const mp_image_t *image, uint64_t now_ns, uint64_t mono_ns)
{
    const struct mp_region_epochs *e = mp_image_epochs(image);
    uint64_t begin = mp_image_process(image)->started_mono_ns;
    uint64_t end;
    uint64_t i = 0;
    double length;

    while (i < e->current && e->ends[i].mono_ns < mono_ns) {
        i++;
    }
    begin = i > 0 ? e->ends[i - 1].mono_ns : begin;
    end = i < e->current ? e->ends[i].mono_ns : later(now_ns, begin + 1);
    length = i < e->current ? 1 : part_of(e);
    if (mono_ns <= begin || end <= begin) {
        return (double)i;
    }
    return (double)i
           + length * fmin((double)(mono_ns - begin) / (double)(end - begin), 1);
}

double series_seconds_since(const mp_image_t *image, const struct series *s, double at)
{
    const struct mp_region_epochs *e = mp_image_epochs(image);
    uint64_t i = (uint64_t)fmax(at, 0);
    uint64_t begin = i > 0 && e->current > 0
                         ? e->ends[(i < e->current ? i : e->current) - 1].mono_ns
                         : mp_image_process(image)->started_mono_ns;

    return s->now_mono_ns > begin ? (double)(s->now_mono_ns - begin) / 1e9 : 0;
}

/* ---- what a site held ---- */

/* Rows whose epochs are shorter than those of the image: pairs of them are one. */
static void merge_pairs(struct mp_region_site_epochs *r)
{
    for (uint32_t i = 0; i <= r->current / 2; i++) {
        bool has_second = 2 * i + 1 <= r->current;
        float first = r->floor_bytes[2 * i];

        r->floor_bytes[i] =
            has_second ? fminf(first, r->floor_bytes[2 * i + 1]) : first;
        r->live_bytes[i] = r->live_bytes[2 * i + 1];
    }
    r->current /= 2;
    r->doublings++;
}

static void add_levels(const mp_image_t *image, size_t number, struct growth_past *past)
{
    const struct mp_region_site *t = mp_image_site(image, number);
    const struct mp_region_site_epochs *row = mp_image_site_epochs(image, number);
    const struct mp_region_epochs *e = mp_image_epochs(image);
    double live = fmax(t->allocated_bytes - t->freed_bytes, 0);
    struct mp_region_site_epochs r = {.doublings = (uint32_t)e->doublings};
    double floor;

    if (row != NULL) {
        r = *row;
    }
    r.floor_bytes[r.current] = row != NULL ? t->floor_bytes : 0;
    while (r.doublings < e->doublings) {
        merge_pairs(&r);
    }
    floor = fmin((double)r.floor_bytes[r.current], live);
    for (unsigned i = 0; i < past->epochs; i++) {
        past->live[i] += i < r.current ? (double)r.live_bytes[i] : live;
        past->floor[i] += i < r.current    ? (double)r.floor_bytes[i]
                          : i == r.current ? floor
                                           : live;
    }
    past->live[past->epochs] += live;
    past->floor[past->epochs] += r.current == past->epochs ? floor : live;
}

/* Marks of the name that was set last. */
static void add_marks(const mp_image_t *image, size_t number, struct growth_past *past)
{
    const struct mp_region_site *t = mp_image_site(image, number);
    const struct mp_region_site_epochs *row = mp_image_site_epochs(image, number);
    double live = fmax(t->allocated_bytes - t->freed_bytes, 0);
    size_t count = mp_image_mark_count(image);
    const struct mp_region_mark *last =
        count > 0 ? mp_image_mark(image, count - 1) : NULL;

    past->marks = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mp_region_mark *m = mp_image_mark(image, i);

        if (strcmp(m->name, last->name) == 0) {
            past->mark_live[past->marks++] +=
                row != NULL && m->number < row->marks
                    ? (double)row->mark_bytes[m->number % MP_REGION_MARKS]
                    : live;
        }
    }
}

/* ---- groups ---- */

struct keyed {
    uint64_t key;
    uint32_t site;
};

static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a;
    const struct keyed *y = b;

    return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
                            : (x->site > y->site) - (x->site < y->site);
}

/* By component and stack; (overflow) is by itself, the first. */
static uint64_t key_of(const mp_image_t *image, uint32_t site)
{
    const struct mp_region_site *t = mp_image_site(image, site);

    return site == 0 ? 0 : (uint64_t)t->component << 32 | t->frame;
}

static bool is_used(const mp_image_t *image, uint32_t site)
{
    return mp_image_site(image, site)->allocated_samples > 0;
}

static int make_groups(const mp_image_t *image, struct series *s)
{
    size_t count = mp_image_site_count(image);
    struct keyed *all = calloc(count + 1, sizeof(*all));
    size_t used = 0;

    s->sites = calloc(count + 1, sizeof(*s->sites));
    s->groups = calloc(count + 1, sizeof(*s->groups));
    if (all == NULL || s->sites == NULL || s->groups == NULL) {
        free(all);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (is_used(image, i)) {
            all[used++] = (struct keyed){key_of(image, i), i};
        }
    }
    qsort(all, used, sizeof(*all), compare_keyed);
    for (size_t i = 0; i < used; i++) {
        const struct mp_region_site *t = mp_image_site(image, all[i].site);

        s->sites[i] = all[i].site;
        if (i == 0 || all[i].key != all[i - 1].key || all[i - 1].site == 0) {
            s->groups[s->group_count++] = (struct series_group){.frame = t->frame,
                .component = t->component,
                .first = i,
                .has_history = true};
        }
        s->groups[s->group_count - 1].count++;
        s->groups[s->group_count - 1].has_history &=
            mp_image_has_history(image, all[i].site);
    }
    free(all);
    return 0;
}

/* ---- the past of each ---- */

static double interval_of(const struct mp_region_sample *r)
{
    return r->interval == MP_SAMPLING_EXACT ? 0 : (double)r->interval;
}

static double weight_of(const struct mp_region_sample *r)
{
    double chance = estimate_chance((double)r->bytes, interval_of(r));

    return chance > 0 ? (double)r->bytes / chance : 0;
}

static double longest_interval(const mp_image_t *image)
{
    double longest = 0;

    for (size_t i = 0; i < mp_image_sample_count(image); i++) {
        longest = fmax(longest, interval_of(mp_image_sample(image, i)));
    }
    return longest;
}

/* Of so many as it counts for were the interval always the longest: below 1 of shorter ones. */
static double count_of(const struct mp_region_sample *r, double longest)
{
    double chance = estimate_chance((double)r->bytes, interval_of(r));

    return chance > 0 ? fmin(estimate_chance((double)r->bytes, longest) / chance, 1)
                      : 1;
}

/* Each sample to its group, side by side. */
static int add_births(const mp_image_t *image, struct series *s)
{
    size_t samples = mp_image_sample_count(image);
    double longest = longest_interval(image);
    uint32_t *group_of = calloc(mp_image_site_count(image) + 1, sizeof(*group_of));
    size_t at = 0;

    s->births = calloc(samples + 1, sizeof(*s->births));
    if (group_of == NULL || s->births == NULL) {
        free(group_of);
        return -ENOMEM;
    }
    for (size_t g = 0; g < s->group_count; g++) {
        for (size_t i = 0; i < s->groups[g].count; i++) {
            group_of[s->sites[s->groups[g].first + i]] = (uint32_t)g + 1;
        }
    }
    for (size_t i = 0; i < samples; i++) {
        uint32_t g = group_of[mp_image_sample(image, i)->site];

        if (g > 0) {
            s->groups[g - 1].birth_count++;
        }
    }
    for (size_t g = 0; g < s->group_count; g++) {
        s->groups[g].first_birth = at;
        at += s->groups[g].birth_count;
        s->groups[g].birth_count = 0;
    }
    for (size_t i = 0; i < samples; i++) {
        const struct mp_region_sample *r = mp_image_sample(image, i);
        uint32_t g = group_of[r->site];
        double age =
            s->now_mono_ns > r->born_ns ? (double)(s->now_mono_ns - r->born_ns) : 0;

        if (g > 0) {
            struct series_group *group = &s->groups[g - 1];

            s->births[group->first_birth + group->birth_count++] =
                (struct growth_birth){epoch_at(image, s->now_mono_ns, r->born_ns),
                    weight_of(r), count_of(r, longest), age / 1000};
        }
    }
    free(group_of);
    return 0;
}

/* Sites know real time; it is as far behind now as monotonic time is. */
static uint64_t mono_of(const mp_image_t *image, uint64_t real_ns)
{
    const struct mp_region_process *p = mp_image_process(image);

    return real_ns > p->started_ns ? p->started_mono_ns + (real_ns - p->started_ns)
                                   : p->started_mono_ns;
}

void series_past(const mp_image_t *image, const struct series *s,
    const struct series_group *group, struct growth_past *ret)
{
    uint64_t first_ns = UINT64_MAX;

    *ret = (struct growth_past){.epochs = s->epochs,
        .now = s->now,
        .births = s->births + group->first_birth,
        .birth_count = group->birth_count};
    for (size_t i = 0; i < group->birth_count; i++) {
        survival_add(&ret->survival, ret->births[i].age_us);
    }
    for (size_t i = 0; i < group->count; i++) {
        uint32_t number = s->sites[group->first + i];
        const struct mp_region_site *t = mp_image_site(image, number);

        add_levels(image, number, ret);
        add_marks(image, number, ret);
        for (unsigned k = 0; k < MP_REGION_LIFETIMES; k++) {
            ret->survival.died[k] += t->lifetimes[k];
        }
        first_ns = t->first_ns < first_ns ? t->first_ns : first_ns;
    }
    first_ns = mono_of(image, first_ns);
    ret->first = fmin(epoch_at(image, s->now_mono_ns, first_ns), ret->now);
    ret->observed_us =
        s->now_mono_ns > first_ns ? (double)(s->now_mono_ns - first_ns) / 1000 : 0;
}

int series_make(const mp_image_t *image, struct series *ret)
{
    int code;

    *ret = (struct series){.now_mono_ns = find_now(image),
        .epochs = (unsigned)mp_image_epochs(image)->current,
        .now = now_of(image)};
    code = make_groups(image, ret);
    return code != 0 ? code : add_births(image, ret);
}

void series_free(struct series *s)
{
    free(s->groups);
    free(s->sites);
    free(s->births);
    *s = (struct series){0};
}
