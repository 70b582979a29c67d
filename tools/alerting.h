/*
 * alerting - the alerts of processes: looks at them, keeps what was in the history, and tells
 *
 * Owns: an engine (mpstats/alerts.h), the facts of each process (leaks with what was acknowledged,
 * the baseline, points of the history), and table alerts. Does not own: which processes there are,
 * the database's file, how alerts look.
 *
 * One thread at a time.
 */
#ifndef ALERTING_H
#define ALERTING_H

#include "alert_notice.h"
#include "alert_sinks.h"

#include <sqlite3.h>

struct alerting;

struct alerting_options {
    const struct config *config; /* outlives it */
    sqlite3 *db;                 /* the history; NULL: none */
    bool keeps;                  /* writes to it */
    sink_post_fn *post; /* the sinks of the configuration are told; NULL: nobody */
    bool is_quick;      /* what takes long, leaks and efficiency, is left out */
    unsigned slow_ms;   /* else it is looked for so often */
};

/* Ends the process without memory, as all of this. */
struct alerting *alerting_create(const struct alerting_options *options);

/* Sinks may take so long to deliver what waits. NULL does nothing. */
void alerting_destroy(struct alerting *a, unsigned patience_ms);

/*
 * A round: begin, a look at each process, end. Processes that were not looked at in a round have
 * ended: what fires of them is resolved, and they are forgotten. kernel: NULL: it is read;
 * pressure: NULL: it is made.
 */
void alerting_begin(struct alerting *a);
void alerting_look(struct alerting *a, const mp_image_t *image,
    const struct mp_proc *kernel, const struct mp_pressure *pressure, uint64_t now_ns);
void alerting_end(struct alerting *a, uint64_t now_ns);

/* What happened in the last round: what fired, got worse or was resolved; they live until the next. */
const struct alert_notice *alerting_events(const struct alerting *a, size_t *ret_count);

/* Alerts now, the worst first: those that fire, wait, or were resolved; all: also the others. For
 * free(). */
struct alert_notice *alerting_list(
    const struct alerting *a, bool all, size_t *ret_count);

/* Another configuration; what waits and fires goes on, by the names of rules. */
void alerting_reload(struct alerting *a, const struct config *config);

/* Another history; what waits and fires is kept in it from the next look on. NULL: none. */
void alerting_set_history(struct alerting *a, sqlite3 *db);

/* The sinks, for their counts; NULL: it tells nobody. */
struct alert_sinks *alerting_sinks(struct alerting *a);

#endif
