#include "config_schema.h"

#include <stdio.h>
#include <string.h>

enum { LISTS_MAX = 1024 };

#define MAYBE (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER)
#define EMPTY                                                                          \
    (CYAML_FLAG_OPTIONAL | CYAML_FLAG_POINTER_NULL) /* or a key without a value */

#define TEXT(key, structure, member)                                                   \
    CYAML_FIELD_STRING_PTR(key, MAYBE, structure, member, 0, CYAML_UNLIMITED)
#define FREE(key) CYAML_FIELD_IGNORE(key, CYAML_FLAG_OPTIONAL)

static const cyaml_schema_value_t word = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t rule_fields[] = {
    TEXT("name", struct raw_rule, name),
    TEXT("when", struct raw_rule, when),
    TEXT("above", struct raw_rule, above),
    TEXT("below", struct raw_rule, below),
    TEXT("clears", struct raw_rule, clears),
    TEXT("for", struct raw_rule, wait),
    TEXT("over", struct raw_rule, over),
    TEXT("minimum", struct raw_rule, minimum),
    TEXT("severity", struct raw_rule, severity),
    TEXT("enabled", struct raw_rule, enabled),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t sink_fields[] = {
    TEXT("log", struct raw_sink, log),
    CYAML_FIELD_SEQUENCE("exec", MAYBE, struct raw_sink, exec, &word, 1, LISTS_MAX),
    TEXT("webhook", struct raw_sink, webhook),
    TEXT("alertmanager", struct raw_sink, alertmanager),
    TEXT("severity", struct raw_sink, severity),
    TEXT("timeout", struct raw_sink, timeout),
    FREE("headers"),
    FREE("labels"),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t serve_fields[] = {
    TEXT("listen", struct raw_serve, listen),
    TEXT("unix", struct raw_serve, unix_path),
    TEXT("token_file", struct raw_serve, token_file),
    TEXT("certificate", struct raw_serve, certificate),
    TEXT("key", struct raw_serve, key),
    TEXT("allow_actions", struct raw_serve, allow_actions),
    CYAML_FIELD_SEQUENCE(
        "directories", MAYBE, struct raw_serve, directories, &word, 0, LISTS_MAX),
    TEXT("interval", struct raw_serve, interval),
    TEXT("history", struct raw_serve, history),
    CYAML_FIELD_SEQUENCE("hosts", MAYBE, struct raw_serve, hosts, &word, 0, LISTS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t metrics_fields[] = {
    TEXT("components", struct raw_metrics, components),
    TEXT("size_classes", struct raw_metrics, size_classes),
    TEXT("sites", struct raw_metrics, sites),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t otlp_fields[] = {
    TEXT("endpoint", struct raw_otlp, endpoint),
    TEXT("format", struct raw_otlp, format),
    TEXT("interval", struct raw_otlp, interval),
    TEXT("profiles", struct raw_otlp, profiles),
    FREE("headers"),
    FREE("resource"),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t push_fields[] = {
    TEXT("to", struct raw_push, to),
    TEXT("url", struct raw_push, url),
    TEXT("interval", struct raw_push, interval),
    TEXT("tenant", struct raw_push, tenant),
    TEXT("token_file", struct raw_push, token_file),
    FREE("labels"),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t rule = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_rule, rule_fields),
};
static const cyaml_schema_value_t sink = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_sink, sink_fields),
};
static const cyaml_schema_value_t push = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_push, push_fields),
};

static const cyaml_schema_field_t fields[] = {
    TEXT("preset", struct raw_config, preset),
    CYAML_FIELD_SEQUENCE(
        "alerts", EMPTY, struct raw_config, alerts, &rule, 0, LISTS_MAX),
    CYAML_FIELD_SEQUENCE("sinks", EMPTY, struct raw_config, sinks, &sink, 0, LISTS_MAX),
    CYAML_FIELD_MAPPING_PTR("serve", EMPTY, struct raw_config, serve, serve_fields),
    CYAML_FIELD_MAPPING_PTR(
        "metrics", EMPTY, struct raw_config, metrics, metrics_fields),
    CYAML_FIELD_MAPPING_PTR("otlp", EMPTY, struct raw_config, otlp, otlp_fields),
    CYAML_FIELD_SEQUENCE("push", EMPTY, struct raw_config, push, &push, 0, LISTS_MAX),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER_NULL, struct raw_config, fields),
};

static const cyaml_schema_field_t *fields_of(const char *section)
{
    for (const cyaml_schema_field_t *f = fields; f->key != NULL; f++) {
        if (strcmp(f->key, section) == 0) {
            return f->value.type == CYAML_MAPPING ? f->value.mapping.fields
                   : f->value.type == CYAML_SEQUENCE
                       ? f->value.sequence.entry->mapping.fields
                       : fields;
        }
    }
    return fields;
}

void config_schema_list_keys(const char *section, char *ret, size_t size)
{
    size_t at = 0;

    ret[0] = '\0';
    for (const cyaml_schema_field_t *f = fields_of(section);
         f->key != NULL && at < size - 1; f++) {
        int n = snprintf(ret + at, size - at, "%s%s", at > 0 ? ", " : "", f->key);

        at += n > 0 ? (size_t)n : 0;
    }
}
