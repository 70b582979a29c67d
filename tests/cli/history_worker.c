/*
 * history_worker - a month of history on a simulated clock
 *
 *     history_worker DATABASE EVERY SECONDS REGION...
 *
 * Adds a point every so many seconds, of the regions in turn, with verdicts every minute and alerts
 * that come and go, and cleans up every minute, as mpalloc record and serve do. SECONDS 0: for 30.5
 * days, and for two days more. EVERY 0: only as often as points are kept at either end, which leaves
 * the same database as if it were always 10. Prints what the file has after the month, in the end, and
 * at the most, with its journal. With MOMENTS in the environment whole captures are kept, too,
 * four a day.
 */
#include "alert_store.h"
#include "cli.h"
#include "history.h"
#include "history_points.h"
#include "moments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    POINTS_MAX = 64,
    BEGIN_S = 1692000000, /* past: reports end now */
    MINUTE_S = 60,
    DAY_S = 86400,
    MONTH_S = 61 * DAY_S / 2
};

/* The verbs are in main.c. */
const struct verb *verb_find(const char *name)
{
    (void)name;
    return NULL;
}

static long long size_of(const char *path, const char *suffix)
{
    char name[4096];
    struct stat st;

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return stat(name, &st) == 0 ? (long long)st.st_size : 0;
}

/* Every rule fires, and is resolved: once in ten minutes a row that is new. */
static int put_alerts(sqlite3 *db, const mp_image_t *image, int64_t now_s)
{
    size_t count;
    const struct mp_alert_rule *rules = mp_alert_rules(MP_PRESET_PRODUCTION, &count);
    struct alert_process who;
    uint64_t first_s = (uint64_t)(now_s / 600 * 600);
    int code = SQLITE_OK;

    alert_process_make(&who, image);
    for (size_t i = 0; i < count && code == SQLITE_OK; i++) {
        struct mp_alert a = {.rule = &rules[i],
            .state = MP_ALERT_RESOLVED,
            .severity = rules[i].severity,
            .fired_ns = first_s * 1000000000u,
            .seen_ns = (uint64_t)now_s * 1000000000u,
            .value = NAN};

        memset(a.text, 'x', 200);
        code = alert_store_put(db, &who, &a, first_s * 1000000000u);
    }
    return code == SQLITE_OK && now_s % (6 * 3600) < MINUTE_S
               ? alert_store_tidy(db, now_s)
               : code;
}

/* To the next point, of who has to fill all tiers by an end. */
static int64_t step_to(int64_t left_s)
{
    return left_s > 25 * 3600 ? 600 : left_s > 2 * 3600 ? MINUTE_S : 10;
}

int main(int argc, char **argv)
{
    static struct point points[POINTS_MAX];
    int64_t every_s = atoi(argv[2]);
    bool with_moments = getenv("MOMENTS") != NULL;
    int64_t given_s = atoi(argv[3]);
    int64_t month_s = given_s > 0 ? given_s : MONTH_S;
    int64_t end_s = given_s > 0 ? given_s : MONTH_S + 2 * DAY_S;
    int64_t verdicts_s = -MINUTE_S;
    long long month = 0;
    long long most = 0;
    int64_t number = 0;
    int count = 0;
    sqlite3 *db;

    if (history_open("worker", argv[1], HISTORY_WRITE, &db) != 0) {
        return 1;
    }
    for (; count + 4 < argc && count < POINTS_MAX; count++) {
        mp_image_t *image;

        if (mp_image_open(argv[count + 4], &image, NULL) != 0) {
            return 1;
        }
        point_take(&points[count], image, mp_image_life(image), true);
    }
    fprintf(stderr,
        "%zu components and %zu more, %zu stacks and %zu more, %zu verdicts\n",
        points[0].component_count, points[0].components_left_out, points[0].site_count,
        points[0].sites_left_out, points[0].verdict_count);
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    for (int64_t s = 0; s < end_s;) {
        struct point *p = &points[number++ % count];
        size_t verdicts = p->verdict_count;
        bool is_minute = s - verdicts_s >= MINUTE_S;
        long long size;
        int code;

        verdicts_s = is_minute ? s : verdicts_s;
        p->verdict_count = is_minute ? verdicts : 0;
        code = history_add_point(db, p, BEGIN_S + s);
        p->verdict_count = verdicts;
        if (code == SQLITE_OK && is_minute && s % 600 < MINUTE_S) {
            code = put_alerts(db, p->image, BEGIN_S + s);
        }
        if (code == SQLITE_OK && with_moments && s % (6 * 3600) < 600
            && moment_is_due(db, p->image, BEGIN_S + s)) {
            code = moment_add(db, p->image, BEGIN_S + s);
        }
        if (code == SQLITE_OK && is_minute) {
            code = history_tidy(db, BEGIN_S + s);
        }
        if (code == SQLITE_OK && is_minute && with_moments) {
            code = moments_tidy(db, BEGIN_S + s);
        }
        if (code != SQLITE_OK) {
            fprintf(stderr, "%s\n", sqlite3_errmsg(db));
            return 1;
        }
        size = size_of(argv[1], "") + size_of(argv[1], "-wal");
        most = size > most ? size : most;
        month = s < month_s ? size_of(argv[1], "") : month;
        s += every_s > 0 ? every_s : step_to(s < month_s ? month_s - s : end_s - s);
    }
    printf("{\"month\": %lld, \"end\": %lld, \"most\": %lld}\n", month,
        size_of(argv[1], ""), most);
    history_close(db);
    return 0;
}
