/*
 * exchange - one request on its way: received, checked, given to a worker, answered
 *
 * Owns: what the daemons of libmicrohttpd call (httpd.c starts and ends them), and the rules of who
 * gets which answer. Threads: those of the daemons, and workers for handlers.
 */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "connections.h"
#include "guard.h"
#include "request.h"
#include "sockets.h"
#include "workers.h"

#include <pthread.h>

enum { EXCHANGE_DAEMONS = 17, EXCHANGE_RETIRED = 16 };

/* One socket that is listened on. */
struct daemon {
    struct httpd *httpd;
    struct MHD_Daemon *mhd; /* NULL while it starts */
    struct socket socket;
    bool is_tls;
};

/* What all of them share. */
struct httpd {
    struct serve *serve;
    struct workers *workers;
    struct connections *connections;
    pthread_rwlock_t lock; /* of guard */
    struct guard guard;
    _Atomic size_t active;   /* requests that are not answered to their end */
    pthread_mutex_t tending; /* of the two lists; see httpd.c */
    pthread_cond_t end;
    pthread_t tender;
    bool is_ending;
    size_t daemon_count;
    struct daemon *daemons[EXCHANGE_DAEMONS];
    size_t retired_count;
    struct daemon
        *retired[EXCHANGE_RETIRED]; /* of certificates before, until they are left */
    char problem[256];              /* of the library, at start */
};

/* Each with a daemon as `arg`; see MHD_start_daemon. */
void exchange_note_connection(void *arg, struct MHD_Connection *connection,
    void **context, enum MHD_ConnectionNotificationCode code);
void *exchange_note_uri(void *arg, const char *uri, struct MHD_Connection *connection);
void exchange_note_end(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode why);
enum MHD_Result exchange_answer(void *arg, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version, const char *data,
    size_t *bytes, void **context);

#endif
