/*
 * alert_sinks - who is told of alerts: log, exec, webhook, Alertmanager
 *
 * Owns: a thread and a queue for each that may take its time, so that who watches never waits; what
 * is tried again, and for how long. Does not own: what is told, and when (alerting.h).
 */
#ifndef ALERT_SINKS_H
#define ALERT_SINKS_H

#include "alert_notice.h"

struct alert_sink;
struct alert_sinks;

enum sink_answer { SINK_HEARD, SINK_REFUSED, SINK_AGAIN };

/* A POST of JSON. *ret_why (200 bytes): what went wrong. */
typedef enum sink_answer sink_post_fn(
    struct alert_sink *s, const char *address, const char *body, char *ret_why);

/*
 * By libcurl, which is initialised here; call it before there are other threads. Only who calls
 * this needs that library: it and what it brings along take 4 ms to load.
 */
sink_post_fn *alert_sinks_http(void);

/* config outlives it; post: how those are told that are told by HTTP. Ends the process without
 * memory. */
struct alert_sinks *alert_sinks_create(const struct config *config, sink_post_fn *post);

/* Something fired, got worse, or was resolved. Copies; returns at once. */
void alert_sinks_tell(struct alert_sinks *s, const struct alert_notice *notice);

/*
 * All that fires now and was told: for Alertmanager, which forgets what it is not told again. Call
 * it at each look, after alert_sinks_tell.
 */
void alert_sinks_refresh(
    struct alert_sinks *s, const struct alert_notice *firing, size_t count);

/* What was told, dropped for want of room, and is not delivered yet. */
struct alert_sinks_counts {
    uint64_t told_total;
    uint64_t failed_total; /* given up */
    uint64_t dropped_total;
    uint64_t waiting;
};
void alert_sinks_get_counts(struct alert_sinks *s, struct alert_sinks_counts *ret);

/* Delivers what waits, for at most so long; then ends. NULL does nothing. */
void alert_sinks_destroy(struct alert_sinks *s, unsigned patience_ms);

#endif
