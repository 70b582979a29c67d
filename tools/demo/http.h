/*
 * http - just enough of HTTP/1.1 for both ends of a socket (component `http`)
 *
 * Messages have a first line, headers, and a body of Content-Length bytes.
 */
#ifndef DEMO_HTTP_H
#define DEMO_HTTP_H

#include "memory.h"

struct http_header {
    struct http_header *next;
    char *name;
    char *value;
};

struct http_message {
    char *first_line;
    struct http_header *headers;
    char *body;
    size_t length; /* of the body */
};

/* One end of a connection: its socket and what was read ahead. */
struct http_stream {
    int fd;
    struct buffer unread;
};

/* false at the end of the connection, and on a message that is none. */
bool http_read(struct http_stream *s, struct http_message *ret);

/* An empty string when there is no such header. */
const char *http_find_header(const struct http_message *m, const char *name);

/* Send `head` (first line and headers, each with its \r\n) and the body. */
bool http_write(
    struct http_stream *s, struct buffer *head, const void *body, size_t length);

void http_message_fini(struct http_message *m);
void http_stream_fini(struct http_stream *s);

#endif
