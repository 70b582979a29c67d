#include "component.h"

#include "arena.h"
#include "atomic.h"

#include <string.h>

enum { BUCKETS = 1024 };

struct lock component_lock = LOCK_INIT(RANK_COMPONENTS);
static struct mp_component untagged = {.name = "(untagged)", .row = COMPONENT_UNTAGGED};
static struct mp_component overflow = {.name = "(overflow)", .row = COMPONENT_OVERFLOW};
static struct mp_component *rows[COMPONENT_ROWS] = {&untagged, &overflow};
static size_t row_count =
    2; /* writer: component_lock; release, for readers without it */
static uint64_t refused;
static struct mp_component *buckets[BUCKETS];

static unsigned bucket_of(const char *name, size_t length)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    }
    return hash % BUCKETS;
}

static struct mp_component *find_locked(
    const char *name, size_t length, unsigned bucket)
{
    struct mp_component *c = buckets[bucket];

    while (
        c != NULL && (memcmp(c->name, name, length) != 0 || c->name[length] != '\0')) {
        c = c->next_hash;
    }
    return c;
}

static struct mp_component *create_locked(
    const char *name, size_t length, unsigned bucket)
{
    struct mp_component *c = NULL;

    if (row_count < COMPONENT_ROWS) {
        c = arena_alloc(sizeof(*c));
    }
    if (c == NULL) {
        refused++;
        return &overflow;
    }
    memcpy(c->name, name, length);
    c->row = (uint16_t)row_count;
    c->next_hash = buckets[bucket];
    buckets[bucket] = c;
    rows[row_count] = c;
    return c;
}

/* Iterative from the root down, so that parents have the lower rows. */
static struct mp_component *intern_locked(const char *name, size_t length)
{
    struct mp_component *parent = NULL;
    struct mp_component *c = NULL;

    for (size_t end = 1; end <= length; end++) {
        unsigned bucket;

        if (end != length && (name[end] != '/' || name[end - 1] == '/')) {
            continue;
        }
        bucket = bucket_of(name, end);
        c = find_locked(name, end, bucket);
        if (c == NULL) {
            c = create_locked(name, end, bucket);
            if (c == &overflow) {
                return c;
            }
            c->parent = parent;
            if (parent != NULL) {
                c->sibling = parent->child;
                parent->child = c;
                c->budget = parent->budget;
            }
            store_release(&row_count, row_count + 1); /* pairs with component_count */
        }
        parent = c;
    }
    return c;
}

struct mp_component *component_intern(const char *name)
{
    struct mp_component *c;
    size_t length;

    if (name == NULL || name[0] == '\0') {
        return &untagged;
    }
    length = strnlen(name, COMPONENT_NAME_BYTES - 1);
    lock_lock(&component_lock);
    c = intern_locked(name, length);
    lock_unlock(&component_lock);
    return c;
}

struct mp_component *component_by_row(size_t row)
{
    return row < component_count() ? rows[row] : NULL;
}

struct mp_component *component_next_locked(
    const struct mp_component *c, const struct mp_component *root)
{
    if (c->child != NULL) {
        return c->child;
    }
    while (c != root && c->sibling == NULL) {
        c = c->parent;
    }
    return c != root ? c->sibling : NULL;
}

size_t component_count(void)
{
    return load_acquire(&row_count); /* pairs with intern_locked */
}

uint64_t component_refused(void)
{
    return load_relaxed(&refused);
}
