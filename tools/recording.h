/*
 * recording - adds points to the history, and goes on when that is not possible for a while
 *
 * Owns: the open database of one who records, how often verdicts are made and old points thinned
 * out, how many moments are kept in a round (moments.h), and what becomes of a full disk (a pause, with a line), a damaged database (moved aside) and
 * one that somebody else writes to. Does not own: which processes, and when (verb_record.c, serve).
 *
 * One thread at a time.
 */
#ifndef RECORDING_H
#define RECORDING_H

#include <limits.h>
#include <mpstats.h>
#include <sqlite3.h>

struct recording {
    const char *verb; /* for messages */
    char path[PATH_MAX];
    sqlite3 *db;
    int64_t now_s;      /* of this round */
    int64_t verdicts_s; /* when they were made last */
    int64_t tidied_s;
    bool with_verdicts; /* in this round */
    size_t turn;        /* of this round: images so far */
    size_t turn_from;   /* the first that may have its moment kept */
    size_t turn_stop;   /* the first that had to wait; 0: none had */
    unsigned captures;  /* moments kept in this round */
    bool is_paused;
    uint64_t points;
    uint64_t pauses;
    uint64_t aside; /* databases moved */
    uint64_t begun; /* databases opened in place of one that was there before */
};

/* path: NULL for the usual one. EXIT_FINE, or an exit code after a line. */
int recording_open(struct recording *r, const char *verb, const char *path);
void recording_close(struct recording *r);

/*
 * When the file is no more where it was, goes on in the one that is, or a new one, with a line. Call
 * it before each round. False: it cannot go on, after a line.
 */
bool recording_follow(struct recording *r);

/* Around the points of one moment. False: it cannot go on, after a line. */
void recording_begin(struct recording *r, int64_t now_s);
bool recording_end(struct recording *r);

/*
 * A point of it. life: as mp_image_life says; *ret_ended: it has ended, and no more will come.
 * False: it cannot go on.
 */
bool recording_add(
    struct recording *r, const mp_image_t *image, enum mp_life life, bool *ret_ended);

#endif
