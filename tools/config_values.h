/*
 * config_values - from texts to values: units, defaults, and what contradicts itself
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config_schema.h"
#include "config_text.h"

/* Each false after a message. c has the preset, and the text its tree. */
bool config_make_rules(
    struct config *c, const struct raw_config *raw, struct config_text *text);
bool config_make_sinks(
    struct config *c, const struct raw_config *raw, struct config_text *text);
bool config_make_sections(
    struct config *c, const struct raw_config *raw, struct config_text *text);

/* What stands for a section that is not there. */
void config_set_defaults(struct config *c);

char *config_copy(const char *text); /* NULL of NULL */
bool config_read_severity(const char *text, enum mp_severity *ret);

/* true or false; unchanged when it is not given. */
bool config_take_bool(struct config_text *text, yaml_node_t *mapping, const char *key,
    const char *value, bool *ret);

/* Of the value of a key of a mapping, usual when it is not given. */
bool config_take_duration(struct config_text *text, yaml_node_t *mapping,
    const char *key, const char *value, uint64_t usual_ms, uint64_t least_ms,
    uint64_t *ret_ms);

/* "http://…" or "https://…"; and that keys and values are fit for a request. */
bool config_check_address(
    struct config_text *text, yaml_node_t *mapping, const char *key, const char *value);
bool config_check_headers(
    struct config_text *text, yaml_node_t *mapping, const struct config_pairs *headers);

#endif
