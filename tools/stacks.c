#include "stacks.h"

#include "must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- order ---- */

static int compare_texts(const char *a, const char *b)
{
    return a == b ? 0 : strcmp(a, b);
}

/* Samples that belong to one stack stand together. */
static int compare_samples(const void *a, const void *b)
{
    const struct profile_sample *x = *(const struct profile_sample *const *)a;
    const struct profile_sample *y = *(const struct profile_sample *const *)b;

    if ((x->samples == 0) != (y->samples == 0)) {
        return x->samples == 0 ? 1 : -1;
    }
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    if (memcmp(x->frames, y->frames, x->depth * sizeof(*x->frames)) != 0) {
        return memcmp(x->frames, y->frames, x->depth * sizeof(*x->frames));
    }
    return compare_texts(x->component, y->component);
}

static bool is_of(const struct stack *t, const struct profile_sample *s)
{
    return (t->samples == 0) == (s->samples == 0) && t->depth == s->depth
           && memcmp(t->frames, s->frames, s->depth * sizeof(*s->frames)) == 0
           && compare_texts(t->component, s->component) == 0;
}

/* ---- sums ---- */

static uint64_t sum_of(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/*
 * Samples of several classes are estimated apart, so their errors are independent: distances
 * from the value to the limits add like standard deviations, but for those that are cut.
 */
static void add_interval(
    struct stack *t, const struct profile_sample *s, enum profile_value i)
{
    double below =
        hypot((double)(t->value[i] - t->low[i]), (double)(s->value[i] - s->low[i]));
    double above = mp_figures_spread((double)(t->high[i] - t->value[i]),
        (double)(s->high[i] - s->value[i]), (s->cut & 1u << i) != 0);

    t->value[i] = sum_of(t->value[i], s->value[i]);
    t->low[i] = below < (double)t->value[i] ? t->value[i] - (uint64_t)(below + 0.5) : 0;
    t->high[i] =
        above < 0x1p63 ? sum_of(t->value[i], (uint64_t)(above + 0.5)) : UINT64_MAX;
}

static void add_sample(struct stack *t, const struct profile_sample *s)
{
    t->samples += s->samples;
    t->live_samples += s->live_samples;
    t->requested = sum_of(t->requested, s->requested);
    t->is_cut |= s->is_cut;
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        add_interval(t, s, (enum profile_value)i);
    }
}

/* A stack has no more than its component: counters may be a moment older. */
static void bound(const struct profile *p, struct stack *t, uint32_t row)
{
    const struct mp_region_component *c = mp_image_component(p->image, row);
    uint64_t most[PROFILE_VALUES];
    struct mp_since since;

    if (c == NULL || t->samples == 0 || p->before != NULL || profile_is_exact(p)) {
        return;
    }
    mp_image_since(p->image, &since);
    memset(most, 0xff, sizeof(most));
    most[PROFILE_ALLOCATED_BYTES] =
        sum_of(c->allocated_bytes_total, since.allocated_bytes);
    most[PROFILE_LIVE_BYTES] = sum_of(c->live_bytes, since.allocated_bytes);
    most[PROFILE_PEAK_BYTES] = sum_of(c->live_peak_bytes, since.allocated_bytes);
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        if (t->high[i] > most[i]) {
            t->high[i] = most[i] > t->value[i] ? most[i] : t->value[i];
        }
    }
}

struct stacks *stacks_create(const struct profile *p)
{
    struct stacks *r = must(calloc(1, sizeof(*r)));
    const struct profile_sample **all = must(calloc(p->sample_count + 1, sizeof(*all)));

    for (size_t i = 0; i < p->sample_count; i++) {
        all[i] = &p->samples[i];
    }
    qsort(all, p->sample_count, sizeof(*all), compare_samples);
    r->stack = must(calloc(p->sample_count + 1, sizeof(*r->stack)));
    for (size_t i = 0; i < p->sample_count; i++) {
        if (i == 0 || !is_of(&r->stack[r->count - 1], all[i])) {
            r->stack[r->count++] = (struct stack){.component = all[i]->component,
                .depth = all[i]->depth,
                .frames = all[i]->frames};
        }
        add_sample(&r->stack[r->count - 1], all[i]);
        if (i + 1 == p->sample_count || !is_of(&r->stack[r->count - 1], all[i + 1])) {
            bound(p, &r->stack[r->count - 1], all[i]->component_row);
        }
    }
    free(all);
    stacks_sort(r, PROFILE_LIVE_BYTES);
    return r;
}

void stacks_destroy(struct stacks *s)
{
    free(s->stack);
    free(s);
}

/* ---- by size ---- */

uint64_t stack_waste(const struct stack *s)
{
    double allocated = (double)s->value[PROFILE_ALLOCATED_BYTES];
    double asked = (double)s->requested;

    return s->samples > 0 && asked > 0 && asked < allocated ? (
               uint64_t)((double)s->value[PROFILE_LIVE_BYTES] * (1 - asked / allocated))
                                                            : 0;
}

/* Ties by the frames, so that the order does not depend on qsort. */
static int compare_stacks(
    const struct stack *x, const struct stack *y, uint64_t a, uint64_t b)
{
    size_t depth = x->depth < y->depth ? x->depth : y->depth;
    int order;

    if ((x->samples == 0) != (y->samples == 0)) {
        return x->samples == 0 ? 1 : -1;
    }
    if (a != b) {
        return a < b ? 1 : -1;
    }
    order = memcmp(x->frames, y->frames, depth * sizeof(*x->frames));
    if (order == 0 && x->depth != y->depth) {
        order = x->depth < y->depth ? -1 : 1;
    }
    return order != 0 ? order : compare_texts(x->component, y->component);
}

static int compare_values(const void *a, const void *b, void *value)
{
    const struct stack *x = a;
    const struct stack *y = b;
    unsigned by = *(const enum profile_value *)value;

    return compare_stacks(x, y, x->value[by], y->value[by]);
}

void stacks_sort(struct stacks *s, enum profile_value by)
{
    qsort_r(s->stack, s->count, sizeof(*s->stack), compare_values, &by);
}

static int compare_wastes(const void *a, const void *b)
{
    return compare_stacks(a, b, stack_waste(a), stack_waste(b));
}

void stacks_sort_by_waste(struct stacks *s)
{
    qsort(s->stack, s->count, sizeof(*s->stack), compare_wastes);
}
