#include "metric_walk.h"

#include "view.h"

#include <stdlib.h>
#include <string.h>

/* ---- components ---- */

static bool has_row(const struct metric_rows *rows, size_t row)
{
    for (unsigned i = 0; i < rows->count; i++) {
        if (rows->row[i] == row) {
            return true;
        }
    }
    return false;
}

/* One that would take the name of another's series has none: its figures go to the rest. */
static bool has_name_of_its_own(
    const mp_image_t *image, const struct metric_rows *rows, size_t row)
{
    const char *name = mp_image_component(image, row)->name;

    for (unsigned i = 0; i < rows->count; i++) {
        const struct mp_region_component *c = mp_image_component(image, rows->row[i]);

        if (c == NULL || strcmp(c->name, name) == 0) {
            return false;
        }
    }
    return strcmp(name, "other") != 0;
}

/* The one with the highest peak that has none yet; false: there is none. */
static bool find_next_row(
    const mp_image_t *image, const struct metric_rows *rows, size_t *ret_row)
{
    uint64_t most = 0;
    bool is_found = false;

    for (size_t i = 0; i < mp_image_component_count(image); i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        if (c->allocated_blocks_total > 0 && (!is_found || c->live_peak_bytes > most)
            && !has_row(rows, i) && has_name_of_its_own(image, rows, i)) {
            *ret_row = i;
            most = c->live_peak_bytes;
            is_found = true;
        }
    }
    return is_found;
}

/* When there is room for all, by their numbers; else those with the highest peaks. */
static void fill_rows(const mp_image_t *image, unsigned most, struct metric_rows *rows)
{
    size_t count = mp_image_component_count(image);
    size_t row;

    if (count <= most) {
        for (row = 0; row < count && rows->count < most; row++) {
            if (mp_image_component(image, row)->allocated_blocks_total > 0
                && !has_row(rows, row) && has_name_of_its_own(image, rows, row)) {
                rows->row[rows->count++] = (uint16_t)row;
            }
        }
    }
    while (
        rows->count < most && rows->count < count && find_next_row(image, rows, &row)) {
        rows->row[rows->count++] = (uint16_t)row;
    }
}

/* ---- size classes ---- */

static void add_cell(struct mp_region_cell *sum, const struct mp_region_cell *c)
{
    sum->allocated_blocks_total += c->allocated_blocks_total;
    sum->freed_blocks_total += c->freed_blocks_total;
    sum->allocated_bytes_total += c->allocated_bytes_total;
    sum->freed_bytes_total += c->freed_bytes_total;
    sum->slab_bytes += c->slab_bytes;
}

static int compare_classes(const void *a, const void *b)
{
    const struct metric_class *x = a;
    const struct metric_class *y = b;

    return (x->block_bytes > y->block_bytes) - (x->block_bytes < y->block_bytes);
}

static void add_classes(struct metric_source *s)
{
    size_t count = 0;

    for (size_t i = 0; i < mp_image_class_count(s->image); i++) {
        struct metric_class *c = &s->class[count];

        mp_image_class_sum(s->image, i, &c->sum);
        c->block_bytes = mp_image_class(s->image, i)->block_bytes;
        count += c->sum.allocated_blocks_total != 0;
    }
    qsort(s->class, count, sizeof(s->class[0]), compare_classes);
    for (size_t i = 0; i < count; i++) {
        struct metric_class *last = &s->class[s->class_count];

        if (s->class_count > 0 && last[-1].block_bytes == s->class[i].block_bytes) {
            add_cell(&last[-1].sum, &s->class[i].sum);
        } else {
            *last = s->class[i];
            s->class_count++;
        }
    }
}

/* ---- stacks ---- */

/* What samples say of all stacks; lifetimes are counted, and weighted as those of their site. */
static void add_sites(struct metric_source *s)
{
    double blocks[MP_REGION_LIFETIMES] = {0};

    for (size_t i = 0; i < mp_image_site_count(s->image); i++) {
        const struct mp_region_site *site = mp_image_site(s->image, i);
        double weight;

        s->estimated_live_bytes += site->allocated_bytes - site->freed_bytes;
        if (site->freed_samples == 0) {
            continue;
        }
        weight = site->freed_blocks / (double)site->freed_samples;
        for (unsigned k = 0; k < MP_REGION_LIFETIMES; k++) {
            blocks[k] += site->lifetimes[k] * weight;
        }
        s->lifetime_s += site->freed_lifetime_ns / 1e9;
    }
    for (unsigned k = 0; k < MP_REGION_LIFETIMES; k++) {
        s->lifetimes[k] = blocks[k] < 1e18 ? (uint64_t)(blocks[k] + 0.5) : 0;
    }
}

void metric_source_make(struct metric_source *ret, const mp_image_t *image,
    const struct mp_proc *kernel, const struct metric_insight *insight,
    const struct metric_options *options, struct metric_rows *rows)
{
    memset(ret, 0, sizeof(*ret));
    ret->image = image;
    ret->kernel = kernel;
    ret->insight = insight;
    ret->options = *options;
    if (rows != NULL) {
        fill_rows(image, options->components, rows);
        ret->rows = *rows;
    } else {
        fill_rows(image, options->components, &ret->rows);
    }
    add_classes(ret);
    add_sites(ret);
}
