/*
 * metric_text - metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0
 *
 * Owns: the syntax of both, and a text that grows. Does not own: which metrics there are.
 */
#ifndef METRIC_TEXT_H
#define METRIC_TEXT_H

#include "metric_walk.h"

enum metric_form { METRIC_TEXT, METRIC_OPENMETRICS };

struct metric_text {
    enum metric_form form;
    char *data; /* for free(); not terminated */
    size_t count;
    size_t room;
    char labels[640]; /* of each sample, `process="x",pid="1"`; "": none */
};

/* TYPE, UNIT, HELP: before the samples of a metric, once. */
void metric_text_head(struct metric_text *t, const struct metric *m);

/* A metric_fn: arg is the text. Ends the process without memory. */
void metric_text_sample(
    void *arg, const struct metric *m, const struct metric_sample *s);

/* `key="value"` after what is in t->labels, as far as there is room: of many processes. */
void metric_text_label(struct metric_text *t, const char *key, const char *value);

/* Heads and samples of all metrics of one process. */
void metric_text_one(struct metric_text *t, const struct metric_source *source);

/* What OpenMetrics ends with. */
void metric_text_end(struct metric_text *t);

/* "text/plain; version=0.0.4; charset=utf-8" and its like. */
const char *metric_text_type(enum metric_form form);

/* What the header Accept asks for; NULL: METRIC_TEXT. */
enum metric_form metric_text_choose(const char *accept);

#endif
