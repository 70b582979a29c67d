/*
 * insights - verdicts, advice, efficiency and drift of all processes, for metrics
 *
 * Owns: a thread that makes them, one process after the other, and what it made last. They cost
 * about 0.2 ms for each call stack, so each is made anew when it is `every_s` old, and the thread
 * takes at most 1 % of a processor, but for the first of each process; it rests while nobody
 * asks. Also what must be remembered of a process from scrape to scrape: which components have
 * series of their own, which leaks were counted, and that it ran, so that its end is counted.
 * Does not own: the processes (fleet.h).
 */
#ifndef INSIGHTS_H
#define INSIGHTS_H

#include "../metric_walk.h"
#include "fleet.h"

struct insights;

struct insights_options {
    unsigned every_s;         /* 0: 60 */
    unsigned sites;           /* series of call stacks for each process; 0: none */
    const char *history_path; /* of baselines and acknowledged leaks; NULL: the usual */
    /* Around what is not made for several threads: names of functions. NULL: nothing. */
    void (*lock)(void *arg, bool is_locked);
    void *lock_arg;
};

/* 0, or a negative errno. The options are copied; texts live as long as it does. */
int insights_create(
    struct fleet *fleet, const struct insights_options *options, struct insights **ret);
void insights_destroy(struct insights *i);

/* ---- while a list of the fleet is written; one thread at a time ---- */

struct insights_ends {
    uint64_t exited;
    uint64_t died;
    uint64_t replaced;
};

struct insights_cost {
    uint64_t made_total;
    uint64_t ns_total;
};

/* Takes note of who is there, and keeps the rest of what is asked for until insights_unlock. */
void insights_lock(struct insights *i, const struct fleet_list *list);
void insights_unlock(struct insights *i);

/* Of a process of the list; *ret_rows never NULL. NULL: nothing was made yet. */
const struct metric_insight *insights_find(
    struct insights *i, const char *id, struct metric_rows **ret_rows);

/* Alerts of that process; NULL: none began to fire. */
const struct metric_alerts *insights_find_alerts(struct insights *i, const char *id);

/* One began to fire; any thread, not between lock and unlock. */
void insights_note_alert(
    struct insights *i, const char *id, const char *rule, enum mp_severity severity);

/* ---- from any thread, without the lock ---- */

/*
 * The same for who sends them elsewhere: a copy of what was made last of a process that was in a
 * list. False: nothing yet. Asking keeps them being made.
 */
bool insights_copy(struct insights *i, const char *id, struct metric_insight *ret);

struct insights_ends insights_count_ends(const struct insights *i);
struct insights_cost insights_find_cost(const struct insights *i);

#endif
