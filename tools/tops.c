#include "tops.h"

#include "must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names of what is asked for ---- */

static const char *const keys[TOP_KEYS] = {
    "component", "site", "function", "operation", "thread"};

const char *top_key_name(enum top_key key)
{
    return keys[key];
}

bool top_key_find(const char *name, enum top_key *ret)
{
    for (unsigned i = 0; i < TOP_KEYS; i++) {
        if (strcmp(name, keys[i]) == 0) {
            *ret = (enum top_key)i;
            return true;
        }
    }
    return false;
}

bool top_sort_find(const char *name, enum profile_value *ret)
{
    static const struct {
        const char *name;
        enum profile_value value;
    } all[] = {{"live", PROFILE_LIVE_BYTES}, {"allocated", PROFILE_ALLOCATED_BYTES},
        {"count", PROFILE_ALLOCATED_BLOCKS}, {"peak", PROFILE_PEAK_BYTES},
        {"short", PROFILE_SHORT_BLOCKS}};

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        if (strcmp(name, all[i].name) == 0) {
            *ret = all[i].value;
            return true;
        }
    }
    return false;
}

const char *top_unnamed(enum top_key key)
{
    static const char *const names[TOP_KEYS] = {[TOP_COMPONENT] = "(untagged)",
        [TOP_SITE] = "(not sampled)",
        [TOP_FUNCTION] = "(not sampled)",
        [TOP_OPERATION] = "(no operation)",
        [TOP_THREAD] = "(not known)"};

    return names[key];
}

/* ---- sums ---- */

struct keyed {
    const char *name;
    const struct profile_sample *sample;
    bool is_site;
};

static struct keyed key_of(
    const struct profile *p, const struct profile_sample *s, enum top_key key)
{
    struct keyed k = {"", s, key == TOP_SITE};

    switch (key) {
    case TOP_COMPONENT:
        k.name = s->component;
        break;
    case TOP_SITE:
    case TOP_FUNCTION:
        k.name = s->samples > 0 && s->depth > 0
                     ? p->frames[s->frames[s->depth - 1]].function
                     : "";
        break;
    case TOP_OPERATION:
        k.name = s->operation;
        break;
    case TOP_THREAD:
        k.name = s->thread;
        break;
    default:
        break;
    }
    return k;
}

static int compare_keys(const void *a, const void *b)
{
    const struct keyed *x = a;
    const struct keyed *y = b;

    if (x->is_site && x->sample->depth != y->sample->depth) {
        return x->sample->depth < y->sample->depth ? -1 : 1;
    }
    if (x->is_site) {
        int order = memcmp(x->sample->frames, y->sample->frames,
            x->sample->depth * sizeof(*x->sample->frames));

        if (order != 0) {
            return order;
        }
    }
    return x->name == y->name ? 0 : strcmp(x->name, y->name);
}

/* Samples are estimated apart: half widths add as standard deviations do. */
static void add(struct top *t, const struct profile_sample *s)
{
    t->samples += s->samples;
    t->live_samples += s->live_samples;
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        double down =
            hypot((double)(t->value[i] - t->low[i]), (double)(s->value[i] - s->low[i]));
        double up = mp_figures_spread((double)(t->high[i] - t->value[i]),
            (double)(s->high[i] - s->value[i]), (s->cut & 1u << i) != 0);

        t->value[i] += s->value[i];
        t->low[i] =
            down < (double)t->value[i] ? t->value[i] - (uint64_t)(down + 0.5) : 0;
        t->high[i] = up < 0x1p62 ? t->value[i] + (uint64_t)(up + 0.5) : UINT64_MAX;
    }
}

static int compare_tops(const void *a, const void *b, void *by)
{
    const struct top *x = a;
    const struct top *y = b;
    enum profile_value i = *(enum profile_value *)by;

    if (x->value[i] != y->value[i]) {
        return x->value[i] < y->value[i] ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

static void set_exact(struct top *t, enum profile_value i, uint64_t value)
{
    t->value[i] = t->low[i] = t->high[i] = value;
}

/*
 * Components have counters: what those say is no estimate, and what samples knew after them is left
 * to the tables of stacks. A peak is the component's own, of a moment of its own.
 */
static void count_components(struct tops *t, const mp_image_t *image)
{
    char name[4 * MP_REGION_NAME_BYTES + 1];

    for (size_t row = 0; row < mp_image_component_count(image); row++) {
        const struct mp_region_component *c = mp_image_component(image, row);

        mp_text_escape(name, sizeof(name), c->name, sizeof(c->name));
        for (size_t i = 0; i < t->count; i++) {
            struct top *top = &t->top[i];

            if (strcmp(top->name, name) == 0) {
                set_exact(top, PROFILE_ALLOCATED_BLOCKS, c->allocated_blocks_total);
                set_exact(top, PROFILE_ALLOCATED_BYTES, c->allocated_bytes_total);
                set_exact(top, PROFILE_LIVE_BLOCKS, c->live_blocks);
                set_exact(top, PROFILE_LIVE_BYTES, c->live_bytes);
                set_exact(top, PROFILE_PEAK_BYTES, c->live_peak_bytes);
                break;
            }
        }
    }
}

struct tops *tops_create(
    const struct profile *p, enum top_key key, enum profile_value by)
{
    struct tops *t = must(calloc(1, sizeof(*t)));
    struct keyed *all = must(calloc(p->sample_count + 1, sizeof(*all)));

    t->top = must(calloc(p->sample_count + 1, sizeof(*t->top)));
    for (size_t i = 0; i < p->sample_count; i++) {
        all[i] = key_of(p, &p->samples[i], key);
    }
    qsort(all, p->sample_count, sizeof(*all), compare_keys);
    for (size_t i = 0; i < p->sample_count; i++) {
        if (i == 0 || compare_keys(&all[i - 1], &all[i]) != 0) {
            t->top[t->count++] =
                (struct top){.name = all[i].name, .sample = all[i].sample};
        }
        add(&t->top[t->count - 1], all[i].sample);
    }
    free(all);
    if (key == TOP_COMPONENT) {
        count_components(t, p->image);
    }
    for (size_t i = 0; i < t->count; i++) {
        for (unsigned v = 0; v < PROFILE_VALUES; v++) {
            t->whole[v] += t->top[i].value[v];
        }
    }
    qsort_r(t->top, t->count, sizeof(*t->top), compare_tops, &by);
    return t;
}

void tops_destroy(struct tops *t)
{
    free(t->top);
    free(t);
}
