/*
 * history_points - what processes were, point by point: tables runs, points, parts, details,
 * stacks, verdicts and names of the history
 *
 * Owns: for how long points are kept, and that this is bounded: every 10 s for an hour, every minute
 * for a day, every 10 minutes for 30 days, and no more bytes of each, and of names of stacks, than
 * make 50 MiB of a process. Does not own: the file (history.h), what a point is (point.h), how
 * components and stacks are packed (history_rows.h).
 *
 * Who records more often than every 10 s has all points of the last 10 minutes.
 *
 * Times are given, so that a clock can be simulated. Codes are those of SQLite; after an error
 * nothing of the call is in the database.
 */
#ifndef HISTORY_POINTS_H
#define HISTORY_POINTS_H

#include "point.h"

#include <sqlite3.h>

/* One more point; one of the same process and second is replaced. */
int history_add_point(sqlite3 *db, const struct point *p, int64_t now_s);

/* Whether there is a point of it after its end: nothing new will come. */
bool history_knows_end(sqlite3 *db, const mp_image_t *image);

/* Thins out what got old and removes what is no use any more. About once a minute. */
int history_tidy(sqlite3 *db, int64_t now_s);

#endif
