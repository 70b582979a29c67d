/*
 * history_worker - a month of history on a simulated clock
 *
 *     history_worker DATABASE DAYS EVERY REGION...
 *
 * Adds a point every so many seconds, of the regions in turn, and cleans up every minute, as
 * mpalloc record does. Prints the largest size that the database had, with its journal.
 */
#include "cli.h"
#include "history.h"
#include "history_points.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { POINTS_MAX = 64, BEGIN_S = 1800000000 };

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

int main(int argc, char **argv)
{
    static struct point points[POINTS_MAX];
    int64_t seconds = (int64_t)(atof(argv[2]) * 86400);
    int64_t every_s = atoi(argv[3]);
    long long most = 0;
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
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    for (int64_t s = 0; s < seconds; s += every_s) {
        struct point *p = &points[s / every_s % count];
        size_t verdicts = p->verdict_count;
        int code;

        p->verdict_count = s % 60 == 0 ? verdicts : 0;
        code = history_add_point(db, p, BEGIN_S + s);
        p->verdict_count = verdicts;
        if (code == SQLITE_OK && s % 60 == 0) {
            code = history_tidy(db, BEGIN_S + s);
        }
        if (code != SQLITE_OK) {
            fprintf(stderr, "%s\n", sqlite3_errmsg(db));
            return 1;
        }
        if (s % 3600 == 0) {
            long long size = size_of(argv[1], "") + size_of(argv[1], "-wal");

            most = size > most ? size : most;
        }
    }
    printf("%lld\n", most);
    history_close(db);
    return 0;
}
