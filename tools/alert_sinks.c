#include "alert_sinks.h"

#include "alert_sink.h"
#include "must.h"
#include "said.h"
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct alert_sinks {
    size_t count;
    struct alert_sink *all;
};

static uint64_t now_mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static const char *name_of(const struct alert_sink *s)
{
    return s->of->kind == SINK_EXEC ? s->of->command.at[0] : s->of->to;
}

/* Once when it begins to fail, and once when it is over. */
static void say(struct alert_sink *s, bool is_failing, const char *why)
{
    if (is_failing && !s->is_failing) {
        said_note("mpalloc alerts", "%s: %s", name_of(s), why);
    } else if (!is_failing && s->is_failing) {
        said_note("mpalloc alerts", "%s: works again", name_of(s));
    }
    s->is_failing = is_failing;
}

/* ---- log: at once ---- */

static void write_log(struct alert_sink *s, const struct alert_notice *n)
{
    char line[2048];
    size_t length = alert_notice_logfmt(n, view_now_ns(), line, sizeof(line) - 1);

    line[length++] = '\n';
    if (s->fd < 0) {
        s->fd = open(s->of->to,
            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    }
    if (s->fd < 0 || write(s->fd, line, length) != (ssize_t)length) {
        char why[200];

        snprintf(why, sizeof(why), "cannot be written: %s", strerror(errno));
        say(s, true, why);
        s->failed_total++;
        return;
    }
    say(s, false, "");
    s->told_total++;
    /* Opened anew each time, so that a rotated file is left alone. */
    if (s->fd != STDERR_FILENO) {
        close(s->fd);
        s->fd = -1;
    }
}

/* ---- the threads of the others ---- */

/* Waits with the lock held, at most until then (CLOCK_MONOTONIC; 0: without end). */
static void wait_locked(struct alert_sink *s, uint64_t until_ns)
{
    struct timespec t = {.tv_sec = (time_t)(until_ns / 1000000000u),
        .tv_nsec = (long)(until_ns % 1000000000u)};

    if (until_ns == 0) {
        pthread_cond_wait(&s->changed, &s->lock);
    } else {
        pthread_cond_timedwait(&s->changed, &s->lock, &t);
    }
}

static bool is_over_locked(const struct alert_sink *s)
{
    return s->must_stop && now_mono_ns() >= s->stop_ns;
}

uint64_t sink_rest_ms(struct alert_sink *s, uint64_t most_ms)
{
    uint64_t now_ns = now_mono_ns();
    uint64_t rest_ms = most_ms;

    pthread_mutex_lock(&s->lock);
    if (s->must_stop) {
        rest_ms = s->stop_ns > now_ns ? (s->stop_ns - now_ns + 999999) / 1000000 : 0;
    }
    pthread_mutex_unlock(&s->lock);
    return rest_ms < most_ms ? rest_ms : most_ms;
}

static uint64_t next_pause_ms(uint64_t pause_ms)
{
    pause_ms = pause_ms == 0 ? SINK_FIRST_MS : 2 * pause_ms;
    return pause_ms < SINK_LONGEST_MS ? pause_ms : SINK_LONGEST_MS;
}

/* Until a moment, or the end. False: it is the end. */
static bool pause_locked(struct alert_sink *s, uint64_t ms)
{
    uint64_t until = now_mono_ns() + ms * 1000000u;

    while (now_mono_ns() < until && !is_over_locked(s)) {
        wait_locked(s, s->must_stop && s->stop_ns < until ? s->stop_ns : until);
    }
    return !is_over_locked(s);
}

static void deliver(struct alert_sink *s, const struct alert_notice *n)
{
    char why[200] = "failed, or took too long";
    enum sink_answer answer = SINK_AGAIN;
    uint64_t pause_ms = 0;
    char *body = s->of->kind == SINK_WEBHOOK ? sink_webhook_body(n) : NULL;

    for (unsigned i = 0; i < SINK_TRIES && answer == SINK_AGAIN; i++) {
        if (s->of->kind == SINK_EXEC) {
            answer =
                sink_exec(s, n) ? SINK_HEARD : SINK_REFUSED; /* it may have acted */
        } else {
            answer = s->post(s, s->of->to, body, why);
        }
        pthread_mutex_lock(&s->lock);
        say(s, answer != SINK_HEARD, why);
        pause_ms = next_pause_ms(pause_ms);
        if (answer == SINK_AGAIN && i + 1 < SINK_TRIES && !pause_locked(s, pause_ms)) {
            answer = SINK_REFUSED;
        }
        pthread_mutex_unlock(&s->lock);
    }
    free(body);
    pthread_mutex_lock(&s->lock);
    s->told_total += answer == SINK_HEARD;
    s->failed_total += answer != SINK_HEARD;
    pthread_mutex_unlock(&s->lock);
}

/* exec, webhook: one after the other. */
static void *run_queue(void *arg)
{
    struct alert_sink *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!is_over_locked(s)) {
        struct alert_notice n;

        if (s->count == 0) {
            if (s->must_stop) {
                break;
            }
            wait_locked(s, 0);
            continue;
        }
        n = s->queue[s->first];
        s->first = (s->first + 1) % SINK_QUEUE;
        s->count--;
        s->is_busy = true;
        pthread_mutex_unlock(&s->lock);
        deliver(s, &n);
        pthread_mutex_lock(&s->lock);
        s->is_busy = false;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Those that ended are known now, unless they fire again meanwhile. */
static void forget_ended_locked(struct alert_sink *s, uint64_t sent_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->active_count; i++) {
        if (!s->active[i].is_ended || s->active[i].ended_ns > sent_ns) {
            s->active[kept++] = s->active[i];
        }
    }
    s->active_count = kept;
}

/* Alertmanager: all that it is to know, when it changes, and every minute. */
static void *run_resend(void *arg)
{
    struct alert_sink *s = arg;
    uint64_t next_ns = 0;
    uint64_t pause_ms = 0;

    pthread_mutex_lock(&s->lock);
    while (!is_over_locked(s)) {
        uint64_t now_ns = view_now_ns();
        size_t count = s->active_count;
        struct sink_active *copy;
        char address[1024];
        char why[200];
        char *body;
        enum sink_answer answer;

        if (!(s->is_dirty && pause_ms == 0) && now_mono_ns() < next_ns) {
            if (s->must_stop && !s->is_dirty) {
                break;
            }
            wait_locked(s, s->must_stop && s->stop_ns < next_ns ? s->stop_ns : next_ns);
            continue;
        }
        s->is_dirty = false;
        next_ns = now_mono_ns() + (uint64_t)SINK_RESEND_MS * 1000000u;
        if (count == 0) {
            if (s->must_stop) {
                break;
            }
            continue;
        }
        copy = must(calloc(count, sizeof(*copy)));
        memcpy(copy, s->active, count * sizeof(*copy));
        s->is_busy = true;
        pthread_mutex_unlock(&s->lock);
        body = sink_alertmanager_body(s, copy, count, now_ns);
        snprintf(address, sizeof(address), "%s%sapi/v2/alerts", s->of->to,
            s->of->to[strlen(s->of->to) - 1] == '/' ? "" : "/");
        answer = s->post(s, address, body, why);
        free(body);
        free(copy);
        pthread_mutex_lock(&s->lock);
        s->is_busy = false;
        say(s, answer != SINK_HEARD, why);
        if (answer == SINK_HEARD) {
            s->told_total++;
            pause_ms = 0;
            forget_ended_locked(s, now_ns);
        } else {
            s->failed_total++;
            s->is_dirty = true;
            pause_ms = next_pause_ms(pause_ms);
            next_ns = now_mono_ns() + pause_ms * 1000000u;
        }
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- telling ---- */

static void put(struct alert_sink *s, const struct alert_notice *n)
{
    pthread_mutex_lock(&s->lock);
    if (s->count == SINK_QUEUE) {
        s->first = (s->first + 1) % SINK_QUEUE;
        s->count--;
        if (s->dropped_total++ == 0) {
            said_note(
                "mpalloc alerts", "%s: is too slow: alerts are dropped", name_of(s));
        }
    }
    s->queue[(s->first + s->count++) % SINK_QUEUE] = *n;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void alert_sinks_tell(struct alert_sinks *sinks, const struct alert_notice *notice)
{
    for (size_t i = 0; i < sinks->count; i++) {
        struct alert_sink *s = &sinks->all[i];

        if (notice->severity < s->of->severity) {
            continue;
        }
        if (s->of->kind == SINK_LOG) {
            write_log(s, notice);
        } else if (s->of->kind != SINK_ALERTMANAGER) {
            put(s, notice);
        }
    }
}

static bool is_same(const struct alert_notice *a, const struct alert_notice *b)
{
    return a->severity == b->severity && strcmp(a->name, b->name) == 0
           && strcmp(a->process.id, b->process.id) == 0;
}

static void take_firing_locked(struct alert_sink *s, const struct alert_notice *n)
{
    size_t i = 0;

    while (i < s->active_count && !is_same(&s->active[i].notice, n)) {
        i++;
    }
    if (i == SINK_ACTIVE) {
        s->dropped_total++;
        return;
    }
    s->is_dirty |= i == s->active_count || s->active[i].is_ended;
    s->active_count += i == s->active_count;
    s->active[i] = (struct sink_active){.notice = *n, .fires = true};
}

void alert_sinks_refresh(
    struct alert_sinks *sinks, const struct alert_notice *firing, size_t count)
{
    for (size_t i = 0; i < sinks->count; i++) {
        struct alert_sink *s = &sinks->all[i];

        if (s->of->kind != SINK_ALERTMANAGER) {
            continue;
        }
        pthread_mutex_lock(&s->lock);
        for (size_t k = 0; k < s->active_count; k++) {
            s->active[k].fires = false;
        }
        for (size_t k = 0; k < count; k++) {
            if (firing[k].severity >= s->of->severity) {
                take_firing_locked(s, &firing[k]);
            }
        }
        for (size_t k = 0; k < s->active_count; k++) {
            if (!s->active[k].fires && !s->active[k].is_ended) {
                s->active[k].is_ended = true;
                s->active[k].ended_ns = view_now_ns();
                s->is_dirty = true;
            }
        }
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
}

void alert_sinks_get_counts(struct alert_sinks *sinks, struct alert_sinks_counts *ret)
{
    *ret = (struct alert_sinks_counts){0};
    for (size_t i = 0; i < sinks->count; i++) {
        struct alert_sink *s = &sinks->all[i];

        pthread_mutex_lock(&s->lock);
        ret->told_total += s->told_total;
        ret->failed_total += s->failed_total;
        ret->dropped_total += s->dropped_total;
        ret->waiting += s->count + s->is_busy + s->is_dirty;
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- their life ---- */

static void start(struct alert_sink *s, const struct config *config,
    const struct config_sink *of, sink_post_fn *post)
{
    pthread_condattr_t attributes;
    sigset_t all;
    sigset_t before;

    *s = (struct alert_sink){.of = of, .config = config, .post = post, .fd = -1};
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (of->kind == SINK_LOG) {
        s->fd = strcmp(of->to, "stderr") == 0 ? STDERR_FILENO : -1;
        return;
    }
    s->queue = must(calloc(SINK_QUEUE, sizeof(*s->queue)));
    s->active = of->kind == SINK_ALERTMANAGER
                    ? must(calloc(SINK_ACTIVE, sizeof(*s->active)))
                    : NULL;
    sigfillset(&all); /* signals are for who watches */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->has_thread = pthread_create(&s->thread, NULL,
                        of->kind == SINK_ALERTMANAGER ? run_resend : run_queue, s)
                    == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!s->has_thread) {
        must(NULL);
    }
}

struct alert_sinks *alert_sinks_create(const struct config *config, sink_post_fn *post)
{
    struct alert_sinks *sinks = must(calloc(1, sizeof(*sinks)));

    sinks->count = config->sink_count;
    sinks->all = must(calloc(sinks->count + 1, sizeof(*sinks->all)));
    for (size_t i = 0; i < sinks->count; i++) {
        start(&sinks->all[i], config, &config->sinks[i], post);
    }
    return sinks;
}

void alert_sinks_destroy(struct alert_sinks *sinks, unsigned patience_ms)
{
    uint64_t stop_ns = now_mono_ns() + (uint64_t)patience_ms * 1000000u;

    if (sinks == NULL) {
        return;
    }
    for (size_t i = 0; i < sinks->count; i++) {
        struct alert_sink *s = &sinks->all[i];

        pthread_mutex_lock(&s->lock);
        s->must_stop = true;
        s->stop_ns = stop_ns;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    for (size_t i = 0; i < sinks->count; i++) {
        struct alert_sink *s = &sinks->all[i];

        if (s->has_thread) {
            pthread_join(s->thread, NULL);
        }
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->changed);
        free(s->queue);
        free(s->active);
        if (s->fd >= 0 && s->fd != STDERR_FILENO) {
            close(s->fd);
        }
    }
    free(sinks->all);
    free(sinks);
}
