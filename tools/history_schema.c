#include "history_schema.h"

#include "alert_store.h"
#include "history.h"
#include "history_rows.h"
#include "must.h"
#include "point.h"

#include <time.h>

/*
 * Times are seconds of 1970, bytes are bytes; *_total count since the start of the process. last_s
 * of names and stacks: when they were needed last, to a day. A verdict is one row from the first
 * time that it was said to the last.
 */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS acks (id TEXT PRIMARY KEY, until_s INTEGER NOT NULL, "
    "note TEXT NOT NULL, made_s INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, run_id BLOB NOT NULL "
    "UNIQUE, pid INTEGER NOT NULL, name TEXT NOT NULL, exe TEXT NOT NULL, build_id "
    "TEXT NOT NULL, started_s INTEGER NOT NULL, last_s INTEGER NOT NULL, state TEXT "
    "NOT NULL, limit_bytes INTEGER, stack_bytes INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE IF NOT EXISTS points (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, "
    "time_s INTEGER NOT NULL, tier INTEGER NOT NULL, live_bytes INTEGER NOT NULL, "
    "live_blocks INTEGER NOT NULL, live_high_bytes INTEGER NOT NULL, "
    "allocated_bytes_total INTEGER NOT NULL, allocated_blocks_total INTEGER NOT NULL, "
    "heap_bytes INTEGER NOT NULL, resident_bytes INTEGER, threads INTEGER NOT NULL) "
    "STRICT;"
    "CREATE UNIQUE INDEX IF NOT EXISTS points_by_time ON points (tier, run, time_s);"
    "CREATE TABLE IF NOT EXISTS parts (point INTEGER PRIMARY KEY, requested_bytes "
    "INTEGER, slack_bytes INTEGER, cached_bytes INTEGER, dirty_bytes INTEGER, "
    "metadata_bytes INTEGER, profiler_bytes INTEGER, difference_bytes INTEGER, "
    "other_bytes INTEGER, requested_low_bytes INTEGER, requested_high_bytes INTEGER) "
    "STRICT;"
    "CREATE TABLE IF NOT EXISTS names (id INTEGER PRIMARY KEY, text TEXT NOT NULL "
    "UNIQUE, last_s INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE IF NOT EXISTS stacks (id INTEGER PRIMARY KEY, key TEXT NOT NULL "
    "UNIQUE, component INTEGER NOT NULL, frames TEXT NOT NULL, last_s INTEGER NOT NULL "
    "DEFAULT 0, run INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE IF NOT EXISTS details (point INTEGER PRIMARY KEY, components BLOB "
    "NOT NULL, sites BLOB NOT NULL) STRICT;"
    "CREATE TABLE IF NOT EXISTS verdicts (run INTEGER NOT NULL, stack INTEGER NOT "
    "NULL, verdict TEXT NOT NULL, first_s INTEGER NOT NULL, last_s INTEGER NOT NULL, "
    "severity TEXT NOT NULL, bytes_per_hour REAL NOT NULL, bytes_per_hour_low REAL NOT "
    "NULL, bytes_per_hour_high REAL NOT NULL, PRIMARY KEY (run, stack, verdict, "
    "first_s)) WITHOUT ROWID, STRICT;"
    "CREATE TABLE IF NOT EXISTS baselines (id INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "label TEXT NOT NULL, build_id TEXT NOT NULL, program TEXT NOT NULL, "
    "made_s INTEGER NOT NULL, live_bytes INTEGER NOT NULL, region BLOB NOT NULL, "
    "names BLOB NOT NULL, UNIQUE (name, label, build_id)) STRICT;" ALERT_STORE_TABLE
    "CREATE TABLE IF NOT EXISTS moments (id INTEGER PRIMARY KEY, run_id BLOB NOT NULL, "
    "time_s INTEGER NOT NULL, live_bytes INTEGER NOT NULL, kept_bytes INTEGER NOT "
    "NULL, region BLOB NOT NULL) STRICT;"
    "CREATE INDEX IF NOT EXISTS moments_by_run ON moments (run_id, time_s);"
    "PRAGMA user_version = 2;";

/* What `work` does is there as a whole, or not at all: a reader beside sees no half of it. */
static int in_one(sqlite3 *db, int (*work)(sqlite3 *db))
{
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (code == SQLITE_OK) {
        code = work(db);
        if (code == SQLITE_OK) {
            code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        }
        if (code != SQLITE_OK) {
            sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        }
    }
    return code;
}

static int make_all(sqlite3 *db)
{
    return sqlite3_exec(db, schema, NULL, NULL, NULL);
}

int history_make_tables(sqlite3 *db)
{
    return in_one(db, make_all);
}

/* ---- from version 1 ---- */

/* Columns: id, and as many values; the most important first. For free(). */
static struct history_row *read_rows(
    sqlite3_stmt *s, int64_t point, unsigned values, size_t *ret_count)
{
    struct history_row *rows = NULL;
    size_t room = 0;

    *ret_count = 0;
    sqlite3_bind_int64(s, 1, point);
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct history_row *r;

        rows = must_grow(rows, *ret_count, &room, sizeof(*rows));
        r = &rows[(*ret_count)++];
        *r = (struct history_row){.id = sqlite3_column_int64(s, 0)};
        for (unsigned i = 0; i < values; i++) {
            int64_t value = sqlite3_column_int64(s, (int)i + 1);

            r->value[i] = value > 0 ? (uint64_t)value : 0;
        }
    }
    sqlite3_reset(s);
    return rows;
}

static void bind_packed(sqlite3_stmt *to, int at, sqlite3_stmt *from, int64_t point,
    unsigned values, unsigned char packed[POINT_ROWS_BYTES])
{
    size_t count;
    struct history_row *rows = read_rows(from, point, values, &count);
    size_t bytes = history_pack(rows, count, values, 0, packed, POINT_ROWS_BYTES);

    sqlite3_bind_blob(to, at, packed, (int)bytes, SQLITE_TRANSIENT);
    free(rows);
}

static int pack_points(sqlite3 *db)
{
    sqlite3_stmt *points = history_prepare(db, "SELECT id FROM points");
    sqlite3_stmt *put = history_prepare(db, "INSERT INTO details VALUES (?, ?, ?)");
    sqlite3_stmt *components = history_prepare(db,
        "SELECT name, live_bytes, live_blocks, allocated_bytes_total FROM "
        "components WHERE point = ? ORDER BY live_bytes DESC");
    sqlite3_stmt *sites = history_prepare(db,
        "SELECT stack, live_bytes, allocated_bytes_total, live_bytes - "
        "live_bytes_low, live_bytes_high - live_bytes FROM sites WHERE point = ? "
        "ORDER BY live_bytes DESC");
    bool is_ready =
        points != NULL && put != NULL && components != NULL && sites != NULL;
    int code = is_ready ? SQLITE_OK : sqlite3_errcode(db);

    while (code == SQLITE_OK && sqlite3_step(points) == SQLITE_ROW) {
        unsigned char packed[POINT_ROWS_BYTES];
        int64_t point = sqlite3_column_int64(points, 0);

        sqlite3_bind_int64(put, 1, point);
        bind_packed(put, 2, components, point, COMPONENT_VALUES, packed);
        bind_packed(put, 3, sites, point, SITE_VALUES, packed);
        code = sqlite3_step(put) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
        sqlite3_reset(put);
    }
    sqlite3_finalize(points);
    sqlite3_finalize(put);
    sqlite3_finalize(components);
    sqlite3_finalize(sites);
    return code;
}

static int from_1(sqlite3 *db)
{
    static const char before[] =
        "ALTER TABLE verdicts RENAME TO verdicts_1;"
        "ALTER TABLE names ADD COLUMN last_s INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE stacks ADD COLUMN last_s INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE stacks ADD COLUMN run INTEGER NOT NULL DEFAULT 0;"
        "UPDATE names SET last_s = unixepoch();"
        "UPDATE stacks SET last_s = unixepoch();";
    static const char after[] =
        "INSERT INTO verdicts SELECT run, stack, verdict, (SELECT min(time_s) FROM "
        "verdicts_1 AS w JOIN points AS q ON q.id = w.point WHERE q.run = p.run AND "
        "w.stack = v.stack AND w.verdict = v.verdict), max(time_s), severity, "
        "bytes_per_hour, bytes_per_hour_low, bytes_per_hour_high FROM verdicts_1 AS v "
        "JOIN points AS p ON p.id = v.point GROUP BY run, stack, verdict;"
        "DROP TABLE verdicts_1; DROP TABLE components; DROP TABLE sites;";
    sqlite3_stmt *s = history_prepare(db, "PRAGMA user_version");
    bool is_old =
        s != NULL && sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0) == 1;
    int code;

    sqlite3_finalize(s);
    if (!is_old) {
        return SQLITE_OK; /* another has done it meanwhile */
    }
    code = sqlite3_exec(db, before, NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = make_all(db);
    }
    if (code == SQLITE_OK) {
        code = pack_points(db);
    }
    return code == SQLITE_OK ? sqlite3_exec(db, after, NULL, NULL, NULL) : code;
}

int history_upgrade(sqlite3 *db)
{
    return in_one(db, from_1);
}
