/*
 * httpd - the server behind http.h: libmicrohttpd, its connections, and the way of a request
 *
 * A request is received by one of the daemon's threads and checked there (guard.h); its handler runs
 * on a worker (workers.h) while the connection is suspended, so no handler holds up another
 * connection.
 */
#ifndef HTTPD_H
#define HTTPD_H

#include "connections.h"
#include "guard.h"
#include "http.h"
#include "sockets.h"

struct httpd;

/* PEM texts; NULL: no TLS. */
struct httpd_identity {
    char *certificate;
    char *key;
};

/* Takes the guard; a thread of it ends connections whose time is over. Ends the process without memory. */
struct httpd *httpd_create(struct serve *serve, struct guard *guard);

/* Takes the socket, also on an error: 0, or -1 with a line in *error. */
int httpd_listen(struct httpd *h, const struct socket *socket,
    const struct httpd_identity *identity, struct mp_error *error);

/* In use from the next request on; takes it. */
void httpd_set_guard(struct httpd *h, struct guard *guard);

/* For new connections. -1 with a line: what was is kept. */
int httpd_set_identity(
    struct httpd *h, const struct httpd_identity *identity, struct mp_error *error);

size_t httpd_connections(struct httpd *h);

/* Accepts no more; then waits up to so long for what was asked. False: it was not enough. */
void httpd_refuse(struct httpd *h);
bool httpd_drain(struct httpd *h, unsigned patience_ms);

/* After httpd_drain was true. */
void httpd_destroy(struct httpd *h);

/* Removes the paths of sockets: for an end without httpd_destroy. */
void httpd_unlink(struct httpd *h);

#endif
