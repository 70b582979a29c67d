/*
 * request - one request and its reply, behind http.h
 *
 * Owns: a copy of what the client said, so that a handler may run on any thread while the
 * connection is suspended, and the reply until it is queued. Does not own: the connection.
 *
 * One thread at a time: that of the daemon, then a worker, then that of the daemon again.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "http.h"
#include "routing.h"
#include "workers.h"

#include <microhttpd.h>

enum {
    REQUEST_PAIRS = 64,               /* headers, and so many of the query */
    REQUEST_URI_BYTES = 4096,         /* more is 414 */
    REQUEST_HEADER_BYTES = 16 * 1024, /* all headers; more is 431 */
    REQUEST_BODY_BYTES = 64 * 1024,   /* more is 413 */
    REPLY_HEADERS = 16,
};

struct pair {
    const char *name;
    const char *value;
};

struct request {
    struct job job; /* first */
    struct serve *serve;
    struct MHD_Connection *connection;
    uint64_t begun_ns; /* CLOCK_MONOTONIC */
    char *uri;         /* as it was sent; NULL: too long */
    char *path;        /* in uri, without the query */
    char method[16];
    struct routing routing;
    char *texts; /* of headers and query */
    size_t header_count;
    struct pair headers[REQUEST_PAIRS];
    size_t query_count;
    struct pair query[REQUEST_PAIRS];
    char *body;
    size_t body_bytes;
    bool is_body_too_large;
    bool is_trusted;
    bool needs_host; /* of HTTP/1.1 */
    bool is_begun;
    bool is_given;  /* to a worker, which answered when it is called again */
    bool is_stream; /* the reply has no end */
    const struct fleet_process *process;
    unsigned status;
    struct MHD_Response *response; /* NULL: not answered */
    size_t reply_count;
    struct {
        char *name;
        char *value;
    } reply[REPLY_HEADERS];
};

/* Ends the process without memory. */
struct request *request_create(struct serve *serve, const char *uri);
void request_destroy(struct request *r);

/* Copies headers and query. False: answered already, with a problem. */
bool request_take_headers(struct request *r, struct MHD_Connection *connection);

/* One more part of it; what is too large is dropped, and said when it is over. */
void request_take_body(struct request *r, const char *data, size_t bytes);

/* Gives the reply to the connection. */
enum MHD_Result request_queue(struct request *r);

/* What a handler streams instead of one of the replies of http.h; takes the response. */
enum answered reply_response(
    struct request *r, unsigned status, struct MHD_Response *response);

#endif
