/*
 * push - figures and profiles of processes, sent to where a fleet keeps them
 *
 * Owns: what is sent to which kind of server, how often, and what is said of failures. Does not
 * own: messages of OTLP (otlp.h), connections (push_http.h), the wait for a server that is not
 * there (push_queue.h), which processes there are (a push_source).
 *
 * Threads: a push is of one thread, but for push_stop and push_counts.
 */
#ifndef PUSH_H
#define PUSH_H

#include "otlp.h"
#include "push_queue.h"

#include <mpstats.h>

enum push_to { PUSH_TO_OTLP, PUSH_TO_PYROSCOPE, PUSH_TO_PARCA, PUSH_TOS };

/* Zeros stand for what is usual. */
struct push_options {
    enum push_to to;
    const char *url;
    unsigned interval_ms; /* usual: 30 s for metrics, 60 s for profiles */
    unsigned timeout_ms;  /* of a request: 10 s */
    size_t label_count;   /* attributes of the resource; labels of profiles */
    const struct otlp_attribute *labels; /* texts */
    size_t header_count;
    const char *const *headers; /* "Name: value" */
    const char *tenant;         /* X-Scope-OrgID */
    const char *token;          /* bearer */
    const char *authority;      /* file of certificates */
    size_t queue_most;          /* messages: 64; at least two for each process */
    bool is_json;               /* OTLP: JSON, not protocol buffers */
    bool is_plain;              /* OTLP: not compressed */
    bool has_profiles;          /* OTLP: profiles too, experimental */
    bool makes_insight;         /* OTLP: verdicts, where the source has none */
    struct metric_options metrics;
};

/* One process, when a source tells of it. */
struct push_process {
    const mp_image_t *image;
    const struct mp_proc *kernel;         /* NULL: not known */
    const struct metric_insight *insight; /* NULL: not made */
    const struct mp_pressure *pressure;   /* NULL: not made */
    const char *id;                       /* "PID-STARTTIME" */
};

typedef void push_process_fn(void *arg, const struct push_process *process);

/* Which processes there are: calls fn for each. */
struct push_source {
    void (*each)(void *source, push_process_fn *fn, void *arg);
    void *source;
};

struct push;

/* Checks it all. 0, or -EINVAL with a line in *error. What options point to is copied. */
int push_create(
    const struct push_options *options, struct push **ret, struct mp_error *error);
void push_destroy(struct push *p);

const char *push_name(enum push_to to); /* "otlp" */
bool push_find(const char *name, enum push_to *ret);
const char *push_url(const struct push *p);
enum push_to push_kind(const struct push *p);

/*
 * Makes messages of all processes there are now, and sends them if the server takes them; returns how
 * many processes that were.
 */
size_t push_gather(struct push *p, const struct push_source *source);

/*
 * Sends what is due, until something has to wait. Milliseconds until it should be called again;
 * UINT64_MAX: nothing waits. Problems are said on stderr when they begin, and when they are over.
 */
uint64_t push_send(struct push *p);

/* Every interval, until push_stop; then once more what waits, without a second attempt. */
void push_run(struct push *p, const struct push_source *source);

/* Ends push_run and a request that is under way; from any thread, and from signal handlers. */
void push_stop(struct push *p);

/* So far; from any thread. */
void push_get_counts(struct push *p, struct push_counts *ret);

/* The last problem, "" if the last attempt went well; from the thread of the push. */
const char *push_problem(const struct push *p);

#endif
