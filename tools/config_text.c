#include "config_text.h"

#include "must.h"

#include <stdarg.h>
#include <string.h>

enum { PAIRS_MAX = 256, DEPTH_MAX = 16 };

bool config_text_fail(struct config_text *text, unsigned line, const char *format, ...)
{
    char what[240];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (text->error != NULL) {
        char whole[640];

        if (line > 0) {
            snprintf(whole, sizeof(whole), "%s:%u: %s", text->name, line, what);
        } else {
            snprintf(whole, sizeof(whole), "%s: %s", text->name, what);
        }
        mp_text_escape(
            text->error->text, sizeof(text->error->text), whole, strlen(whole));
    }
    return false;
}

/* The time libyaml takes grows with the square of the depth: what is far too deep ends here. */
static bool is_flat(struct config_text *text, const char *bytes, size_t count)
{
    yaml_parser_t parser;
    bool is_over = false;
    bool is_good = true;
    int depth = 0;

    if (yaml_parser_initialize(&parser) == 0) {
        must(NULL);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, count);
    while (!is_over && is_good) {
        yaml_event_t event;

        if (yaml_parser_parse(&parser, &event) == 0) {
            break; /* it is found again, and told, when the tree is made */
        }
        depth += event.type == YAML_MAPPING_START_EVENT
                 || event.type == YAML_SEQUENCE_START_EVENT;
        depth -= event.type == YAML_MAPPING_END_EVENT
                 || event.type == YAML_SEQUENCE_END_EVENT;
        is_over = event.type == YAML_STREAM_END_EVENT;
        if (depth > DEPTH_MAX) {
            is_good = config_text_fail(text, (unsigned)event.start_mark.line + 1,
                "lists in lists in lists: nothing is so deep");
        }
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_good;
}

/* What stands behind "---" would be left out without a word. */
static bool is_last(struct config_text *text, yaml_parser_t *parser)
{
    yaml_document_t second;
    yaml_node_t *root;
    bool is_so = true;

    if (yaml_parser_load(parser, &second) == 0) {
        return config_text_fail(text, (unsigned)parser->problem_mark.line + 1,
            "this is no YAML: %s",
            parser->problem != NULL ? parser->problem : "unreadable");
    }
    root = yaml_document_get_root_node(&second);
    if (root != NULL) {
        is_so = config_text_fail(text, config_text_line(root),
            "one document is read, and here begins a second: make it one");
    }
    yaml_document_delete(&second);
    return is_so;
}

bool config_text_read(struct config_text *text, const char *name, const char *bytes,
    size_t count, struct mp_error *error)
{
    yaml_parser_t parser;
    bool is_good;

    *text = (struct config_text){.name = name, .error = error};
    if (!is_flat(text, bytes, count)) {
        return false;
    }
    if (yaml_parser_initialize(&parser) == 0) {
        must(NULL);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, count);
    is_good = yaml_parser_load(&parser, &text->document) != 0;
    if (!is_good) {
        config_text_fail(text, (unsigned)parser.problem_mark.line + 1,
            "this is no YAML: %s%s%s",
            parser.problem != NULL ? parser.problem : "unreadable",
            parser.context != NULL ? ", " : "",
            parser.context != NULL ? parser.context : "");
    }
    text->is_read = is_good;
    if (is_good && !is_last(text, &parser)) {
        is_good = false;
    }
    yaml_parser_delete(&parser);
    return is_good;
}

void config_text_fini(struct config_text *text)
{
    if (text->is_read) {
        yaml_document_delete(&text->document);
    }
    text->is_read = false;
}

yaml_node_t *config_text_root(struct config_text *text)
{
    return yaml_document_get_root_node(&text->document);
}

static yaml_node_pair_t *find_pair(
    struct config_text *text, yaml_node_t *mapping, const char *key)
{
    if (mapping == NULL || mapping->type != YAML_MAPPING_NODE) {
        return NULL;
    }
    for (yaml_node_pair_t *p = mapping->data.mapping.pairs.start;
         p < mapping->data.mapping.pairs.top; p++) {
        yaml_node_t *node = yaml_document_get_node(&text->document, p->key);

        if (node != NULL && node->type == YAML_SCALAR_NODE
            && strcmp((const char *)node->data.scalar.value, key) == 0) {
            return p;
        }
    }
    return NULL;
}

yaml_node_t *config_text_key(
    struct config_text *text, yaml_node_t *mapping, const char *key)
{
    yaml_node_pair_t *p = find_pair(text, mapping, key);

    return p != NULL ? yaml_document_get_node(&text->document, p->value) : NULL;
}

yaml_node_t *config_text_item(
    struct config_text *text, yaml_node_t *list, size_t number)
{
    if (list == NULL || list->type != YAML_SEQUENCE_NODE
        || number >= (size_t)(list->data.sequence.items.top
                              - list->data.sequence.items.start)) {
        return NULL;
    }
    return yaml_document_get_node(
        &text->document, list->data.sequence.items.start[number]);
}

unsigned config_text_line(const yaml_node_t *node)
{
    return node != NULL ? (unsigned)node->start_mark.line + 1 : 0;
}

unsigned config_text_key_line(
    struct config_text *text, yaml_node_t *mapping, const char *key)
{
    yaml_node_pair_t *p = find_pair(text, mapping, key);

    return config_text_line(
        p != NULL ? yaml_document_get_node(&text->document, p->key) : mapping);
}

unsigned config_text_find_key(struct config_text *text, unsigned line, const char *key)
{
    unsigned found = 0;
    yaml_node_t *node;

    for (int i = 1; (node = yaml_document_get_node(&text->document, i)) != NULL; i++) {
        unsigned at = find_pair(text, node, key) != NULL
                          ? config_text_key_line(text, node, key)
                          : 0;

        if (at >= line && (found == 0 || at < found)) {
            found = at;
        }
    }
    return found != 0 ? found : line;
}

bool config_text_pairs(struct config_text *text, yaml_node_t *node, const char *what,
    struct config_pairs *ret)
{
    size_t room = 0;

    if (node == NULL) {
        return true;
    }
    if (node->type != YAML_MAPPING_NODE) {
        return config_text_fail(
            text, config_text_line(node), "%s are pairs, such as {name: value}", what);
    }
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_document_get_node(&text->document, p->key);
        yaml_node_t *value = yaml_document_get_node(&text->document, p->value);

        if (key == NULL || value == NULL || key->type != YAML_SCALAR_NODE
            || value->type != YAML_SCALAR_NODE) {
            return config_text_fail(text, config_text_line(key),
                "%s are texts: write name: value, both of one word or in quotes", what);
        }
        for (size_t i = 0; i < ret->count; i++) {
            if (strcmp(ret->at[i].key, (char *)key->data.scalar.value) == 0) {
                return config_text_fail(text, config_text_line(key),
                    "%s are named once each: %s is there twice", what, ret->at[i].key);
            }
        }
        if (ret->count == PAIRS_MAX) {
            return config_text_fail(
                text, config_text_line(key), "at most %d %s", PAIRS_MAX, what);
        }
        ret->at = must_grow(ret->at, ret->count, &room, sizeof(*ret->at));
        ret->at[ret->count++] =
            (struct config_pair){must(strdup((char *)key->data.scalar.value)),
                must(strdup((char *)value->data.scalar.value))};
    }
    return true;
}
