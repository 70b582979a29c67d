#include "diff.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows ---- */

struct mp_difference *diff_add_row(struct diff_rows *rows)
{
    struct mp_difference *r;

    if (rows->count == rows->room) {
        size_t room = rows->room == 0 ? 64 : 2 * rows->room;
        struct mp_difference *more = reallocarray(rows->row, room, sizeof(*more));

        if (more == NULL) {
            return NULL;
        }
        rows->row = more;
        rows->room = room;
    }
    r = &rows->row[rows->count++];
    memset(r, 0, sizeof(*r));
    r->number[0] = r->number[1] = NO_NUMBER;
    r->p = 1;
    return r;
}

struct mp_change diff_exact(uint64_t before, uint64_t after)
{
    double change =
        after >= before ? (double)(after - before) : -(double)(before - after);

    return (struct mp_change){before, after, change, change, change};
}

static void judge_exact(struct mp_diff *d, struct mp_difference *r)
{
    r->is_significant = r->figure[d->options.judged].change != 0;
    r->p = r->is_significant ? 0 : 1;
}

/* ---- counters ---- */

/* Of one image; all 0 where there is no such thing. */
struct counted {
    uint64_t value[MP_DIFF_FIGURES];
};

static uint64_t live(uint64_t allocated, uint64_t freed)
{
    return allocated > freed ? allocated - freed : 0;
}

static struct counted count_component(const mp_image_t *image, uint32_t row)
{
    const struct mp_region_component *c = mp_image_component(image, row);

    if (c == NULL) {
        return (struct counted){{0}};
    }
    return (struct counted){{[MP_DIFF_LIVE_BYTES] =
                                 live(c->allocated_bytes_total, c->freed_bytes_total),
        [MP_DIFF_LIVE_BLOCKS] = live(c->allocated_blocks_total, c->freed_blocks_total),
        [MP_DIFF_ALLOCATED_BYTES] = c->allocated_bytes_total,
        [MP_DIFF_ALLOCATED_BLOCKS] = c->allocated_blocks_total,
        [MP_DIFF_PEAK_BYTES] = c->live_peak_bytes}};
}

static struct counted count_class(const mp_image_t *image, uint32_t number)
{
    struct mp_region_cell c = {0};

    if (number < mp_image_class_count(image)) {
        mp_image_class_sum(image, number, &c);
    }
    return (struct counted){{[MP_DIFF_LIVE_BYTES] =
                                 live(c.allocated_bytes_total, c.freed_bytes_total),
        [MP_DIFF_LIVE_BLOCKS] = live(c.allocated_blocks_total, c.freed_blocks_total),
        [MP_DIFF_ALLOCATED_BYTES] = c.allocated_bytes_total,
        [MP_DIFF_ALLOCATED_BLOCKS] = c.allocated_blocks_total}};
}

/* The sum of components, not the totals: rows add up to it also where the two are of two moments. */
static struct counted count_all(const mp_image_t *image)
{
    struct counted sum = {{0}};

    for (uint32_t i = 0; i < mp_image_component_count(image); i++) {
        struct counted c = count_component(image, i);

        for (unsigned f = 0; f < MP_DIFF_FIGURES; f++) {
            sum.value[f] += c.value[f];
        }
    }
    sum.value[MP_DIFF_PEAK_BYTES] = mp_image_totals(image)->live_peak_bytes;
    return sum;
}

static void put_counted(
    struct mp_difference *r, const struct counted *before, const struct counted *after)
{
    for (unsigned f = 0; f < MP_DIFF_FIGURES; f++) {
        r->figure[f] = diff_exact(before->value[f], after->value[f]);
    }
}

/* ---- by component, by class ---- */

static uint32_t find_component(const mp_image_t *image, const char *name)
{
    for (uint32_t i = 0; i < mp_image_component_count(image); i++) {
        if (strcmp(mp_image_component(image, i)->name, name) == 0) {
            return i;
        }
    }
    return NO_NUMBER;
}

static uint32_t find_class(const mp_image_t *image, const struct mp_region_class *c)
{
    for (uint32_t i = 0; i < mp_image_class_count(image); i++) {
        const struct mp_region_class *k = mp_image_class(image, i);

        if (k->block_bytes == c->block_bytes && k->kind == c->kind) {
            return i;
        }
    }
    return NO_NUMBER;
}

/* What was never used in either is left out. */
static int add_counted(struct mp_diff *d, enum mp_diff_by by, uint32_t a, uint32_t b)
{
    struct counted (*count)(const mp_image_t *, uint32_t) =
        by == MP_DIFF_COMPONENT ? count_component : count_class;
    struct counted before = count(d->image[0], a);
    struct counted after = count(d->image[1], b);
    struct mp_difference *r;

    if (before.value[MP_DIFF_ALLOCATED_BLOCKS] == 0
        && after.value[MP_DIFF_ALLOCATED_BLOCKS] == 0) {
        return 0;
    }
    r = diff_add_row(&d->rows[by]);
    if (r == NULL) {
        return -ENOMEM;
    }
    r->number[0] = a;
    r->number[1] = b;
    put_counted(r, &before, &after);
    judge_exact(d, r);
    return 0;
}

static int add_components(struct mp_diff *d)
{
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < mp_image_component_count(d->image[0]); i++) {
        code = add_counted(d, MP_DIFF_COMPONENT, i,
            find_component(d->image[1], mp_image_component(d->image[0], i)->name));
    }
    for (uint32_t i = 0; code == 0 && i < mp_image_component_count(d->image[1]); i++) {
        if (find_component(d->image[0], mp_image_component(d->image[1], i)->name)
            == NO_NUMBER) {
            code = add_counted(d, MP_DIFF_COMPONENT, NO_NUMBER, i);
        }
    }
    return code;
}

static int add_classes(struct mp_diff *d)
{
    int code = 0;

    for (uint32_t i = 0; code == 0 && i < mp_image_class_count(d->image[0]); i++) {
        code = add_counted(d, MP_DIFF_CLASS, i,
            find_class(d->image[1], mp_image_class(d->image[0], i)));
    }
    for (uint32_t i = 0; code == 0 && i < mp_image_class_count(d->image[1]); i++) {
        if (find_class(d->image[0], mp_image_class(d->image[1], i)) == NO_NUMBER) {
            code = add_counted(d, MP_DIFF_CLASS, NO_NUMBER, i);
        }
    }
    return code;
}

/* ---- order ---- */

static int compare_rows(const void *a, const void *b, void *judged)
{
    const struct mp_difference *x = a;
    const struct mp_difference *y = b;
    unsigned f = *(const enum mp_diff_figure *)judged;
    double dx = fabs(x->figure[f].change);
    double dy = fabs(y->figure[f].change);

    if (dx != dy) {
        return dx < dy ? 1 : -1;
    }
    if (x->figure[f].after != y->figure[f].after) {
        return x->figure[f].after < y->figure[f].after ? 1 : -1;
    }
    if (x->number[0] != y->number[0]) {
        return x->number[0] < y->number[0] ? -1 : 1;
    }
    return x->number[1] < y->number[1] ? -1 : x->number[1] > y->number[1];
}

/* What rows do not add up to: where counters are missing, or stacks were not sampled. */
static int add_rest(struct mp_diff *d, enum mp_diff_by by)
{
    struct diff_rows *rows = &d->rows[by];
    struct mp_difference rest = d->total;
    bool has_rest = false;
    struct mp_difference *r;

    rest.figure[MP_DIFF_PEAK_BYTES] = (struct mp_change){0}; /* peaks do not add up */
    for (unsigned f = 0; f < MP_DIFF_PEAK_BYTES; f++) {
        struct mp_change *c = &rest.figure[f];
        double before = (double)c->before;
        double after = (double)c->after;

        for (size_t i = 0; i < rows->count; i++) {
            before -= (double)rows->row[i].figure[f].before;
            after -= (double)rows->row[i].figure[f].after;
        }
        /* More than there is: what stacks know and counters do not yet. */
        *c = (struct mp_change){before > 0 ? (uint64_t)before : 0,
            after > 0 ? (uint64_t)after : 0, after - before, after - before,
            after - before};
        has_rest |= before != 0 || after != 0;
    }
    if (!has_rest) {
        return 0;
    }
    r = diff_add_row(rows);
    if (r == NULL) {
        return -ENOMEM;
    }
    memcpy(r->figure, rest.figure, sizeof(r->figure));
    return 0;
}

static int finish_rows(struct mp_diff *d, enum mp_diff_by by)
{
    struct diff_rows *rows = &d->rows[by];

    if (rows->count > 0) {
        qsort_r(rows->row, rows->count, sizeof(*rows->row), compare_rows,
            &d->options.judged);
    }
    return add_rest(d, by);
}

/* ---- what the two have in common ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool is_exact(const mp_image_t *image)
{
    const struct mp_region_sampling *g = mp_image_sampling(image);

    return g->interval_bytes == MP_SAMPLING_EXACT && g->changes_total == 0;
}

double diff_interval(const mp_image_t *image)
{
    uint64_t interval = mp_image_sampling(image)->interval_bytes;

    return interval == MP_SAMPLING_EXACT || interval == MP_SAMPLING_OFF
               ? 0
               : (double)interval;
}

static bool is_never_sampled(const mp_image_t *image)
{
    return mp_image_sampling(image)->interval_bytes == MP_SAMPLING_OFF
           && mp_image_sampling(image)->allocated_total == 0;
}

static unsigned compare_images(const mp_image_t *a, const mp_image_t *b)
{
    static const uint8_t none[sizeof(((struct mp_region_process *)0)->run_id)];
    const struct mp_region_process *p = mp_image_process(a);
    const struct mp_region_process *q = mp_image_process(b);
    unsigned flags = 0;

    if (memcmp(p->run_id, q->run_id, sizeof(none)) == 0
        && memcmp(p->run_id, none, sizeof(none)) != 0) {
        flags |= MP_DIFF_SAME_RUN;
        if (mp_image_totals(b)->published_total < mp_image_totals(a)->published_total) {
            flags |= MP_DIFF_BACKWARDS;
        }
    } else if ((p->state == MP_STATE_EXITED) != (q->state == MP_STATE_EXITED)) {
        flags |= MP_DIFF_OTHER_MOMENT;
    }
    if (strcmp(file_name(p->exe), file_name(q->exe)) != 0) {
        flags |= MP_DIFF_OTHER_PROGRAM;
    }
    if (p->build_id_bytes != q->build_id_bytes
        || memcmp(p->build_id, q->build_id, sizeof(p->build_id)) != 0) {
        flags |= MP_DIFF_OTHER_BUILD;
    }
    if (mp_image_sampling(a)->interval_bytes != mp_image_sampling(b)->interval_bytes) {
        flags |= MP_DIFF_OTHER_RATE;
    }
    if (is_never_sampled(a) || is_never_sampled(b)) {
        flags |= MP_DIFF_NO_STACKS;
    }
    return flags | (is_exact(a) && is_exact(b) ? MP_DIFF_EXACT : 0u);
}

/* ---- the whole ---- */

static int make_rows(struct mp_diff *d)
{
    struct counted before = count_all(d->image[0]);
    struct counted after = count_all(d->image[1]);
    int code;

    d->total.number[0] = d->total.number[1] = NO_NUMBER;
    put_counted(&d->total, &before, &after);
    judge_exact(d, &d->total);
    code = add_components(d);
    if (code == 0) {
        code = add_classes(d);
    }
    if (code == 0 && (d->flags & MP_DIFF_NO_STACKS) == 0) {
        code = diff_sites_make(d);
    }
    for (unsigned by = 0; code == 0 && by < MP_DIFF_BYS; by++) {
        code = finish_rows(d, (enum mp_diff_by)by);
    }
    return code;
}

int mp_diff_make(const mp_image_t *before, const mp_image_t *after,
    const struct mp_diff_options *options, mp_diff_t **ret)
{
    struct mp_diff *d = calloc(1, sizeof(*d));
    int code = -ENOMEM;

    *ret = d;
    if (d == NULL) {
        return code;
    }
    d->image[0] = before;
    d->image[1] = after;
    if (options != NULL) {
        d->options = *options;
    }
    if (!(d->options.false_discovery > 0)) {
        d->options.false_discovery = 0.05;
    }
    d->flags = compare_images(before, after);
    code = make_rows(d);
    if (code != 0) {
        mp_diff_free(d);
        *ret = NULL;
    }
    return code;
}

void mp_diff_free(mp_diff_t *d)
{
    if (d != NULL) {
        for (unsigned by = 0; by < MP_DIFF_BYS; by++) {
            free(d->rows[by].row);
        }
        free(d);
    }
}

unsigned mp_diff_flags(const mp_diff_t *d)
{
    return d->flags;
}

const struct mp_difference *mp_diff_total(const mp_diff_t *d)
{
    return &d->total;
}

size_t mp_diff_count(const mp_diff_t *d, enum mp_diff_by by)
{
    return d->rows[by].count;
}

const struct mp_difference *mp_diff_at(
    const mp_diff_t *d, enum mp_diff_by by, size_t number)
{
    return number < d->rows[by].count ? &d->rows[by].row[number] : NULL;
}

double mp_diff_drift(
    const mp_diff_t *d, enum mp_diff_by *ret_by, const struct mp_difference **ret_row)
{
    unsigned f = d->options.judged;
    double most = d->total.figure[f].change;
    double before = (double)d->total.figure[f].before;
    const struct mp_difference *found = NULL;
    enum mp_diff_by by = MP_DIFF_COMPONENT;

    for (unsigned b = 0; b < MP_DIFF_BYS; b++) {
        for (size_t i = 0; b != MP_DIFF_CLASS && i < d->rows[b].count; i++) {
            const struct mp_difference *r = &d->rows[b].row[i];

            /* Of an estimate that much is sure. */
            if (r->is_significant && r->figure[f].low > most) {
                most = r->figure[f].low;
                found = r;
                by = (enum mp_diff_by)b;
            }
        }
    }
    if (ret_by != NULL) {
        *ret_by = by;
    }
    if (ret_row != NULL) {
        *ret_row = found;
    }
    return most <= 0 ? 0 : most / before; /* INFINITY of nothing */
}
