/*
 * metrics - /metrics of mpalloc serve, and where Prometheus finds it (/sd)
 *
 * Owns: all processes as one text, families together; which labels tell them apart; the figures of
 * the exporter itself. Does not own: the table of metrics and its text (metric_walk.h,
 * metric_text.h), verdicts (insights.h).
 *
 * Those that run are written, those whose end cannot be seen from here (other namespaces), too.
 * One that ended is not: its series end with it, as Prometheus expects, and it is counted.
 */
#ifndef METRICS_H
#define METRICS_H

#include "../alert_notice.h"
#include "../metric_text.h"
#include "../push/push_queue.h"
#include "http.h"
#include "insights.h"

struct metrics;

struct metrics_options {
    struct metric_options series;
    struct insights_options insights;
};

/* 20 components, size classes, no sites. */
extern const struct metrics_options metrics_usual;

/* Of a fleet that outlives it. 0, or a negative errno. */
int metrics_create(
    struct fleet *fleet, const struct metrics_options *options, struct metrics **ret);
void metrics_destroy(struct metrics *m);

/* What it says of processes besides their figures; as long as the metrics live. */
struct insights *metrics_insights(struct metrics *m);

/* Figures of the server, for mpalloc_exporter_…; all since its start. */
struct metrics_server {
    uint64_t requests_total;
    uint64_t refused_total;
    uint64_t failed_total;
    uint64_t connections_total;
    double request_seconds_total;
    const struct metrics_push *pushes; /* may be NULL */
    size_t push_count;
};

/* What is sent to servers of one kind. */
struct metrics_push {
    const char *to;
    uint64_t waiting;
    struct push_counts counts;
};

/*
 * Adds all of a list to the text, and what ends it. `only`: one process of it, without the labels
 * `process` and `pid` and without the exporter's figures; NULL: all. server: NULL: not known. One
 * who is not trusted (request_is_trusted) sees no names of functions. Any thread.
 */
void metrics_write(struct metrics *m, const struct fleet_list *list,
    const struct fleet_process *only, const struct metrics_server *server,
    bool is_trusted, struct metric_text *text);

/* What happened to alerts in a round: those that fire now are counted. Any thread. */
void metrics_note_alerts(
    struct metrics *m, const struct alert_notice *events, size_t count);

/* Targets for HTTP and file discovery: one for each process, at "HOST:PORT". */
json_t *metrics_targets(const struct fleet_list *list, const char *address);

/* GET /metrics [?process=], GET /sd, GET /runbook */
extern const struct route metrics_routes[];

#endif
