/*
 * comparison_moment - what a process was earlier as one side of a comparison, out of the history
 *
 * Owns: which moment is meant by a time, and what is said when none is near it. Does not own: the
 * table of moments (moments.h), comparing (comparison.h).
 */
#ifndef COMPARISON_MOMENT_H
#define COMPARISON_MOMENT_H

#include "comparison.h"

#include <sqlite3.h>

/* What --since and since= take, for messages. */
#define COMPARISON_TIMES                                                               \
    "a time ago such as 30m, 24h or 7d, or a time such as 2026-01-31T12:00:00Z"

/* One of those; false: it is neither. Seconds of 1970. */
bool comparison_try_time(const char *text, int64_t now_s, int64_t *ret);

/*
 * Makes the kept moment of the image's run that is nearest to the time a side. EXIT_FINE, or an
 * exit code after a line: EXIT_NO_PROCESS when none is kept.
 */
int comparison_open_moment(const char *verb, struct comparison *c, unsigned side,
    sqlite3 *db, const mp_image_t *image, int64_t time_s);

#endif
