/*
 * config_text - the text of a configuration as a tree, for lines of it in messages, and for keys
 * that the file chooses, which a schema cannot have
 */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include "configuration.h"

#include <stdio.h>
#include <yaml.h>

struct config_text {
    const char *name; /* of the file */
    yaml_document_t document;
    struct mp_error *error; /* may be NULL */
    bool is_read;
};

/* False: it is no YAML; the line is in text->error. `name` outlives it. */
bool config_text_read(struct config_text *text, const char *name, const char *bytes,
    size_t count, struct mp_error *error);
void config_text_fini(struct config_text *text);

/* The value of a key, an item of a list; NULL: it is not there. mapping may be NULL. */
yaml_node_t *config_text_key(
    struct config_text *text, yaml_node_t *mapping, const char *key);
yaml_node_t *config_text_item(
    struct config_text *text, yaml_node_t *list, size_t number);
yaml_node_t *config_text_root(struct config_text *text);

/* Lines count from 1; of the key itself, for its value may stand below. */
unsigned config_text_line(const yaml_node_t *node);
unsigned config_text_key_line(
    struct config_text *text, yaml_node_t *mapping, const char *key);

/* The first line from `line` on where a key of that name is. */
unsigned config_text_find_key(struct config_text *text, unsigned line, const char *key);

/* "FILE:LINE: …"; returns false. */
__attribute__((format(printf, 3, 4))) bool config_text_fail(
    struct config_text *text, unsigned line, const char *format, ...);

/* A mapping of texts to texts; false after a message. node may be NULL: none. */
bool config_text_pairs(struct config_text *text, yaml_node_t *node, const char *what,
    struct config_pairs *ret);

#endif
