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

static void add_range(struct range *r, double value, double heaviest)
{
    double half =
        1.96 * sqrt(value * heaviest); /* none weighs more than the heaviest */
    double above = value > 0 ? half + heaviest : 0;
    double low = hypot(r->value - r->low, fmin(half, value));
    double high = hypot(r->high - r->value, above);

    r->value += value;
    r->low = fmax(r->value - low, 0);
    r->high = r->value + high;
}

/* Heaviest 0: every allocation was recorded, and nothing is an estimate. */
static void add_moves(struct stack *t, const struct profile_sample *s, bool is_exact)
{
    add_range(&t->moved_blocks, s->moved_blocks, is_exact ? 0 : s->heaviest_blocks);
    add_range(&t->moved_bytes, s->moved_bytes, is_exact ? 0 : s->heaviest_bytes);
}

static void finish(struct stack *t)
{
    double freed = (double)t->value[PROFILE_ALLOCATED_BLOCKS]
                   - (double)t->value[PROFILE_LIVE_BLOCKS];

    t->lifetime_s = freed >= 1 ? t->lifetime_s / freed : 0;
}

static void add_sample(struct stack *t, const struct profile_sample *s, bool is_exact)
{
    t->samples += s->samples;
    t->live_samples += s->live_samples;
    t->requested = sum_of(t->requested, s->requested);
    t->live_requested = sum_of(t->live_requested, s->live_requested);
    t->peak_requested = sum_of(t->peak_requested, s->peak_requested);
    t->lifetime_s += s->lifetime_s; /* of all together, until all are added */
    add_moves(t, s, is_exact);
    if (s->is_large) {
        t->large_live_bytes += (double)s->value[PROFILE_LIVE_BYTES];
        t->large_allocated_bytes += (double)s->value[PROFILE_ALLOCATED_BYTES];
        t->large_allocated_blocks += (double)s->value[PROFILE_ALLOCATED_BLOCKS];
    }
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
    uint64_t more;

    if (c == NULL || t->samples == 0 || p->before != NULL || profile_is_exact(p)) {
        return;
    }
    mp_image_since(p->image, &since);
    memset(most, 0xff, sizeof(most));
    most[PROFILE_ALLOCATED_BYTES] =
        sum_of(c->allocated_bytes_total, since.allocated_bytes);
    more = since.allocated_bytes > since.freed_bytes
               ? since.allocated_bytes - since.freed_bytes
               : 0;
    most[PROFILE_LIVE_BYTES] = sum_of(c->live_bytes, more);
    most[PROFILE_PEAK_BYTES] = sum_of(c->live_peak_bytes, more);
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
        add_sample(&r->stack[r->count - 1], all[i], profile_is_exact(p));
        if (i + 1 == p->sample_count || !is_of(&r->stack[r->count - 1], all[i + 1])) {
            bound(p, &r->stack[r->count - 1], all[i]->component_row);
            finish(&r->stack[r->count - 1]);
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

uint64_t stack_waste(const struct stack *s, enum profile_value of)
{
    uint64_t asked = of == PROFILE_PEAK_BYTES ? s->peak_requested : s->live_requested;

    return s->samples > 0 && asked > 0 && asked < s->value[of] ? s->value[of] - asked
                                                               : 0;
}

/* Ties by the frames, so that the order does not depend on qsort. */
static int compare_stacks(
    const struct stack *x, const struct stack *y, double a, double b)
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

    return compare_stacks(x, y, (double)x->value[by], (double)y->value[by]);
}

void stacks_sort(struct stacks *s, enum profile_value by)
{
    qsort_r(s->stack, s->count, sizeof(*s->stack), compare_values, &by);
}

struct valued {
    const struct stack *stack;
    double value;
};

static int compare_valued(const void *a, const void *b)
{
    const struct valued *x = a;
    const struct valued *y = b;

    return compare_stacks(x->stack, y->stack, x->value, y->value);
}

/* Among `count` that are in order: what falls off the end of `most` is gone. */
static size_t insert(
    struct valued *list, size_t count, size_t most, const struct valued *one)
{
    size_t at = count;

    while (at > 0 && compare_valued(one, &list[at - 1]) < 0) {
        at--;
    }
    if (at == most) {
        return count;
    }
    memmove(&list[at + 1], &list[at],
        ((count < most ? count : most - 1) - at) * sizeof(*list));
    list[at] = *one;
    return count < most ? count + 1 : most;
}

const struct stack **stacks_largest(
    const struct stacks *s, stack_value_fn *value, size_t most, size_t *ret_count)
{
    enum { FEW = 64 };
    size_t room = most < s->count ? most : s->count;
    struct valued *list = must(calloc(s->count + 1, sizeof(*list)));
    const struct stack **ret = must(calloc(room + 1, sizeof(*ret)));
    size_t count = 0;

    for (size_t i = 0; i < s->count; i++) {
        struct valued one = {&s->stack[i], value(&s->stack[i])};

        if (room <= FEW) {
            count = insert(list, count, room, &one);
        } else {
            list[count++] = one;
        }
    }
    if (room > FEW) {
        qsort(list, count, sizeof(*list), compare_valued);
    }
    for (size_t i = 0; i < room; i++) {
        ret[i] = list[i].stack;
    }
    free(list);
    *ret_count = room;
    return ret;
}
