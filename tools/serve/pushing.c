#include "pushing.h"

#include "must.h"
#include "push/push_config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { MOST_AGE_MS = 1000 };

struct pusher {
    struct pushing *of;
    struct push *push;
    pthread_t thread;
};

struct pushing {
    struct fleet *fleet;
    _Atomic(struct insights *) insights; /* NULL: none */
    struct push_list list;
    size_t started;
    struct pusher *pushers; /* one for each of list */
};

/* All that run; of those in another pid namespace that is not known. */
static void each(void *source, push_process_fn *fn, void *arg)
{
    struct pusher *me = source;
    struct fleet *fleet = me->of->fleet;
    struct insights *insights =
        push_kind(me->push) == PUSH_TO_OTLP ? atomic_load(&me->of->insights) : NULL;
    const struct fleet_list *list = fleet_hold(fleet, MOST_AGE_MS);
    struct metric_insight *copy = insights != NULL ? must(malloc(sizeof(*copy))) : NULL;

    if (insights != NULL) { /* so that they know who is there */
        insights_lock(insights, list);
        insights_unlock(insights);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct fleet_process *p = list->at[i];
        struct push_process process = {p->image, NULL, NULL, &p->pressure, p->id};

        if (p->image == NULL
            || (p->life != MP_LIFE_RUNNING && p->life != MP_LIFE_ELSEWHERE)) {
            continue;
        }
        process.kernel = p->life == MP_LIFE_RUNNING ? &p->kernel : NULL;
        if (insights != NULL && insights_copy(insights, p->id, copy)) {
            process.insight = copy;
        }
        fn(arg, &process);
    }
    free(copy);
    fleet_release(fleet, list);
}

static void *run(void *arg)
{
    struct pusher *me = arg;
    struct push_source source = {each, me};

    push_run(me->push, &source);
    return NULL;
}

/* Signals are for the thread that waits for them. */
static int start_thread(struct pusher *pusher)
{
    sigset_t all;
    sigset_t before;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    code = pthread_create(&pusher->thread, NULL, run, pusher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -code;
}

int pushing_start(const struct config *config, struct fleet *fleet,
    struct pushing **ret, struct mp_error *error)
{
    struct pushing *p = must(calloc(1, sizeof(*p)));
    int code = push_list_make(config, false, &p->list, error);

    *ret = NULL;
    if (code != 0 || p->list.count == 0) {
        free(p);
        return code;
    }
    p->fleet = fleet;
    p->pushers = must(calloc(p->list.count, sizeof(*p->pushers)));
    while (code == 0 && p->started < p->list.count) {
        struct pusher *pusher = &p->pushers[p->started];

        *pusher = (struct pusher){.of = p, .push = p->list.at[p->started]};
        code = start_thread(pusher);
        p->started += code == 0;
    }
    if (code != 0) {
        snprintf(error->text, sizeof(error->text),
            "no thread to send with can be started: %s", strerror(-code));
        pushing_stop(p);
        return code;
    }
    *ret = p;
    return 0;
}

void pushing_end(struct pushing *p)
{
    for (size_t i = 0; p != NULL && i < p->started; i++) {
        push_stop(p->list.at[i]);
    }
}

void pushing_stop(struct pushing *p)
{
    if (p == NULL) {
        return;
    }
    pushing_end(p);
    for (size_t i = 0; i < p->started; i++) {
        pthread_join(p->pushers[i].thread, NULL);
    }
    push_list_free(&p->list);
    free(p->pushers);
    free(p);
}

void pushing_show(struct pushing *p, struct insights *insights)
{
    if (p != NULL) {
        atomic_store(&p->insights, insights);
    }
}

static void add(struct metrics_push *sum, const struct push_counts *n)
{
    uint64_t over = n->delivered + n->refused + n->dropped;

    sum->counts.delivered += n->delivered;
    sum->counts.delivered_bytes += n->delivered_bytes;
    sum->counts.retries += n->retries;
    sum->counts.dropped += n->dropped;
    sum->counts.refused += n->refused;
    sum->counts.rejected += n->rejected;
    sum->waiting += n->made > over ? n->made - over : 0;
}

size_t pushing_sum(struct pushing *p, struct metrics_push *ret)
{
    size_t count = 0;

    for (unsigned to = 0; to < PUSH_TOS; to++) {
        struct metrics_push sum = {.to = push_name((enum push_to)to)};
        bool is_there = false;

        for (size_t i = 0; p != NULL && i < p->list.count; i++) {
            if (push_kind(p->list.at[i]) == (enum push_to)to) {
                struct push_counts n;

                push_get_counts(p->list.at[i], &n);
                add(&sum, &n);
                is_there = true;
            }
        }
        if (is_there) {
            ret[count++] = sum;
        }
    }
    return count;
}

bool pushing_get(struct pushing *p, size_t number, const char **ret_to,
    const char **ret_url, struct push_counts *ret)
{
    if (p == NULL || number >= p->list.count) {
        return false;
    }
    *ret_to = push_name(push_kind(p->list.at[number]));
    *ret_url = push_url(p->list.at[number]);
    push_get_counts(p->list.at[number], ret);
    return true;
}
