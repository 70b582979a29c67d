/*
 * fleet - the processes that mpalloc serve watches
 *
 * Owns: finding them (live, newly started, dead), the image of each, and how old it may be. Does
 * not own: what is said about them. Reads regions only; the watched processes notice nothing.
 *
 * Threads: a fleet may be used by many. What is held does not change, and lives until it is
 * released, also when the process is gone meanwhile.
 */
#ifndef FLEET_H
#define FLEET_H

#include <mpstats.h>

#include <limits.h>

struct fleet;

struct fleet_options {
    size_t directory_count;         /* 0: that of the user; root: those of all users */
    const char *const *directories; /* copied */
    uint64_t only_pid; /* this process and none besides (run --serve); 0: all */
    unsigned dead_s; /* how long those that ended are shown; 0: while they are there */
};

struct fleet_process {
    char id[64]; /* "PID-STARTTIME", as the region is named: fit for an address */
    char path[PATH_MAX];
    char name[128]; /* service, fit to print */
    uint64_t pid;
    uint64_t uid;
    enum mp_life life;
    mp_image_t *image; /* NULL: it cannot be read, and error says why */
    char error[320];
    struct mp_proc kernel; /* what the kernel says; MP_UNKNOWN where it does not */
    struct mp_pressure pressure; /* of an image; made with it */
    uint64_t read_ns;            /* CLOCK_REALTIME when all this was read */
};

/* In the order of ids. */
struct fleet_list {
    uint64_t
        serial; /* of a later list: higher, so that a slow reader knows he is late */
    size_t count;
    const struct fleet_process *const *at;
};

/* 0, or a negative errno after a line in *error. */
int fleet_create(
    const struct fleet_options *options, struct fleet **ret, struct mp_error *error);
void fleet_destroy(struct fleet *fleet); /* nothing may be held */

/* All of them; figures are at most `most_age_ms` old. Never NULL: ends the process without memory. */
const struct fleet_list *fleet_hold(struct fleet *fleet, unsigned most_age_ms);
void fleet_release(struct fleet *fleet, const struct fleet_list *list);

/* One, by its id, or by its PID or name when there is one of them; NULL: there is none. */
const struct fleet_process *fleet_hold_one(
    struct fleet *fleet, const char *id, unsigned most_age_ms);
void fleet_release_one(struct fleet *fleet, const struct fleet_process *process);

#endif
