#include "history_points.h"

#include "history.h"
#include "history_rows.h"
#include "must.h"
#include "site_names.h"
#include "stack_id.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DAY_S = 86400,
    STACK_BYTES = 2048,                /* of one, as text: more is cut */
    STACK_ROW_BYTES = 128,             /* of one, besides */
    RUN_STACK_BYTES = 4 * 1024 * 1024, /* of all of a run: later ones are left out */
    UNUSED_S = 3600,                   /* between looks for rows that nothing needs */
    STEP_S = 10,                       /* points nearer to each other stay so long: */
    STEPS_S = 600,
    EPISODE_S = 1200, /* a verdict that is said again so soon was never gone */
    EPISODES = 16,    /* as often it is told that one came and went, the last times */
};

/* Points of tier i become those of tier i + 1, one in so many seconds, when they are so old. */
static const struct {
    int64_t step_s;
    int64_t keep_s;
} tiers[] = {{STEP_S, 3600}, {60, DAY_S}, {600, 30 * DAY_S}};

enum { TIERS = sizeof(tiers) / sizeof(tiers[0]) };

/* ---- writing ---- */

/* Statements of one transaction: the first error ends all that follow. */
struct writer {
    sqlite3 *db;
    int code; /* SQLITE_OK so far */
};

/* Of this connection, if it was prepared before; history_close ends it. */
static sqlite3_stmt *find_prepared(sqlite3 *db, const char *sql)
{
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s != NULL;
         s = sqlite3_next_stmt(db, s)) {
        if (strcmp(sqlite3_sql(s), sql) == 0 && !sqlite3_stmt_busy(s)) {
            return s;
        }
    }
    return NULL;
}

static sqlite3_stmt *begin(struct writer *w, const char *sql)
{
    sqlite3_stmt *s = w->code == SQLITE_OK ? find_prepared(w->db, sql) : NULL;

    if (s == NULL && w->code == SQLITE_OK) {
        w->code =
            sqlite3_prepare_v3(w->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);
    }
    return s;
}

static void bind_bytes(sqlite3_stmt *s, int at, uint64_t value)
{
    if (value == MP_UNKNOWN) {
        sqlite3_bind_null(s, at);
    } else {
        sqlite3_bind_int64(s, at, value > INT64_MAX ? INT64_MAX : (int64_t)value);
    }
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    char escaped[4096];

    mp_text_escape(escaped, sizeof(escaped), text, strlen(text));
    sqlite3_bind_text(s, at, escaped, -1, SQLITE_TRANSIENT);
}

/* Runs it; the integer of its first row, 0 without one. */
static int64_t finish(struct writer *w, sqlite3_stmt *s)
{
    int64_t value = 0;
    int step = w->code == SQLITE_OK ? sqlite3_step(s) : w->code;

    if (step == SQLITE_ROW) {
        value = sqlite3_column_int64(s, 0);
    } else if (step != SQLITE_DONE) {
        w->code = step;
    }
    if (s != NULL) {
        sqlite3_reset(s);
        sqlite3_clear_bindings(s);
    }
    return value;
}

/*
 * Ids of texts: looked up, else added. That one is needed is noted once a day: to tell which are
 * not, points would have to be unpacked.
 */
static int64_t name_id(struct writer *w, const char *text, int64_t now_s)
{
    sqlite3_stmt *s = begin(w, "SELECT id FROM names WHERE text = ? AND last_s > ?");
    int64_t id;

    bind_text(s, 1, text);
    sqlite3_bind_int64(s, 2, now_s - DAY_S);
    id = finish(w, s);
    if (id == 0) {
        s = begin(w, "INSERT INTO names (text, last_s) VALUES (?, ?) ON CONFLICT "
                     "(text) DO UPDATE SET last_s = excluded.last_s RETURNING id");
        bind_text(s, 1, text);
        sqlite3_bind_int64(s, 2, now_s);
        id = finish(w, s);
    }
    return id;
}

static void hex(char *ret, const uint8_t *bytes, size_t count)
{
    ret[0] = '\0';
    for (size_t i = 0; i < count && i < MP_REGION_BUILD_ID_BYTES; i++) {
        snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
    }
}

static int64_t run_id(struct writer *w, const struct point *p, int64_t now_s)
{
    const struct mp_region_process *r = mp_image_process(p->image);
    char build[2 * MP_REGION_BUILD_ID_BYTES + 1];
    sqlite3_stmt *s = begin(w,
        "INSERT INTO runs (run_id, pid, name, exe, build_id, started_s, last_s, state, "
        "limit_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run_id) DO "
        "UPDATE SET "
        "last_s = excluded.last_s, state = excluded.state, limit_bytes = "
        "excluded.limit_bytes RETURNING id");

    hex(build, r->build_id, (size_t)r->build_id_bytes);
    sqlite3_bind_blob(s, 1, r->run_id, sizeof(r->run_id), SQLITE_STATIC);
    bind_bytes(s, 2, r->pid);
    bind_text(s, 3, r->service);
    bind_text(s, 4, r->exe);
    bind_text(s, 5, build);
    sqlite3_bind_int64(s, 6, (int64_t)(r->started_ns / 1000000000u));
    sqlite3_bind_int64(s, 7, now_s);
    bind_text(s, 8, mp_life_name(p->life));
    bind_bytes(s, 9, p->limit_bytes);
    return finish(w, s);
}

static int64_t add_point(
    struct writer *w, const struct point *p, int64_t run, int64_t now_s)
{
    const struct mp_region_totals *t = mp_image_totals(p->image);
    size_t moments = mp_image_moment_count(p->image, 0);
    uint64_t high = t->live_bytes;
    sqlite3_stmt *s;

    /* The highest of the last seconds, which a look every 10 s would miss. */
    for (size_t i = moments > 10 ? moments - 10 : 0; i < moments; i++) {
        const struct mp_region_moment *m = mp_image_moment(p->image, 0, i);

        if (m->time_ns / 1000000000u + 10 >= (uint64_t)now_s
            && m->live_high_bytes > high) {
            high = m->live_high_bytes;
        }
    }
    s = begin(w, "INSERT INTO points (run, time_s, tier, live_bytes, live_blocks, "
                 "live_high_bytes, "
                 "allocated_bytes_total, allocated_blocks_total, heap_bytes, "
                 "resident_bytes, threads) "
                 "VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id");
    sqlite3_bind_int64(s, 1, run);
    sqlite3_bind_int64(s, 2, now_s);
    bind_bytes(s, 3, t->live_bytes);
    bind_bytes(s, 4, t->live_blocks);
    bind_bytes(s, 5, high);
    bind_bytes(s, 6, t->allocated_bytes_total);
    bind_bytes(s, 7, t->allocated_blocks_total);
    bind_bytes(s, 8, t->resident_bytes);
    bind_bytes(s, 9, p->resident_bytes);
    bind_bytes(s, 10, t->threads);
    return finish(w, s);
}

/* "malloc_user file.c:12\nmain file.c:40", cut. */
static void stack_text(struct site_names *names, uint32_t frame, char ret[STACK_BYTES])
{
    struct mp_line line[SITE_LINES_MAX];
    size_t depth = site_names_stack(names, frame, line);
    size_t at = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < depth && at + 1 < STACK_BYTES; i++) {
        int n = line[i].file != NULL
                    ? snprintf(ret + at, STACK_BYTES - at, "%s%s  %s:%u",
                        i > 0 ? "\n" : "", line[i].function, line[i].file, line[i].line)
                    : snprintf(ret + at, STACK_BYTES - at, "%s%s", i > 0 ? "\n" : "",
                        line[i].function);

        at += n > 0 ? (size_t)n : 0;
    }
}

/* ---- parts ---- */

static void bind_part(sqlite3_stmt *s, int at, int64_t value)
{
    if (value == RSS_UNKNOWN) {
        sqlite3_bind_null(s, at);
    } else {
        sqlite3_bind_int64(s, at, value);
    }
}

static void add_parts(struct writer *w, const struct point *p, int64_t point)
{
    sqlite3_stmt *s =
        begin(w, "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

    sqlite3_bind_int64(s, 1, point);
    for (int i = 0; i < RSS_PARTS; i++) {
        bind_part(s, i + 2, p->parts.bytes[i]);
    }
    bind_bytes(s, RSS_PARTS + 2, p->parts.requested_low);
    bind_bytes(s, RSS_PARTS + 3, p->parts.requested_high);
    finish(w, s);
}

/* ---- stacks ---- */

/* Names are looked for only of stacks that are new. */
struct stacks_of_run {
    const mp_image_t *image;
    int64_t run;
    int64_t now_s;
    struct site_names *names;
};

static int64_t new_stack(struct writer *w, struct stacks_of_run *r, const char *key,
    int64_t component, uint32_t frame)
{
    char text[STACK_BYTES] = "";
    sqlite3_stmt *s = begin(w, "SELECT stack_bytes FROM runs WHERE id = ?");

    sqlite3_bind_int64(s, 1, r->run);
    if (finish(w, s) >= RUN_STACK_BYTES) {
        return 0;
    }
    if (r->names == NULL) {
        r->names = site_names_create(r->image);
    }
    stack_text(r->names, frame, text);
    s = begin(w, "UPDATE runs SET stack_bytes = stack_bytes + ? WHERE id = ?");
    sqlite3_bind_int64(s, 1, (int64_t)strlen(text) + STACK_ROW_BYTES);
    sqlite3_bind_int64(s, 2, r->run);
    finish(w, s);
    s = begin(w, "INSERT INTO stacks (key, component, frames, last_s, run) VALUES (?, "
                 "?, ?, ?, ?) RETURNING id");
    sqlite3_bind_text(s, 1, key, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, 2, component);
    sqlite3_bind_text(s, 3, text, -1, SQLITE_TRANSIENT); /* lines, each fit to print */
    sqlite3_bind_int64(s, 4, r->now_s);
    sqlite3_bind_int64(s, 5, r->run);
    return finish(w, s);
}

/* 0: the run has too many. */
static int64_t stack_row(
    struct writer *w, struct stacks_of_run *r, uint32_t component, uint32_t frame)
{
    char key[STACK_ID_BYTES];
    sqlite3_stmt *s = begin(w, "SELECT id FROM stacks WHERE key = ? AND last_s > ?");
    int64_t name;
    int64_t id;

    stack_id(r->image, component, frame, key);
    sqlite3_bind_text(s, 1, key, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, 2, r->now_s - DAY_S);
    id = finish(w, s);
    if (id != 0) {
        return id;
    }
    name = name_id(w, mp_image_component(r->image, component)->name, r->now_s);
    s = begin(w, "UPDATE stacks SET last_s = ? WHERE key = ? RETURNING id");
    sqlite3_bind_int64(s, 1, r->now_s);
    sqlite3_bind_text(s, 2, key, -1, SQLITE_TRANSIENT);
    id = finish(w, s);
    return id != 0 ? id : new_stack(w, r, key, name, frame);
}

/* ---- components and sites ---- */

/* The name of a component that stands in two rows: their sum. */
static void merge_row(struct history_row *rows, size_t *count, unsigned values,
    const struct history_row *more)
{
    size_t i = 0;

    while (i < *count && rows[i].id != more->id) {
        i++;
    }
    if (i == *count) {
        rows[(*count)++] = *more;
        return;
    }
    for (unsigned k = 0; k < values; k++) {
        rows[i].value[k] += more->value[k];
    }
}

static uint64_t whole(double value)
{
    return value > 0 ? (uint64_t)value : 0;
}

static size_t component_rows(struct writer *w, const struct point *p, int64_t now_s,
    unsigned char packed[POINT_COMPONENT_BYTES])
{
    struct history_row rows[POINT_COMPONENTS];
    size_t count = 0;

    for (size_t i = 0; i < p->component_count; i++) {
        const struct point_component *c = &p->components[i];
        struct history_row r = {
            .id = name_id(w, mp_image_component(p->image, c->row)->name, now_s),
            .value = {c->live_bytes, c->live_blocks, c->allocated_bytes}};

        merge_row(rows, &count, COMPONENT_VALUES, &r);
    }
    return history_pack(rows, count, COMPONENT_VALUES, p->components_left_out, packed,
        POINT_COMPONENT_BYTES);
}

static size_t site_rows(struct writer *w, const struct point *p,
    struct stacks_of_run *r, unsigned char packed[POINT_SITE_BYTES])
{
    struct history_row rows[POINT_SITES];
    size_t left_out = p->sites_left_out;
    size_t count = 0;

    for (size_t i = 0; i < p->site_count; i++) {
        const struct point_site *t = &p->sites[i];
        struct history_row row = {.id = stack_row(w, r, t->component, t->frame),
            .value = {whole(t->live), whole(t->allocated),
                whole(fmin(t->below, t->live)), whole(t->above)}};

        if (row.id > 0) {
            merge_row(rows, &count, SITE_VALUES, &row);
        }
        left_out += row.id <= 0;
    }
    return history_pack(rows, count, SITE_VALUES, left_out, packed, POINT_SITE_BYTES);
}

static void add_details(
    struct writer *w, const struct point *p, struct stacks_of_run *r, int64_t point)
{
    unsigned char components[POINT_COMPONENT_BYTES];
    unsigned char sites[POINT_SITE_BYTES];
    size_t component_bytes = component_rows(w, p, r->now_s, components);
    size_t site_bytes = site_rows(w, p, r, sites);
    sqlite3_stmt *s = begin(w, "INSERT INTO details VALUES (?, ?, ?)");

    sqlite3_bind_int64(s, 1, point);
    sqlite3_bind_blob(s, 2, components, (int)component_bytes, SQLITE_TRANSIENT);
    sqlite3_bind_blob(s, 3, sites, (int)site_bytes, SQLITE_TRANSIENT);
    finish(w, s);
}

/* ---- verdicts ---- */

static void bind_verdict(
    sqlite3_stmt *s, int64_t run, int64_t stack, const struct point_verdict *v)
{
    sqlite3_bind_int64(s, 1, run);
    sqlite3_bind_int64(s, 2, stack);
    bind_text(s, 3, mp_verdict_name(v->kind));
    bind_text(s, 4, mp_severity_name(v->severity));
    sqlite3_bind_double(s, 5, v->bytes_per_hour.value);
    sqlite3_bind_double(s, 6, v->bytes_per_hour.low);
    sqlite3_bind_double(s, 7, v->bytes_per_hour.high);
}

/* One that was said before, and not long ago, goes on. */
static void add_verdicts(
    struct writer *w, const struct point *p, struct stacks_of_run *r)
{
    for (size_t i = 0; i < p->verdict_count; i++) {
        const struct point_verdict *v = &p->verdicts[i];
        int64_t stack = stack_row(w, r, v->component, v->frame);
        sqlite3_stmt *s;

        if (stack <= 0) {
            continue;
        }
        s = begin(w,
            "UPDATE verdicts SET last_s = ?8, severity = ?4, bytes_per_hour = "
            "?5, bytes_per_hour_low = ?6, bytes_per_hour_high = ?7 WHERE run = "
            "?1 AND stack = ?2 AND verdict = ?3 AND first_s = (SELECT "
            "max(first_s) FROM verdicts WHERE run = ?1 AND stack = ?2 AND "
            "verdict = ?3) AND last_s >= ?9 AND first_s <= ?8 RETURNING 1");
        bind_verdict(s, r->run, stack, v);
        sqlite3_bind_int64(s, 8, r->now_s);
        sqlite3_bind_int64(s, 9, r->now_s - EPISODE_S);
        if (finish(w, s) == 1) {
            continue;
        }
        s = begin(w, "INSERT OR REPLACE INTO verdicts VALUES (?1, ?2, ?3, ?8, ?8, ?4, "
                     "?5, ?6, ?7)");
        bind_verdict(s, r->run, stack, v);
        sqlite3_bind_int64(s, 8, r->now_s);
        finish(w, s);
    }
}

/* All of it, or nothing. */
static int end(struct writer *w)
{
    finish(w, begin(w, "COMMIT"));
    if (w->code != SQLITE_OK && sqlite3_get_autocommit(w->db) == 0) {
        sqlite3_exec(w->db, "ROLLBACK", NULL, NULL, NULL);
    }
    return w->code;
}

static void remove_points(struct writer *w, const char *which, int64_t a, int64_t b)
{
    static const char *const tables[] = {"parts", "details"};
    char sql[512];
    sqlite3_stmt *s;

    for (unsigned i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        snprintf(sql, sizeof(sql),
            "DELETE FROM %s WHERE point IN (SELECT id FROM points WHERE %s)", tables[i],
            which);
        s = begin(w, sql);
        sqlite3_bind_int64(s, 1, a);
        sqlite3_bind_int64(s, 2, b);
        finish(w, s);
    }
    snprintf(sql, sizeof(sql), "DELETE FROM points WHERE %s", which);
    s = begin(w, sql);
    sqlite3_bind_int64(s, 1, a);
    sqlite3_bind_int64(s, 2, b);
    finish(w, s);
}

int history_add_point(sqlite3 *db, const struct point *p, int64_t now_s)
{
    struct writer w = {db, SQLITE_OK};
    struct stacks_of_run r = {.image = p->image, .now_s = now_s};
    int64_t point;

    finish(&w, begin(&w, "BEGIN IMMEDIATE"));
    r.run = run_id(&w, p, now_s);
    remove_points(&w, "run = ? AND tier = 0 AND time_s = ?", r.run, now_s);
    point = add_point(&w, p, r.run, now_s);
    add_parts(&w, p, point);
    add_details(&w, p, &r, point);
    add_verdicts(&w, p, &r);
    site_names_destroy(r.names);
    return end(&w);
}

bool history_knows_end(sqlite3 *db, const mp_image_t *image)
{
    struct writer w = {db, SQLITE_OK};
    sqlite3_stmt *s = begin(&w, "SELECT 1 FROM runs WHERE run_id = ? AND state NOT IN "
                                "('running', 'elsewhere')");

    sqlite3_bind_blob(s, 1, mp_image_process(image)->run_id, 16, SQLITE_STATIC);
    return finish(&w, s) == 1;
}

/* ---- thinning out ---- */

/* So that the index finds the old ones of each run, and does not go through all. */
#define OF_RUNS "run IN (SELECT id FROM runs) AND "

/*
 * What got too old for its tier: the last of each step goes on to the next, with the highest of all
 * of them; the others go. Steps that are not over yet wait.
 */
static void thin(struct writer *w, unsigned tier, int64_t now_s)
{
    int64_t step = tiers[tier + 1].step_s;
    int64_t until = (now_s - tiers[tier].keep_s) / step * step;
    sqlite3_stmt *s = begin(w,
        "UPDATE OR REPLACE points SET tier = ?1 + 1, live_high_bytes = (SELECT "
        "max(live_high_bytes) FROM points AS o WHERE o.run = points.run AND o.tier = "
        "?1 AND o.time_s BETWEEN points.time_s / ?2 * ?2 AND points.time_s) WHERE id "
        "IN (SELECT id FROM (SELECT id, max(time_s) FROM points WHERE tier = ?1 "
        "AND " OF_RUNS "time_s < ?3 GROUP BY run, time_s / ?2))");

    sqlite3_bind_int64(s, 1, tier);
    sqlite3_bind_int64(s, 2, step);
    sqlite3_bind_int64(s, 3, until);
    finish(w, s);
    remove_points(w, "tier = ? AND " OF_RUNS "time_s < ?", tier, until);
}

/* Points of who records more often than there are steps in the first tier: the last of each. */
static void thin_first(struct writer *w, int64_t now_s)
{
    int64_t until = (now_s - STEPS_S) / STEP_S * STEP_S;
    sqlite3_stmt *s = begin(w,
        "UPDATE points SET live_high_bytes = (SELECT max(live_high_bytes) FROM points "
        "AS o WHERE o.run = points.run AND o.tier = 0 AND o.time_s BETWEEN "
        "points.time_s / ?2 * ?2 AND points.time_s) WHERE id IN (SELECT id FROM "
        "(SELECT id, max(time_s) FROM points WHERE tier = 0 AND " OF_RUNS
        "time_s < ?1 GROUP BY run, time_s / ?2 HAVING count(*) > 1))");

    sqlite3_bind_int64(s, 1, until);
    sqlite3_bind_int64(s, 2, STEP_S);
    finish(w, s);
    remove_points(w,
        "tier = 0 AND " OF_RUNS
        "time_s < ?1 AND id NOT IN (SELECT id FROM (SELECT id, max(time_s) FROM points "
        "WHERE tier = 0 AND " OF_RUNS "time_s < ?1 GROUP BY run, time_s / ?2))",
        until, STEP_S);
}

/* Takes a look at all of it: once an hour, and at the first time. */
static void remove_unused(struct writer *w, int64_t now_s)
{
    static _Atomic int64_t last_s = INT64_MIN / 2;
    /* Later than the last point that may need them; names later than stacks, which need them. */
    int64_t old_s = now_s - tiers[TIERS - 1].keep_s;
    const struct {
        const char *sql;
        int64_t value;
    } unused[] = {
        {"DELETE FROM runs WHERE id NOT IN (SELECT run FROM points) AND ? > 0", 1},
        {"DELETE FROM parts WHERE point NOT IN (SELECT id FROM points) AND ? > 0", 1},
        {"DELETE FROM details WHERE point NOT IN (SELECT id FROM points) AND ? > 0", 1},
        {"DELETE FROM verdicts WHERE last_s < ?", old_s},
        {"DELETE FROM verdicts WHERE run NOT IN (SELECT id FROM runs) AND ? > 0", 1},
        {"DELETE FROM verdicts AS a WHERE (SELECT count(*) FROM verdicts AS b WHERE "
         "b.run = a.run AND b.stack = a.stack AND b.verdict = a.verdict AND b.first_s "
         "> a.first_s) >= ?",
            EPISODES},
        {"DELETE FROM stacks WHERE last_s < ?", old_s - 2 * DAY_S},
        {"DELETE FROM names WHERE last_s < ?", old_s - 4 * DAY_S},
        {"UPDATE runs SET stack_bytes = coalesce((SELECT sum(length(frames) + ?) FROM "
         "stacks WHERE run = runs.id), 0) WHERE stack_bytes > 0",
            STACK_ROW_BYTES},
    };

    if (now_s >= last_s && now_s - last_s < UNUSED_S) {
        return;
    }
    last_s = now_s;
    for (unsigned i = 0; i < sizeof(unused) / sizeof(*unused); i++) {
        sqlite3_stmt *s = begin(w, unused[i].sql);

        sqlite3_bind_int64(s, 1, unused[i].value);
        finish(w, s);
    }
}

int history_tidy(sqlite3 *db, int64_t now_s)
{
    struct writer w = {db, SQLITE_OK};

    finish(&w, begin(&w, "BEGIN IMMEDIATE"));
    thin_first(&w, now_s);
    for (unsigned tier = TIERS - 1; tier > 0; tier--) {
        thin(&w, tier - 1, now_s);
    }
    remove_points(&w, "tier = ? AND " OF_RUNS "time_s < ?", TIERS - 1,
        now_s - tiers[TIERS - 1].keep_s);
    remove_unused(&w, now_s);
    end(&w);
    if (w.code == SQLITE_OK) {
        sqlite3_exec(db, "PRAGMA incremental_vacuum(1000)", NULL, NULL, NULL);
    }
    return w.code;
}
