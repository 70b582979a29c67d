/*
 * api_sides - what a difference is between: a process now, and a baseline or itself a while before
 *
 * Owns: parameters baseline, label, since and seconds, waiting for the latter, and finding the
 * others in the history. Does not own: what is told of it (api_past.c, api_profile.c).
 */
#ifndef API_SIDES_H
#define API_SIDES_H

#include "../comparison.h"
#include "api_parts.h"

struct sides {
    const struct fleet_process *process; /* as it was when it was asked about */
    const struct fleet_process *later;   /* NULL: it is not waited for */
    const mp_image_t *before;            /* NULL: of the history, or nothing */
    const mp_image_t *after;
    const char *baseline; /* NULL: none */
    const char *label;    /* "": none */
    const char *since;    /* NULL: none; else since_s is what it means */
    int64_t since_s;
    uint64_t seconds; /* 0: none */
    char key[384];    /* of a cache: what of this makes a difference */
};

/* The process and the parameters. False: they are wrong, and that was answered. */
bool sides_ask(struct request *r, struct sides *ret);
bool sides_are_two(const struct sides *s);

/* Waits, if that was asked for. False: answered; else sides_release is due. */
bool sides_take(struct request *r, struct sides *s);
void sides_release(struct request *r, struct sides *s);

/* Whether side 0 is in the history. */
bool sides_are_kept(const struct sides *s);

/* That as side 0, if it is so. False: there is none, and `made` has the problem. */
bool sides_open_kept(const struct sides *s, struct comparison *c, struct made *made);

#endif
