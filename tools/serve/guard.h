/*
 * guard - who may ask, and for what
 *
 * Owns: the token, the names by which this server may be called, and the rules: a name in Host that
 * is not ours is an attack by DNS rebinding; an action needs an Origin that is ours, if a browser
 * says one. Pure: no I/O after the token was read. What is set is not changed while requests use it.
 */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct guard {
    char *token;  /* NULL: none is needed */
    char **hosts; /* besides loopback names and addresses */
    size_t host_count;
    bool allow_actions;
};

void guard_free(struct guard *g);

/* The first line of the file. 0, or a negative errno: -EBADMSG when it is empty or no token. */
int guard_read_token(const char *path, char **ret);

/* "name:port", "[::1]:80", "127.0.0.1"; NULL: there was no such header. */
bool guard_host_is_ours(const struct guard *g, const char *host);

/* The value of Authorization: Bearer TOKEN, or Basic with the token as password. */
bool guard_has_token(const struct guard *g, const char *authorization);

/* Whether a browser that says this acts for a page of ours. NULL: it does not say. */
bool guard_origin_is_ours(
    const char *origin, const char *site, const char *host, bool is_tls);

#endif
