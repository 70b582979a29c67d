/*
 * alert_store - alerts in the history: table alerts
 *
 * Owns: the table: one row for each time that a rule waited or fired, with first and last moment,
 * so that the next look goes on where the last one was. Does not own: the file (history.h).
 */
#ifndef ALERT_STORE_H
#define ALERT_STORE_H

#include "alert_notice.h"

#include <sqlite3.h>

#define ALERT_STORE_TABLE                                                              \
    "CREATE TABLE IF NOT EXISTS alerts (run_id BLOB NOT NULL, name TEXT NOT NULL, "    \
    "first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, state TEXT NOT NULL, "       \
    "severity TEXT NOT NULL, told INTEGER NOT NULL, fired_ns INTEGER NOT NULL, "       \
    "resolved_ns INTEGER NOT NULL, value REAL, text TEXT NOT NULL, process TEXT NOT "  \
    "NULL, program TEXT NOT NULL, PRIMARY KEY (run_id, name, first_ns)) WITHOUT "      \
    "ROWID, STRICT;"

/* first_ns: when it went beyond its threshold, also of one that is resolved. Code of SQLite. */
int alert_store_put(sqlite3 *db, const struct alert_process *process,
    const struct mp_alert *alert, uint64_t first_ns);

/* A wait that came to nothing. */
int alert_store_drop(sqlite3 *db, const struct alert_process *process, const char *name,
    uint64_t first_ns);

/* What the last look left: waits, fires, and what was resolved an hour ago or later. */
void alert_store_restore(
    sqlite3 *db, const struct alert_process *process, mp_alerts_t *into);

/* What is older than 30 days goes, and all but the last 100 of a rule of a process. */
int alert_store_tidy(sqlite3 *db, int64_t now_s);

#endif
