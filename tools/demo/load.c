#include "load.h"

#include "document.h"
#include "http.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOT_DOCUMENTS = 256 };

struct client {
    struct load *load;
    pthread_t thread;
    struct http_stream stream;
};

struct load {
    struct load_plan plan; /* const */
    double start;          /* const */
    pthread_mutex_t lock;  /* of all that follows, but for client[] */
    pthread_cond_t ended;
    struct load_figures figures;
    uint64_t next; /* number of the next request */
    unsigned running;
    bool stop;
    unsigned threads;       /* the creating thread's */
    struct client client[]; /* each its thread's, once that runs */
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

/* The number of a request to be sent now; false at the end. */
static bool take_number(struct load *l, uint64_t *ret)
{
    for (;;) {
        double time = now() - l->start;
        double due = 0;
        bool end;
        bool taken = false;

        pthread_mutex_lock(&l->lock);
        if (l->plan.rate != 0) {
            due = (double)l->next / (double)l->plan.rate;
        }
        end = l->stop || (l->plan.requests != 0 && l->next >= l->plan.requests)
              || (l->plan.seconds > 0 && time >= l->plan.seconds);
        if (!end && due <= time) {
            *ret = l->next++;
            taken = true;
        }
        pthread_mutex_unlock(&l->lock);
        if (end || taken) {
            return taken;
        }
        pause_for(due - time < 0.05 ? due - time : 0.05);
    }
}

/* What one request came to. */
struct outcome {
    uint64_t sent_bytes;
    uint64_t extracted_bytes;
    uint64_t checksum;
    bool ok;
};

static bool exchange(struct http_stream *stream, const char *first_line,
    uint32_t document, const struct buffer *body, struct http_message *ret)
{
    struct buffer head = {0};
    bool ok;

    buffer_print(
        &head, "%s HTTP/1.1\r\nHost: demo\r\nX-Document: %u\r\n", first_line, document);
    ok = http_write(stream, &head, body->data, body->length) && http_read(stream, ret);
    buffer_fini(&head);
    return ok;
}

static bool is_answer(
    const struct http_message *m, const char *status, uint64_t checksum)
{
    return strncmp(m->first_line, "HTTP/1.1 ", 9) == 0
           && strncmp(m->first_line + 9, status, strlen(status)) == 0
           && strtoull(http_find_header(m, "X-Checksum"), NULL, 16) == checksum;
}

/* What a search finds depends on who was faster: only that it is answered is checked. */
static void send_search(
    struct http_stream *stream, uint32_t word_number, struct outcome *ret)
{
    static const struct buffer no_body = {0};
    struct http_message m;
    char word[WORD_MAX];
    char line[64];

    document_word(word_number, word);
    snprintf(line, sizeof(line), "GET /search/%s", word);
    if (exchange(stream, line, 0, &no_body, &m)) {
        ret->ok = is_answer(&m, "200", hash_bytes(m.body, m.length));
        http_message_fini(&m);
    }
}

static void send_document(
    struct http_stream *stream, uint64_t seed, uint32_t number, struct outcome *ret)
{
    struct document d;
    struct http_message m;

    document_init(&d, seed, number);
    ret->sent_bytes = d.body.length;
    if (exchange(stream, d.kind == DOCUMENT_HTML ? "POST /html" : "POST /pdf", number,
            &d.body, &m)) {
        ret->checksum = hash_bytes(m.body, m.length);
        ret->extracted_bytes = m.length;
        ret->ok =
            is_answer(&m, d.kind == DOCUMENT_DAMAGED_PDF ? "422" : "200", ret->checksum)
            && m.length == d.text.length
            && (m.length == 0 || memcmp(m.body, d.text.data, m.length) == 0);
        http_message_fini(&m);
    }
    document_fini(&d);
}

static void send_request(struct client *c, uint64_t number, struct outcome *ret)
{
    uint64_t seed = c->load->plan.seed;
    uint64_t state = seed ^ (number + 1) * 0xd6e8feb86659fd93;
    uint64_t choice = random_draw(&state);

    if (choice % 16 == 0) {
        send_search(&c->stream, (uint32_t)(choice >> 8) % 1000, ret);
    } else if (choice % 16 < 5) {
        send_document(&c->stream, seed, (uint32_t)(choice >> 8) % HOT_DOCUMENTS, ret);
    } else {
        send_document(&c->stream, seed, HOT_DOCUMENTS + (uint32_t)number, ret);
    }
}

static void count(struct load *l, uint64_t number, const struct outcome *o)
{
    uint64_t mixed = o->checksum ^ number * 0x9e3779b97f4a7c15;

    pthread_mutex_lock(&l->lock);
    l->figures.requests++;
    l->figures.sent_bytes += o->sent_bytes;
    l->figures.extracted_bytes += o->extracted_bytes;
    l->figures.checksum += random_draw(&mixed);
    if (!o->ok && l->figures.mismatches++ == 0) {
        snprintf(l->figures.first_mismatch, sizeof(l->figures.first_mismatch),
            "request %llu: %llu bytes of text are not what the document says",
            (unsigned long long)number, (unsigned long long)o->extracted_bytes);
    }
    pthread_mutex_unlock(&l->lock);
}

static void *run(void *argument)
{
    MP_SCOPE("load");
    struct client *c = argument;
    struct load *l = c->load;
    uint64_t number;

    while (take_number(l, &number)) {
        struct outcome o = {0};

        send_request(c, number, &o);
        count(l, number, &o);
    }
    http_stream_fini(&c->stream);
    pthread_mutex_lock(&l->lock);
    l->figures.seconds = now() - l->start;
    l->running--;
    pthread_cond_signal(&l->ended);
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static int start_client(struct load *l, const struct server *server)
{
    struct client *c = &l->client[l->threads];
    int error;

    c->load = l;
    c->stream.fd = server_connect(server);
    if (c->stream.fd < 0) {
        return errno;
    }
    pthread_mutex_lock(&l->lock);
    l->running++;
    error = pthread_create(&c->thread, NULL, run, c);
    l->running -= error != 0;
    l->threads += error == 0;
    pthread_mutex_unlock(&l->lock);
    if (error != 0) {
        http_stream_fini(&c->stream);
    }
    return error;
}

struct load *load_create(const struct server *server, const struct load_plan *plan)
{
    MP_SCOPE("load");
    size_t bytes = sizeof(struct load) + plan->threads * sizeof(struct client);
    struct load *l = memory_take(bytes);

    memset(l, 0, bytes);
    l->plan = *plan;
    l->start = now();
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->ended, NULL);
    for (unsigned i = 0; i < plan->threads; i++) {
        int error = start_client(l, server);

        if (error != 0) {
            load_stop(l);
            load_destroy(l);
            errno = error;
            return NULL;
        }
    }
    return l;
}

bool load_wait(struct load *l, double seconds)
{
    struct timespec until;
    bool ended;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(seconds * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&l->lock);
    while (l->running != 0
           && pthread_cond_timedwait(&l->ended, &l->lock, &until) != ETIMEDOUT) {
    }
    ended = l->running == 0;
    pthread_mutex_unlock(&l->lock);
    return ended;
}

void load_stop(struct load *l)
{
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_mutex_unlock(&l->lock);
}

void load_figures(struct load *l, struct load_figures *ret)
{
    pthread_mutex_lock(&l->lock);
    *ret = l->figures;
    ret->seconds = l->running != 0 ? now() - l->start : ret->seconds;
    pthread_mutex_unlock(&l->lock);
}

void load_destroy(struct load *l)
{
    for (unsigned i = 0; i < l->threads; i++) {
        pthread_join(l->client[i].thread, NULL);
    }
    pthread_cond_destroy(&l->ended);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
