/*
 * routing - which handler a request is for
 *
 * Owns: how a path is cut into parts and compared with patterns. Does not own: the routes
 * (routes.h). Pure; texts are the client's and may be anything.
 */
#ifndef ROUTING_H
#define ROUTING_H

#include "http.h"

enum { ROUTING_PARTS = 4, ROUTING_SEGMENTS = 16 };

struct routing_part {
    char name[32];
    char value[512];
};

struct routing {
    const struct route *route; /* NULL: none */
    bool is_known;             /* the path is, for other methods: `allow` */
    char allow[64];
    size_t part_count;
    struct routing_part parts[ROUTING_PARTS];
};

/*
 * tables: ends with NULL. The first pattern that fits is taken. False: the path cannot be read
 * (a wrong percent sign, a NUL, too many or too long parts).
 */
bool routing_find(const struct route *const *tables, const char *method,
    const char *path, struct routing *ret);

/* Percent signs, and '+' when is_query. Returns the length, -1 for what is wrong or too long. */
long routing_decode(
    const char *from, size_t length, bool is_query, char *ret, size_t size);

#endif
