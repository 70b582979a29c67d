#include "rounds.h"

#include "../alerting.h"
#include "../cli.h"
#include "../document_alerts.h"
#include "../history.h"
#include "../must.h"
#include "../recording.h"
#include "../view.h"
#include "metrics.h"
#include "serve.h"

#include <pthread.h>
#include <time.h>

enum {
    HISTORY_MS = 10000,
    SLOW_MS = 60000, /* so often alerts look for what takes long: leaks */
    SINKS_MS = 2000, /* so long they may take at the end */
    SHARE = 200, /* a part that took T is done again after SHARE * T at the earliest */
};

/* One thing that is done in rounds. */
struct part {
    uint64_t every_ms;
    uint64_t due_ms; /* CLOCK_MONOTONIC */
};

struct rounds {
    struct serve *serve;
    pthread_t thread;
    struct recording recording;
    bool has_history;
    struct part history;
    _Atomic uint64_t points_total;
    struct alerting *alerting; /* of the thread */
    sqlite3 *alerts_db;
    uint64_t alerts_begun; /* which of those that recording began it is */
    struct part alerts;
    _Atomic(const struct config *) reloaded; /* NULL: nothing to take over */
    pthread_mutex_t lock;                    /* of these two */
    struct alert_notice *notices;
    size_t notice_count;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void stop_history(struct rounds *r)
{
    fprintf(stderr, "mpalloc serve: goes on without the history\n");
    r->has_history = false;
}

/* A handle of its own: recording may replace its one. */
static void open_for_alerts(struct rounds *r)
{
    r->alerts_begun = r->recording.begun;
    if (history_open(
            "serve", r->serve->options.history_path, HISTORY_WRITE, &r->alerts_db)
        != EXIT_FINE) {
        r->alerts_db = NULL;
    }
}

/* A history that was moved, or begun anew, is followed by both who write to it. */
static void follow_history(struct rounds *r)
{
    if (r->has_history && !recording_follow(&r->recording)) {
        stop_history(r);
    }
    if (r->has_history && r->alerts_begun != r->recording.begun) {
        history_close(r->alerts_db);
        open_for_alerts(r);
        alerting_set_history(r->alerting, r->alerts_db);
    }
}

static void record(struct rounds *r)
{
    const struct fleet_list *list =
        fleet_hold(r->serve->fleet, r->serve->options.interval_ms);
    bool goes_on = true;
    bool has_ended;

    recording_begin(&r->recording, (int64_t)(view_now_ns() / 1000000000u));
    for (size_t i = 0; goes_on && i < list->count && !r->serve->is_ending; i++) {
        if (list->at[i]->image != NULL) {
            goes_on = recording_add(
                &r->recording, list->at[i]->image, list->at[i]->life, &has_ended);
        }
    }
    fleet_release(r->serve->fleet, list);
    if (!goes_on || !recording_end(&r->recording)) {
        stop_history(r);
    }
    atomic_store(&r->points_total, r->recording.points);
}

static void take_over(struct rounds *r)
{
    const struct config *config = atomic_exchange(&r->reloaded, NULL);

    if (config != NULL) {
        alerting_reload(r->alerting, config);
    }
}

static void publish_alerts(struct rounds *r)
{
    size_t count;
    struct alert_notice *now = alerting_list(r->alerting, false, &count);
    struct alert_notice *before;

    pthread_mutex_lock(&r->lock);
    before = r->notices;
    r->notices = now;
    r->notice_count = count;
    pthread_mutex_unlock(&r->lock);
    free(before);
}

static void evaluate(struct rounds *r)
{
    const struct fleet_list *list =
        fleet_hold(r->serve->fleet, r->serve->options.interval_ms / 2);
    const struct alert_notice *events;
    size_t count;

    take_over(r);
    follow_history(r);
    alerting_begin(r->alerting);
    for (size_t i = 0; i < list->count && !r->serve->is_ending; i++) {
        const struct fleet_process *p = list->at[i];

        if (p->image != NULL
            && (p->life == MP_LIFE_RUNNING || p->life == MP_LIFE_ELSEWHERE)) {
            alerting_look(
                r->alerting, p->image, &p->kernel, &p->pressure, view_now_ns());
        }
    }
    fleet_release(r->serve->fleet, list);
    if (r->serve->is_ending) {
        return; /* those that were not looked at have not ended */
    }
    alerting_end(r->alerting, view_now_ns());
    events = alerting_events(r->alerting, &count);
    metrics_note_alerts(r->serve->metrics, events, count);
    publish_alerts(r);
}

static void do_part(struct rounds *r, struct part *part, void (*run)(struct rounds *r))
{
    uint64_t begun = now_ms();
    uint64_t took_ns = cpu_ns();
    uint64_t rest_ms;

    if (begun < part->due_ms) {
        return;
    }
    run(r);
    took_ns = cpu_ns() - took_ns;
    rest_ms = took_ns / 1000000 * SHARE;
    part->due_ms = begun + (rest_ms > part->every_ms ? rest_ms : part->every_ms);
}

static uint64_t next_due(const struct rounds *r)
{
    uint64_t now = now_ms();
    uint64_t due = r->alerts.due_ms;

    if (r->has_history && r->history.due_ms < due) {
        due = r->history.due_ms;
    }
    return due > now ? due - now : 1;
}

static void *go_round(void *arg)
{
    struct rounds *r = arg;

    do {
        do_part(r, &r->alerts, evaluate);
        if (r->has_history) {
            do_part(r, &r->history, record);
        }
    } while (serve_wait(r->serve, next_due(r)));
    return NULL;
}

static void start_alerts(struct rounds *r)
{
    const struct serve_options *o = &r->serve->options;

    if (r->has_history) {
        open_for_alerts(r);
    }
    r->alerts.every_ms = o->interval_ms;
    r->alerting = alerting_create(&(struct alerting_options){.config = o->config,
        .db = r->alerts_db,
        .keeps = r->alerts_db != NULL,
        .post = alert_sinks_http(),
        .slow_ms = o->interval_ms < SLOW_MS ? SLOW_MS : 0});
}

void rounds_reload(struct rounds *r, const struct config *config)
{
    atomic_store(&r->reloaded, config);
}

json_t *rounds_alerts(struct serve *s)
{
    struct rounds *r = s->rounds;
    json_t *document;

    pthread_mutex_lock(&r->lock);
    document = document_alerts(r->notices, r->notice_count);
    pthread_mutex_unlock(&r->lock);
    return document;
}

struct rounds *rounds_create(struct serve *s)
{
    struct rounds *r = must(calloc(1, sizeof(*r)));

    r->serve = s;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void rounds_start(struct rounds *r)
{
    const struct serve_options *o = &r->serve->options;

    r->history.every_ms = HISTORY_MS;
    r->has_history =
        o->history
        && recording_open(&r->recording, "serve", o->history_path) == EXIT_FINE;
    if (o->history && !r->has_history) {
        fprintf(stderr, "mpalloc serve: goes on without the history\n");
    }
    start_alerts(r);
    must(pthread_create(&r->thread, NULL, go_round, r) == 0 ? r : NULL);
    pthread_setname_np(r->thread, "serve-rounds");
}

void rounds_end(struct rounds *r)
{
    pthread_join(r->thread, NULL);
    alerting_destroy(r->alerting, SINKS_MS);
    history_close(r->alerts_db);
    if (r->recording.db != NULL) {
        recording_close(&r->recording);
    }
}

void rounds_destroy(struct rounds *r)
{
    pthread_mutex_destroy(&r->lock);
    free(r->notices);
    free(r);
}

uint64_t rounds_points_total(const struct rounds *r)
{
    return atomic_load(&r->points_total);
}
