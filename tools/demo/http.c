#include "http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 16 << 10, BODY_MAX = 16 << 20 };

static bool read_more(struct http_stream *s)
{
    char chunk[8192];
    ssize_t got;

    do {
        got = recv(s->fd, chunk, sizeof(chunk), 0);
    } while (got < 0 && errno == EINTR);
    if (got > 0) {
        buffer_add(&s->unread, chunk, (size_t)got);
    }
    return got > 0;
}

/* The head of the next message with its empty line: its length, or 0 at the end. */
static size_t read_head(struct http_stream *s)
{
    while (s->unread.length < HEAD_MAX) {
        char *end = s->unread.length == 0
                        ? NULL
                        : memmem(s->unread.data, s->unread.length, "\r\n\r\n", 4);

        if (end != NULL) {
            return (size_t)(end - s->unread.data) + 4;
        }
        if (!read_more(s)) {
            return 0;
        }
    }
    return 0;
}

static void parse_head(struct http_message *m, const char *head)
{
    const char *end = strstr(head, "\r\n");

    m->first_line = memory_copy(head, (size_t)(end - head));
    for (head = end + 2; (end = strstr(head, "\r\n")) != head; head = end + 2) {
        const char *colon = memchr(head, ':', (size_t)(end - head));
        struct http_header *h;

        if (colon == NULL) {
            continue;
        }
        h = memory_take(sizeof(*h));
        h->name = memory_copy(head, (size_t)(colon - head));
        for (colon++; *colon == ' '; colon++) {
        }
        h->value = memory_copy(colon, (size_t)(end - colon));
        h->next = m->headers;
        m->headers = h;
    }
}

static bool read_body(struct http_stream *s, struct http_message *m)
{
    size_t done = s->unread.length < m->length ? s->unread.length : m->length;

    m->body = memory_take(m->length + 1);
    memcpy(m->body, s->unread.data, done);
    m->body[m->length] = '\0';
    buffer_consume(&s->unread, done);
    while (done < m->length) {
        ssize_t got = recv(s->fd, m->body + done, m->length - done, 0);

        if (got == 0 || (got < 0 && errno != EINTR)) {
            return false;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return true;
}

bool http_read(struct http_stream *s, struct http_message *ret)
{
    size_t head = read_head(s);

    *ret = (struct http_message){0};
    if (head == 0 || memchr(s->unread.data, '\0', head) != NULL) {
        return false;
    }
    parse_head(ret, s->unread.data);
    buffer_consume(&s->unread, head);
    ret->length = strtoul(http_find_header(ret, "Content-Length"), NULL, 10);
    if (ret->length > BODY_MAX || !read_body(s, ret)) {
        http_message_fini(ret);
        return false;
    }
    return true;
}

const char *http_find_header(const struct http_message *m, const char *name)
{
    for (const struct http_header *h = m->headers; h != NULL; h = h->next) {
        if (strcasecmp(h->name, name) == 0) {
            return h->value;
        }
    }
    return "";
}

static bool send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR) {
            return false;
        }
        data += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

bool http_write(
    struct http_stream *s, struct buffer *head, const void *body, size_t length)
{
    buffer_print(head, "Content-Length: %zu\r\n\r\n", length);
    return send_all(s->fd, head->data, head->length) && send_all(s->fd, body, length);
}

void http_message_fini(struct http_message *m)
{
    while (m->headers != NULL) {
        struct http_header *h = m->headers;

        m->headers = h->next;
        free(h->name);
        free(h->value);
        free(h);
    }
    free(m->first_line);
    free(m->body);
    *m = (struct http_message){0};
}

void http_stream_fini(struct http_stream *s)
{
    close(s->fd);
    buffer_fini(&s->unread);
}
