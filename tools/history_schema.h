/*
 * history_schema - the tables of the history, and how those of an older mpalloc become these
 *
 * Owns: their columns, the version of the file. Does not own: the file (history.h), the rows
 * (acks.h, alert_store.h, baselines.h, history_points.h).
 */
#ifndef HISTORY_SCHEMA_H
#define HISTORY_SCHEMA_H

#include <sqlite3.h>

/* 1: a row for each component and stack of each point. 2: packed, history_rows.h; parts. */
enum { HISTORY_VERSION = 2 };

/* Makes those that are not there, all or none. Code of SQLite. */
int history_make_tables(sqlite3 *db);

/*
 * From version 1: all points, components, stacks and verdicts are kept. After an error the file is
 * as it was. Code of SQLite; SQLITE_OK of one that is up to date, too. Ends the tool without
 * memory.
 */
int history_upgrade(sqlite3 *db);

#endif
