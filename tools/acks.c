#include "acks.h"

#include "cli.h"
#include "must.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WAIT_MS = 2000 };

struct acks {
    size_t count;
    size_t room;
    struct ack *all;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS acks (id TEXT PRIMARY KEY, until_s INTEGER NOT NULL, "
    "note TEXT NOT NULL, made_s INTEGER NOT NULL)";

/* ---- the file ---- */

/* False: it is nowhere, for there is no home. */
static bool find_path(char *ret, size_t size)
{
    const char *path = getenv("MPALLOC_HISTORY");
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length;

    if (path != NULL && path[0] != '\0') {
        length = snprintf(ret, size, "%s", path);
    } else if (state != NULL && state[0] == '/') {
        length = snprintf(ret, size, "%s/mpalloc/history.db", state);
    } else if (home != NULL && home[0] == '/') {
        length = snprintf(ret, size, "%s/.local/state/mpalloc/history.db", home);
    } else {
        return false;
    }
    return length > 0 && (size_t)length < size;
}

static void make_folders(char *path)
{
    for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(path, 0700); /* that it cannot be made shows when the file is */
        *at = '/';
    }
}

static int fail(const char *path, sqlite3 *db)
{
    int code = cli_fail("leaks", EXIT_FAILED, "the history %s: %s", path,
        db != NULL ? sqlite3_errmsg(db) : "no memory");

    sqlite3_close(db);
    return code;
}

/* ---- reading ---- */

static void take_row(struct acks *acks, sqlite3_stmt *s)
{
    const char *id = (const char *)sqlite3_column_text(s, 0);
    const char *note = (const char *)sqlite3_column_text(s, 2);
    struct ack *a;

    acks->all = must_grow(acks->all, acks->count, &acks->room, sizeof(*acks->all));
    a = &acks->all[acks->count++];
    snprintf(a->id, sizeof(a->id), "%s", id != NULL ? id : "");
    a->until_s = sqlite3_column_int64(s, 1);
    a->until_s = a->until_s < ACK_UNTIL_MOST ? a->until_s : INT64_MAX;
    mp_text_escape(
        a->note, sizeof(a->note), note != NULL ? note : "", note ? strlen(note) : 0);
}

const struct acks *acks_load(void)
{
    static struct acks acks;
    static bool is_loaded;
    sqlite3_stmt *s = NULL;
    sqlite3 *db = NULL;
    char path[PATH_MAX];
    struct stat st;

    if (is_loaded || !find_path(path, sizeof(path)) || stat(path, &st) != 0) {
        return &acks;
    }
    is_loaded = true;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK
        || sqlite3_busy_timeout(db, WAIT_MS) != SQLITE_OK
        || sqlite3_prepare_v2(db, "SELECT id, until_s, note FROM acks", -1, &s, NULL)
               != SQLITE_OK) {
        fail(path, db);
        return &acks;
    }
    while (sqlite3_step(s) == SQLITE_ROW) {
        take_row(&acks, s);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return &acks;
}

const struct ack *acks_find(const struct acks *acks, const char *id, int64_t now_s)
{
    for (size_t i = 0; i < acks->count; i++) {
        if (strcmp(acks->all[i].id, id) == 0 && acks->all[i].until_s > now_s) {
            return &acks->all[i];
        }
    }
    return NULL;
}

/* ---- writing ---- */

int acks_save(const char *id, int64_t until_s, const char *note)
{
    sqlite3_stmt *s = NULL;
    sqlite3 *db = NULL;
    char path[PATH_MAX];
    int code;

    if (!find_path(path, sizeof(path))) {
        return cli_fail("leaks", EXIT_FAILED,
            "there is no place for the history: set MPALLOC_HISTORY to a file");
    }
    make_folders(path);
    if (sqlite3_open(path, &db) != SQLITE_OK
        || sqlite3_busy_timeout(db, WAIT_MS) != SQLITE_OK
        || sqlite3_exec(db, schema, NULL, NULL, NULL) != SQLITE_OK
        || sqlite3_prepare_v2(db,
               "INSERT OR REPLACE INTO acks VALUES (?, ?, ?, strftime('%s'))", -1, &s,
               NULL)
               != SQLITE_OK) {
        return fail(path, db);
    }
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, until_s);
    sqlite3_bind_text(s, 3, note, -1, SQLITE_STATIC);
    code = sqlite3_step(s);
    sqlite3_finalize(s);
    if (code != SQLITE_DONE) {
        return fail(path, db);
    }
    sqlite3_close(db);
    return EXIT_FINE;
}
