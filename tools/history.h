/*
 * history - the database of what was: SQLite, one file for all processes of a user
 *
 * Owns: the file, $MPALLOC_HISTORY, else $XDG_STATE_HOME/mpalloc/history.db, else
 * ~/.local/state/mpalloc/history.db; its version and tables, and what becomes of one that cannot be
 * used: a damaged or newer one is moved aside, never deleted; one of an older mpalloc is made as it is
 * now, also by who only reads it; a file that was none is left alone. Does not own: what is in the
 * tables (history_schema.h, acks.h, history_points.h, baselines.h, moments.h).
 *
 * It is written ahead (WAL): a writer that is killed leaves all that it committed.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* False: it is nowhere, for there is no home. */
bool history_find_path(char *ret, size_t size);

enum history_mode {
    HISTORY_READ,
    HISTORY_WRITE, /* made if it is not there; moved aside, with a line, if it is no use */
    HISTORY_CHECK, /* the same, and looked through for damage: takes 1 s for 1 GiB */
};

/*
 * path: NULL for the usual one. EXIT_FINE, or an exit code after a line "mpalloc VERB: …";
 * EXIT_NO_PROCESS when there is none to read, EXIT_DAMAGED when the one to read is no use.
 */
int history_open(
    const char *verb, const char *path, enum history_mode mode, sqlite3 **ret);

/* Moves aside one that turned out damaged while it was in use, and closes it. */
int history_put_aside(const char *verb, const char *path, sqlite3 *db);

/* Also of statements that were not finalized; NULL does nothing. */
void history_close(sqlite3 *db);

/* False also of an empty file, which one leaves that was killed as it began: there is nothing in it. */
bool history_is_there(const char *path);

/* Whether its file is no more where it was opened: moved, deleted, or replaced by another. */
bool history_has_moved(sqlite3 *db);

/* "the history PATH: what SQLite says"; returns EXIT_FAILED. */
int history_fail(const char *verb, sqlite3 *db);

/* A statement; NULL after an error. The values of '?' are then bound in order. */
sqlite3_stmt *history_prepare(sqlite3 *db, const char *sql);

/* Whether what SQLite says is want of room, or a device that fails: it may pass. */
bool history_is_full(int code);
bool history_is_damaged(int code);

#endif
