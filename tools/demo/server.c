#include "server.h"

#include "cache.h"
#include "html.h"
#include "http.h"
#include "index.h"
#include "log.h"
#include "pdf.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Written by server_create and server_destroy only, while no worker runs. */
struct server {
    struct server_plan plan;
    struct cache *cache;
    struct index *index;
    struct log *log;
    int listener;
    struct sockaddr_un address;
    socklen_t address_length;
    unsigned threads; /* that were started */
    pthread_t thread[];
};

/* true and the text, whether from the cache or not; false for a damaged document. */
static bool extract(
    struct server *s, const struct http_message *request, struct buffer *ret_text)
{
    bool is_html = strncmp(request->first_line, "POST /html ", 11) == 0;
    uint64_t key = hash_bytes(request->body, request->length);
    const char *number = http_find_header(request, "X-Document");

    if (cache_find(s->cache, key, ret_text)) {
        return true;
    }
    if (is_html) {
        html_extract(number, request->body, request->length, s->plan.leak, ret_text);
    } else if (!pdf_extract(request->body, request->length, ret_text)) {
        ret_text->length = 0;
        return false;
    }
    if (ret_text->length > 0) {
        cache_insert(s->cache, key, ret_text);
        index_insert(s->index, (uint32_t)strtoul(number, NULL, 10), ret_text);
    }
    return true;
}

static void search(
    struct server *s, const struct http_message *request, struct buffer *ret_text)
{
    char *word = memory_copy(request->first_line, strlen(request->first_line));

    strtok(word, " ");
    index_find(s->index, word + strlen("GET /search/"), ret_text);
    free(word);
}

static bool answer(
    struct server *s, struct http_stream *stream, const struct http_message *request)
{
    struct buffer text = {0};
    struct buffer head = {0};
    const char *status = "200 OK";
    bool ok;

    if (strncmp(request->first_line, "POST /html ", 11) == 0
        || strncmp(request->first_line, "POST /pdf ", 10) == 0) {
        status = extract(s, request, &text) ? status : "422 Unprocessable Content";
    } else if (strncmp(request->first_line, "GET /search/", 12) == 0) {
        search(s, request, &text);
    } else {
        status = "404 Not Found";
    }
    buffer_print(&head, "HTTP/1.1 %s\r\nX-Checksum: %016llx\r\n", status,
        (unsigned long long)hash_bytes(text.data, text.length));
    ok = http_write(stream, &head, text.data, text.length);
    log_add(s->log, "%s -> %s, %zu bytes", request->first_line, status, text.length);
    buffer_fini(&head);
    buffer_fini(&text);
    return ok;
}

static void serve(struct server *s, int fd)
{
    struct http_stream stream = {.fd = fd};
    struct http_message request;
    bool ok = true;

    while (ok && http_read(&stream, &request)) {
        ok = answer(s, &stream, &request);
        http_message_fini(&request);
    }
    http_stream_fini(&stream);
}

static void *work(void *argument)
{
    MP_SCOPE("http");
    struct server *s = argument;
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0 || errno == EINTR
           || errno == ECONNABORTED) {
        if (fd >= 0) {
            serve(s, fd);
        }
    }
    return NULL;
}

/* Binding to the family alone makes the kernel choose a name. */
static bool try_listen(struct server *s)
{
    struct sockaddr_un *address = &s->address;

    address->sun_family = AF_UNIX;
    s->address_length = sizeof(*address);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return s->listener >= 0
           && bind(s->listener, (struct sockaddr *)address, sizeof(sa_family_t)) == 0
           && listen(s->listener, 128) == 0
           && getsockname(s->listener, (struct sockaddr *)address, &s->address_length)
                  == 0;
}

void server_destroy(struct server *s)
{
    int error = errno;

    shutdown(s->listener, SHUT_RDWR); /* accept returns EINVAL in every worker */
    for (unsigned i = 0; i < s->threads; i++) {
        pthread_join(s->thread[i], NULL);
    }
    close(s->listener);
    log_destroy(s->log);
    index_destroy(s->index);
    cache_destroy(s->cache);
    free(s);
    errno = error;
}

struct server *server_create(const struct server_plan *plan)
{
    size_t bytes = sizeof(struct server) + plan->threads * sizeof(pthread_t);
    struct server *s = memory_take(bytes);

    memset(s, 0, bytes);
    s->plan = *plan;
    s->cache = cache_create(plan->cache_bytes);
    s->index = index_create(plan->index_bytes);
    s->log = log_create();
    if (!try_listen(s)) {
        server_destroy(s);
        return NULL;
    }
    for (; s->threads < plan->threads; s->threads++) {
        int error = pthread_create(&s->thread[s->threads], NULL, work, s);

        if (error != 0) {
            errno = error;
            server_destroy(s);
            return NULL;
        }
    }
    return s;
}

int server_connect(const struct server *s)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0
        && connect(fd, (const struct sockaddr *)&s->address, s->address_length) != 0) {
        int error = errno;

        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}
