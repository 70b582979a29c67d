#include "stack_sums.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mp_estimate stack_sum_short(const struct stack_sum *s)
{
    double blocks = s->value[MP_ALLOCATED_BLOCKS].value;
    double n = (double)s->samples;
    double p = blocks > 0 ? fmin(s->value[MP_SHORT_BLOCKS].value / blocks, 1) : 0;
    double z = 1.96;
    double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
    double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));

    if (s->samples == 0) {
        return (struct mp_estimate){0, 0, 1};
    }
    return (struct mp_estimate){p, fmax(middle - half, 0), fmin(middle + half, 1)};
}

static bool is_own_module(const mp_image_t *image, uint32_t number)
{
    static const char name[] = "libmpalloc.so";
    const struct mp_region_module *m = mp_image_module(image, number);
    const char *base = m != NULL ? strrchr(m->path, '/') : NULL;

    return base != NULL && strncmp(base + 1, name, sizeof(name) - 1) == 0;
}

uint32_t stack_sum_frame(const mp_image_t *image, uint32_t frame)
{
    uint32_t at = frame;

    /* Callers have lower numbers: it ends. */
    while (at != 0 && is_own_module(image, mp_image_frame(image, at)->module)) {
        at = mp_image_frame(image, at)->parent;
    }
    return at != 0 ? at : frame;
}

struct keyed {
    uint32_t frame;
    uint32_t component;
    uint16_t class_number;
    uint32_t site;
};

static int compare_stacks(const struct keyed *x, const struct keyed *y)
{
    if (x->component != y->component) {
        return x->component < y->component ? -1 : 1;
    }
    return (x->frame > y->frame) - (x->frame < y->frame);
}

static int compare_keys(const void *a, const void *b)
{
    const struct keyed *x = a;
    const struct keyed *y = b;
    int order = compare_stacks(x, y);

    if (order != 0 || x->class_number != y->class_number) {
        return order != 0 ? order : x->class_number < y->class_number ? -1 : 1;
    }
    return (x->site > y->site) - (x->site < y->site);
}

/* All sites but (overflow), which is of many stacks. */
static size_t list_sites(const mp_image_t *image, struct keyed *ret)
{
    size_t count = 0;

    for (size_t i = 1; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        if (t->allocated_samples > 0) {
            ret[count++] = (struct keyed){stack_sum_frame(image, t->frame),
                t->component, t->class_number, (uint32_t)i};
        }
    }
    qsort(ret, count, sizeof(*ret), compare_keys);
    return count;
}

/*
 * The classes of a stack were sampled apart, so their errors are independent: half widths add as
 * the sides of a right angle do.
 */
static void add_figures(struct stack_sum *s, const struct mp_figures *f)
{
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        struct mp_estimate *e = &s->value[i];
        double value = (double)f->value[i];
        double down = hypot(e->value - e->low, value - (double)f->low[i]);
        double up = mp_figures_spread(
            e->high - e->value, (double)f->high[i] - value, (f->cut & 1u << i) != 0);

        e->value += value;
        e->low = fmax(e->value - down, 0);
        e->high = e->value + up;
    }
    s->requested += (double)f->requested;
    s->live_requested += (double)f->live_requested;
    s->peak_requested += (double)f->peak_requested;
    s->lifetime_s += f->lifetime_s;
    s->samples += f->samples;
    s->live_samples += f->live_samples;
}

/* None weighs more than the heaviest, so that the variance is at most its product with the sum. */
static struct mp_estimate of_weighed(double value, double heaviest, bool is_exact)
{
    double half = is_exact ? 0 : 1.96 * sqrt(value * heaviest);

    return (struct mp_estimate){
        value, fmax(value - half, 0), value + half + (is_exact ? 0 : heaviest)};
}

/* What realloc moved; sites of the stack are side by side in keys. */
static void add_moves(struct stack_sum *s, const mp_image_t *image,
    const struct keyed *keys, size_t count)
{
    bool is_exact = mp_image_sampling(image)->interval_bytes == MP_SAMPLING_EXACT;
    double heaviest_blocks = 0;
    double heaviest_bytes = 0;
    double blocks = 0;
    double bytes = 0;

    for (size_t i = 0; i < count; i++) {
        const struct mp_region_site *t = mp_image_site(image, keys[i].site);

        if (t->moved_samples > 0) {
            s->moved_samples += t->moved_samples;
            blocks += t->moved_blocks;
            bytes += t->moved_bytes;
            heaviest_blocks = fmax(heaviest_blocks, t->heaviest_blocks);
            heaviest_bytes = fmax(heaviest_bytes, t->heaviest_bytes);
        }
    }
    s->moved_blocks = of_weighed(blocks, heaviest_blocks, is_exact);
    s->moved_bytes = of_weighed(bytes, heaviest_bytes, is_exact);
}

static void add_stack(struct stack_sums *s, const struct keyed *k,
    const struct stack_class *classes, size_t count)
{
    struct stack_sum *sum = &s->all[s->count++];
    double freed;

    *sum = (struct stack_sum){.frame = k->frame,
        .component = k->component,
        .class_count = count,
        .classes = classes};
    for (size_t i = 0; i < count; i++) {
        add_figures(sum, classes[i].figures);
    }
    freed = sum->value[MP_ALLOCATED_BLOCKS].value - sum->value[MP_LIVE_BLOCKS].value;
    sum->lifetime_s = freed >= 1 ? sum->lifetime_s / freed : 0;
}

/* keys are sorted; groups[i] is the group of site i. */
static size_t make_groups(const struct keyed *keys, size_t count, uint32_t *groups)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_same = i > 0 && compare_stacks(&keys[i - 1], &keys[i]) == 0
                       && keys[i - 1].class_number == keys[i].class_number;

        n += !is_same;
        groups[keys[i].site] = (uint32_t)n; /* 0: what is in no group of a stack */
    }
    return n + 1;
}

static void add_all(struct stack_sums *s, const mp_image_t *image,
    const struct keyed *keys, size_t count, const uint32_t *groups)
{
    size_t first = 0;     /* class of the stack that is being read */
    size_t first_key = 0; /* its first site */
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_last = i + 1 == count || compare_stacks(&keys[i], &keys[i + 1]) != 0;

        if (n == first || s->classes[n - 1].number != keys[i].class_number) {
            s->classes[n++] = (struct stack_class){keys[i].class_number,
                mp_estimates_group(s->estimates, groups[keys[i].site])};
        }
        if (is_last) {
            add_stack(s, &keys[i], s->classes + first, n - first);
            add_moves(
                &s->all[s->count - 1], image, keys + first_key, i + 1 - first_key);
            first_key = i + 1;
            first = n;
        }
    }
}

int stack_sums_make(const mp_image_t *image, struct stack_sums *ret)
{
    size_t sites = mp_image_site_count(image);
    struct keyed *keys = calloc(sites + 1, sizeof(*keys));
    uint32_t *groups = calloc(sites + 1, sizeof(*groups));
    struct stack_sums s = {.all = calloc(sites + 1, sizeof(*s.all)),
        .classes = calloc(sites + 1, sizeof(*s.classes))};
    int error = -ENOMEM;

    if (keys != NULL && groups != NULL && s.all != NULL && s.classes != NULL) {
        size_t count = list_sites(image, keys);
        size_t group_count = make_groups(keys, count, groups);

        error = mp_estimates_make(image, groups, group_count, &s.estimates);
        if (error == 0) {
            add_all(&s, image, keys, count, groups);
        }
    }
    free(keys);
    free(groups);
    if (error != 0) {
        stack_sums_free(&s);
        s = (struct stack_sums){0};
    }
    *ret = s;
    return error;
}

void stack_sums_free(struct stack_sums *s)
{
    mp_estimates_free(s->estimates);
    free(s->classes);
    free(s->all);
    *s = (struct stack_sums){0};
}
