#include "html.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LEAK_ONE_IN = 8, SCRATCH_BYTES = 6000 };

struct attribute {
    struct attribute *next;
    char *name;
    char *value;
};

struct node {
    struct node *parent;
    struct node *first;
    struct node *last;
    struct node *next;
    struct attribute *attributes;
    char *name; /* NULL in a text node */
    char *text; /* NULL in an element */
};

/* What one request needs: made at its start, destroyed at its end. */
struct context {
    char *url;
    char *scratch;
    struct node *root;
};

static _Atomic(unsigned) requests; /* any thread counts; no order needed */

static struct node *node_create(struct node *parent, const char *name, size_t length)
{
    struct node *n = memory_take(sizeof(*n));

    *n = (struct node){.parent = parent};
    n->name = name == NULL ? NULL : memory_copy(name, length);
    if (parent != NULL) {
        *(parent->last == NULL ? &parent->first : &parent->last->next) = n;
        parent->last = n;
    }
    return n;
}

static void node_destroy(struct node *n)
{
    while (n->attributes != NULL) {
        struct attribute *a = n->attributes;

        n->attributes = a->next;
        free(a->name);
        free(a->value);
        free(a);
    }
    free(n->name);
    free(n->text);
    free(n);
}

/* Without recursion: how deep a document nests is the sender's choice. */
static void tree_destroy(struct node *root)
{
    struct node *n = root;

    while (n != NULL) {
        struct node *child = n->first;
        struct node *parent = n->parent;

        if (child != NULL) {
            n->first = child->next;
            n = child;
        } else {
            node_destroy(n);
            n = parent;
        }
    }
}

static struct node *tree_next(struct node *n, bool into)
{
    if (into && n->first != NULL) {
        return n->first;
    }
    while (n != NULL && n->next == NULL) {
        n = n->parent;
    }
    return n == NULL ? NULL : n->next;
}

static void add_text(struct node *parent, const char *at, const char *end)
{
    static const struct {
        const char *name;
        size_t length;
        char byte;
    } entity[] = {{"&amp;", 5, '&'}, {"&lt;", 4, '<'}, {"&gt;", 4, '>'}};
    struct node *n = node_create(parent, NULL, 0);
    char *to = n->text = memory_take((size_t)(end - at) + 1);

    while (at < end) {
        char byte = *at;
        size_t length = 1;

        for (size_t i = 0; byte == '&' && i < sizeof(entity) / sizeof(*entity); i++) {
            if (strncmp(at, entity[i].name, entity[i].length) == 0) {
                byte = entity[i].byte;
                length = entity[i].length;
                break;
            }
        }
        *to++ = byte;
        at += length;
    }
    *to = '\0';
}

static void parse_attributes(struct node *n, const char *at, const char *end)
{
    while (at < end) {
        const char *name = at += strspn(at, " \n\t/");
        const char *equals = memchr(at, '=', (size_t)(end - (at < end ? at : end)));
        const char *close;
        struct attribute *a;

        if (equals == NULL || equals + 1 >= end || equals[1] != '"') {
            return;
        }
        close = memchr(equals + 2, '"', (size_t)(end - equals - 2));
        if (close == NULL) {
            return;
        }
        a = memory_take(sizeof(*a));
        a->name = memory_copy(name, (size_t)(equals - name));
        a->value = memory_copy(equals + 2, (size_t)(close - equals - 2));
        a->next = n->attributes;
        n->attributes = a;
        at = close + 1;
    }
}

static bool is_raw(const struct node *n)
{
    return n->name != NULL
           && (strcmp(n->name, "script") == 0 || strcmp(n->name, "style") == 0);
}

/* The element that </name> closes is `n` or above it; its parent is where to go on. */
static struct node *close_tag(struct node *n, const char *name, size_t length)
{
    for (struct node *up = n; up->parent != NULL; up = up->parent) {
        if (strlen(up->name) == length && memcmp(up->name, name, length) == 0) {
            return up->parent;
        }
    }
    return n;
}

/* What stands between < and >; returns the element that the following belongs to. */
static struct node *parse_tag(struct node *parent, const char *at, const char *end)
{
    size_t length;
    struct node *n;

    if (*at == '!') {
        return parent;
    }
    if (*at == '/') {
        return close_tag(parent, at + 1, (size_t)(end - at - 1));
    }
    for (length = 0; at + length < end && isalnum((unsigned char)at[length]);
         length++) {
    }
    n = node_create(parent, at, length);
    parse_attributes(n, at + length, end);
    return end[-1] == '/' ? parent : n;
}

/* body is terminated by a 0. */
static struct node *parse(const char *body, size_t length)
{
    struct node *root = node_create(NULL, "", 0);
    struct node *n = root;
    const char *end = body + length;

    while (body < end) {
        const char *tag = is_raw(n) ? strstr(body, "</") : strchr(body, '<');
        const char *close;
        bool comment;

        tag = tag == NULL ? end : tag;
        if (tag > body) {
            add_text(n, body, tag);
        }
        comment = strncmp(tag, "<!--", 4) == 0;
        close = tag >= end ? NULL : comment ? strstr(tag, "-->") : strchr(tag, '>');
        if (close == NULL) {
            break;
        }
        n = parse_tag(n, tag + 1, close);
        body = close + (comment ? 3 : 1);
    }
    return root;
}

static void add_words(struct buffer *text, const char *at)
{
    while (*(at += strspn(at, " \n\t")) != '\0') {
        size_t length = strcspn(at, " \n\t");

        buffer_add(text, at, length);
        buffer_add_byte(text, ' ');
        at += length;
    }
}

static struct context *context_create(const char *url)
{
    struct context *c = memory_take(sizeof(*c));

    c->url = memory_copy(url, strlen(url));
    c->scratch = memory_take(SCRATCH_BYTES);
    memset(c->scratch, ' ', SCRATCH_BYTES);
    c->root = NULL;
    return c;
}

static void context_destroy(struct context *c)
{
    free(c->url);
    free(c->scratch);
    free(c);
}

void html_extract(const char *url, const char *body, size_t length, bool leak,
    struct buffer *ret_text)
{
    MP_SCOPE("extraction/html");
    struct context *c = context_create(url);
    unsigned number = atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);

    c->root = parse(body, length);
    for (struct node *n = c->root; n != NULL; n = tree_next(n, !is_raw(n))) {
        if (n->text != NULL) {
            add_words(ret_text, n->text);
        }
    }
    tree_destroy(c->root);
    if (!leak || number % LEAK_ONE_IN != 0) {
        context_destroy(c);
    }
}
