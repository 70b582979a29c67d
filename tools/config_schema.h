/*
 * config_schema - the shape of a configuration, as libcyaml reads it: texts, not yet values
 *
 * Owns: which keys there are. Keys that the file chooses (headers, labels, resource) are left to
 * config_text.h.
 */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

/* NULL: not given. libcyaml takes any word for true, so what is true or false is text, too. */
struct raw_rule {
    char *name;
    char *when;
    char *above;
    char *below;
    char *clears;
    char *wait; /* for */
    char *over;
    char *minimum;
    char *severity;
    char *enabled;
};

struct raw_sink {
    char *log;
    char **exec;
    unsigned exec_count;
    char *webhook;
    char *alertmanager;
    char *severity;
    char *timeout;
};

struct raw_serve {
    char *listen;
    char *unix_path;
    char *token_file;
    char *certificate;
    char *key;
    char *allow_actions;
    char **directories;
    unsigned directories_count;
    char *interval;
    char *history;
    char **hosts;
    unsigned hosts_count;
};

struct raw_metrics {
    char *components;
    char *size_classes;
    char *sites;
};

struct raw_otlp {
    char *endpoint;
    char *format;
    char *interval;
    char *profiles;
};

struct raw_push {
    char *to;
    char *url;
    char *interval;
    char *tenant;
    char *token_file;
};

struct raw_config {
    char *preset;
    struct raw_rule *alerts;
    unsigned alerts_count;
    struct raw_sink *sinks;
    unsigned sinks_count;
    struct raw_serve *serve;
    struct raw_metrics *metrics;
    struct raw_otlp *otlp;
    struct raw_push *push;
    unsigned push_count;
};

extern const cyaml_schema_value_t config_schema; /* of a struct raw_config * */

/* "name, when, above" of a section, "" for the top; writes to ret. */
void config_schema_list_keys(const char *section, char *ret, size_t size);

#endif
