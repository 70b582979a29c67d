/*
 * alert_sink - one of those who are told: what alert_sinks.c and its kinds share
 */
#ifndef ALERT_SINK_H
#define ALERT_SINK_H

#include "alert_sinks.h"

#include <pthread.h>

enum {
    SINK_QUEUE = 256,    /* notices that wait; the oldest goes when one more comes */
    SINK_TRIES = 8,      /* of a webhook; Alertmanager is told until it hears */
    SINK_FIRST_MS = 250, /* before the second try; twice as long before each next one */
    SINK_LONGEST_MS = 60000,
    SINK_RESEND_MS = 60000, /* Alertmanager is told again what fires */
    SINK_ACTIVE = 4096,
};

/* An alert that Alertmanager is to know: one of name, process and severity. */
struct sink_active {
    struct alert_notice notice;
    bool fires;    /* was in the last refresh */
    bool is_ended; /* to be told once more, as over */
    uint64_t ended_ns;
};

struct alert_sink {
    const struct config_sink *of;
    const struct config *config;
    sink_post_fn *post;
    pthread_t thread;
    bool has_thread;
    int fd; /* log */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool must_stop;
    uint64_t stop_ns; /* CLOCK_MONOTONIC: until then it may deliver what waits */
    size_t first;
    size_t count;
    struct alert_notice *queue; /* a ring of SINK_QUEUE */
    size_t active_count;
    struct sink_active *active; /* Alertmanager */
    bool is_dirty;              /* active is to be sent at once */
    bool is_busy;               /* something is being delivered */
    bool is_failing;            /* and a line says so */
    uint64_t told_total;
    uint64_t failed_total;
    uint64_t dropped_total;
};

/* From any thread: so long something may still take; 0: what is under way is to end. */
uint64_t sink_rest_ms(struct alert_sink *s, uint64_t most_ms);

/* Runs the program of exec. False: it cannot be run, failed, or took too long. */
bool sink_exec(struct alert_sink *s, const struct alert_notice *n);

/* What is sent: to a webhook, and to Alertmanager of all that it is to know. Free them. */
char *sink_webhook_body(const struct alert_notice *n);
char *sink_alertmanager_body(const struct alert_sink *s,
    const struct sink_active *active, size_t count, uint64_t now_ns);

#endif
