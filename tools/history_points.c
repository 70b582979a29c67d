#include "history_points.h"

#include "history.h"
#include "must.h"
#include "site_names.h"
#include "stack_id.h"
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STACK_BYTES = 2048,                /* of one, as text: more is cut */
    RUN_STACK_BYTES = 8 * 1024 * 1024, /* of all of a run: later ones have no name */
    UNUSED_S = 3600,                   /* between looks for rows that nothing needs */
};

/* Points of tier i become those of tier i + 1, one in so many seconds, when they are so old. */
static const struct {
    int64_t step_s;
    int64_t keep_s;
} tiers[] = {{10, 3600}, {60, 86400}, {600, 30 * 86400}};

enum { TIERS = sizeof(tiers) / sizeof(tiers[0]) };

/* ---- sites ---- */

struct member {
    uint32_t frame;
    uint32_t component;
    uint32_t class_number;
    uint32_t site;
};

static int compare_members(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct member));
}

static int compare_sites(const void *a, const void *b)
{
    const struct point_site *x = a;
    const struct point_site *y = b;

    return (x->live < y->live) - (x->live > y->live);
}

static void add_figures(struct point_site *s, const struct mp_figures *f)
{
    s->live += (double)f->value[MP_LIVE_BYTES];
    s->below =
        hypot(s->below, (double)(f->value[MP_LIVE_BYTES] - f->low[MP_LIVE_BYTES]));
    s->above =
        hypot(s->above, (double)(f->high[MP_LIVE_BYTES] - f->value[MP_LIVE_BYTES]));
    s->allocated += (double)f->value[MP_ALLOCATED_BYTES];
}

/* By stack in a component, all sizes; then the largest. */
static void take_sites(struct point *p, const mp_image_t *image)
{
    size_t count = mp_image_site_count(image);
    struct member *all = must(calloc(count + 1, sizeof(*all)));
    uint32_t *group = must(calloc(count + 1, sizeof(*group)));
    struct point_site *sites = must(calloc(count + 1, sizeof(*sites)));
    mp_estimates_t *estimates;
    uint32_t groups = 0;
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct mp_region_site *t = mp_image_site(image, i);

        group[i] = UINT32_MAX;
        if (i > 0 && t->allocated_samples > 0) {
            all[used++] = (struct member){
                stack_first(image, t->frame), t->component, t->class_number, i};
        }
    }
    qsort(all, used, sizeof(*all), compare_members);
    for (size_t i = 0; i < used; i++) {
        groups += i == 0 || memcmp(&all[i], &all[i - 1], 3 * sizeof(uint32_t)) != 0;
        group[all[i].site] = groups - 1;
    }
    if (mp_estimates_make(image, group, groups, &estimates) != 0) {
        must(NULL);
    }
    count = 0;
    for (size_t i = 0; i < used; i++) {
        if (i == 0 || memcmp(&all[i], &all[i - 1], 2 * sizeof(uint32_t)) != 0) {
            sites[count++] = (struct point_site){
                .frame = all[i].frame, .component = all[i].component};
        }
        if (i == 0 || group[all[i].site] != group[all[i - 1].site]) {
            add_figures(
                &sites[count - 1], mp_estimates_group(estimates, group[all[i].site]));
        }
    }
    qsort(sites, count, sizeof(*sites), compare_sites);
    p->site_count = count < POINT_SITES ? count : POINT_SITES;
    memcpy(p->sites, sites, p->site_count * sizeof(*sites));
    mp_estimates_free(estimates);
    free(all);
    free(group);
    free(sites);
}

/* ---- the rest of a point ---- */

static int compare_components(const void *a, const void *b)
{
    const struct point_component *x = a;
    const struct point_component *y = b;

    return (x->live_bytes < y->live_bytes) - (x->live_bytes > y->live_bytes);
}

static void take_components(struct point *p, const mp_image_t *image)
{
    size_t count = mp_image_component_count(image);
    struct point_component *all = must(calloc(count + 1, sizeof(*all)));
    size_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        if (c->allocated_blocks_total > 0) {
            all[used++] = (struct point_component){
                i, c->live_bytes, c->live_blocks, c->allocated_bytes_total};
        }
    }
    qsort(all, used, sizeof(*all), compare_components);
    p->component_count = used < POINT_COMPONENTS ? used : POINT_COMPONENTS;
    memcpy(p->components, all, p->component_count * sizeof(*all));
    free(all);
}

static void take_verdicts(struct point *p, const mp_image_t *image)
{
    mp_verdicts_t *verdicts;

    if (mp_verdicts_make(image, NULL, &verdicts) != 0) {
        must(NULL);
    }
    for (size_t i = 0;
         i < mp_verdicts_count(verdicts) && p->verdict_count < POINT_VERDICTS; i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);

        if (v->kind <= MP_VERDICT_SUSPECT) {
            p->verdicts[p->verdict_count++] = (struct point_verdict){
                v->frame, v->component, v->kind, v->severity, v->bytes_per_hour};
        }
    }
    mp_verdicts_free(verdicts);
}

void point_take(
    struct point *p, const mp_image_t *image, enum mp_life life, bool with_verdicts)
{
    const char *source;

    *p = (struct point){.image = image,
        .life = life,
        .resident_bytes = MP_UNKNOWN,
        .limit_bytes = view_limit(image, &source)};
    if (life == MP_LIFE_RUNNING) {
        p->resident_bytes = mp_proc_resident(mp_image_process(image)->pid);
    }
    take_components(p, image);
    take_sites(p, image);
    if (with_verdicts) {
        take_verdicts(p, image);
    }
}

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

/* Ids of texts: looked up, else added. */
static int64_t name_id(struct writer *w, const char *text)
{
    sqlite3_stmt *s = begin(w, "SELECT id FROM names WHERE text = ?");
    int64_t id;

    bind_text(s, 1, text);
    id = finish(w, s);
    if (id == 0) {
        s = begin(w, "INSERT INTO names (text) VALUES (?) RETURNING id");
        bind_text(s, 1, text);
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

/* Names are looked for only of stacks that are new. */
struct stacks_of_run {
    const mp_image_t *image;
    int64_t run;
    struct site_names *names;
};

static int64_t stack_row(
    struct writer *w, struct stacks_of_run *r, uint32_t component, uint32_t frame)
{
    char key[STACK_ID_BYTES];
    char text[STACK_BYTES] = "";
    sqlite3_stmt *s = begin(w, "SELECT id FROM stacks WHERE key = ?");
    int64_t id;

    stack_id(r->image, component, frame, key);
    sqlite3_bind_text(s, 1, key, -1, SQLITE_TRANSIENT);
    id = finish(w, s);
    if (id != 0) {
        return id;
    }
    s = begin(w, "SELECT stack_bytes FROM runs WHERE id = ?");
    sqlite3_bind_int64(s, 1, r->run);
    if (finish(w, s) < RUN_STACK_BYTES) {
        if (r->names == NULL) {
            r->names = site_names_create(r->image);
        }
        stack_text(r->names, frame, text);
        s = begin(w, "UPDATE runs SET stack_bytes = stack_bytes + ? WHERE id = ?");
        sqlite3_bind_int64(s, 1, (int64_t)strlen(text) + 64);
        sqlite3_bind_int64(s, 2, r->run);
        finish(w, s);
    }
    id = name_id(w, mp_image_component(r->image, component)->name);
    s = begin(
        w, "INSERT INTO stacks (key, component, frames) VALUES (?, ?, ?) RETURNING id");
    sqlite3_bind_text(s, 1, key, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s, 2, id);
    sqlite3_bind_text(s, 3, text, -1, SQLITE_TRANSIENT);
    return finish(w, s);
}

static void add_components(struct writer *w, const struct point *p, int64_t point)
{
    for (size_t i = 0; i < p->component_count; i++) {
        const struct point_component *c = &p->components[i];
        int64_t name = name_id(w, mp_image_component(p->image, c->row)->name);
        sqlite3_stmt *s =
            begin(w, "INSERT OR REPLACE INTO components VALUES (?, ?, ?, ?, ?)");

        sqlite3_bind_int64(s, 1, point);
        sqlite3_bind_int64(s, 2, name);
        bind_bytes(s, 3, c->live_bytes);
        bind_bytes(s, 4, c->live_blocks);
        bind_bytes(s, 5, c->allocated_bytes);
        finish(w, s);
    }
}

static void add_sites(
    struct writer *w, const struct point *p, struct stacks_of_run *r, int64_t point)
{
    for (size_t i = 0; i < p->site_count; i++) {
        const struct point_site *t = &p->sites[i];
        int64_t stack = stack_row(w, r, t->component, t->frame);
        sqlite3_stmt *s =
            begin(w, "INSERT OR REPLACE INTO sites VALUES (?, ?, ?, ?, ?, ?)");

        sqlite3_bind_int64(s, 1, point);
        sqlite3_bind_int64(s, 2, stack);
        sqlite3_bind_int64(s, 3, (int64_t)t->live);
        sqlite3_bind_int64(s, 4, (int64_t)fmax(t->live - t->below, 0));
        sqlite3_bind_int64(s, 5, (int64_t)(t->live + t->above));
        sqlite3_bind_int64(s, 6, (int64_t)t->allocated);
        finish(w, s);
    }
    for (size_t i = 0; i < p->verdict_count; i++) {
        const struct point_verdict *v = &p->verdicts[i];
        int64_t stack = stack_row(w, r, v->component, v->frame);
        sqlite3_stmt *s =
            begin(w, "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?)");

        sqlite3_bind_int64(s, 1, point);
        sqlite3_bind_int64(s, 2, stack);
        bind_text(s, 3, mp_verdict_name(v->kind));
        bind_text(s, 4, mp_severity_name(v->severity));
        sqlite3_bind_double(s, 5, v->bytes_per_hour.value);
        sqlite3_bind_double(s, 6, v->bytes_per_hour.low);
        sqlite3_bind_double(s, 7, v->bytes_per_hour.high);
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
    static const char *const tables[] = {"components", "sites", "verdicts"};
    char sql[256];
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
    struct stacks_of_run r = {.image = p->image};
    int64_t point;

    finish(&w, begin(&w, "BEGIN IMMEDIATE"));
    r.run = run_id(&w, p, now_s);
    remove_points(&w, "run = ? AND tier = 0 AND time_s = ?", r.run, now_s);
    point = add_point(&w, p, r.run, now_s);
    add_components(&w, p, point);
    add_sites(&w, p, &r, point);
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
        "?1 "
        "AND o.time_s BETWEEN points.time_s / ?2 * ?2 AND points.time_s) WHERE id IN "
        "(SELECT id FROM (SELECT id, max(time_s) FROM points WHERE tier = ?1 AND "
        "time_s < ?3 GROUP BY run, time_s / ?2))");

    sqlite3_bind_int64(s, 1, tier);
    sqlite3_bind_int64(s, 2, step);
    sqlite3_bind_int64(s, 3, until);
    finish(w, s);
    remove_points(w, "tier = ? AND time_s < ?", tier, until);
}

/* Takes a look at all of it: once an hour, and at the first time. */
static void remove_unused(struct writer *w, int64_t now_s)
{
    static _Atomic int64_t last_s = INT64_MIN / 2;
    static const char *const unused[] = {
        "DELETE FROM runs WHERE id NOT IN (SELECT run FROM points)",
        "DELETE FROM stacks WHERE id NOT IN (SELECT stack FROM sites) AND id NOT IN "
        "(SELECT "
        "stack FROM verdicts)",
        "DELETE FROM names WHERE id NOT IN (SELECT name FROM components) AND id NOT IN "
        "(SELECT "
        "component FROM stacks)",
    };

    if (now_s >= last_s && now_s - last_s < UNUSED_S) {
        return;
    }
    last_s = now_s;
    for (unsigned i = 0; i < sizeof(unused) / sizeof(*unused); i++) {
        finish(w, begin(w, unused[i]));
    }
}

int history_tidy(sqlite3 *db, int64_t now_s)
{
    struct writer w = {db, SQLITE_OK};

    finish(&w, begin(&w, "BEGIN IMMEDIATE"));
    for (unsigned tier = TIERS - 1; tier > 0; tier--) {
        thin(&w, tier - 1, now_s);
    }
    remove_points(
        &w, "tier = ? AND time_s < ?", TIERS - 1, now_s - tiers[TIERS - 1].keep_s);
    remove_unused(&w, now_s);
    end(&w);
    if (w.code == SQLITE_OK) {
        sqlite3_exec(db, "PRAGMA incremental_vacuum(1000)", NULL, NULL, NULL);
    }
    return w.code;
}
