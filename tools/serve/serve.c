#include "serve.h"

#include "../cli.h"
#include "../must.h"
#include "../view.h"
#include "api.h"
#include "events.h"
#include "httpd.h"
#include "metrics.h"
#include "pushing.h"
#include "rounds.h"
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 8192, PEM_MOST = 1024 * 1024 };

/* The public part first. */
struct whole {
    struct serve s;
    pthread_mutex_t names;
    pthread_mutex_t pushing; /* the pointer, and that it stays meanwhile */
    pthread_mutex_t lock;    /* of ending */
    pthread_cond_t ending;
};

unsigned serve_age_ms(const struct serve *s)
{
    return s->options.interval_ms < 1000 ? s->options.interval_ms : 1000;
}

struct metrics *serve_metrics(struct serve *s)
{
    return s->metrics;
}

void serve_lock_names(struct serve *s)
{
    pthread_mutex_lock(&((struct whole *)s)->names);
}

void serve_unlock_names(struct serve *s)
{
    pthread_mutex_unlock(&((struct whole *)s)->names);
}

size_t serve_pushes(struct serve *s, struct metrics_push *ret)
{
    struct whole *w = (struct whole *)s;
    size_t count;

    pthread_mutex_lock(&w->pushing);
    count = pushing_sum(s->pushing, ret);
    pthread_mutex_unlock(&w->pushing);
    return count;
}

/* What was before ends, which takes a while. */
static void replace_pushing(struct serve *s, struct pushing *pushing)
{
    struct whole *w = (struct whole *)s;
    struct pushing *before;

    pthread_mutex_lock(&w->pushing);
    before = s->pushing;
    s->pushing = pushing;
    pthread_mutex_unlock(&w->pushing);
    pushing_stop(before);
}

bool serve_wait(struct serve *s, uint64_t ms)
{
    struct whole *w = (struct whole *)s;
    struct timespec end;
    bool paused;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)(ms / 1000);
    end.tv_nsec += (long)(ms % 1000) * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    paused = workers_pause();
    pthread_mutex_lock(&w->lock);
    while (!atomic_load(&s->is_ending) && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&w->ending, &w->lock, &end);
    }
    pthread_mutex_unlock(&w->lock);
    if (paused) {
        workers_go_on();
    }
    return !atomic_load(&s->is_ending);
}

/* ---- what is read from files ---- */

static int fail_to_read(const char *path, int error)
{
    return cli_fail("serve",
        error == EACCES || error == EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED, "%s: %s",
        path, strerror(error));
}

static int read_pem(const char *path, char **ret)
{
    FILE *f = fopen(path, "re");
    char *text;
    size_t bytes;

    if (f == NULL) {
        return fail_to_read(path, errno);
    }
    text = must(malloc(PEM_MOST + 1));
    bytes = fread(text, 1, PEM_MOST, f);
    text[bytes] = '\0';
    if (ferror(f)) {
        int error = errno;

        fclose(f);
        free(text);
        return fail_to_read(path, error);
    }
    fclose(f);
    *ret = must(realloc(text, bytes + 1));
    return EXIT_FINE;
}

static void free_identity(struct httpd_identity *i)
{
    free(i->certificate);
    if (i->key != NULL) {
        explicit_bzero(i->key, strlen(i->key));
    }
    free(i->key);
    *i = (struct httpd_identity){0};
}

static int read_identity(const struct serve_options *o, struct httpd_identity *ret)
{
    int code = EXIT_FINE;

    *ret = (struct httpd_identity){0};
    if ((o->certificate == NULL) != (o->key == NULL)) {
        return cli_fail(
            "serve", EXIT_USAGE, "--certificate and --key go together: give both");
    }
    if (o->certificate != NULL) {
        code = read_pem(o->certificate, &ret->certificate);
        code = code == EXIT_FINE ? read_pem(o->key, &ret->key) : code;
    }
    if (code != EXIT_FINE) {
        free_identity(ret);
    }
    return code;
}

static int read_guard(const struct serve_options *o, struct guard *ret)
{
    int code;

    *ret = (struct guard){.allow_actions = o->allow_actions};
    if (o->token_file != NULL) {
        code = guard_read_token(o->token_file, &ret->token);
        if (code == -EBADMSG) {
            return cli_fail("serve", EXIT_FAILED,
                "%s: no token: its first line must be one, of visible characters",
                o->token_file);
        }
        if (code != 0) {
            return fail_to_read(o->token_file, -code);
        }
    }
    ret->hosts = must(calloc(o->host_count + 1, sizeof(char *)));
    for (size_t i = 0; i < o->host_count; i++) {
        ret->hosts[ret->host_count++] = must(strdup(o->hosts[i]));
    }
    return EXIT_FINE;
}

/* ---- start ---- */

static void allow_many_files(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < FILES) {
        r.rlim_cur = r.rlim_max < FILES ? r.rlim_max : FILES;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int collect_sockets(
    const struct serve_options *o, struct socket *all, size_t *ret_count)
{
    int code = sockets_inherit(all, SERVE_SOCKETS, ret_count);
    bool is_alone = *ret_count == 0;

    for (size_t i = 0; code == EXIT_FINE && is_alone && i < o->listen_count; i++) {
        code = sockets_listen(o->listen[i], &all[*ret_count]);
        *ret_count += code == EXIT_FINE;
    }
    if (code == EXIT_FINE && o->unix_path != NULL) {
        code = sockets_listen_unix(o->unix_path, &all[*ret_count]);
        *ret_count += code == EXIT_FINE;
    }
    return code;
}

/* Where it can be reached, and what is unwise about that. */
static void announce(const struct serve_options *o, const struct socket *s)
{
    bool is_tls = o->certificate != NULL && !s->is_unix;

    fprintf(stderr, "mpalloc serve: listening on %s%s\n",
        s->is_unix ? "unix:"
        : is_tls   ? "https://"
                   : "http://",
        s->address);
    if (!s->is_loopback && o->token_file == NULL && o->certificate == NULL) {
        fprintf(stderr,
            "mpalloc serve: warning: whoever reaches %s sees these processes: set "
            "--token-file, or --certificate and --key\n",
            s->address);
    }
}

static int listen_all(struct whole *w, struct socket *all, size_t count,
    const struct httpd_identity *identity)
{
    int code = EXIT_FINE;

    for (size_t i = 0; i < count; i++) {
        struct mp_error error = {""};

        if (code != EXIT_FINE) {
            sockets_close(&all[i]);
        } else if (httpd_listen(w->s.httpd, &all[i], identity, &error) != 0) {
            code = cli_fail("serve", EXIT_FAILED, "%s", error.text);
        } else {
            announce(&w->s.options, &all[i]);
        }
    }
    return code;
}

static struct whole *create_whole(const struct serve_options *options)
{
    struct whole *w = must(calloc(1, sizeof(*w)));
    pthread_condattr_t monotonic;

    w->s.options = *options;
    atomic_init(&w->s.allow_actions, options->allow_actions);
    w->s.started_ns = view_now_ns();
    pthread_mutex_init(&w->names, NULL);
    pthread_mutex_init(&w->pushing, NULL);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->ending, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return w;
}

static void lock_names(void *arg, bool is_locked)
{
    if (is_locked) {
        serve_lock_names(arg);
    } else {
        serve_unlock_names(arg);
    }
}

static int create_metrics(struct whole *w)
{
    struct metrics_options o =
        w->s.options.metrics != NULL ? *w->s.options.metrics : metrics_usual;
    int error;

    o.insights.history_path = w->s.options.history_path;
    o.insights.lock = lock_names;
    o.insights.lock_arg = &w->s;
    error = metrics_create(w->s.fleet, &o, &w->s.metrics);
    return error != 0 ? cli_fail(
               "serve", EXIT_FAILED, "no thread for verdicts: %s", strerror(-error))
                      : EXIT_FINE;
}

static void destroy_whole(struct whole *w)
{
    httpd_destroy(w->s.httpd);
    events_destroy(w->s.events);
    rounds_destroy(w->s.rounds);
    api_destroy(w->s.api);
    if (w->s.metrics != NULL) {
        metrics_destroy(w->s.metrics);
    }
    if (w->s.fleet != NULL) {
        fleet_destroy(w->s.fleet);
    }
    pthread_mutex_destroy(&w->names);
    pthread_mutex_destroy(&w->pushing);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->ending);
    free(w);
}

static bool start_pushing(
    struct serve *s, const struct config *config, struct pushing **ret)
{
    struct mp_error error = {""};

    *ret = NULL;
    if (config != NULL && pushing_start(config, s->fleet, ret, &error) != 0) {
        cli_fail("serve", EXIT_FAILED, "%s", error.text);
        return false;
    }
    if (s->metrics != NULL) {
        pushing_show(*ret, metrics_insights(s->metrics));
    }
    return true;
}

int serve_start(const struct serve_options *options, struct serve **ret)
{
    struct socket sockets[2 * SERVE_SOCKETS + 1];
    struct httpd_identity identity;
    struct mp_error error = {""};
    struct pushing *pushing;
    struct whole *w;
    struct guard guard;
    size_t count = 0;
    int code = read_identity(options, &identity);

    if (code != EXIT_FINE) {
        return code;
    }
    code = read_guard(options, &guard);
    if (code != EXIT_FINE) {
        free_identity(&identity);
        return code;
    }
    allow_many_files();
    w = create_whole(options);
    w->s.api = api_create(&w->s);
    w->s.httpd = httpd_create(&w->s, &guard);
    w->s.events = events_create(&w->s);
    w->s.rounds = rounds_create(&w->s);
    code = fleet_create(&options->fleet, &w->s.fleet, &error) != 0
               ? cli_fail("serve", EXIT_FAILED, "%s", error.text)
               : create_metrics(w);
    if (code == EXIT_FINE) {
        code = collect_sockets(options, sockets, &count);
    }
    if (code == EXIT_FINE) {
        code = listen_all(w, sockets, count, &identity);
    } else {
        for (size_t i = 0; i < count; i++) {
            sockets_close(&sockets[i]);
        }
    }
    free_identity(&identity);
    if (code != EXIT_FINE) {
        events_end(w->s.events);
        destroy_whole(w);
        return code;
    }
    rounds_start(w->s.rounds);
    start_pushing(&w->s, options->config, &pushing); /* a line says it if not */
    replace_pushing(&w->s, pushing);
    *ret = &w->s;
    return EXIT_FINE;
}

/* All is read before anything of it is used. */
static bool take_over(struct serve *s, const struct serve_options *o)
{
    struct httpd_identity identity;
    struct mp_error error = {""};
    struct pushing *pushing;
    struct guard guard;
    bool good;

    if (read_guard(o, &guard) != EXIT_FINE) {
        return false;
    }
    if (read_identity(o, &identity) != EXIT_FINE) {
        guard_free(&guard);
        return false;
    }
    good = (o->certificate == NULL && s->options.certificate == NULL)
           || httpd_set_identity(s->httpd, &identity, &error) == 0;
    free_identity(&identity);
    if (!good) {
        cli_fail("serve", EXIT_FAILED, "%s", error.text);
        guard_free(&guard);
        return false;
    }
    s->options.certificate = o->certificate;
    s->options.key = o->key;
    httpd_set_guard(s->httpd, &guard);
    atomic_store(&s->allow_actions, o->allow_actions);
    rounds_reload(s->rounds, o->config);
    if (start_pushing(s, o->config, &pushing)) {
        replace_pushing(s, pushing);
    }
    return true;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool needs_restart(const struct serve_options *a, const struct serve_options *b)
{
    bool same = a->listen_count == b->listen_count
                && is_same_text(a->unix_path, b->unix_path)
                && a->fleet.directory_count == b->fleet.directory_count
                && a->interval_ms == b->interval_ms && a->history == b->history;

    for (size_t i = 0; same && i < a->listen_count; i++) {
        same = is_same_text(a->listen[i], b->listen[i]);
    }
    for (size_t i = 0; same && i < a->fleet.directory_count; i++) {
        same = is_same_text(a->fleet.directories[i], b->fleet.directories[i]);
    }
    return !same;
}

void serve_reload(struct serve *s, const struct serve_options *options)
{
    if (needs_restart(&s->options, options)) {
        fprintf(stderr,
            "mpalloc serve: listen, unix, directories, interval and history "
            "change when it is started again\n");
    }
    fprintf(stderr, "mpalloc serve: %s\n",
        take_over(s, options) ? "reloaded"
                              : "not all could be read: what was before is kept");
}

bool serve_stop(struct serve *s, unsigned patience_ms)
{
    struct whole *w = (struct whole *)s;

    httpd_refuse(s->httpd);
    pthread_mutex_lock(&w->lock);
    atomic_store(&s->is_ending, true);
    pthread_cond_broadcast(&w->ending);
    pthread_mutex_unlock(&w->lock);
    pushing_end(s->pushing); /* while the sinks of alerts end, too */
    events_end(s->events);
    rounds_end(s->rounds);
    replace_pushing(s, NULL);
    if (!httpd_drain(s->httpd, patience_ms)) {
        fprintf(stderr, "mpalloc serve: some requests were not answered within %u s\n",
            patience_ms / 1000);
        httpd_unlink(s->httpd);
        return false;
    }
    destroy_whole(w);
    return true;
}
