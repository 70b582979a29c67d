#include "leaks.h"

#include "records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUM_MAX      0x1p57
#define VARIANCE_MAX 0x1p114
#define COUNT_MAX    ((uint64_t)1 << 57)

enum { ATTEMPTS = 4 }; /* a check may end while its figures are read */

static void clean(double *value, double most)
{
    if (!isfinite(*value) || *value < 0) {
        *value = 0;
    } else if (*value > most) {
        *value = most;
    }
}

static void clean_counts(uint64_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        counts[i] = counts[i] < COUNT_MAX ? counts[i] : COUNT_MAX;
    }
}

/* Those of two rounds are some of those of the last. */
static void clean_lost(uint64_t *kinds)
{
    if (kinds[MP_LEAK_LOST] > kinds[MP_LEAK_DEFINITE]) {
        kinds[MP_LEAK_LOST] = kinds[MP_LEAK_DEFINITE];
    }
}

static void clean_site(struct mp_region_leak_site *t)
{
    clean_counts(t->samples, MP_LEAK_KINDS);
    clean_lost(t->samples);
    for (unsigned i = 0; i < MP_LEAK_KINDS; i++) {
        clean(&t->blocks[i], SUM_MAX);
        clean(&t->bytes[i], SUM_MAX);
        clean(&t->blocks_variance[i], VARIANCE_MAX);
        clean(&t->bytes_variance[i], VARIANCE_MAX);
    }
    clean(&t->owned_blocks, SUM_MAX);
    clean(&t->owned_bytes, SUM_MAX);
}

static void clean_cell(struct mp_region_leak_cell *c)
{
    clean_counts(c->blocks, MP_LEAK_KINDS);
    clean_counts(c->bytes, MP_LEAK_KINDS);
    clean_lost(c->blocks);
    clean_lost(c->bytes);
    clean_counts(&c->owned_blocks, 1);
    clean_counts(&c->owned_bytes, 1);
}

static int read_check(struct mp_image *image, const struct source *s,
    struct mp_region_leaks *ret, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_LEAKS];
    int code = 0;

    memset(ret, 0, sizeof(*ret));
    if (c->count > 0) {
        code = source_read_stable(s, ret, sizeof(*ret), c->offset, error);
    }
    if (code == 1) {
        image->flags |= MP_IMAGE_TORN_LEAKS;
        code = 0;
    }
    clean_counts(ret->blocks, MP_LEAK_KINDS);
    clean_counts(ret->bytes, MP_LEAK_KINDS);
    clean_lost(ret->blocks);
    clean_lost(ret->bytes);
    return code;
}

static int read_figures(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *cells =
        &image->layout.section[MP_SECTION_LEAK_CELLS];
    const struct mp_region_section *sites =
        &image->layout.section[MP_SECTION_LEAK_SITES];
    struct leaks *l = &image->leaks;
    uint64_t rows = l->check.row_count;
    uint64_t count = l->check.site_count;
    int code = records_check_count(s, cells, "rows of leaks",
        rows < COUNT_MAX ? rows * MP_REGION_CLASSES : rows, error);

    code = code != 0 ? code
                     : records_check_count(s, sites, "sites of leaks", count, error);
    if (code != 0) {
        return code;
    }
    l->cells = records_copy(
        image, s, cells, rows * MP_REGION_CLASSES, sizeof(*l->cells), &code, error);
    l->row_count = code == 0 ? rows : 0;
    if (code == 0) {
        l->sites =
            records_copy(image, s, sites, count, sizeof(*l->sites), &code, error);
        l->site_count = code == 0 ? count : 0;
    }
    return code;
}

static void add_site(
    struct mp_region_leak_site *to, const struct mp_region_leak_site *from)
{
    for (unsigned k = 0; k < MP_LEAK_KINDS; k++) {
        to->samples[k] += from->samples[k];
        to->blocks[k] += from->blocks[k];
        to->bytes[k] += from->bytes[k];
        to->blocks_variance[k] += from->blocks_variance[k];
        to->bytes_variance[k] += from->bytes_variance[k];
    }
    to->owned_blocks += from->owned_blocks;
    to->owned_bytes += from->owned_bytes;
}

/* Of sites that several threads wrote, each its own part, one is left: shares.h. */
static void add_up_sites(struct mp_image *image)
{
    const struct samples *a = &image->samples;
    struct leaks *l = &image->leaks;
    size_t count = l->site_count < a->number_count ? l->site_count : a->number_count;
    size_t left = 0; /* numbers rise by one where a site is the first of its parts */

    for (size_t i = 0; i < count; i++) {
        if (a->numbers[i] == left) {
            l->sites[left++] = l->sites[i];
        } else if (a->numbers[i] < left) {
            add_site(&l->sites[a->numbers[i]], &l->sites[i]);
        }
    }
    l->site_count = left;
}

/* What the image has no component or site for, as it is of a later moment, is left out. */
static void clean_figures(struct mp_image *image)
{
    struct leaks *l = &image->leaks;

    if (l->row_count > image->component_count) {
        l->row_count = image->component_count;
    }
    add_up_sites(image);
    for (size_t i = 0; i < l->row_count * MP_REGION_CLASSES; i++) {
        clean_cell(&l->cells[i]);
    }
    for (size_t i = 0; i < l->site_count; i++) {
        clean_site(&l->sites[i]);
    }
}

int leaks_read(struct mp_image *image, const struct source *s, struct mp_error *error)
{
    struct leaks *l = &image->leaks;
    size_t copied = image->copied_bytes;
    struct mp_region_leaks after;
    int code = 0;

    for (unsigned i = 0; code == 0 && i < ATTEMPTS; i++) {
        leaks_free(l);
        image->copied_bytes = copied;
        code = read_check(image, s, &l->check, error);
        code = code != 0 ? code : read_figures(image, s, error);
        code = code != 0 ? code : read_check(image, s, &after, error);
        if (code != 0 || after.seq == l->check.seq) {
            break;
        }
        if (i + 1 == ATTEMPTS) {
            image->flags |= MP_IMAGE_TORN_LEAKS;
        }
    }
    if (code == 0) {
        clean_figures(image);
    }
    return code;
}

void leaks_free(struct leaks *leaks)
{
    free(leaks->cells);
    free(leaks->sites);
    memset(leaks, 0, sizeof(*leaks));
}

/* ---- access ---- */

const struct mp_region_leaks *mp_image_leaks(const mp_image_t *image)
{
    return image->leaks.check.number != 0 ? &image->leaks.check : NULL;
}

uint64_t mp_image_leaks_started(const mp_image_t *image)
{
    return image->leaks.check.started;
}

const struct mp_region_leak_cell *mp_image_leak_cell(
    const mp_image_t *image, size_t row, size_t number)
{
    return row < image->leaks.row_count && number < MP_REGION_CLASSES
               ? &image->leaks.cells[row * MP_REGION_CLASSES + number]
               : NULL;
}

const struct mp_region_leak_site *mp_image_leak_site(
    const mp_image_t *image, size_t number)
{
    return number < image->leaks.site_count ? &image->leaks.sites[number] : NULL;
}
