#include "past.h"

#include "history.h"
#include "must.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- columns ---- */

static void take_text(sqlite3_stmt *s, int column, char *ret, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    mp_text_escape(
        ret, size, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

/* Lines stay lines. */
static void take_lines(sqlite3_stmt *s, int column, char *ret, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    size_t at = 0;

    ret[0] = '\0';
    while (text != NULL && *text != '\0' && at + 1 < size) {
        size_t n = strcspn(text, "\n");

        at += mp_text_escape(ret + at, size - at, text, n);
        text += n + (text[n] == '\n');
        if (*text != '\0' && at + 1 < size) {
            ret[at++] = '\n';
            ret[at] = '\0';
        }
    }
}

static uint64_t take_bytes(sqlite3_stmt *s, int column)
{
    return sqlite3_column_type(s, column) == SQLITE_NULL
               ? MP_UNKNOWN
               : (uint64_t)sqlite3_column_int64(s, column);
}

/* ---- runs and points ---- */

static void load_runs(struct past *p, sqlite3 *db, const struct past_of *of)
{
    sqlite3_stmt *s = history_prepare(db,
        "SELECT id, pid, name, state, started_s, last_s, limit_bytes FROM runs WHERE "
        "last_s >= ?4 AND ((?1 IS NOT NULL AND name = ?1) OR (?2 IS NOT NULL AND id = "
        "(SELECT id FROM runs WHERE pid = ?2 ORDER BY started_s DESC LIMIT 1)) OR (?3 "
        "IS "
        "NOT NULL AND run_id = ?3)) ORDER BY started_s DESC LIMIT ?5");

    if (s == NULL) {
        return; /* a history without recordings */
    }
    if (of->name != NULL) {
        sqlite3_bind_text(s, 1, of->name, -1, SQLITE_STATIC);
    }
    if (of->pid != 0) {
        sqlite3_bind_int64(s, 2, (sqlite3_int64)of->pid);
    }
    if (of->run_id != NULL) {
        sqlite3_bind_blob(s, 3, of->run_id, 16, SQLITE_STATIC);
    }
    sqlite3_bind_int64(s, 4, p->since_s);
    sqlite3_bind_int(s, 5, PAST_RUNS);
    while (sqlite3_step(s) == SQLITE_ROW && p->run_count < PAST_RUNS) {
        struct past_run *r = &p->runs[p->run_count++];

        r->id = sqlite3_column_int64(s, 0);
        r->pid = take_bytes(s, 1);
        take_text(s, 2, r->name, sizeof(r->name));
        take_text(s, 3, r->state, sizeof(r->state));
        r->started_s = sqlite3_column_int64(s, 4);
        r->last_s = sqlite3_column_int64(s, 5);
        r->limit_bytes = take_bytes(s, 6);
    }
    sqlite3_finalize(s);
}

static int compare_points(const void *a, const void *b)
{
    const struct past_point *x = a;
    const struct past_point *y = b;

    return (x->time_s > y->time_s) - (x->time_s < y->time_s);
}

/* Runs are the youngest first, points the oldest first: of runs beside each other, too. */
static void load_points(struct past *p, sqlite3 *db)
{
    size_t room = 0;

    for (size_t i = p->run_count; i > 0; i--) {
        sqlite3_stmt *s =
            history_prepare(db, "SELECT time_s, live_bytes, live_high_bytes, "
                                "heap_bytes, resident_bytes FROM "
                                "points WHERE run = ? AND tier < 3 AND time_s BETWEEN "
                                "? AND ? ORDER BY time_s");

        sqlite3_bind_int64(s, 1, p->runs[i - 1].id);
        sqlite3_bind_int64(s, 2, p->since_s);
        sqlite3_bind_int64(s, 3, p->until_s);
        while (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
            p->points = must_grow(p->points, p->point_count, &room, sizeof(*p->points));
            p->points[p->point_count++] =
                (struct past_point){sqlite3_column_int64(s, 0), take_bytes(s, 1),
                    take_bytes(s, 2), take_bytes(s, 3), take_bytes(s, 4), i - 1};
        }
        sqlite3_finalize(s);
    }
    if (p->point_count > 0) {
        qsort(p->points, p->point_count, sizeof(*p->points), compare_points);
    }
}

/* ---- then and now ---- */

#define FIRST_AND_LAST                                                                 \
    "WITH window AS (SELECT id, time_s FROM points WHERE run = ?1 AND time_s BETWEEN " \
    "?2 AND ?3), first AS (SELECT id, min(time_s) FROM window), last AS (SELECT id, "  \
    "max(time_s) FROM window) "

static void bind_window(sqlite3_stmt *s, const struct past *p)
{
    sqlite3_bind_int64(s, 1, p->runs[0].id);
    sqlite3_bind_int64(s, 2, p->since_s);
    sqlite3_bind_int64(s, 3, p->until_s);
}

/* Columns: component, frames, before, after, low, high. */
static struct past_row *load_rows(
    const struct past *p, sqlite3 *db, const char *sql, size_t *ret_count)
{
    struct past_row *rows = must(calloc(PAST_ROWS, sizeof(*rows)));
    sqlite3_stmt *s = history_prepare(db, sql);

    *ret_count = 0;
    if (s != NULL) {
        bind_window(s, p);
    }
    while (s != NULL && *ret_count < PAST_ROWS && sqlite3_step(s) == SQLITE_ROW) {
        struct past_row *r = &rows[(*ret_count)++];

        take_text(s, 0, r->component, sizeof(r->component));
        take_lines(s, 1, r->stack, sizeof(r->stack));
        r->before = take_bytes(s, 2);
        r->after = take_bytes(s, 3);
        r->low = take_bytes(s, 4);
        r->high = take_bytes(s, 5);
    }
    sqlite3_finalize(s);
    return rows;
}

/* The growth is the last one that was found. */
static void load_verdicts(struct past *p, sqlite3 *db)
{
    sqlite3_stmt *s = history_prepare(db,
        "SELECT text, frames, verdict, first_s, last_s, bytes_per_hour FROM (SELECT "
        "stack, verdict, bytes_per_hour, time_s, min(time_s) OVER w AS first_s, "
        "max(time_s) OVER w AS last_s FROM verdicts JOIN points ON points.id = point "
        "WHERE run = ?1 AND time_s BETWEEN ?2 AND ?3 WINDOW w AS (PARTITION BY stack, "
        "verdict)) JOIN stacks ON stacks.id = stack JOIN names ON names.id = component "
        "WHERE time_s = last_s ORDER BY verdict = 'suspect', bytes_per_hour DESC");

    p->verdicts = must(calloc(PAST_ROWS, sizeof(*p->verdicts)));
    if (s != NULL) {
        bind_window(s, p);
    }
    while (s != NULL && p->verdict_count < PAST_ROWS && sqlite3_step(s) == SQLITE_ROW) {
        struct past_verdict *v = &p->verdicts[p->verdict_count++];
        char lines[2048];

        take_text(s, 0, v->component, sizeof(v->component));
        take_lines(s, 1, lines, sizeof(lines));
        snprintf(
            v->function, sizeof(v->function), "%.*s", (int)strcspn(lines, "\n"), lines);
        take_text(s, 2, v->verdict, sizeof(v->verdict));
        v->first_s = sqlite3_column_int64(s, 3);
        v->last_s = sqlite3_column_int64(s, 4);
        v->bytes_per_hour = sqlite3_column_double(s, 5);
    }
    sqlite3_finalize(s);
}

/* ---- where it goes ---- */

static size_t count_warm_up(
    const struct past *p, const struct mp_point *points, size_t count)
{
    double begin;
    size_t n = 0;

    if (count == 0 || p->runs[0].started_s < p->since_s) {
        return 0;
    }
    begin = points[0].time_s + (points[count - 1].time_s - points[0].time_s) / 4;
    while (n < count && points[n].time_s < begin) {
        n++;
    }
    return n;
}

/*
 * Of the last run: before it all was another process. What it did in the first quarter of the time, if
 * it began there, is warm-up (mp_timeline_forecast). image NULL: it was recorded.
 */
static void make_forecast(struct past *p, const mp_image_t *image)
{
    struct mp_point *points = must(calloc(p->point_count + 1, sizeof(*points)));
    uint64_t resident = MP_UNKNOWN;
    double room = INFINITY;
    size_t count = 0;

    p->limit_bytes = p->run_count > 0 ? p->runs[0].limit_bytes : MP_UNKNOWN;
    for (size_t i = 0; i < p->point_count; i++) {
        if (p->points[i].run == 0) {
            points[count++] = (struct mp_point){
                (double)p->points[i].time_s, (double)p->points[i].live_bytes};
            resident = p->points[i].resident_bytes != MP_UNKNOWN
                           ? p->points[i].resident_bytes
                           : p->points[i].heap_bytes;
        }
    }
    if (p->limit_bytes != MP_UNKNOWN && resident != MP_UNKNOWN) {
        room = (double)p->limit_bytes - (double)resident;
    }
    if (image != NULL) {
        p->forecast_code = mp_timeline_forecast(image,
            p->since_s > 0 ? (uint64_t)p->since_s * 1000000000u : 0, room,
            &p->forecast);
    } else {
        size_t skipped = count_warm_up(p, points, count);

        p->forecast_code =
            mp_forecast_make(points + skipped, count - skipped, room, &p->forecast);
    }
    free(points);
}

bool past_load(struct past *p, sqlite3 *db, const struct past_of *of, int64_t since_s,
    int64_t until_s)
{
    *p = (struct past){.since_s = since_s, .until_s = until_s};
    load_runs(p, db, of);
    load_points(p, db);
    if (p->point_count == 0) {
        return false;
    }
    p->components = load_rows(p, db,
        FIRST_AND_LAST
        "SELECT text, '', coalesce((SELECT live_bytes FROM components AS o "
        "WHERE o.point = (SELECT id FROM first) AND o.name = c.name), 0), "
        "live_bytes, live_bytes, live_bytes FROM components AS c JOIN names "
        "ON names.id = c.name WHERE point = (SELECT id FROM last) ORDER BY "
        "live_bytes DESC",
        &p->component_count);
    p->stacks = load_rows(p, db,
        FIRST_AND_LAST
        "SELECT text, frames, coalesce((SELECT live_bytes FROM sites AS o "
        "WHERE o.point = (SELECT id FROM first) AND o.stack = c.stack), 0), "
        "live_bytes, live_bytes_low, live_bytes_high FROM sites AS c JOIN "
        "stacks ON stacks.id = c.stack JOIN names ON names.id = component "
        "WHERE point = (SELECT id FROM last) ORDER BY live_bytes DESC",
        &p->stack_count);
    load_verdicts(p, db);
    make_forecast(p, NULL);
    return true;
}

void past_from_image(
    struct past *p, const mp_image_t *image, int64_t since_s, int64_t until_s)
{
    const struct mp_region_process *r = mp_image_process(image);
    struct past_run *run = &p->runs[0];
    const char *source;
    size_t room = 0;
    unsigned tier = 0;

    *p = (struct past){.since_s = since_s, .until_s = until_s, .run_count = 1};
    *run = (struct past_run){.pid = r->pid,
        .started_s = (int64_t)(r->started_ns / 1000000000u),
        .last_s = (int64_t)(mp_image_totals(image)->published_ns / 1000000000u),
        .limit_bytes = view_limit(image, &source)};
    mp_text_escape(run->name, sizeof(run->name), r->service, sizeof(r->service));
    snprintf(run->state, sizeof(run->state), "%s", mp_life_name(mp_image_life(image)));
    /* The finest that goes back so far, or to the start. */
    while (tier + 1 < MP_REGION_TIMELINE_TIERS && mp_image_moment_count(image, tier) > 0
           && mp_image_moment_count(image, tier + 1) >= 16
           && (int64_t)(mp_image_moment(image, tier, 0)->time_ns / 1000000000u)
                  > since_s + 60) {
        tier++;
    }
    for (size_t i = 0; i < mp_image_moment_count(image, tier); i++) {
        const struct mp_region_moment *m = mp_image_moment(image, tier, i);
        int64_t time_s = (int64_t)(m->time_ns / 1000000000u);

        if (time_s >= since_s && time_s <= until_s) {
            p->points = must_grow(p->points, p->point_count, &room, sizeof(*p->points));
            p->points[p->point_count++] = (struct past_point){time_s, m->live_bytes,
                m->live_high_bytes, m->resident_bytes, MP_UNKNOWN, 0};
        }
    }
    if (p->point_count > 0 && mp_image_life(image) == MP_LIFE_RUNNING) {
        p->points[p->point_count - 1].resident_bytes = mp_proc_resident(r->pid);
    }
    make_forecast(p, image);
}

void past_fini(struct past *p)
{
    free(p->points);
    free(p->components);
    free(p->stacks);
    free(p->verdicts);
}
