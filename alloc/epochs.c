#include "epochs.h"

#include "atomic.h"
#include "bits.h"
#include "os.h"
#include "own_memory.h"
#include "region.h"

#include <assert.h>
#include <string.h>

enum {
    ROW_SHIFT = 4,
    ROWS = 1 << ROW_SHIFT, /* of a chunk */
    FIRST_BYTES = 1 << 20, /* of work, of the first epochs */
    HALF = MP_REGION_EPOCHS / 2,
};
static_assert(MP_REGION_EPOCHS % 2 == 0, "pairs become one");

struct epochs_clock epochs_clock = {.end = FIRST_BYTES, .turn = 1};

static struct mp_region_epochs epochs = {.epoch_bytes = FIRST_BYTES, .row_count = 1};
static struct mp_region_mark marks[MP_REGION_MARKS];
static struct mp_region_site_epochs *row_chunks[MP_REGION_SITE_EPOCHS_MAX / ROWS];

/* ---- in the region ---- */

enum {
    HEAD_WORDS = offsetof(struct mp_region_epochs, ends) / sizeof(uint64_t),
};

static bool has_history(void)
{
    return epochs.current > 0 || epochs.mark_count > 0;
}

/* A small program has no page for it. */
static void write_epochs(void)
{
    struct mp_region_epochs *out = has_history() ? region_epochs() : NULL;

    if (out != NULL) {
        epochs.work_bytes = epochs_clock.work;
        epochs.seq = load_relaxed(&out->seq) & ~(uint64_t)1;
        region_publish(&out->seq, &epochs.seq, sizeof(epochs));
    }
}

void epochs_describe_locked(void)
{
    struct mp_region_epochs *out = has_history() ? region_epochs() : NULL;

    if (out == NULL || load_relaxed(&out->seq) == 0) {
        write_epochs();
        return;
    }
    epochs.written_ns = os_realtime_ns();
    epochs.written_mono_ns = os_monotonic_ns();
    epochs.work_bytes = epochs_clock.work;
    epochs.seq = load_relaxed(&out->seq) & ~(uint64_t)1;
    region_write_begin(&out->seq, epochs.seq);
    region_write_words(&out->seq, &epochs.seq, 1, HEAD_WORDS);
    region_write_end(&out->seq, epochs.seq);
}

static void write_mark(uint64_t number)
{
    struct mp_region_mark *m = &marks[number % MP_REGION_MARKS];
    struct mp_region_mark *out = region_mark(number % MP_REGION_MARKS);

    if (out != NULL) {
        m->seq = load_relaxed(&out->seq) & ~(uint64_t)1;
        region_publish(&out->seq, &m->seq, sizeof(*m));
    }
}

static struct mp_region_site_epochs *row_of(uint32_t number)
{
    return &row_chunks[number >> ROW_SHIFT][number & (ROWS - 1)];
}

static void write_row(uint32_t number)
{
    struct mp_region_site_epochs *r = row_of(number);
    struct mp_region_site_epochs *out = region_site_epochs(number);

    if (out != NULL) {
        r->seq = load_relaxed(&out->seq) & ~(uint64_t)1;
        region_publish(&out->seq, &r->seq, sizeof(*r));
    }
}

/* ---- the clock ---- */

static void merge_pairs(void)
{
    for (unsigned i = 0; i < HALF; i++) {
        epochs.ends[i] = epochs.ends[2 * i + 1];
    }
    epochs.current = HALF;
    epochs.epoch_bytes *= 2;
    epochs.doublings++;
}

void epochs_begin_locked(double live_bytes, uint64_t time_ns, uint64_t mono_ns)
{
    struct mp_region_epoch end = {time_ns, mono_ns, live_bytes > 0 ? live_bytes : 0};

    while (epochs_clock.work >= epochs_clock.end) {
        epochs.ends[epochs.current++] = end;
        if (epochs.current == MP_REGION_EPOCHS) {
            merge_pairs();
        }
        epochs_clock.end = (double)(epochs.current + 1) * epochs.epoch_bytes;
    }
    epochs_clock.turn++;
    epochs.written_ns = time_ns;
    epochs.written_mono_ns = mono_ns;
    write_epochs();
}

void epochs_mark_locked(
    const char *name, double live_bytes, uint64_t time_ns, uint64_t mono_ns)
{
    struct mp_region_mark *m = &marks[epochs.mark_count % MP_REGION_MARKS];

    *m = (struct mp_region_mark){.number = epochs.mark_count,
        .time_ns = time_ns,
        .mono_ns = mono_ns,
        .work_bytes = epochs_clock.work,
        .live_bytes = live_bytes > 0 ? live_bytes : 0};
    memcpy(m->name, name, strnlen(name, sizeof(m->name) - 1));
    write_mark(epochs.mark_count++);
    epochs_clock.turn++;
    epochs.written_ns = time_ns;
    epochs.written_mono_ns = mono_ns;
    write_epochs();
}

/* ---- rows ---- */

static float least(float a, float b)
{
    return a < b ? a : b;
}

/* As merge_pairs; the floor of its last epoch is in the row meanwhile. */
static void merge_row(struct mp_region_site_epochs *r)
{
    for (uint32_t i = 0; i <= r->current / 2; i++) {
        bool has_second = 2 * i + 1 <= r->current;

        r->floor_bytes[i] =
            has_second ? least(r->floor_bytes[2 * i], r->floor_bytes[2 * i + 1])
                       : r->floor_bytes[2 * i];
        r->live_bytes[i] = r->live_bytes[2 * i + 1];
    }
    r->current /= 2;
    r->doublings++;
}

/* The site held `live` since its last change. Returns the floor of the epoch now. */
static float catch_up(struct mp_region_site_epochs *r, float live, float floor)
{
    r->floor_bytes[r->current] = least(floor, live);
    while (r->doublings < epochs.doublings) {
        merge_row(r);
    }
    floor = r->floor_bytes[r->current];
    for (; r->current < epochs.current; r->current++) {
        r->live_bytes[r->current] = live;
        r->floor_bytes[r->current] = floor;
        floor = live;
    }
    for (; r->marks < epochs.mark_count; r->marks++) {
        r->mark_bytes[r->marks % MP_REGION_MARKS] = live;
    }
    return floor;
}

/* 0: no room. The first epoch, and the marks up to now, found the site as it still is. */
static uint32_t make_row(uint32_t site)
{
    uint64_t number = epochs.row_count;
    struct mp_region_site_epochs **chunk = &row_chunks[number >> ROW_SHIFT];

    if (number >= MP_REGION_SITE_EPOCHS_MAX
        || (region_is_open() && region_site_epochs(number) == NULL)) {
        return 0;
    }
    if (*chunk == NULL) {
        *chunk =
            own_alloc_copied_locked(ROWS * sizeof(**chunk), ROWS * sizeof(**chunk));
    }
    if (*chunk == NULL) {
        return 0;
    }
    *row_of((uint32_t)number) = (struct mp_region_site_epochs){.site = site,
        .doublings = (uint32_t)epochs.doublings,
        .marks = epochs.mark_count > MP_REGION_MARKS
                     ? (uint32_t)epochs.mark_count - MP_REGION_MARKS
                     : 0};
    epochs.row_count++;
    return (uint32_t)number;
}

void epochs_reach_locked(uint32_t number, struct mp_region_site *s)
{
    double live = s->allocated_bytes - s->freed_bytes;
    struct mp_region_site_epochs *r;

    s->epochs_turn = epochs_clock.turn;
    if (s->epochs_row == EPOCHS_NO_ROW || (s->epochs_row == 0 && !has_history())) {
        return;
    }
    if (s->epochs_row == 0) {
        s->epochs_row = make_row(number);
        if (s->epochs_row == 0) {
            s->epochs_row = EPOCHS_NO_ROW;
            epochs.rows_refused_total++;
            return;
        }
    }
    r = row_of(s->epochs_row);
    if (epochs.mark_count > r->marks + MP_REGION_MARKS) {
        r->marks = (uint32_t)epochs.mark_count - MP_REGION_MARKS;
    }
    s->floor_bytes = catch_up(r, (float)(live > 0 ? live : 0), s->floor_bytes);
    write_row(s->epochs_row);
}

void epochs_write_all_locked(void)
{
    for (uint32_t i = 1; i < epochs.row_count; i++) {
        write_row(i);
    }
    for (uint64_t i = 0; i < MP_REGION_MARKS && i < epochs.mark_count; i++) {
        write_mark(i);
    }
    write_epochs();
}
