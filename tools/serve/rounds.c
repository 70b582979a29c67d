#include "rounds.h"

#include "../cli.h"
#include "../must.h"
#include "../recording.h"
#include "../view.h"
#include "serve.h"

#include <pthread.h>
#include <time.h>

enum {
    HISTORY_MS = 10000,
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

static void record(struct rounds *r)
{
    const struct fleet_list *list =
        fleet_hold(r->serve->fleet, r->serve->options.interval_ms);
    bool goes_on = true;
    bool has_ended;

    recording_begin(&r->recording, (int64_t)(view_now_ns() / 1000000000u));
    for (size_t i = 0; goes_on && i < list->count && !r->serve->is_ending; i++) {
        if (list->at[i]->image != NULL) {
            goes_on = recording_add(&r->recording, list->at[i]->image, &has_ended);
        }
    }
    fleet_release(r->serve->fleet, list);
    if (!goes_on || !recording_end(&r->recording)) {
        fprintf(stderr, "mpalloc serve: goes on without the history\n");
        r->has_history = false;
    }
    atomic_store(&r->points_total, r->recording.points);
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
    uint64_t due = now + 60000;

    if (r->has_history && r->history.due_ms < due) {
        due = r->history.due_ms;
    }
    return due > now ? due - now : 1;
}

static void *go_round(void *arg)
{
    struct rounds *r = arg;

    do {
        if (r->has_history) {
            do_part(r, &r->history, record);
        }
    } while (serve_wait(r->serve, next_due(r)));
    return NULL;
}

struct rounds *rounds_start(struct serve *s)
{
    struct rounds *r = must(calloc(1, sizeof(*r)));

    r->serve = s;
    r->history.every_ms = HISTORY_MS;
    r->has_history =
        s->options.history
        && recording_open(&r->recording, "serve", s->options.history_path) == EXIT_FINE;
    if (s->options.history && !r->has_history) {
        fprintf(stderr, "mpalloc serve: goes on without the history\n");
    }
    must(pthread_create(&r->thread, NULL, go_round, r) == 0 ? r : NULL);
    pthread_setname_np(r->thread, "serve-rounds");
    return r;
}

void rounds_stop(struct rounds *r)
{
    pthread_join(r->thread, NULL);
    if (r->recording.db != NULL) {
        recording_close(&r->recording);
    }
    free(r);
}

uint64_t rounds_points_total(const struct rounds *r)
{
    return atomic_load(&r->points_total);
}
