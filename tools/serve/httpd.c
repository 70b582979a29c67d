#include "httpd.h"

#include "../must.h"
#include "exchange.h"
#include "serve.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS = 2,        /* of each socket, that receive and send */
    MEMORY = 32 * 1024, /* of a connection: what of a request is kept */
};

static uint64_t mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
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
    return MHD_start_daemon(is_tls ? flags | MHD_USE_TLS : flags, 0, NULL, NULL,
        exchange_answer, d, MHD_OPTION_EXTERNAL_LOGGER, note_problem, d,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MOST,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)(d->socket.is_unix ? 0 : CONNECTIONS_OF_ONE),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTIONS_IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_URI_LOG_CALLBACK,
        exchange_note_uri, d, MHD_OPTION_NOTIFY_COMPLETED, exchange_note_end, d,
        MHD_OPTION_NOTIFY_CONNECTION, exchange_note_connection, d, MHD_OPTION_ARRAY,
        is_tls ? tls : &tls[2], MHD_OPTION_END);
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
    d->mhd = h->daemon_count < EXCHANGE_DAEMONS ? start_daemon(d, socket->fd, identity)
                                                : NULL;
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

static int set_identity_locked(
    struct httpd *h, const struct httpd_identity *identity, struct mp_error *error)
{
    for (size_t i = 0; i < h->daemon_count; i++) {
        struct daemon *d;

        if (h->daemons[i]->socket.is_unix) {
            continue;
        }
        if (h->retired_count == EXCHANGE_RETIRED) {
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

int httpd_set_identity(
    struct httpd *h, const struct httpd_identity *identity, struct mp_error *error)
{
    int code;

    pthread_mutex_lock(&h->tending);
    end_retired(h);
    code = set_identity_locked(h, identity, error);
    pthread_mutex_unlock(&h->tending);
    return code;
}

/* Once a second: connections whose time is over, and daemons that were left. */
static void *tend(void *arg)
{
    struct httpd *h = arg;
    struct timespec next;

    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&h->tending);
    while (!h->is_ending) {
        end_retired(h);
        connections_tend(h->connections);
        atomic_store(&h->serve->cost.connections_ended_total,
            connections_ended_total(h->connections));
        next.tv_sec++;
        pthread_cond_timedwait(&h->end, &h->tending, &next);
    }
    pthread_mutex_unlock(&h->tending);
    return NULL;
}

static void stop_tending(struct httpd *h)
{
    pthread_mutex_lock(&h->tending);
    h->is_ending = true;
    pthread_cond_signal(&h->end);
    pthread_mutex_unlock(&h->tending);
    pthread_join(h->tender, NULL);
}

struct httpd *httpd_create(struct serve *serve, struct guard *guard)
{
    struct httpd *h = must(calloc(1, sizeof(*h)));
    pthread_condattr_t monotonic;

    h->serve = serve;
    h->guard = *guard;
    pthread_rwlock_init(&h->lock, NULL);
    h->workers = workers_create();
    h->connections = connections_create();
    pthread_mutex_init(&h->tending, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->end, &monotonic);
    pthread_condattr_destroy(&monotonic);
    must(pthread_create(&h->tender, NULL, tend, h) == 0 ? h : NULL);
    pthread_setname_np(h->tender, "serve-tend");
    return h;
}

size_t httpd_connections(struct httpd *h)
{
    return connections_count(h->connections);
}

void httpd_refuse(struct httpd *h)
{
    stop_tending(h);
    for (size_t i = 0; i < h->daemon_count; i++) {
        MHD_quiesce_daemon(h->daemons[i]->mhd);
    }
    connections_end_idle(h->connections);
}

bool httpd_drain(struct httpd *h, unsigned patience_ms)
{
    uint64_t end_ns = mono_ns() + (uint64_t)patience_ms * 1000000u;

    while ((atomic_load(&h->active) > 0 || workers_busy(h->workers) > 0)
           && mono_ns() < end_ns) {
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
    if (!h->is_ending) { /* it did not get to serve */
        stop_tending(h);
    }
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
    pthread_mutex_destroy(&h->tending);
    pthread_cond_destroy(&h->end);
    free(h);
}
