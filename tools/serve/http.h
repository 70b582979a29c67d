/*
 * http - requests and replies of mpalloc serve
 *
 * Owns: the daemon (libmicrohttpd), who may ask (Host check, token, loopback), limits on size,
 * number and time, and how a request finds its handler. Does not own: what is answered (api.h,
 * metrics.h, page.h).
 */
#ifndef HTTP_H
#define HTTP_H

#include "fleet.h"

#include <jansson.h>
#include <stdbool.h>

struct serve;   /* all that handlers may need; serve.h */
struct request; /* one, while its handler runs */

/* What a handler returns: that it answered, by one of the functions below. */
enum answered { ANSWERED };

typedef enum answered handler_fn(struct request *r);

enum route_flag {
    ROUTE_ACTION = 1, /* changes something in a process: only with --allow-actions */
    ROUTE_OPEN = 2,   /* also without the token: /healthz, /readyz */
    ROUTE_QUICK = 4, /* never waits, and makes no names: what is slow cannot delay it */
};

struct route {
    const char *method; /* "GET" (HEAD is made from it), "POST" */
    const char *
        pattern; /* "/api/v1/processes/{id}/snapshot"; a last part "*" takes the rest */
    handler_fn *handle;
    unsigned flags;
};

/* A table of routes ends with one without a method. */

struct serve *request_serve(const struct request *r);

/* What {id} was, with percent signs decoded; NULL: not in the pattern. */
const char *request_part(const struct request *r, const char *name);

/* Of the query, decoded; NULL: not given. */
const char *request_value(const struct request *r, const char *name);

/*
 * The same as a whole number in bounds, `usual` when it is not given. False: it is wrong, and the
 * request was answered with problem 400.
 */
bool request_number(struct request *r, const char *name, uint64_t least, uint64_t most,
    uint64_t usual, uint64_t *ret);

const char *request_header(const struct request *r, const char *name);
const char *request_body(
    const struct request *r, size_t *ret_bytes); /* at most 64 KiB */

/* Whether stack addresses may be shown: the peer is on loopback, or has the token. */
bool request_is_trusted(const struct request *r);

/*
 * The process of {id}, or of the query's `process`, or the only one that runs, held until the request ends. NULL: there is none, and the request was answered
 * with problem 404. Its image may be NULL: it cannot be read (fleet.h).
 */
const struct fleet_process *request_process(struct request *r);

/* Takes the value. */
enum answered reply_json(struct request *r, unsigned status, json_t *value);

/* RFC 9457: application/problem+json with title of the status, and `detail`. */
__attribute__((format(printf, 3, 4))) enum answered reply_problem(
    struct request *r, unsigned status, const char *detail, ...);

/* Copies. */
enum answered reply_bytes(struct request *r, unsigned status, const char *type,
    const void *data, size_t bytes);
enum answered reply_static(struct request *r, const char *type, const void *data,
    size_t bytes); /* data lives for ever; with ETag */

/* For the reply that follows. */
void reply_header(struct request *r, const char *name, const char *value);

#endif
