/*
 * tops - what sites hold, summed by one thing that they have
 *
 * Owns: the sums and their order. Does not own: figures of sites (estimates.c).
 */
#include <mpstats.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is summed: sites with the same numbers are one row. */
struct item {
    uint32_t component;
    uint32_t number;
    uint32_t frame;
    bool is_rest;
    bool is_overflow;
    struct mp_figures figures;
};

struct mp_tops {
    size_t count;
    struct mp_top *tops;
    struct mp_figures *figures;
    struct mp_figures total;
};

/* ---- stacks ---- */

static bool is_own(const mp_image_t *image, const struct mp_region_frame *f)
{
    const struct mp_region_module *m = mp_image_module(image, f->module);
    const char *slash = m != NULL ? strrchr(m->path, '/') : NULL;
    static const char own[] = "libmpalloc.so";

    return m != NULL
           && strncmp(slash != NULL ? slash + 1 : m->path, own, strlen(own)) == 0;
}

/* The innermost frame that is not of libmpalloc.so. Callers have lower numbers: it ends. */
static uint32_t first_frame(const mp_image_t *image, uint32_t frame)
{
    const struct mp_region_frame *f = mp_image_frame(image, frame);

    while (frame != 0 && f != NULL && is_own(image, f)) {
        frame = f->parent;
        f = mp_image_frame(image, frame);
    }
    return f != NULL ? frame : 0;
}

size_t mp_image_stack(
    const mp_image_t *image, uint32_t frame, uint32_t *ret, size_t most)
{
    size_t depth = 0;

    for (frame = first_frame(image, frame); frame != 0;
         frame = mp_image_frame(image, frame)->parent) {
        if (depth < most) {
            ret[depth] = frame;
        }
        depth++;
    }
    return depth;
}

/* ---- keys ---- */

/* site NULL: what no stack explains of the class in the component. */
static void set_key(struct item *ret, const mp_image_t *image, enum mp_top_by by,
    const struct mp_region_site *site, uint32_t component, uint32_t class_number)
{
    uint32_t name;

    ret->component = ret->number = UINT32_MAX;
    ret->frame = 0;
    ret->is_rest = false;
    switch (by) {
    case MP_TOP_COMPONENT:
        ret->component = component;
        break;
    case MP_TOP_CLASS:
        ret->number = class_number;
        break;
    case MP_TOP_SITE:
        ret->is_rest = site == NULL;
        ret->component = site != NULL ? component : UINT32_MAX;
        ret->frame = site != NULL ? first_frame(image, site->frame) : 0;
        break;
    default:
        name = site == NULL             ? 0
               : by == MP_TOP_OPERATION ? site->operation
                                        : site->thread;
        ret->is_rest = mp_image_name(image, name)[0] == '\0';
        ret->number = ret->is_rest ? UINT32_MAX : name;
    }
}

static int compare_keys(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;

    if (x->is_rest != y->is_rest) {
        return x->is_rest ? 1 : -1;
    }
    if (x->is_overflow != y->is_overflow) {
        return x->is_overflow ? 1 : -1;
    }
    if (x->component != y->component) {
        return x->component < y->component ? -1 : 1;
    }
    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return (x->frame > y->frame) - (x->frame < y->frame);
}

static const char *name_of(
    const mp_image_t *image, enum mp_top_by by, const struct item *i)
{
    if (i->is_rest) {
        return i->is_overflow           ? "(overflow)"
               : by == MP_TOP_SITE      ? "(not sampled)"
               : by == MP_TOP_OPERATION ? "(no operation)"
                                        : "(not known)";
    }
    if (by == MP_TOP_COMPONENT || by == MP_TOP_SITE) {
        return mp_image_component(image, i->component)->name;
    }
    return by == MP_TOP_OPERATION || by == MP_TOP_THREAD
               ? mp_image_name(image, i->number)
               : "";
}

/* ---- sums ---- */

static uint64_t sum_of(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/*
 * Sites, and what none explains, are estimated apart: half widths add as the sides of a right angle
 * do, but for those that are cut.
 */
static void add(struct mp_figures *to, const struct mp_figures *f)
{
    to->samples += f->samples;
    to->live_samples += f->live_samples;
    for (unsigned i = 0; i < MP_FIGURES; i++) {
        double down = hypot(
            (double)(to->value[i] - to->low[i]), (double)(f->value[i] - f->low[i]));
        double up = mp_figures_spread((double)(to->high[i] - to->value[i]),
            (double)(f->high[i] - f->value[i]), (f->cut & 1u << i) != 0);
        uint64_t value = sum_of(to->value[i], f->value[i]);

        to->value[i] = value;
        to->low[i] = down < (double)value ? value - (uint64_t)(down + 0.5) : 0;
        to->high[i] = up < 0x1p63 ? sum_of(value, (uint64_t)(up + 0.5)) : UINT64_MAX;
    }
    to->requested = sum_of(to->requested, f->requested);
    to->live_requested = sum_of(to->live_requested, f->live_requested);
    to->peak_requested = sum_of(to->peak_requested, f->peak_requested);
    if (f->first_ns != 0 && (to->first_ns == 0 || f->first_ns < to->first_ns)) {
        to->first_ns = f->first_ns;
    }
    to->last_ns = f->last_ns > to->last_ns ? f->last_ns : to->last_ns;
    to->lifetime_s += f->lifetime_s;
}

static void set_exact(struct mp_figures *f, enum mp_figure i, uint64_t value)
{
    f->value[i] = f->low[i] = f->high[i] = value;
}

/*
 * Components and classes have counters: what those say is no estimate, and what samples knew after
 * them is left to the rows of stacks.
 */
static void set_counters(
    struct mp_figures *f, const mp_image_t *image, const struct mp_top *t)
{
    const struct mp_region_component *c = mp_image_component(image, t->component);
    struct mp_region_cell sum;

    if (t->by == MP_TOP_COMPONENT && c != NULL) {
        set_exact(f, MP_ALLOCATED_BLOCKS, c->allocated_blocks_total);
        set_exact(f, MP_ALLOCATED_BYTES, c->allocated_bytes_total);
        set_exact(f, MP_LIVE_BLOCKS, c->live_blocks);
        set_exact(f, MP_LIVE_BYTES, c->live_bytes);
        set_exact(f, MP_PEAK_BYTES, c->live_peak_bytes); /* of a moment of its own */
    } else if (t->by == MP_TOP_CLASS && t->number != UINT32_MAX) {
        mp_image_class_sum(image, t->number, &sum);
        set_exact(f, MP_ALLOCATED_BLOCKS, sum.allocated_blocks_total);
        set_exact(f, MP_ALLOCATED_BYTES, sum.allocated_bytes_total);
        set_exact(
            f, MP_LIVE_BLOCKS, sum.allocated_blocks_total - sum.freed_blocks_total);
        set_exact(f, MP_LIVE_BYTES, sum.allocated_bytes_total - sum.freed_bytes_total);
    }
}

/* Those that have counters, with or without samples. */
static size_t list_counted(const mp_image_t *image, enum mp_top_by by, struct item *ret)
{
    size_t rows = by == MP_TOP_COMPONENT ? mp_image_component_count(image)
                  : by == MP_TOP_CLASS   ? mp_image_class_count(image)
                                         : 0;
    size_t count = 0;

    for (uint32_t i = 0; i < rows; i++) {
        struct mp_region_cell sum = {0};

        if (by == MP_TOP_COMPONENT) {
            sum.allocated_blocks_total =
                mp_image_component(image, i)->allocated_blocks_total;
        } else {
            mp_image_class_sum(image, i, &sum);
        }
        if (sum.allocated_blocks_total > 0) {
            set_key(&ret[count++], image, by, NULL, i, i);
        }
    }
    return count;
}

static size_t list_sites(const mp_image_t *image, enum mp_top_by by,
    const mp_estimates_t *estimates, struct item *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < mp_image_site_count(image); i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        /* Counters have what found no room already. */
        if (t->allocated_samples == 0
            || (i == 0 && (by == MP_TOP_COMPONENT || by == MP_TOP_CLASS))) {
            continue;
        }
        ret[count].is_overflow = i == 0;
        if (i == 0) { /* of all components and classes */
            set_key(&ret[count], image, MP_TOP_SITE, NULL, UINT32_MAX, 0);
        } else {
            set_key(&ret[count], image, by, t, t->component, t->class_number);
        }
        ret[count++].figures = *mp_estimates_group(estimates, i);
    }
    return count;
}

static size_t list_rests(const mp_image_t *image, enum mp_top_by by,
    const mp_estimates_t *estimates, struct item *ret)
{
    size_t count = 0;

    for (uint32_t row = 0; row < mp_image_component_count(image); row++) {
        for (uint32_t cls = 0; cls < mp_image_class_count(image); cls++) {
            struct item *i = &ret[count];

            mp_estimates_rest(estimates, row, cls, &i->figures);
            if ((i->figures.value[MP_ALLOCATED_BLOCKS]
                    | i->figures.value[MP_ALLOCATED_BYTES])
                != 0) {
                i->is_overflow = false;
                set_key(i, image, by, NULL, row, cls);
                count++;
            }
        }
    }
    return count;
}

static int compare_tops(const void *a, const void *b, void *sort)
{
    const struct mp_top *x = a;
    const struct mp_top *y = b;
    enum mp_figure by = *(const enum mp_figure *)sort;

    if (x->figures->value[by] != y->figures->value[by]) {
        return x->figures->value[by] < y->figures->value[by] ? 1 : -1;
    }
    return (x->figures > y->figures) - (x->figures < y->figures); /* by their numbers */
}

/* Room for every item was taken. Those of a row are side by side. */
static void sum(struct mp_tops *t, const mp_image_t *image, enum mp_top_by by,
    const struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mp_figures *f;

        if (i == 0 || compare_keys(&items[i - 1], &items[i]) != 0) {
            t->tops[t->count] = (struct mp_top){.by = by,
                .is_rest = items[i].is_rest,
                .component = items[i].component,
                .number = items[i].number,
                .frame = items[i].frame,
                .name = name_of(image, by, &items[i]),
                .figures = &t->figures[t->count]};
            t->count++;
        }
        f = &t->figures[t->count - 1];
        add(f, &items[i].figures);
        if (i + 1 == count || compare_keys(&items[i], &items[i + 1]) != 0) {
            set_counters(f, image, &t->tops[t->count - 1]);
            add(&t->total, f);
        }
    }
}

int mp_tops_make(
    const mp_image_t *image, enum mp_top_by by, enum mp_figure sort, mp_tops_t **ret)
{
    size_t most =
        mp_image_site_count(image)
        + (mp_image_component_count(image) + 1) * (mp_image_class_count(image) + 1);
    struct item *items = NULL;
    mp_estimates_t *estimates = NULL;
    struct mp_tops *t = NULL;
    size_t count;
    int code = -ENOMEM;

    *ret = NULL;
    if ((unsigned)by >= MP_TOP_BYS || (unsigned)sort >= MP_FIGURES) {
        return -EINVAL;
    }
    items = calloc(most, sizeof(*items));
    t = calloc(1, sizeof(*t));
    if (items == NULL || t == NULL
        || mp_estimates_make(image, NULL, 0, &estimates) != 0) {
        goto out;
    }
    count = list_sites(image, by, estimates, items);
    count += list_rests(image, by, estimates, items + count);
    count += list_counted(image, by, items + count);
    t->tops = calloc(count + 1, sizeof(*t->tops));
    t->figures = calloc(count + 1, sizeof(*t->figures));
    if (t->tops == NULL || t->figures == NULL) {
        goto out;
    }
    qsort(items, count, sizeof(*items), compare_keys);
    sum(t, image, by, items, count);
    qsort_r(t->tops, t->count, sizeof(*t->tops), compare_tops, &sort);
    *ret = t;
    t = NULL;
    code = 0;
out:
    mp_estimates_free(estimates);
    mp_tops_free(t);
    free(items);
    return code;
}

void mp_tops_free(mp_tops_t *t)
{
    if (t != NULL) {
        free(t->tops);
        free(t->figures);
        free(t);
    }
}

size_t mp_tops_count(const mp_tops_t *t)
{
    return t->count;
}

const struct mp_top *mp_tops_at(const mp_tops_t *t, size_t number)
{
    return number < t->count ? &t->tops[number] : NULL;
}

const struct mp_figures *mp_tops_total(const mp_tops_t *t)
{
    return &t->total;
}

const char *mp_top_by_name(enum mp_top_by by)
{
    static const char *const names[MP_TOP_BYS] = {
        "component", "class", "site", "operation", "thread"};

    return (unsigned)by < MP_TOP_BYS ? names[by] : "";
}
