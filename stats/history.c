#include "history.h"

#include "image.h"
#include "records.h"

#include <math.h>
#include <mpstats.h>
#include <stdlib.h>
#include <string.h>

#define SUM_MAX 0x1p57 /* as in samples.c */

enum { NO_ROOM = UINT32_MAX, DOUBLINGS_MAX = 64 };

static const struct mp_region_section *section_of(
    const struct mp_image *image, enum mp_region_section_id id)
{
    return &image->layout.section[id];
}

static double cleaned(double value)
{
    return isfinite(value) && value > 0 ? fmin(value, SUM_MAX) : 0;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- epochs ---- */

static bool is_sane(const struct mp_region_epochs *e)
{
    return e->seq != 0 && (e->seq & 1) == 0 && e->current < MP_REGION_EPOCHS
           && e->doublings < DOUBLINGS_MAX && isfinite(e->epoch_bytes)
           && e->epoch_bytes >= 1;
}

static int read_epochs(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_EPOCHS);
    struct mp_region_epochs *e = &image->history.epochs;
    int code = 0;

    memset(e, 0, sizeof(*e));
    if (c->count > 0) {
        code = source_read_stable(s, e, sizeof(*e), c->offset, error);
    }
    if (code == 1) {
        image->flags |= MP_IMAGE_TORN_SAMPLES;
        code = 0;
    }
    if (!is_sane(e)) {
        memset(e, 0, sizeof(*e));
    }
    e->epoch_bytes = cleaned(e->epoch_bytes);
    e->work_bytes = fmax(cleaned(e->work_bytes), (double)e->current * e->epoch_bytes);
    for (size_t i = 0; i < MP_REGION_EPOCHS; i++) {
        struct mp_region_epoch *end = &e->ends[i];

        if (i >= e->current) {
            *end = (struct mp_region_epoch){0};
            continue;
        }
        end->live_bytes = cleaned(end->live_bytes);
        if (i > 0) {
            end->time_ns = later(end->time_ns, e->ends[i - 1].time_ns);
            end->mono_ns = later(end->mono_ns, e->ends[i - 1].mono_ns);
        }
    }
    return code;
}

/* ---- rows ---- */

/* Numbers that are none are damage of one site, which has no history then. */
static size_t rows_wanted(const struct mp_image *image)
{
    const struct samples *a = &image->samples;
    size_t room = section_of(image, MP_SECTION_SITE_EPOCHS)->count;
    size_t most = 0;

    for (size_t i = 0; i < a->site_count; i++) {
        size_t row = a->sites[i].epochs_row;

        most = row < room && row > most ? row : most;
    }
    return most > 0 ? most + 1 : 0;
}

/* Sites say which rows there are: those were written before. */
static int read_rows(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_SITE_EPOCHS);
    struct history *h = &image->history;
    size_t count = rows_wanted(image);
    bool torn = false;
    int code = 0;

    if (count == 0) {
        return 0;
    }
    h->rows = records_copy(image, s, c, count, sizeof(*h->rows), &code, error);
    if (code == 0) {
        code =
            records_settle(image, s, c, h->rows, count, sizeof(*h->rows), &torn, error);
    }
    h->row_count = code == 0 ? count : 0;
    image->flags |= torn ? MP_IMAGE_TORN_SAMPLES : 0;
    return code;
}

static void clean_figures(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = (float)cleaned((double)values[i]);
    }
}

/* The epochs are read after the rows: they are not behind them, but for damage. */
static void clean_rows(struct mp_image *image)
{
    struct history *h = &image->history;

    for (size_t i = 0; i < h->row_count; i++) {
        struct mp_region_site_epochs *r = &h->rows[i];

        if (r->seq == 0 || (r->seq & 1) != 0 || r->doublings > h->epochs.doublings
            || r->current >= MP_REGION_EPOCHS
            || (r->doublings == h->epochs.doublings && r->current > h->epochs.current)
            || r->marks > h->epochs.mark_count) {
            r->seq = 0;
            continue;
        }
        clean_figures(r->live_bytes, MP_REGION_EPOCHS);
        clean_figures(r->floor_bytes, MP_REGION_EPOCHS);
        clean_figures(r->mark_bytes, MP_REGION_MARKS);
    }
    for (size_t i = 0; i < image->samples.site_count; i++) {
        struct mp_region_site *t = &image->samples.sites[i];

        t->floor_bytes = (float)cleaned((double)t->floor_bytes);
        if (t->epochs_row != 0
            && (t->epochs_row >= h->row_count || h->rows[t->epochs_row].seq == 0
                || h->rows[t->epochs_row].site != i)) {
            t->epochs_row = NO_ROOM;
        }
    }
}

/* ---- marks ---- */

/* The last ones, as far as they are whole and where they should be. */
static int read_marks(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_MARKS);
    struct history *h = &image->history;
    uint64_t count = h->epochs.mark_count;
    uint64_t first = count > MP_REGION_MARKS ? count - MP_REGION_MARKS : 0;
    int code = 0;

    for (uint64_t n = first; c->count > 0 && n < count; n++) {
        struct mp_region_mark *m = &h->marks[h->mark_count];
        uint64_t at = n % MP_REGION_MARKS;

        if (at >= c->count) {
            continue;
        }
        code = source_read_stable(s, m, sizeof(*m), c->offset + at * c->stride, error);
        if (code < 0) {
            return code;
        }
        image->flags |= code == 1 ? MP_IMAGE_TORN_SAMPLES : 0;
        if (code == 0 && m->number == n && m->seq != 0) {
            m->work_bytes = cleaned(m->work_bytes);
            m->live_bytes = cleaned(m->live_bytes);
            END_STRING(image, m->name);
            h->mark_count++;
        }
    }
    return 0;
}

/* ---- the whole ---- */

int history_read(struct mp_image *image, const struct source *s, struct mp_error *error)
{
    int code = read_rows(image, s, error);

    code = code != 0 ? code : read_epochs(image, s, error);
    code = code != 0 ? code : read_marks(image, s, error);
    if (code == 0) {
        clean_rows(image);
    }
    return code;
}

void history_free(struct history *history)
{
    free(history->rows);
    memset(history, 0, sizeof(*history));
}

/* ---- access ---- */

const struct mp_region_epochs *mp_image_epochs(const mp_image_t *image)
{
    return &image->history.epochs;
}

bool mp_image_has_history(const mp_image_t *image, size_t site)
{
    return site < image->samples.site_count
           && image->samples.sites[site].epochs_row != NO_ROOM;
}

const struct mp_region_site_epochs *mp_image_site_epochs(
    const mp_image_t *image, size_t site)
{
    if (!mp_image_has_history(image, site)
        || image->samples.sites[site].epochs_row == 0) {
        return NULL;
    }
    return &image->history.rows[image->samples.sites[site].epochs_row];
}

size_t mp_image_mark_count(const mp_image_t *image)
{
    return image->history.mark_count;
}

const struct mp_region_mark *mp_image_mark(const mp_image_t *image, size_t number)
{
    return number < image->history.mark_count ? &image->history.marks[number] : NULL;
}
