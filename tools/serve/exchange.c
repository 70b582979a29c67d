#include "exchange.h"

#include "../must.h"
#include "routes.h"
#include "serve.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What a connection is: nothing changes after it was accepted. */
struct peer {
    struct connection *connection;
    bool is_near; /* on loopback, or by a socket of ours */
    bool is_refused;
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

void exchange_note_connection(void *arg, struct MHD_Connection *connection,
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

/* Two would be one for us and another for a proxy. */
static bool check_host(const struct daemon *d, struct request *r, const struct guard *g)
{
    const char *host = request_header(r, "Host");
    size_t count = 0;

    for (size_t i = 0; i < r->header_count; i++) {
        count += strcasecmp(r->headers[i].name, "Host") == 0;
    }
    if (count > 1 || (count == 0 && r->needs_host)) {
        reply_problem(r, 400, "one Host is needed, not %zu", count);
        return false;
    }
    if (!d->socket.is_unix && !guard_host_is_ours(g, host)) {
        reply_problem(r, 421,
            "\"%.200s\" is no name of this server: add it by --host, if it is", host);
        return false;
    }
    return true;
}

static bool check_guarded(
    const struct daemon *d, const struct peer *peer, struct request *r)
{
    const struct guard *g = &d->httpd->guard;
    bool has_token = guard_has_token(g, request_header(r, "Authorization"));
    bool is_local = d->socket.is_unix; /* its mode is the token */

    if (!check_host(d, r, g)) {
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
    struct MHD_Connection *connection, const char *method, const char *version)
{
    struct peer *peer = peer_of(connection);
    bool good;

    r->is_begun = true;
    atomic_fetch_add(&d->httpd->active, 1);
    snprintf(r->method, sizeof(r->method), "%s", method);
    r->needs_host = strcmp(version, "HTTP/1.0") != 0;
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

enum MHD_Result exchange_answer(void *arg, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version, const char *data,
    size_t *bytes, void **context)
{
    struct daemon *d = arg;
    struct request *r = *context;

    (void)url;
    if (r == NULL) {
        return MHD_NO;
    }
    if (!r->is_begun) { /* what is wrong is said at once only to spare a body */
        return begin(d, r, connection, method, version) || !has_body(r) ? MHD_YES
                                                                        : finish(d, r);
    }
    if (*bytes > 0) {
        request_take_body(r, data, *bytes);
        *bytes = 0;
        return MHD_YES;
    }
    return r->is_given || r->response != NULL ? finish(d, r) : give(d, r);
}

void *exchange_note_uri(void *arg, const char *uri, struct MHD_Connection *connection)
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

void exchange_note_end(void *arg, struct MHD_Connection *connection, void **context,
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
