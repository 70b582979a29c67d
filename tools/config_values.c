#include "config_values.h"

#include "must.h"

#include <stdlib.h>
#include <string.h>

char *config_copy(const char *text)
{
    return text != NULL ? must(strdup(text)) : NULL;
}

bool config_read_severity(const char *text, enum mp_severity *ret)
{
    for (unsigned i = MP_SEVERITY_INFO; i <= MP_SEVERITY_CRITICAL; i++) {
        if (strcmp(text, mp_severity_name((enum mp_severity)i)) == 0) {
            *ret = (enum mp_severity)i;
            return true;
        }
    }
    return false;
}

static void take_words(struct config_words *ret, char *const *words, size_t count)
{
    for (size_t i = 0; i < ret->count; i++) {
        free(ret->at[i]);
    }
    free(ret->at);
    *ret = (struct config_words){
        .count = count, .at = must(calloc(count + 1, sizeof(*ret->at)))};
    for (size_t i = 0; i < count; i++) {
        ret->at[i] = config_copy(words[i] != NULL ? words[i] : "");
    }
}

bool config_take_bool(struct config_text *text, yaml_node_t *mapping, const char *key,
    const char *value, bool *ret)
{
    if (value == NULL) {
        return true;
    }
    *ret = strcmp(value, "true") == 0;
    return *ret || strcmp(value, "false") == 0
           || config_text_fail(text, config_text_key_line(text, mapping, key),
               "%s is true or false, not \"%s\"", key, value);
}

bool config_take_duration(struct config_text *text, yaml_node_t *mapping,
    const char *key, const char *value, uint64_t usual_ms, uint64_t least_ms,
    uint64_t *ret_ms)
{
    double seconds;

    *ret_ms = usual_ms;
    if (value == NULL) {
        return true;
    }
    if (!config_read_duration(value, &seconds)) {
        return config_text_fail(text, config_text_key_line(text, mapping, key),
            "%s is a time, such as 30s or 5m, not \"%s\"", key, value);
    }
    if (seconds * 1000 < (double)least_ms || seconds > 86400) {
        return config_text_fail(text, config_text_key_line(text, mapping, key),
            "%s is at least %llu ms, and at most 24h", key,
            (unsigned long long)least_ms);
    }
    *ret_ms = (uint64_t)(seconds * 1000);
    return true;
}

static bool take_count(struct config_text *text, yaml_node_t *mapping, const char *key,
    const char *value, uint64_t most, uint64_t *ret)
{
    char *end;
    unsigned long long n;

    if (value == NULL) {
        return true;
    }
    n = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || n > most) {
        return config_text_fail(text, config_text_key_line(text, mapping, key),
            "%s is a whole number up to %llu, not \"%s\"", key,
            (unsigned long long)most, value);
    }
    *ret = n;
    return true;
}

static bool has_controls(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 127) {
            return true;
        }
    }
    return false;
}

bool config_check_address(
    struct config_text *text, yaml_node_t *mapping, const char *key, const char *value)
{
    if ((strncmp(value, "http://", 7) == 0 && value[7] != '\0')
        || (strncmp(value, "https://", 8) == 0 && value[8] != '\0')) {
        if (!has_controls(value) && strchr(value, ' ') == NULL) {
            return true;
        }
    }
    return config_text_fail(text, config_text_key_line(text, mapping, key),
        "%s is an address that begins with http:// or https://, not \"%s\"", key,
        value);
}

bool config_check_headers(
    struct config_text *text, yaml_node_t *mapping, const struct config_pairs *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        const char *key = headers->at[i].key;

        if (key[0] == '\0' || strpbrk(key, ": \t\"(),/;<=>?@[\\]{}") != NULL
            || has_controls(key) || has_controls(headers->at[i].value)) {
            return config_text_fail(text,
                config_text_key_line(text, mapping, "headers"),
                "the header %s is not fit for a request: a name without : and blanks, "
                "a "
                "value of one line",
                key);
        }
    }
    return true;
}

/* ---- sinks ---- */

static bool make_sink(struct config_sink *s, const struct raw_sink *raw,
    struct config_text *text, yaml_node_t *node)
{
    int count = (raw->log != NULL) + (raw->exec != NULL) + (raw->webhook != NULL)
                + (raw->alertmanager != NULL);
    const char *key = raw->webhook != NULL ? "webhook" : "alertmanager";

    s->line = config_text_line(node);
    if (count != 1) {
        return config_text_fail(text, s->line,
            "a sink is one of log, exec, webhook and alertmanager: this has %d of them",
            count);
    }
    s->kind = raw->log != NULL       ? SINK_LOG
              : raw->exec != NULL    ? SINK_EXEC
              : raw->webhook != NULL ? SINK_WEBHOOK
                                     : SINK_ALERTMANAGER;
    s->to = config_copy(raw->log != NULL       ? raw->log
                        : raw->webhook != NULL ? raw->webhook
                                               : raw->alertmanager);
    if (raw->severity != NULL && !config_read_severity(raw->severity, &s->severity)) {
        return config_text_fail(text, config_text_key_line(text, node, "severity"),
            "severity is info, warning or critical, not \"%s\"", raw->severity);
    }
    if (s->kind == SINK_EXEC) {
        take_words(&s->command, raw->exec, raw->exec_count);
        if (s->command.at[0][0] == '\0') {
            return config_text_fail(text, config_text_key_line(text, node, "exec"),
                "exec is a list: a program, then its arguments");
        }
    }
    if (s->kind == SINK_LOG && s->to[0] == '\0') {
        return config_text_fail(text, config_text_key_line(text, node, "log"),
            "log is stderr, or the path of a file");
    }
    if ((s->kind == SINK_WEBHOOK || s->kind == SINK_ALERTMANAGER)
        && !config_check_address(text, node, key, s->to)) {
        return false;
    }
    if (!config_take_duration(
            text, node, "timeout", raw->timeout, 10000, 1, &s->timeout_ms)
        || !config_text_pairs(
            text, config_text_key(text, node, "headers"), "headers", &s->headers)
        || !config_check_headers(text, node, &s->headers)
        || !config_text_pairs(
            text, config_text_key(text, node, "labels"), "labels", &s->labels)) {
        return false;
    }
    if (s->headers.count > 0 && s->kind != SINK_WEBHOOK
        && s->kind != SINK_ALERTMANAGER) {
        return config_text_fail(text, config_text_key_line(text, node, "headers"),
            "headers are for webhook and alertmanager");
    }
    if (s->labels.count > 0 && s->kind != SINK_ALERTMANAGER) {
        return config_text_fail(text, config_text_key_line(text, node, "labels"),
            "labels are for alertmanager");
    }
    return true;
}

bool config_make_sinks(
    struct config *c, const struct raw_config *raw, struct config_text *text)
{
    yaml_node_t *list = config_text_key(text, config_text_root(text), "sinks");

    c->sinks = must(calloc(raw->sinks_count + 1, sizeof(*c->sinks)));
    c->sink_count = raw->sinks_count; /* all of them are freed, made or not */
    for (unsigned i = 0; i < raw->sinks_count; i++) {
        if (!make_sink(
                &c->sinks[i], &raw->sinks[i], text, config_text_item(text, list, i))) {
            return false;
        }
    }
    return true;
}

/* ---- the other sections ---- */

void config_set_defaults(struct config *c)
{
    c->preset = MP_PRESET_PRODUCTION;
    c->serve = (struct config_serve){
        .listen = config_copy("127.0.0.1:9202"), .interval_ms = 5000, .history = true};
    take_words(&c->serve.directories, NULL, 0);
    take_words(&c->serve.hosts, NULL, 0);
    c->metrics = (struct config_metrics){.components = 20, .size_classes = true};
    c->otlp = (struct config_otlp){.format = OTLP_PROTOBUF, .interval_ms = 30000};
}

static void take_text(char **ret, const char *text)
{
    if (text != NULL) {
        free(*ret);
        *ret = config_copy(text);
    }
}

static bool make_serve(
    struct config *c, const struct raw_serve *raw, struct config_text *text)
{
    yaml_node_t *node = config_text_key(text, config_text_root(text), "serve");
    struct config_serve *s = &c->serve;

    take_text(&s->listen, raw->listen);
    take_text(&s->unix_path, raw->unix_path);
    take_text(&s->token_file, raw->token_file);
    take_text(&s->certificate, raw->certificate);
    take_text(&s->key, raw->key);
    take_words(&s->directories, raw->directories, raw->directories_count);
    take_words(&s->hosts, raw->hosts, raw->hosts_count);
    if ((s->certificate == NULL) != (s->key == NULL)) {
        return config_text_fail(text,
            config_text_key_line(text, node, s->key == NULL ? "certificate" : "key"),
            "serve wants both certificate: and key:");
    }
    return config_take_bool(
               text, node, "allow_actions", raw->allow_actions, &s->allow_actions)
           && config_take_bool(text, node, "history", raw->history, &s->history)
           && config_take_duration(
               text, node, "interval", raw->interval, 5000, 100, &s->interval_ms);
}

static bool make_metrics(
    struct config *c, const struct raw_metrics *raw, struct config_text *text)
{
    yaml_node_t *node = config_text_key(text, config_text_root(text), "metrics");

    return config_take_bool(
               text, node, "size_classes", raw->size_classes, &c->metrics.size_classes)
           && take_count(
               text, node, "components", raw->components, 1000, &c->metrics.components)
           && take_count(text, node, "sites", raw->sites, 1000, &c->metrics.sites);
}

static bool make_otlp(
    struct config *c, const struct raw_otlp *raw, struct config_text *text)
{
    yaml_node_t *node = config_text_key(text, config_text_root(text), "otlp");
    struct config_otlp *o = &c->otlp;

    o->line = config_text_line(node);
    take_text(&o->endpoint, raw->endpoint);
    if (!config_take_bool(text, node, "profiles", raw->profiles, &o->profiles)) {
        return false;
    }
    if (o->endpoint != NULL
        && !config_check_address(text, node, "endpoint", o->endpoint)) {
        return false;
    }
    if (raw->format != NULL && strcmp(raw->format, "json") == 0) {
        o->format = OTLP_JSON;
    } else if (raw->format != NULL && strcmp(raw->format, "protobuf") != 0) {
        return config_text_fail(text, config_text_key_line(text, node, "format"),
            "format is protobuf or json, not \"%s\"", raw->format);
    }
    return config_take_duration(
               text, node, "interval", raw->interval, 30000, 100, &o->interval_ms)
           && config_text_pairs(
               text, config_text_key(text, node, "headers"), "headers", &o->headers)
           && config_check_headers(text, node, &o->headers)
           && config_text_pairs(text, config_text_key(text, node, "resource"),
               "resource attributes", &o->resource);
}

static bool make_push(struct config_push *p, const struct raw_push *raw,
    struct config_text *text, yaml_node_t *node)
{
    p->line = config_text_line(node);
    if (raw->to == NULL || raw->url == NULL) {
        return config_text_fail(text, p->line, "an entry of push has to: and url:");
    }
    if (strcmp(raw->to, "parca") == 0) {
        p->kind = PUSH_PARCA;
    } else if (strcmp(raw->to, "pyroscope") != 0) {
        return config_text_fail(text, config_text_key_line(text, node, "to"),
            "to is pyroscope or parca, not \"%s\"", raw->to);
    }
    p->url = config_copy(raw->url);
    p->tenant = config_copy(raw->tenant);
    p->token_file = config_copy(raw->token_file);
    return config_check_address(text, node, "url", p->url)
           && config_take_duration(
               text, node, "interval", raw->interval, 60000, 100, &p->interval_ms)
           && config_text_pairs(
               text, config_text_key(text, node, "labels"), "labels", &p->labels);
}

static bool make_pushes(
    struct config *c, const struct raw_config *raw, struct config_text *text)
{
    yaml_node_t *list = config_text_key(text, config_text_root(text), "push");

    c->pushes = must(calloc(raw->push_count + 1, sizeof(*c->pushes)));
    c->push_count = raw->push_count;
    for (unsigned i = 0; i < raw->push_count; i++) {
        if (!make_push(
                &c->pushes[i], &raw->push[i], text, config_text_item(text, list, i))) {
            return false;
        }
    }
    return true;
}

bool config_make_sections(
    struct config *c, const struct raw_config *raw, struct config_text *text)
{
    return (raw->serve == NULL || make_serve(c, raw->serve, text))
           && (raw->metrics == NULL || make_metrics(c, raw->metrics, text))
           && (raw->otlp == NULL || make_otlp(c, raw->otlp, text))
           && make_pushes(c, raw, text);
}
