/*
 * report_past - mpalloc report --since and --forecast: what a process was, and where it goes
 *
 * Owns: where that is looked for, in the history or in the region's own timeline. Does not own: what
 * is said of it (past.h).
 */
#ifndef REPORT_PAST_H
#define REPORT_PAST_H

#include "cli.h"
#include "past.h"

/* "90s", "30m", "24h", "7d": seconds. The process ends with a line for anything else. */
int64_t report_parse_since(const char *text);

/* The same; false for anything else. */
bool report_try_since(const char *text, int64_t *ret);

/*
 * Of that very run: what was recorded, else what the image itself knows. False: neither knows
 * anything. For past_fini in any case. Ends the process without memory.
 */
bool report_past_of(
    struct past *past, const mp_image_t *image, int64_t since_s, int64_t now_s);

enum past_format { PAST_TEXT, PAST_MARKDOWN, PAST_HTML };

/* since_s: 0 for a forecast alone, of a day. Returns an exit code. */
int report_past(const struct common *common, char **words, int64_t since_s,
    bool with_forecast, enum past_format format, const char *path);

#endif
