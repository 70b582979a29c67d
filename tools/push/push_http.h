/*
 * push_http - one message to a server, over HTTP
 *
 * Owns: the connection (libcurl), how long it may take, and what an answer means for the message.
 * Does not own: when it is tried again (push_queue.h).
 *
 * Only http and https; redirections are not followed, for they would take the token elsewhere.
 * Threads: each its own connection.
 */
#ifndef PUSH_HTTP_H
#define PUSH_HTTP_H

#include <mpstats.h>

#include <stdatomic.h>

struct push_http;

enum push_outcome {
    PUSH_DELIVERED,
    PUSH_RETRY,   /* later: not reached, 429, 502, 503, 504 */
    PUSH_REFUSED, /* never */
    PUSH_STOPPED, /* *stop was set meanwhile */
};

struct push_request {
    const char *url;
    const char *content_type;
    const char *content_encoding; /* NULL: none */
    const void *body;
    size_t bytes;
    unsigned timeout_ms; /* 0: as usual; less than that only */
};

struct push_reply {
    unsigned status;         /* 0: there was none */
    uint64_t retry_after_ms; /* 0: not said */
    bool is_json;
    const void *body; /* until the next request; cut at 64 KiB */
    size_t bytes;
    char problem[320]; /* of retry and refused: what and why, one line */
};

struct push_http_options {
    const char *const *headers; /* "Name: value" each */
    size_t header_count;
    const char *token; /* bearer; NULL: none */
    const char
        *authority;      /* file of certificates instead of the system's; NULL: those */
    unsigned timeout_ms; /* of a whole request */
    const atomic_bool *stop; /* outlives it */
};

/* Texts are copied. Ends the process without memory. */
struct push_http *push_http_create(const struct push_http_options *o);
void push_http_destroy(struct push_http *h);

enum push_outcome push_http_post(
    struct push_http *h, const struct push_request *request, struct push_reply *ret);

/* Whether that is the address of a server; false: *ret_why says what is wrong. */
bool push_http_check_url(const char *url, const char **ret_why);

/* The address with that path at its end, unless it is there already. Free it. */
char *push_http_url(const char *url, const char *path);

/* What a header Retry-After says, from `now_s` on: seconds or a date. At most an hour. */
uint64_t push_retry_after_ms(const char *text, uint64_t now_s);

#endif
