#include "past.h"

#include "history.h"
#include "history_rows.h"
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

static int64_t take_part(sqlite3_stmt *s, int column)
{
    return sqlite3_column_type(s, column) == SQLITE_NULL
               ? RSS_UNKNOWN
               : sqlite3_column_int64(s, column);
}

static void take_point(struct past_point *p, sqlite3_stmt *s, size_t run)
{
    *p = (struct past_point){.time_s = sqlite3_column_int64(s, 0),
        .live_bytes = take_bytes(s, 1),
        .high_bytes = take_bytes(s, 2),
        .heap_bytes = take_bytes(s, 3),
        .resident_bytes = take_bytes(s, 4),
        .run = run};
    for (int i = 0; i < RSS_PARTS; i++) {
        p->parts.bytes[i] = take_part(s, 5 + i);
    }
    p->parts.requested_low = take_bytes(s, 5 + RSS_PARTS);
    p->parts.requested_high = take_bytes(s, 6 + RSS_PARTS);
}

/* Runs are the youngest first, points the oldest first: of runs beside each other, too. */
static void load_points(struct past *p, sqlite3 *db)
{
    size_t room = 0;

    for (size_t i = p->run_count; i > 0; i--) {
        sqlite3_stmt *s = history_prepare(db,
            "SELECT time_s, live_bytes, live_high_bytes, heap_bytes, resident_bytes, "
            "requested_bytes, slack_bytes, cached_bytes, dirty_bytes, metadata_bytes, "
            "profiler_bytes, difference_bytes, other_bytes, requested_low_bytes, "
            "requested_high_bytes FROM points LEFT JOIN parts ON parts.point = "
            "points.id WHERE run = ? AND tier IN (0, 1, 2) AND time_s BETWEEN ? AND ? "
            "ORDER BY "
            "time_s");

        sqlite3_bind_int64(s, 1, p->runs[i - 1].id);
        sqlite3_bind_int64(s, 2, p->since_s);
        sqlite3_bind_int64(s, 3, p->until_s);
        while (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
            p->points = must_grow(p->points, p->point_count, &room, sizeof(*p->points));
            take_point(&p->points[p->point_count++], s, i - 1);
        }
        sqlite3_finalize(s);
    }
    if (p->point_count > 0) {
        qsort(p->points, p->point_count, sizeof(*p->points), compare_points);
    }
}

const struct past_point *past_first(const struct past *p)
{
    for (size_t i = 0; i < p->point_count; i++) {
        if (p->points[i].run == 0) {
            return &p->points[i];
        }
    }
    return p->point_count > 0 ? &p->points[0] : NULL;
}

const struct past_point *past_last(const struct past *p)
{
    for (size_t i = p->point_count; i > 0; i--) {
        if (p->points[i - 1].run == 0) {
            return &p->points[i - 1];
        }
    }
    return p->point_count > 0 ? &p->points[p->point_count - 1] : NULL;
}

const struct past_point *past_first_parts(const struct past *p)
{
    for (size_t i = 0; i < p->point_count; i++) {
        if (p->points[i].run == 0
            && p->points[i].parts.bytes[RSS_REQUESTED] != RSS_UNKNOWN) {
            return &p->points[i];
        }
    }
    return NULL;
}

/* ---- then and now ---- */

static void bind_window(sqlite3_stmt *s, const struct past *p)
{
    sqlite3_bind_int64(s, 1, p->runs[0].id);
    sqlite3_bind_int64(s, 2, p->since_s);
    sqlite3_bind_int64(s, 3, p->until_s);
}

/* What one point keeps of components, or of stacks. */
struct kept {
    size_t count;
    struct history_row *rows;
    uint64_t left_out;
};

static struct kept load_kept(const struct past *p, sqlite3 *db, bool is_last,
    const char *column, unsigned values)
{
    struct kept k = {.left_out = 1};
    char sql[256];
    sqlite3_stmt *s;

    snprintf(sql, sizeof(sql),
        "SELECT %s FROM details WHERE point = (SELECT id FROM points WHERE run = ?1 "
        "AND "
        "tier IN (0, 1, 2) AND time_s BETWEEN ?2 AND ?3 ORDER BY time_s %s LIMIT 1)",
        column, is_last ? "DESC" : "");
    s = history_prepare(db, sql);
    if (s != NULL) {
        bind_window(s, p);
    }
    if (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
        k.rows = history_unpack(sqlite3_column_blob(s, 0),
            (size_t)sqlite3_column_bytes(s, 0), values, &k.count, &k.left_out);
    }
    sqlite3_finalize(s);
    return k;
}

struct pair {
    int64_t id;
    uint64_t before; /* MP_UNKNOWN: it was not among the largest */
    const struct history_row *after;
    uint64_t live;
    double change;
};

static int compare_live(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;

    return x->live != y->live ? (x->live < y->live) - (x->live > y->live)
                              : (x->id > y->id) - (x->id < y->id);
}

static int compare_change(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;

    return (x->change < y->change) - (x->change > y->change);
}

static struct pair make_pair(int64_t id, const struct history_row *before,
    const struct kept *then, const struct history_row *after)
{
    struct pair x = {.id = id,
        .before = before != NULL       ? before->value[0]
                  : then->left_out > 0 ? MP_UNKNOWN
                                       : 0,
        .after = after,
        .live = after != NULL ? after->value[0] : 0};

    x.change = x.before != MP_UNKNOWN ? fabs((double)x.live - (double)x.before) : 0;
    return x;
}

/* Of all that are in either; what is gone now is known to be so if nothing was left out. */
static struct pair *make_pairs(
    const struct kept *then, const struct kept *now, size_t *ret_count)
{
    struct pair *pairs = must(calloc(then->count + now->count + 1, sizeof(*pairs)));
    size_t count = 0;

    for (size_t i = 0; i < now->count; i++) {
        const struct history_row *r = &now->rows[i];

        pairs[count++] =
            make_pair(r->id, history_find_row(then->rows, then->count, r->id), then, r);
    }
    for (size_t i = 0; i < then->count && now->left_out == 0; i++) {
        const struct history_row *r = &then->rows[i];

        if (history_find_row(now->rows, now->count, r->id) == NULL) {
            pairs[count++] = make_pair(r->id, r, then, NULL);
        }
    }
    *ret_count = count;
    return pairs;
}

static struct past_row *name_rows(
    sqlite3 *db, bool is_stacks, const struct pair *pairs, size_t count)
{
    struct past_row *rows = must(calloc(PAST_ROWS, sizeof(*rows)));
    sqlite3_stmt *s = history_prepare(
        db, is_stacks
                ? "SELECT text, frames FROM stacks JOIN names ON names.id = component "
                  "WHERE stacks.id = ?"
                : "SELECT text, '' FROM names WHERE id = ?");

    for (size_t i = 0; i < count; i++) {
        const struct history_row *r = pairs[i].after;

        if (s != NULL) {
            sqlite3_bind_int64(s, 1, pairs[i].id);
        }
        if (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
            take_text(s, 0, rows[i].component, sizeof(rows[i].component));
            take_lines(s, 1, rows[i].stack, sizeof(rows[i].stack));
        }
        rows[i].before = pairs[i].before;
        rows[i].after = rows[i].low = rows[i].high = pairs[i].live;
        if (r != NULL && is_stacks) {
            rows[i].low -= r->value[2] < rows[i].low ? r->value[2] : rows[i].low;
            rows[i].high += r->value[3];
        }
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
    return rows;
}

/* The largest now, and of the others those that changed most; together by what they hold now. */
static struct past_row *load_rows(
    const struct past *p, sqlite3 *db, bool is_stacks, size_t *ret_count)
{
    const char *column = is_stacks ? "sites" : "components";
    unsigned values = is_stacks ? SITE_VALUES : COMPONENT_VALUES;
    struct kept then = load_kept(p, db, false, column, values);
    struct kept now = load_kept(p, db, true, column, values);
    size_t count;
    struct pair *pairs = make_pairs(&then, &now, &count);
    struct past_row *rows;

    qsort(pairs, count, sizeof(*pairs), compare_live);
    if (count > PAST_ROWS) {
        qsort(
            pairs + PAST_LARGEST, count - PAST_LARGEST, sizeof(*pairs), compare_change);
        count = PAST_ROWS;
        qsort(pairs, count, sizeof(*pairs), compare_live);
    }
    rows = name_rows(db, is_stacks, pairs, count);
    *ret_count = count;
    free(pairs);
    free(then.rows);
    free(now.rows);
    return rows;
}

/* The growth is the last one that was found. */
static void load_verdicts(struct past *p, sqlite3 *db)
{
    sqlite3_stmt *s = history_prepare(db,
        "SELECT text, frames, verdict, min(first_s), max(v.last_s), bytes_per_hour "
        "FROM verdicts AS v JOIN stacks ON stacks.id = stack JOIN names ON names.id = "
        "component WHERE v.run = ?1 AND v.last_s >= ?2 AND first_s <= ?3 GROUP BY "
        "stack, verdict ORDER BY verdict = 'suspect', bytes_per_hour DESC");

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
    p->components = load_rows(p, db, false, &p->component_count);
    p->stacks = load_rows(p, db, true, &p->stack_count);
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
            p->points[p->point_count] = (struct past_point){time_s, m->live_bytes,
                m->live_high_bytes, m->resident_bytes, MP_UNKNOWN, 0, {{0}, 0, 0}};
            rss_parts_of_moment(m, &p->points[p->point_count++].parts);
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
