/*
 * server - worker threads that take documents over a socket and answer with their text
 *
 * POST /html or /pdf, the document as the body: 200 and its text, or 422 when damaged.
 * GET /search/WORD: 200 and the numbers of documents with that word, a line each.
 * The socket is a Unix one with a name that the kernel chose.
 */
#ifndef DEMO_SERVER_H
#define DEMO_SERVER_H

#include "memory.h"

struct server;

struct server_plan {
    unsigned threads; /* as many connections can be open at once */
    size_t cache_bytes;
    size_t index_bytes;
    bool leak; /* html.h */
};

/* NULL, errno set, when there is no socket or no thread to be had. */
struct server *server_create(const struct server_plan *plan);

/* A connected socket, or -1 with errno. */
int server_connect(const struct server *s);

/* Once all connections were closed. */
void server_destroy(struct server *s);

#endif
