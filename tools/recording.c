#include "recording.h"

#include "cli.h"
#include "history.h"
#include "history_points.h"
#include "moments.h"

#include <stdio.h>

/* CAPTURES: moments kept in one round, so that it stays short; others have their turn next. */
enum { VERDICTS_EVERY_S = 60, TIDY_EVERY_S = 60, CAPTURES = 4 };

int recording_open(struct recording *r, const char *verb, const char *path)
{
    int code;

    *r = (struct recording){.verb = verb};
    code = history_open(verb, path, HISTORY_CHECK, &r->db);
    if (code == EXIT_FINE) {
        snprintf(r->path, sizeof(r->path), "%s", sqlite3_db_filename(r->db, "main"));
    }
    return code;
}

void recording_close(struct recording *r)
{
    history_close(r->db);
    r->db = NULL;
}

static void say_full(struct recording *r)
{
    if (!r->is_paused) {
        r->pauses++;
        fprintf(stderr, "mpalloc %s: recording pauses: %s: %s\n", r->verb, r->path,
            sqlite3_errmsg(r->db));
    }
    r->is_paused = true;
}

static void say_resumed(struct recording *r)
{
    if (r->is_paused) {
        fprintf(stderr, "mpalloc %s: recording resumes\n", r->verb);
    }
    r->is_paused = false;
}

static bool open_anew(struct recording *r)
{
    r->begun++;
    return history_open(r->verb, r->path, HISTORY_WRITE, &r->db) == EXIT_FINE;
}

bool recording_follow(struct recording *r)
{
    if (!history_has_moved(r->db)) {
        return true;
    }
    fprintf(stderr, "mpalloc %s: the history %s was moved: a new one is begun\n",
        r->verb, r->path);
    recording_close(r); /* what is ahead of a file that was moved stays with it */
    return open_anew(r);
}

/* False: it cannot go on. */
static bool settle(struct recording *r, int code)
{
    if (code == SQLITE_OK) {
        say_resumed(r);
        return true;
    }
    if (history_is_full(code) || (code & 0xff) == SQLITE_BUSY) {
        say_full(r);
        return true;
    }
    if (history_is_damaged(code)) {
        sqlite3 *damaged = r->db;

        r->aside++;
        r->db = NULL; /* it is closed, even where its file cannot be put aside */
        return history_put_aside(r->verb, r->path, damaged) == EXIT_FINE
               && open_anew(r);
    }
    history_fail(r->verb, r->db);
    return false;
}

void recording_begin(struct recording *r, int64_t now_s)
{
    r->now_s = now_s;
    r->with_verdicts = now_s - r->verdicts_s >= VERDICTS_EVERY_S;
    if (r->with_verdicts) {
        r->verdicts_s = now_s;
    }
    r->turn_from = r->turn_stop;
    r->turn = 0;
    r->turn_stop = 0;
    r->captures = 0;
}

/* Whoever had to wait is the first in the next round. SQLITE_OK, or what went wrong. */
static int keep_moment(struct recording *r, const mp_image_t *image)
{
    size_t turn = r->turn++;

    if (turn < r->turn_from || r->turn_stop > 0
        || !moment_is_due(r->db, image, r->now_s)) {
        return SQLITE_OK;
    }
    if (r->captures == CAPTURES) {
        r->turn_stop = turn;
        return SQLITE_OK;
    }
    r->captures++;
    return moment_add(r->db, image, r->now_s);
}

bool recording_add(
    struct recording *r, const mp_image_t *image, enum mp_life life, bool *ret_ended)
{
    struct point point;
    int code;

    *ret_ended = life != MP_LIFE_RUNNING && life != MP_LIFE_ELSEWHERE;
    if (*ret_ended && history_knows_end(r->db, image)) {
        return true;
    }
    point_take(&point, image, life, r->with_verdicts);
    code = history_add_point(r->db, &point, r->now_s);
    r->points += code == SQLITE_OK;
    if (code == SQLITE_OK && !*ret_ended) {
        code = keep_moment(r, image);
    }
    *ret_ended &= code == SQLITE_OK; /* its last point is still to be kept */
    return settle(r, code);
}

bool recording_end(struct recording *r)
{
    int code;

    if (r->is_paused || r->now_s - r->tidied_s < TIDY_EVERY_S) {
        return true;
    }
    r->tidied_s = r->now_s;
    code = history_tidy(r->db, r->now_s);
    return settle(r, code == SQLITE_OK ? moments_tidy(r->db, r->now_s) : code);
}
