/*
 * moments - whole captures of processes, to compare later moments with: a table of the history
 *
 * Owns: which moments are kept, how long, and how much of them: of each run at first one a minute,
 * of an old one every ten; all of two hours, the last of each hour for a day, of each day for
 * 30 days; of a run 12 MiB, those within an hour go first, but for the last one; of all runs together
 * 256 MiB, the oldest go first. Names of functions are looked up when
 * a moment is used, in the files that are there then. Does not own: the file (history.h), when to
 * look (recording.h), baselines, which people keep by name (baselines.h).
 *
 * Times are given, so that a clock can be simulated. Codes are those of SQLite; after an error
 * nothing of the call is in the database. Ends the process without memory.
 */
#ifndef MOMENTS_H
#define MOMENTS_H

#include <mpstats.h>
#include <sqlite3.h>

struct moment {
    int64_t id;
    int64_t time_s;
    uint64_t live_bytes;
    uint64_t kept_bytes; /* what it takes in the database */
};

/* Whether the last one of the run is old enough for another. */
bool moment_is_due(sqlite3 *db, const mp_image_t *image, int64_t now_s);

/* Keeps the region that the image is of, as it is now; none if it cannot be read, or ended. */
int moment_add(sqlite3 *db, const mp_image_t *image, int64_t now_s);

/* Removes what is too old, or too much. */
int moments_tidy(sqlite3 *db, int64_t now_s);

/* Of the run of the image, the oldest first, for free(). */
struct moment *moment_list(sqlite3 *db, const mp_image_t *image, size_t *ret_count);

/* The nearest to the time, of the run of the image. False: none is kept. */
bool moment_find(
    sqlite3 *db, const mp_image_t *image, int64_t time_s, struct moment *ret);

/* Its image, of the caller. EXIT_FINE, or an exit code after a line. */
int moment_load(
    const char *verb, sqlite3 *db, const struct moment *m, mp_image_t **ret);

#endif
