/*
 * serve - what the parts of mpalloc serve share
 *
 * Owns: the fleet, the options in force, the server, and its own cost. Made before the first
 * request and there until the last one is answered.
 *
 * Handlers run on several threads at once. What the tools keep in static data (names of functions,
 * debuginfod, the history's messages) is not made for that: take serve_lock_names around it.
 */
#ifndef SERVE_H
#define SERVE_H

#include "fleet.h"
#include "http.h"

#include <stdatomic.h>

struct config; /* ../configuration.h */

enum { SERVE_SOCKETS = 8 };

struct metrics_options; /* metrics.h */

struct serve_options {
    size_t listen_count;
    const char *listen[SERVE_SOCKETS]; /* "ADDR:PORT" */
    const char *unix_path;             /* NULL: none */
    const char *token_file;
    const char *certificate;
    const char *key;
    bool allow_actions;
    size_t host_count;
    const char *const *hosts;
    struct fleet_options fleet;
    unsigned
        interval_ms; /* how old figures may be at most, and how often the page is told */
    const char *history_path;              /* NULL: the usual one */
    bool history;                          /* whether points are added to it */
    const struct metrics_options *metrics; /* NULL: as usual */
    const struct config *config; /* the rest of what the file says; NULL: nothing */
};

/* Of this server itself; counters since its start. */
struct serve_cost {
    _Atomic uint64_t requests_total;
    _Atomic uint64_t refused_total; /* 4xx */
    _Atomic uint64_t failed_total;  /* 5xx */
    _Atomic uint64_t request_ns_total;
    _Atomic uint64_t connections_total;
    _Atomic uint64_t connections_ended_total; /* too slow, or too many */
    _Atomic uint64_t streams;                 /* server-sent events, now */
};

struct api;
struct events;
struct httpd;
struct rounds;
struct pushing;
struct metrics; /* metrics.h */
struct metrics_push;

struct serve {
    struct serve_options options;
    struct fleet *fleet;
    struct httpd *httpd;
    struct events *events;
    struct rounds *rounds;
    struct pushing *pushing;    /* NULL: nothing is sent; for others: serve_pushes */
    _Atomic bool allow_actions; /* as it is now: a reload may change it */
    struct metrics *metrics;
    struct api *api;
    struct serve_cost cost;
    uint64_t started_ns; /* CLOCK_REALTIME */
    _Atomic bool is_ending;
};

/* How old figures may be that a request shows. */
unsigned serve_age_ms(const struct serve *s);

struct metrics *serve_metrics(struct serve *s);

/*
 * For handlers that wait: so many milliseconds. False: the server ends, and what there is should be
 * answered at once.
 */
bool serve_wait(struct serve *s, uint64_t ms);

/* What was sent elsewhere, by kind of server; any thread. `ret` has room for PUSH_TOS. */
size_t serve_pushes(struct serve *s, struct metrics_push *ret);

/* One thread at a time makes names: symbols.h, stack_names.h, servers.h. */
void serve_lock_names(struct serve *s);
void serve_unlock_names(struct serve *s);

/*
 * Starts with options (copied; texts must live): EXIT_FINE, or an exit code after a line on standard
 * error. serve_stop answers what was asked, for at most `patience_ms`. False: it was not enough, a
 * line says so, and nothing was freed, for handlers still use it: the process is to end.
 */
int serve_start(const struct serve_options *options, struct serve **ret);
bool serve_stop(struct serve *s, unsigned patience_ms);

/*
 * Takes over what may change while it runs: hosts, token, certificate, actions, what is sent, with
 * files read again. Keeps what it had, with a line, when something of it is wrong. Texts of options
 * must live as long as the server.
 */
void serve_reload(struct serve *s, const struct serve_options *options);

#endif
