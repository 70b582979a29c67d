/*
 * configuration - the one configuration file: alerts, sinks, serve, metrics, otlp, push
 *
 * Owns: where the file is, its shape (deploy/mpalloc.yaml is an example with a word on each key),
 * and what is wrong with one: a line "FILE:LINE: what to do". Does not own: what the sections mean
 * to those who read them.
 *
 * A configuration does not change after it was read; many threads may read it.
 */
#ifndef CONFIGURATION_H
#define CONFIGURATION_H

#include <mpstats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_pair {
    char *key;
    char *value;
};

/* Of keys that the file chooses: headers, labels. */
struct config_pairs {
    size_t count;
    struct config_pair *at;
};

struct config_words {
    size_t count;
    char **at; /* and a NULL behind the last */
};

/* ---- sinks: who is told of alerts ---- */

enum config_sink_kind { SINK_LOG, SINK_EXEC, SINK_WEBHOOK, SINK_ALERTMANAGER };

struct config_sink {
    enum config_sink_kind kind;
    char *to;                    /* a path or "stderr", or an address; NULL of exec */
    struct config_words command; /* exec */
    struct config_pairs headers; /* webhook, alertmanager */
    struct config_pairs labels;  /* alertmanager: added to each alert */
    enum mp_severity severity;   /* at least; info: all */
    uint64_t timeout_ms;
    unsigned line;
};

/* ---- serve, metrics, otlp, push ---- */

struct config_serve {
    char *listen;    /* "127.0.0.1:9202" */
    char *unix_path; /* NULL, as those below when they are not given */
    char *token_file;
    char *certificate;
    char *key;
    bool allow_actions;
    struct config_words directories;
    uint64_t interval_ms;
    bool history;
    struct config_words hosts; /* names that requests may come under */
};

struct config_metrics {
    uint64_t components; /* the largest so many */
    bool size_classes;
    uint64_t sites;
};

enum config_otlp_format { OTLP_PROTOBUF, OTLP_JSON };

struct config_otlp {
    char *endpoint; /* NULL: nothing is sent */
    enum config_otlp_format format;
    uint64_t interval_ms;
    struct config_pairs headers;
    struct config_pairs resource;
    bool profiles;
    unsigned line;
};

enum config_push_kind { PUSH_PYROSCOPE, PUSH_PARCA };

struct config_push {
    enum config_push_kind kind;
    char *url;
    uint64_t interval_ms;
    struct config_pairs labels;
    char *tenant;     /* NULL */
    char *token_file; /* NULL */
    unsigned line;
};

struct config {
    char *path; /* NULL: built in */
    enum mp_alert_preset preset;
    size_t rule_count; /* those built in, as the file changes them, then its own */
    struct mp_alert_rule *rules;
    size_t sink_count;
    struct config_sink *sinks;
    struct config_serve serve;
    struct config_metrics metrics;
    struct config_otlp otlp;
    size_t push_count;
    struct config_push *pushes;
};

/*
 * The file of --config, which may be NULL: then $MPALLOC_CONFIG, else what is there of
 * $XDG_CONFIG_HOME/mpalloc/mpalloc.yaml, ~/.config/mpalloc/mpalloc.yaml and
 * /etc/mpalloc/mpalloc.yaml, else what is built in. 0, or -errno after a line in *error.
 * Ends the process without memory.
 */
int config_load(const char *path, struct config **ret, struct mp_error *error);

/* The same of a text; name stands for the path in messages. preset: NULL: as the text says. */
int config_parse(const char *text, size_t bytes, const char *name,
    const enum mp_alert_preset *preset, struct config **ret, struct mp_error *error);

/* The same as config_load with another preset than the file says. */
int config_load_preset(const char *path, const enum mp_alert_preset *preset,
    struct config **ret, struct mp_error *error);

void config_free(struct config *config);

/* For verbs: a line "mpalloc VERB: …" and an exit code. */
int config_open(const char *verb, const char *path, const enum mp_alert_preset *preset,
    struct config **ret);

bool config_find_preset(const char *name, enum mp_alert_preset *ret);

/* Values with units: "80%", "4h", "64k". False: it is none; *ret_hint says what is wanted. */
bool config_read_duration(const char *text, double *ret_seconds);
bool config_read_bytes(const char *text, double *ret_bytes);
bool config_read_ratio(const char *text, double *ret);

#endif
