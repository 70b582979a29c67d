#include "routing.h"

#include <stdio.h>
#include <string.h>

struct segment {
    const char *at;
    size_t length;
};

static int hex_of(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

long routing_decode(
    const char *from, size_t length, bool is_query, char *ret, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < length; i++) {
        char c = from[i];

        if (c == '%') {
            int high = i + 2 < length ? hex_of(from[i + 1]) : -1;
            int low = i + 2 < length ? hex_of(from[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                return -1;
            }
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && is_query) {
            c = ' ';
        }
        if (used + 1 >= size) {
            return -1;
        }
        ret[used++] = c;
    }
    ret[used] = '\0';
    return (long)used;
}

/* Returns the count, 0 for what is no path. */
static size_t cut(const char *path, struct segment *ret)
{
    size_t count = 0;

    while (*path == '/') {
        size_t length = strcspn(++path, "/");

        if (count == ROUTING_SEGMENTS) {
            return 0;
        }
        ret[count++] = (struct segment){path, length};
        path += length;
    }
    return *path == '\0' ? count : 0;
}

static bool take_part(
    struct routing *r, const char *name, size_t name_length, struct segment s)
{
    struct routing_part *p = &r->parts[r->part_count];

    if (r->part_count == ROUTING_PARTS || name_length >= sizeof(p->name)) {
        return false;
    }
    memcpy(p->name, name, name_length);
    p->name[name_length] = '\0';
    if (routing_decode(s.at, s.length, false, p->value, sizeof(p->value)) < 0) {
        return false;
    }
    r->part_count++;
    return true;
}

static bool fits(
    struct routing *r, const char *pattern, const struct segment *path, size_t count)
{
    struct segment wanted[ROUTING_SEGMENTS];
    size_t wanted_count = cut(pattern, wanted);

    r->part_count = 0;
    for (size_t i = 0; i < wanted_count; i++) {
        struct segment w = wanted[i];

        if (i >= count) {
            return false;
        }
        if (w.length == 1 && w.at[0] == '*') {
            const struct segment *last = &path[count - 1];
            struct segment rest = {
                path[i].at, (size_t)(last->at + last->length - path[i].at)};

            return take_part(r, "*", 1, rest);
        }
        if (w.length > 2 && w.at[0] == '{') {
            if (path[i].length == 0 || !take_part(r, w.at + 1, w.length - 2, path[i])) {
                return false;
            }
        } else if (w.length != path[i].length
                   || memcmp(w.at, path[i].at, w.length) != 0) {
            return false;
        }
    }
    return wanted_count == count;
}

static void add_method(struct routing *r, const char *method)
{
    size_t length = strlen(r->allow);

    r->is_known = true;
    if (strstr(r->allow, method) == NULL) {
        snprintf(r->allow + length, sizeof(r->allow) - length, "%s%s%s",
            length > 0 ? ", " : "", method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
    }
}

bool routing_find(const struct route *const *tables, const char *method,
    const char *path, struct routing *ret)
{
    struct segment segments[ROUTING_SEGMENTS];
    size_t count = cut(path, segments);
    char decoded[4096];

    *ret = (struct routing){.route = NULL};
    if (count == 0
        || routing_decode(path, strlen(path), false, decoded, sizeof(decoded)) < 0) {
        return false;
    }
    if (strcmp(method, "HEAD") == 0) {
        method = "GET";
    }
    for (; *tables != NULL; tables++) {
        for (const struct route *route = *tables; route->method != NULL; route++) {
            if (!fits(ret, route->pattern, segments, count)) {
                continue;
            }
            if (strcmp(route->method, method) == 0) {
                ret->route = route;
                return true;
            }
            add_method(ret, route->method);
        }
    }
    ret->part_count = 0;
    return true;
}
