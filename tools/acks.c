#include "acks.h"

#include "cli.h"
#include "history.h"
#include "must.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct acks {
    size_t count;
    size_t room;
    struct ack *all;
};

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

struct acks *acks_load(void)
{
    struct acks *acks = must(calloc(1, sizeof(*acks)));
    sqlite3_stmt *s = NULL;
    sqlite3 *db = NULL;
    char path[PATH_MAX];

    if (!history_find_path(path, sizeof(path)) || !history_is_there(path)
        || history_open("leaks", path, HISTORY_READ, &db) != EXIT_FINE) {
        return acks;
    }
    s = history_prepare(db, "SELECT id, until_s, note FROM acks");
    if (s == NULL) {
        history_fail("leaks", db);
    }
    while (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
        take_row(acks, s);
    }
    sqlite3_finalize(s);
    history_close(db);
    return acks;
}

void acks_free(struct acks *acks)
{
    if (acks != NULL) {
        free(acks->all);
        free(acks);
    }
}

int64_t acks_state(sqlite3 *db)
{
    sqlite3_stmt *s = history_prepare(db,
        "SELECT count(*) + total(made_s) + 3 * total(min(until_s, 1e11)) FROM acks");
    int64_t state = 0;

    if (s != NULL && sqlite3_step(s) == SQLITE_ROW) {
        state = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    return state;
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
    int code = history_open("leaks", NULL, HISTORY_WRITE, &db);

    if (code != EXIT_FINE) {
        return code;
    }
    s = history_prepare(
        db, "INSERT OR REPLACE INTO acks VALUES (?, ?, ?, strftime('%s'))");
    sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, until_s);
    sqlite3_bind_text(s, 3, note, -1, SQLITE_STATIC);
    if (s == NULL || sqlite3_step(s) != SQLITE_DONE) {
        code = history_fail("leaks", db);
    }
    sqlite3_finalize(s);
    history_close(db);
    return code;
}
