#include "events.h"

#include "../must.h"
#include "api.h"
#include "documents.h"
#include "request.h"
#include "serve.h"

#include <ctype.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
    EVERY_LEAST_MS = 500,
    EVERY_MOST_MS = 60000,
    EVERY_USUAL_MS = 2000,
    BACKLOG_BYTES = 256 * 1024, /* with more no event is added */
    BLOCK_BYTES = 16 * 1024,
};

/* Under the lock of `events`, but for what is set once. */
struct stream {
    struct stream *next;
    struct events *events;
    struct MHD_Connection *connection;
    char id[64]; /* of a process; "": all */
    bool is_trusted;
    unsigned every_ms;
    unsigned refs; /* of the connection, and of the thread while it writes to it */
    uint64_t due_ms;
    uint64_t taken_ms; /* when the client took something, or had all */
    char *text;        /* that is to be sent: `used` bytes, `sent` of them done */
    size_t used;
    size_t sent;
    uint64_t alerts; /* hash of those that it knows */
    bool is_open;
    bool is_suspended;
    bool is_ending; /* after what there is */
};

struct events {
    struct serve *serve;
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t thread;
    struct stream *streams;
    size_t count;
    bool is_ending;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- one stream ---- */

static void release_locked(struct stream *s)
{
    if (--s->refs == 0) {
        free(s->text);
        free(s);
    }
}

static void wake_locked(struct stream *s)
{
    if (s->is_suspended) {
        s->is_suspended = false;
        MHD_resume_connection(s->connection);
    }
}

static ssize_t read_stream(void *arg, uint64_t position, char *to, size_t most)
{
    struct stream *s = arg;
    struct events *e = s->events;
    size_t bytes;
    bool ends;

    (void)position;
    pthread_mutex_lock(&e->lock);
    bytes = s->used - s->sent < most ? s->used - s->sent : most;
    if (bytes > 0) {
        memcpy(to, s->text + s->sent, bytes);
        s->sent += bytes;
    }
    s->taken_ms = now_ms();
    if (bytes == 0 && !s->is_ending) {
        s->is_suspended = true;
        MHD_suspend_connection(s->connection);
    }
    ends = bytes == 0 && s->is_ending;
    pthread_mutex_unlock(&e->lock);
    return ends ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)bytes;
}

/* The connection is over. */
static void close_stream(void *arg)
{
    struct stream *s = arg;
    struct events *e = s->events;
    struct stream **at = &e->streams;

    pthread_mutex_lock(&e->lock);
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    e->count--;
    s->is_open = false;
    atomic_store(&e->serve->cost.streams, e->count);
    release_locked(s);
    pthread_mutex_unlock(&e->lock);
}

static void add_text_locked(struct stream *s, const char *text, size_t bytes)
{
    if (s->sent > 0) {
        memmove(s->text, s->text + s->sent, s->used - s->sent);
        s->used -= s->sent;
        s->sent = 0;
    }
    s->text = must(realloc(s->text, s->used + bytes + 1));
    memcpy(s->text + s->used, text, bytes);
    s->used += bytes;
}

/* ---- what is sent ---- */

/* "event: NAME\ndata: {…}\n\n"; takes the document. */
static char *make_event(const char *name, json_t *document)
{
    char *data = must(json_dumps(document, JSON_COMPACT | JSON_ENSURE_ASCII));
    char *text;

    json_decref(document);
    if (asprintf(&text, "event: %s\ndata: %s\n\n", name, data) < 0) {
        must(NULL);
    }
    free(data);
    return text;
}

/*
 * Texts of one round: what several streams are sent is made once, for those who are trusted, and
 * for those who are not.
 */
struct round {
    struct serve *serve;
    char *processes[2];
    char *alerts[2];
    uint64_t alerts_hash[2];
};

/* Takes the document. */
static char *make_document(const char *name, json_t *document, bool is_trusted)
{
    if (!is_trusted) {
        api_redact(document);
    }
    return make_event(name, document);
}

static char *make_snapshot(
    struct serve *serve, const char *id, bool is_trusted, bool *ret_is_gone)
{
    const struct fleet_process *p =
        fleet_hold_one(serve->fleet, id, serve_age_ms(serve));
    char *text;

    *ret_is_gone = p == NULL;
    if (p == NULL) {
        return make_event("gone", must(json_pack("{s:s}", "id", id)));
    }
    text = p->image != NULL
               ? make_document("snapshot", documents.snapshot(p), is_trusted)
               : make_event("problem",
                   must(json_pack("{s:s, s:s}", "id", id, "detail", p->error)));
    fleet_release_one(serve->fleet, p);
    return text;
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 14695981039346656037u;

    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    }
    return hash;
}

/* Alerts without the time at which that was said. */
static void make_alerts(struct round *r, bool is_trusted)
{
    json_t *document = documents.alerts(r->serve);
    char *alone;

    if (!is_trusted) {
        api_redact(document);
    }
    alone = json_dumps(json_object_get(document, "alerts"), JSON_COMPACT);
    r->alerts_hash[!is_trusted] = alone != NULL ? hash_of(alone) : 0;
    free(alone);
    r->alerts[!is_trusted] = make_event("alerts", document);
}

/* ---- the thread ---- */

static void append_locked(struct stream *s, const char *text)
{
    if (s->is_open && s->used - s->sent < BACKLOG_BYTES) {
        add_text_locked(s, text, strlen(text));
        wake_locked(s);
    }
}

/* Unlocks while it makes what is to be sent. */
static void write_to_locked(struct events *e, struct round *r, struct stream *s)
{
    bool stranger = !s->is_trusted;
    char **processes = &r->processes[stranger];
    char *own = NULL;
    bool is_gone = false;

    s->refs++;
    pthread_mutex_unlock(&e->lock);
    if (s->id[0] != '\0') {
        own = make_snapshot(e->serve, s->id, s->is_trusted, &is_gone);
    } else if (*processes == NULL) {
        *processes =
            make_document("processes", documents.processes(e->serve), s->is_trusted);
    }
    if (documents.alerts != NULL && r->alerts[stranger] == NULL) {
        make_alerts(r, s->is_trusted);
    }
    pthread_mutex_lock(&e->lock);
    append_locked(s, own != NULL ? own : *processes);
    if (r->alerts[stranger] != NULL && s->alerts != r->alerts_hash[stranger]) {
        s->alerts = r->alerts_hash[stranger];
        append_locked(s, r->alerts[stranger]);
    }
    s->is_ending |= is_gone;
    free(own);
    release_locked(s);
}

static int descriptor_of(const struct stream *s)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(s->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info != NULL ? info->connect_fd : -1;
}

/* Nobody looks at the connection while it is suspended. */
static bool has_left(const struct stream *s)
{
    struct pollfd p = {.fd = descriptor_of(s), .events = POLLRDHUP};

    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* NULL: none is due. */
static struct stream *find_due_locked(
    struct events *e, uint64_t now, uint64_t *ret_next)
{
    for (struct stream *s = e->streams; s != NULL; s = s->next) {
        if (s->is_ending) {
            continue;
        }
        if (s->due_ms <= now) {
            return s;
        }
        *ret_next = s->due_ms < *ret_next ? s->due_ms : *ret_next;
    }
    return NULL;
}

static void tend_locked(struct events *e)
{
    uint64_t now = now_ms(); /* later than all that was taken */

    for (struct stream *s = e->streams; s != NULL; s = s->next) {
        uint64_t quiet_ms = now - s->taken_ms;

        if (s->is_suspended && has_left(s)) {
            s->is_ending = true;
            wake_locked(s);
        } else if (s->is_suspended && quiet_ms >= EVENTS_KEEP_ALIVE_S * 1000) {
            append_locked(s, ": \n\n"); /* for what is between us: it is not dead */
        } else if (!s->is_suspended && quiet_ms >= EVENTS_STALL_S * 1000) {
            shutdown(descriptor_of(s), SHUT_RDWR); /* it does not read */
        }
    }
}

static uint64_t write_due_locked(struct events *e)
{
    struct round round = {.serve = e->serve};
    uint64_t now = now_ms();
    uint64_t next = now + 1000;
    struct stream *s;

    while (!e->is_ending && (s = find_due_locked(e, now, &next)) != NULL) {
        s->due_ms = now + s->every_ms;
        write_to_locked(e, &round, s);
    }
    tend_locked(e);
    free(round.processes[0]);
    free(round.processes[1]);
    free(round.alerts[0]);
    free(round.alerts[1]);
    return next;
}

static void *write_events(void *arg)
{
    struct events *e = arg;

    pthread_mutex_lock(&e->lock);
    while (!e->is_ending) {
        uint64_t next = write_due_locked(e);
        struct timespec until = {(time_t)(next / 1000), (long)(next % 1000) * 1000000};

        if (e->streams == NULL) {
            pthread_cond_wait(&e->more, &e->lock);
        } else {
            pthread_cond_timedwait(&e->more, &e->lock, &until);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- the request ---- */

/* "2", "2s", "500ms". False: it is none. */
static bool parse_every(const char *text, unsigned *ret)
{
    char *end;
    double value;

    if (text == NULL) {
        *ret = EVERY_USUAL_MS;
        return true;
    }
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 10) {
        return false;
    }
    value = strtod(text, &end);
    if (strcmp(end, "ms") != 0) {
        value *= 1000;
        if (strcmp(end, "s") != 0 && end[0] != '\0') {
            return false;
        }
    }
    *ret = value >= EVERY_LEAST_MS && value <= EVERY_MOST_MS ? (unsigned)value : 0;
    return *ret != 0;
}

/* NULL: there are enough. */
static struct stream *open_stream(struct request *r, const char *id, unsigned every_ms)
{
    struct events *e = r->serve->events;
    struct stream *s = must(calloc(1, sizeof(*s)));

    s->events = e;
    s->connection = r->connection;
    s->every_ms = every_ms;
    s->is_trusted = request_is_trusted(r);
    s->refs = 1;
    s->is_open = true;
    s->taken_ms = now_ms();
    snprintf(s->id, sizeof(s->id), "%s", id);
    pthread_mutex_lock(&e->lock);
    if (e->count == EVENTS_STREAMS || e->is_ending) {
        pthread_mutex_unlock(&e->lock);
        free(s);
        return NULL;
    }
    add_text_locked(s, "retry: 2000\n\n", strlen("retry: 2000\n\n"));
    s->next = e->streams;
    e->streams = s;
    e->count++;
    atomic_store(&r->serve->cost.streams, e->count);
    pthread_cond_signal(&e->more);
    pthread_mutex_unlock(&e->lock);
    return s;
}

static enum answered handle_events(struct request *r)
{
    const char *wanted = request_value(r, "process");
    char id[64] = "";
    struct stream *s;
    unsigned every_ms;

    if (!parse_every(request_value(r, "every"), &every_ms)) {
        return reply_problem(r, 400,
            "every takes a time from 500ms to 60s, such as 2s, not \"%.100s\"",
            request_value(r, "every"));
    }
    if (wanted != NULL) {
        r->process = fleet_hold_one(r->serve->fleet, wanted, serve_age_ms(r->serve));
        if (r->process == NULL) {
            return reply_problem(r, 404,
                "there is no process \"%.200s\", or several have that name", wanted);
        }
        memcpy(id, r->process->id, sizeof(id));
    }
    s = open_stream(r, id, every_ms);
    if (s == NULL) {
        reply_header(r, "Retry-After", "10");
        return reply_problem(
            r, 503, "at most %d streams of events at once", EVENTS_STREAMS);
    }
    r->is_stream = true;
    reply_header(r, "Content-Type", "text/event-stream");
    reply_header(r, "X-Accel-Buffering", "no");
    return reply_response(r, 200,
        MHD_create_response_from_callback(
            MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream, s, close_stream));
}

const struct route events_routes[] = {
    {"GET", "/api/v1/events", handle_events, ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};

/* ---- life ---- */

struct events *events_create(struct serve *serve)
{
    struct events *e = must(calloc(1, sizeof(*e)));
    pthread_condattr_t monotonic;

    e->serve = serve;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&e->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    must(pthread_create(&e->thread, NULL, write_events, e) == 0 ? e : NULL);
    pthread_setname_np(e->thread, "serve-events");
    return e;
}

void events_end(struct events *e)
{
    pthread_mutex_lock(&e->lock);
    e->is_ending = true;
    for (struct stream *s = e->streams; s != NULL; s = s->next) {
        s->is_ending = true;
        wake_locked(s);
    }
    pthread_cond_signal(&e->more);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
}

void events_destroy(struct events *e)
{
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->more);
    free(e);
}
