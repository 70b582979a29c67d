#include "httpd.h"

#include "../must.h"
#include "request.h"
#include "routes.h"
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    DAEMONS = 2 * SERVE_SOCKETS + 1,
    RETIRED = 16,
    THREADS = 2,        /* of each that receive and send */
    MEMORY = 32 * 1024, /* of a connection: what of a request is kept */
};

/* What a connection is: nothing changes after it was accepted. */
struct peer {
    struct connection *connection;
    bool is_near; /* on loopback, or by a socket of ours */
    bool is_refused;
};

struct daemon {
    struct httpd *httpd;
    struct MHD_Daemon *mhd;
    struct socket socket;
    bool is_tls;
};

struct httpd {
    struct serve *serve;
    struct workers *workers;
    struct connections *connections;
    pthread_rwlock_t lock; /* of guard */
    struct guard guard;
    _Atomic size_t active; /* requests that are not answered yet, streams left out */
    size_t daemon_count;
    struct daemon *daemons[DAEMONS];
    size_t retired_count;
    struct daemon *retired[RETIRED]; /* of certificates before, until they are left */
    char problem[256];               /* of the library, at start */
};

/* ---- connections ---- */

static bool is_near(const struct daemon *d, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info != NULL ? info->client_addr : NULL;

    if (d->socket.is_unix) {
        return true;
    }
    if (a != NULL && a->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)a;

        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    }
    if (a != NULL && a->sa_family == AF_INET6) {
        const struct in6_addr *six =
            &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;

        return IN6_IS_ADDR_LOOPBACK(six)
               || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
    return false;
}

/* The mode of the socket says the same; who has it open as another user is told here. */
static bool is_other_user(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0
           || (peer.uid != geteuid() && peer.uid != 0);
}

static void note_connection(void *arg, struct MHD_Connection *connection,
    void **context, enum MHD_ConnectionNotificationCode code)
{
    struct daemon *d = arg;
    struct peer *peer;
    int fd;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        peer = *context;
        if (peer != NULL) {
            connections_remove(d->httpd->connections, peer->connection);
            free(peer);
        }
        *context = NULL;
        return;
    }
    fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
             ->connect_fd;
    peer = must(calloc(1, sizeof(*peer)));
    peer->connection = connections_add(d->httpd->connections, fd);
    peer->is_near = is_near(d, connection);
    peer->is_refused = d->socket.is_unix && is_other_user(fd);
    if (peer->is_refused) {
        shutdown(fd, SHUT_RDWR);
    }
    atomic_fetch_add(&d->httpd->serve->cost.connections_total, 1);
    *context = peer;
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

/* ---- what a request must be ---- */

/* Behind a proxy the client is somebody else. */
static bool is_forwarded(const struct request *r)
{
    return request_header(r, "Forwarded") != NULL
           || request_header(r, "X-Forwarded-For") != NULL
           || request_header(r, "X-Real-IP") != NULL;
}

static bool ask_for_token(struct request *r)
{
    reply_header(r, "WWW-Authenticate", "Bearer realm=\"mpalloc\"");
    if (strstr(request_header(r, "Accept") != NULL ? request_header(r, "Accept") : "",
            "text/html")
        != NULL) {
        reply_header(r, "WWW-Authenticate", "Basic realm=\"mpalloc\"");
    }
    reply_problem(r, 401,
        "a token is needed: Authorization: Bearer TOKEN (or the token as password)");
    return false;
}

/* False: answered with a problem. */
static bool check_action(
    const struct daemon *d, struct request *r, const struct guard *g)
{
    if (!guard_origin_is_ours(request_header(r, "Origin"),
            request_header(r, "Sec-Fetch-Site"), request_header(r, "Host"),
            d->is_tls)) {
        reply_problem(r, 403, "a page of another site may not ask for this");
        return false;
    }
    if (!g->allow_actions) {
        reply_problem(r, 403,
            "this server only looks: mpalloc serve --allow-actions changes that");
        return false;
    }
    return true;
}

static bool check_route(struct request *r)
{
    if (r->routing.route != NULL) {
        return true;
    }
    if (r->routing.is_known) {
        reply_header(r, "Allow", r->routing.allow);
        reply_problem(
            r, 405, "%s takes %s, not %s", r->path, r->routing.allow, r->method);
    } else {
        reply_problem(r, 404, "there is no %s: see /openapi.yaml", r->path);
    }
    return false;
}

static bool check_guarded(
    const struct daemon *d, const struct peer *peer, struct request *r)
{
    const struct guard *g = &d->httpd->guard;
    bool has_token = guard_has_token(g, request_header(r, "Authorization"));
    bool is_local = d->socket.is_unix; /* its mode is the token */

    if (!d->socket.is_unix && !guard_host_is_ours(g, request_header(r, "Host"))) {
        reply_problem(r, 421,
            "\"%.200s\" is no name of this server: add it by --host, if it is",
            request_header(r, "Host"));
        return false;
    }
    r->is_trusted = has_token || is_local
                    || (peer->is_near && g->token == NULL && !is_forwarded(r));
    if (!routing_find(routes, r->method, r->path, &r->routing)) {
        reply_problem(r, 400, "the path cannot be read: %.200s", r->path);
        return false;
    }
    if (g->token != NULL && !has_token && !is_local
        && (r->routing.route == NULL || (r->routing.route->flags & ROUTE_OPEN) == 0)) {
        return ask_for_token(r);
    }
    return check_route(r)
           && ((r->routing.route->flags & ROUTE_ACTION) == 0 || check_action(d, r, g));
}

static bool check_length(struct request *r)
{
    const char *length = request_header(r, "Content-Length");

    if (length != NULL && strtoull(length, NULL, 10) > REQUEST_BODY_BYTES) {
        reply_problem(r, 413, "a body has at most %d KiB", REQUEST_BODY_BYTES / 1024);
        return false;
    }
    return true;
}

/* Headers are there. False: answered with a problem. */
static bool begin(struct daemon *d, struct request *r,
    struct MHD_Connection *connection, const char *method)
{
    struct peer *peer = peer_of(connection);
    bool good;

    r->is_begun = true;
    atomic_fetch_add(&d->httpd->active, 1);
    snprintf(r->method, sizeof(r->method), "%s", method);
    good = request_take_headers(r, connection);
    if (good && peer->is_refused) {
        good = false;
        reply_problem(r, 403, "this socket is for its owner");
    }
    if (good) {
        pthread_rwlock_rdlock(&d->httpd->lock);
        good = check_guarded(d, peer, r);
        pthread_rwlock_unlock(&d->httpd->lock);
    }
    return good && check_length(r);
}

/* ---- the way of a request ---- */

/* On a worker. */
static void handle(struct job *job)
{
    struct request *r = (struct request *)job;

    r->routing.route->handle(r);
    if (r->response == NULL) {
        reply_problem(r, 500, "no answer was made");
    }
    if (r->process != NULL) {
        fleet_release_one(r->serve->fleet, r->process);
        r->process = NULL;
    }
    MHD_resume_connection(r->connection);
}

static enum MHD_Result finish(struct daemon *d, struct request *r)
{
    struct serve_cost *cost = &d->httpd->serve->cost;

    connections_set(d->httpd->connections, peer_of(r->connection)->connection,
        r->is_stream ? CONNECTION_STREAMS : CONNECTION_TAKES);
    atomic_fetch_add(&cost->refused_total, r->status >= 400 && r->status < 500);
    atomic_fetch_add(&cost->failed_total, r->status >= 500);
    if (atomic_load(&d->httpd->serve->is_ending) && !r->is_stream) {
        MHD_add_response_header(r->response, "Connection", "close");
    }
    return request_queue(r);
}

static enum MHD_Result give(struct daemon *d, struct request *r)
{
    bool is_quick = (r->routing.route->flags & ROUTE_QUICK) != 0;

    if (r->is_body_too_large) {
        reply_problem(r, 413, "a body has at most %d KiB", REQUEST_BODY_BYTES / 1024);
        return finish(d, r);
    }
    r->is_given = true;
    r->job.run = handle;
    connections_set(
        d->httpd->connections, peer_of(r->connection)->connection, CONNECTION_WORKS);
    MHD_suspend_connection(r->connection);
    if (!workers_add(d->httpd->workers, &r->job, is_quick)) {
        reply_header(r, "Retry-After", "5");
        reply_problem(r, 503, "too much is asked at once");
        MHD_resume_connection(r->connection);
    }
    return MHD_YES;
}

static bool has_body(const struct request *r)
{
    const char *length = request_header(r, "Content-Length");

    return request_header(r, "Transfer-Encoding") != NULL
           || (length != NULL && strtoull(length, NULL, 10) > 0);
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version, const char *data,
    size_t *bytes, void **context)
{
    struct daemon *d = arg;
    struct request *r = *context;

    (void)url;
    (void)version;
    if (r == NULL) {
        return MHD_NO;
    }
    if (!r->is_begun) { /* what is wrong is said at once only to spare a body */
        return begin(d, r, connection, method) || !has_body(r) ? MHD_YES : finish(d, r);
    }
    if (*bytes > 0) {
        request_take_body(r, data, *bytes);
        *bytes = 0;
        return MHD_YES;
    }
    return r->is_given || r->response != NULL ? finish(d, r) : give(d, r);
}

static void *note_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct daemon *d = arg;

    connections_set(
        d->httpd->connections, peer_of(connection)->connection, CONNECTION_ASKS);
    return request_create(d->httpd->serve, uri);
}

static uint64_t mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note_end(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode why)
{
    struct daemon *d = arg;
    struct request *r = *context;

    (void)why;
    if (r == NULL) {
        return;
    }
    *context = NULL;
    if (r->is_begun) {
        struct serve_cost *cost = &d->httpd->serve->cost;

        atomic_fetch_sub(&d->httpd->active, 1);
        atomic_fetch_add(&cost->requests_total, 1);
        atomic_fetch_add(
            &cost->request_ns_total, r->is_stream ? 0 : mono_ns() - r->begun_ns);
    }
    connections_set(
        d->httpd->connections, peer_of(connection)->connection, CONNECTION_RESTS);
    request_destroy(r);
}

/* ---- daemons ---- */

/* Only what hinders the start: clients can make any number of lines. */
__attribute__((format(printf, 2, 0))) static void note_problem(
    void *arg, const char *format, va_list arguments)
{
    struct daemon *d = arg;

    if (d->mhd == NULL) {
        vsnprintf(d->httpd->problem, sizeof(d->httpd->problem), format, arguments);
        d->httpd->problem[strcspn(d->httpd->problem, "\n")] = '\0';
    }
}

static struct MHD_Daemon *start_daemon(
    struct daemon *d, int fd, const struct httpd_identity *identity)
{
    bool is_tls =
        identity != NULL && identity->certificate != NULL && !d->socket.is_unix;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC
                     | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, is_tls ? identity->certificate : NULL},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, is_tls ? identity->key : NULL},
        {MHD_OPTION_END, 0, NULL}};

    d->is_tls = is_tls;
    return MHD_start_daemon(is_tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL, answer,
        d, MHD_OPTION_EXTERNAL_LOGGER, note_problem, d, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MOST, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)(d->socket.is_unix ? 0 : CONNECTIONS_OF_ONE),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTIONS_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_URI_LOG_CALLBACK,
        note_uri, d, MHD_OPTION_NOTIFY_COMPLETED, note_end, d,
        MHD_OPTION_NOTIFY_CONNECTION, note_connection, d, MHD_OPTION_ARRAY,
        is_tls ? tls : &tls[2], MHD_OPTION_END);
}

struct httpd *httpd_create(struct serve *serve, struct guard *guard)
{
    struct httpd *h = must(calloc(1, sizeof(*h)));

    h->serve = serve;
    h->guard = *guard;
    pthread_rwlock_init(&h->lock, NULL);
    h->workers = workers_create();
    h->connections = connections_create();
    return h;
}

static void say_why(const struct httpd *h, const struct socket *socket,
    const struct httpd_identity *identity, struct mp_error *error)
{
    const char *problem = h->problem[0] != '\0' ? h->problem : strerror(errno);

    if (identity->certificate != NULL) {
        snprintf(error->text, sizeof(error->text),
            "certificate and key cannot be used: is each PEM, and do they belong "
            "together? (%.150s)",
            problem);
    } else {
        snprintf(error->text, sizeof(error->text), "%.100s: no server: %.150s",
            socket->address, problem);
    }
}

int httpd_listen(struct httpd *h, const struct socket *socket,
    const struct httpd_identity *identity, struct mp_error *error)
{
    struct daemon *d = must(calloc(1, sizeof(*d)));

    d->httpd = h;
    d->socket = *socket;
    h->problem[0] = '\0';
    d->mhd = h->daemon_count < DAEMONS ? start_daemon(d, socket->fd, identity) : NULL;
    if (d->mhd == NULL) {
        say_why(h, socket, identity, error);
        sockets_close(&d->socket);
        free(d);
        return -1;
    }
    h->daemons[h->daemon_count++] = d;
    return 0;
}

void httpd_set_guard(struct httpd *h, struct guard *guard)
{
    pthread_rwlock_wrlock(&h->lock);
    guard_free(&h->guard);
    h->guard = *guard;
    pthread_rwlock_unlock(&h->lock);
}

/* Those that listen by it now take over; -1: none does. */
static int take_over(struct httpd *h, const struct daemon *before,
    const struct httpd_identity *identity, struct daemon **ret, struct mp_error *error)
{
    struct daemon *d = must(calloc(1, sizeof(*d)));

    d->httpd = h;
    d->socket = before->socket;
    d->socket.fd = dup(before->socket.fd);
    h->problem[0] = '\0';
    d->mhd = start_daemon(d, d->socket.fd, identity);
    if (d->mhd == NULL) {
        say_why(h, &d->socket, identity, error);
        close(d->socket.fd);
        free(d);
        return -1;
    }
    *ret = d;
    return 0;
}

static bool is_left(const struct daemon *d)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

    return info == NULL || info->num_connections == 0;
}

static void end_daemon(struct daemon *d)
{
    MHD_stop_daemon(d->mhd);
    sockets_close(&d->socket);
    free(d);
}

static void end_retired(struct httpd *h)
{
    size_t used = 0;

    for (size_t i = 0; i < h->retired_count; i++) {
        if (is_left(h->retired[i])) {
            end_daemon(h->retired[i]);
        } else {
            h->retired[used++] = h->retired[i];
        }
    }
    h->retired_count = used;
}

/* Its connections go on with the certificate that they have. */
static void retire(struct httpd *h, struct daemon *d)
{
    MHD_quiesce_daemon(d->mhd);
    close(d->socket.fd);
    d->socket.fd = -1;
    d->socket.path[0] = '\0';
    h->retired[h->retired_count++] = d;
}

int httpd_set_identity(
    struct httpd *h, const struct httpd_identity *identity, struct mp_error *error)
{
    end_retired(h);
    for (size_t i = 0; i < h->daemon_count; i++) {
        struct daemon *d;

        if (h->daemons[i]->socket.is_unix) {
            continue;
        }
        if (h->retired_count == RETIRED) {
            snprintf(error->text, sizeof(error->text),
                "connections of earlier certificates are still open: try again later");
            return -1;
        }
        if (take_over(h, h->daemons[i], identity, &d, error) != 0) {
            return -1;
        }
        retire(h, h->daemons[i]);
        h->daemons[i] = d;
    }
    return 0;
}

void httpd_tend(struct httpd *h)
{
    end_retired(h);
    connections_tend(h->connections);
    atomic_store(&h->serve->cost.connections_ended_total,
        connections_ended_total(h->connections));
}

size_t httpd_connections(struct httpd *h)
{
    return connections_count(h->connections);
}

void httpd_refuse(struct httpd *h)
{
    for (size_t i = 0; i < h->daemon_count; i++) {
        MHD_quiesce_daemon(h->daemons[i]->mhd);
    }
    connections_end_idle(h->connections);
}

bool httpd_drain(struct httpd *h, unsigned patience_ms)
{
    uint64_t end_ns = mono_ns() + (uint64_t)patience_ms * 1000000u;

    while (atomic_load(&h->active) > 0 && mono_ns() < end_ns) {
        struct timespec nap = {0, 5000000};

        nanosleep(&nap, NULL);
    }
    return workers_busy(h->workers) == 0;
}

void httpd_unlink(struct httpd *h)
{
    for (size_t i = 0; i < h->daemon_count; i++) {
        if (h->daemons[i]->socket.path[0] != '\0') {
            unlink(h->daemons[i]->socket.path);
        }
    }
}

void httpd_destroy(struct httpd *h)
{
    for (size_t i = 0; i < h->daemon_count; i++) {
        end_daemon(h->daemons[i]);
    }
    for (size_t i = 0; i < h->retired_count; i++) {
        end_daemon(h->retired[i]);
    }
    workers_destroy(h->workers);
    connections_destroy(h->connections);
    guard_free(&h->guard);
    pthread_rwlock_destroy(&h->lock);
    free(h);
}
