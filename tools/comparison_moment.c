#include "comparison_moment.h"

#include "cli.h"
#include "format.h"
#include "moments.h"
#include "report_past.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* "2026-01-31T12:00:00Z", also with "+01:00" at its end, in which a "+" may be a blank. */
static bool try_date(const char *text, int64_t *ret)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    unsigned hours = 0;
    unsigned minutes = 0;
    int64_t sign = 0;
    int used = 0;

    if (end == NULL) {
        return false;
    }
    if (end[0] == '.' && end[1] >= '0' && end[1] <= '9') {
        end += 1 + strspn(end + 1, "0123456789");
    }
    if (strcmp(end, "Z") != 0) {
        sign = end[0] == '-' ? -1 : end[0] == '+' || end[0] == ' ' ? 1 : 0;
        if (sign == 0 || sscanf(end + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2
            || used != 5 || end[6] != '\0') {
            return false;
        }
    }
    *ret = (int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60);
    return true;
}

bool comparison_try_time(const char *text, int64_t now_s, int64_t *ret)
{
    int64_t ago_s;

    if (report_try_since(text, &ago_s)) {
        *ret = now_s - ago_s;
        return true;
    }
    return try_date(text, ret);
}

int comparison_open_moment(const char *verb, struct comparison *c, unsigned side,
    sqlite3 *db, const mp_image_t *image, int64_t time_s)
{
    struct moment m;
    mp_image_t *found;
    char label[80];
    int code;

    if (!moment_find(db, image, time_s, &m)) {
        return cli_fail(verb, EXIT_NO_PROCESS,
            "the history has no moment of this process yet (mpalloc serve and mpalloc "
            "record keep them)");
    }
    code = moment_load(verb, db, &m, &found);
    if (code == EXIT_FINE) {
        snprintf(label, sizeof(label), "what it was at %s",
            format_time((uint64_t)m.time_s * 1000000000u).text);
        comparison_set_side(c, side, label, found, NULL);
        c->asked_s = time_s;
        c->found_s = m.time_s;
    }
    return code;
}
