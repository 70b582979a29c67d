#include "insights.h"

#include "../must.h"
#include "insight_make.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    AWAKE_S = 300, /* after somebody asked */
    LOOK_MS = 1000,
    FRESH_MS = 5000, /* of the figures that verdicts are made from */
    SHARE = 100,     /* of a processor: one in so many parts */
};

struct entry {
    char id[64];
    bool is_there; /* in the list that was seen last */
    bool is_running;
    struct metric_insight *insight; /* NULL: not made yet */
    uint64_t made_ns;               /* CLOCK_MONOTONIC; 0: never */
    struct metric_rows rows;
    struct insight_seen seen;
    struct metric_alerts alerts;
};

struct insights {
    struct fleet *fleet;
    struct insights_options options;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    bool is_ending;
    uint64_t asked_ns;
    uint64_t serial; /* of the youngest list that was seen */
    size_t count;
    size_t room;
    struct entry **all;   /* by id */
    struct entry *making; /* without the lock: it stays */
    struct insights_ends ends;
    struct insights_cost cost;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- entries ---- */

/* Where it is, or would be. */
static size_t place_of(const struct insights *i, const char *id)
{
    size_t low = 0;
    size_t high = i->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (strcmp(i->all[middle]->id, id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct entry *get_entry(struct insights *i, const char *id)
{
    size_t at = place_of(i, id);

    if (at == i->count || strcmp(i->all[at]->id, id) != 0) {
        struct entry *e = must(calloc(1, sizeof(*e)));

        i->all = must_grow(i->all, i->count, &i->room, sizeof(*i->all));
        memmove(i->all + at + 1, i->all + at, (i->count - at) * sizeof(*i->all));
        i->all[at] = e;
        i->count++;
        memcpy(e->id, id, strnlen(id, sizeof(e->id) - 1));
    }
    return i->all[at];
}

static void free_entry(struct entry *e)
{
    free(e->insight);
    free(e);
}

static bool is_running(const struct fleet_process *p)
{
    return p->life == MP_LIFE_RUNNING || p->life == MP_LIFE_ELSEWHERE;
}

static void count_end(struct insights *i, enum mp_life life)
{
    i->ends.died += life == MP_LIFE_DIED;
    i->ends.replaced += life == MP_LIFE_REPLACED;
    i->ends.exited += life != MP_LIFE_DIED && life != MP_LIFE_REPLACED;
}

/* Who is there; who left without a region exited in order. */
static void take_note(struct insights *i, const struct fleet_list *list)
{
    size_t left = 0;

    if (list->serial < i->serial) { /* what it says was true before */
        return;
    }
    i->serial = list->serial;
    for (size_t n = 0; n < i->count; n++) {
        i->all[n]->is_there = false;
    }
    for (size_t n = 0; n < list->count; n++) {
        const struct fleet_process *p = list->at[n];
        struct entry *e = get_entry(i, p->id);

        e->is_there = true;
        if (e->is_running && !is_running(p) && p->image != NULL) {
            count_end(i, p->life);
            e->is_running = false;
        }
        e->is_running |= is_running(p) && p->image != NULL;
    }
    for (size_t n = 0; n < i->count; n++) {
        struct entry *e = i->all[n];

        if (e->is_there || e == i->making) {
            i->all[left++] = e;
            continue;
        }
        if (e->is_running) {
            count_end(i, MP_LIFE_EXITED);
        }
        free_entry(e);
    }
    i->count = left;
}

void insights_lock(struct insights *i, const struct fleet_list *list)
{
    pthread_mutex_lock(&i->lock);
    i->asked_ns = now_ns(CLOCK_MONOTONIC);
    take_note(i, list);
    pthread_cond_signal(&i->changed);
}

void insights_unlock(struct insights *i)
{
    pthread_mutex_unlock(&i->lock);
}

const struct metric_insight *insights_find(
    struct insights *i, const char *id, struct metric_rows **ret_rows)
{
    struct entry *e = get_entry(i, id);

    *ret_rows = &e->rows;
    if (e->insight != NULL) {
        e->insight->age_s = (double)(now_ns(CLOCK_MONOTONIC) - e->made_ns) / 1e9;
    }
    return e->insight;
}

const struct metric_alerts *insights_find_alerts(struct insights *i, const char *id)
{
    const struct entry *e = get_entry(i, id);

    return e->alerts.count > 0 ? &e->alerts : NULL;
}

void insights_note_alert(
    struct insights *i, const char *id, const char *rule, enum mp_severity severity)
{
    struct metric_alerts *a;
    size_t at = 0;

    pthread_mutex_lock(&i->lock);
    a = &get_entry(i, id)->alerts;
    while (at < a->count
           && (a->at[at].severity != severity || strcmp(a->at[at].rule, rule) != 0)) {
        at++;
    }
    if (at < METRIC_ALERTS_MAX) {
        if (at == a->count) {
            mp_text_escape(a->at[at].rule, sizeof(a->at[at].rule), rule, strlen(rule));
            a->at[at].severity = severity;
            a->count++;
        }
        a->at[at].total++;
    }
    pthread_mutex_unlock(&i->lock);
}

bool insights_copy(struct insights *i, const char *id, struct metric_insight *ret)
{
    struct metric_rows *rows;
    const struct metric_insight *found;
    bool is_there = false;

    pthread_mutex_lock(&i->lock);
    i->asked_ns = now_ns(CLOCK_MONOTONIC);
    if (place_of(i, id) < i->count && strcmp(i->all[place_of(i, id)]->id, id) == 0) {
        found = insights_find(i, id, &rows);
        is_there = found != NULL;
        if (is_there) {
            *ret = *found;
        }
    }
    pthread_cond_signal(&i->changed);
    pthread_mutex_unlock(&i->lock);
    return is_there;
}

struct insights_ends insights_count_ends(const struct insights *i)
{
    return i->ends;
}

struct insights_cost insights_find_cost(const struct insights *i)
{
    return i->cost;
}

/* ---- the thread ---- */

/* The one that waits longest; NULL: none is due. */
static struct entry *find_due(const struct insights *i)
{
    uint64_t now = now_ns(CLOCK_MONOTONIC);
    uint64_t every_ns =
        (i->options.every_s > 0 ? i->options.every_s : 60) * UINT64_C(1000000000);
    struct entry *due = NULL;

    for (size_t n = 0; n < i->count; n++) {
        struct entry *e = i->all[n];

        if (e->is_there && e->is_running
            && (e->made_ns == 0 || now - e->made_ns >= every_ns)
            && (due == NULL || e->made_ns < due->made_ns)) {
            due = e;
        }
    }
    return due;
}

/* The lock is held; not while it is made. Returns how long to rest for it. */
static uint64_t make(struct insights *i, struct entry *e)
{
    struct metric_insight *made = must(malloc(sizeof(*made)));
    uint64_t began = now_ns(CLOCK_THREAD_CPUTIME_ID);
    const struct fleet_process *p;
    bool is_first = e->made_ns == 0;
    bool is_good = false;
    uint64_t took;

    i->making = e;
    pthread_mutex_unlock(&i->lock);
    p = fleet_hold_one(i->fleet, e->id, FRESH_MS);
    if (p != NULL) {
        is_good = p->image != NULL
                  && insight_make(p->image, &i->options, e->insight, &e->seen, made);
        fleet_release_one(i->fleet, p);
    }
    took = now_ns(CLOCK_THREAD_CPUTIME_ID) - began;
    pthread_mutex_lock(&i->lock);
    i->making = NULL;
    e->made_ns = now_ns(CLOCK_MONOTONIC);
    if (is_good) {
        free(e->insight);
        e->insight = made;
    } else {
        free(made);
    }
    i->cost.made_total += is_good;
    i->cost.ns_total += took;
    return is_first ? took : took * (SHARE - 1);
}

static void rest(struct insights *i, uint64_t ns)
{
    struct timespec end;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &end);
    ns += (uint64_t)end.tv_nsec;
    end.tv_sec += (time_t)(ns / 1000000000u);
    end.tv_nsec = (long)(ns % 1000000000u);
    while (!i->is_ending && code != ETIMEDOUT) {
        code = pthread_cond_timedwait(&i->changed, &i->lock, &end);
    }
}

static void *run(void *arg)
{
    struct insights *i = arg;

    pthread_mutex_lock(&i->lock);
    while (!i->is_ending) {
        struct entry *due;

        if (i->asked_ns == 0
            || now_ns(CLOCK_MONOTONIC) - i->asked_ns > AWAKE_S * UINT64_C(1000000000)) {
            pthread_cond_wait(&i->changed, &i->lock);
            continue;
        }
        due = find_due(i);
        rest(i, due != NULL ? make(i, due) : LOOK_MS * UINT64_C(1000000));
    }
    pthread_mutex_unlock(&i->lock);
    return NULL;
}

int insights_create(
    struct fleet *fleet, const struct insights_options *options, struct insights **ret)
{
    struct insights *i = must(calloc(1, sizeof(*i)));
    pthread_condattr_t attributes;
    int error;

    i->fleet = fleet;
    i->options = *options;
    pthread_mutex_init(&i->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&i->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    error = pthread_create(&i->thread, NULL, run, i);
    if (error != 0) {
        free(i);
        return -error;
    }
    *ret = i;
    return 0;
}

void insights_destroy(struct insights *i)
{
    pthread_mutex_lock(&i->lock);
    i->is_ending = true;
    pthread_cond_signal(&i->changed);
    pthread_mutex_unlock(&i->lock);
    pthread_join(i->thread, NULL);
    for (size_t n = 0; n < i->count; n++) {
        free_entry(i->all[n]);
    }
    free(i->all);
    pthread_mutex_destroy(&i->lock);
    pthread_cond_destroy(&i->changed);
    free(i);
}
