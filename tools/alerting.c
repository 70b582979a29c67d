#include "alerting.h"

#include "acks.h"
#include "alert_baseline.h"
#include "alert_store.h"
#include "format.h"
#include "history.h"
#include "leaks.h"
#include "must.h"
#include "past.h"
#include "said.h"
#include "view.h"

#include <math.h>
#include <string.h>

enum { STORE_EVERY_S = 60 };

/* What is kept of an alert in the database. */
struct kept {
    uint64_t first_ns; /* its row; 0: none */
    uint64_t kept_ns;
    enum mp_alert_state state;
    enum mp_severity severity;
};

struct subject {
    struct alert_process who;
    bool is_seen; /* in this round */
    uint64_t slow_ns;
    size_t older_count;
    struct mp_alert_point *older;
    struct alert_baseline baseline;
    uint64_t baseline_ns; /* when it was looked for */
    struct kept *kept;    /* one for each rule of the engine */
};

struct alerting {
    struct alerting_options options;
    mp_alerts_t *engine;
    struct alert_sinks *sinks;
    size_t count;
    size_t room;
    struct subject *subjects;
    size_t event_count;
    size_t event_room;
    struct alert_notice *events;
    bool is_failing; /* the database */
    int64_t acks;    /* their state at the last look */
};

static mp_alerts_t *make_engine(const struct config *c)
{
    mp_alerts_t *engine;

    if (mp_alerts_create(c->rules, c->rule_count, &engine) != 0) {
        must(NULL);
    }
    return engine;
}

static struct alert_sinks *make_sinks(const struct alerting *a)
{
    return a->options.post != NULL
               ? alert_sinks_create(a->options.config, a->options.post)
               : NULL;
}

struct alerting *alerting_create(const struct alerting_options *options)
{
    struct alerting *a = must(calloc(1, sizeof(*a)));

    a->options = *options;
    a->engine = make_engine(options->config);
    a->sinks = make_sinks(a);
    return a;
}

static void free_subject(struct subject *s)
{
    alert_baseline_fini(&s->baseline);
    free(s->older);
    free(s->kept);
}

void alerting_destroy(struct alerting *a, unsigned patience_ms)
{
    if (a == NULL) {
        return;
    }
    alert_sinks_destroy(a->sinks, patience_ms);
    for (size_t i = 0; i < a->count; i++) {
        free_subject(&a->subjects[i]);
    }
    free(a->subjects);
    free(a->events);
    mp_alerts_free(a->engine);
    free(a);
}

struct alert_sinks *alerting_sinks(struct alerting *a)
{
    return a->sinks;
}

/* ---- the database ---- */

static void settle(struct alerting *a, int code)
{
    if (code != SQLITE_OK && !a->is_failing) {
        said_note("mpalloc alerts", "alerts are not kept in the history: %s",
            sqlite3_errmsg(a->options.db));
    }
    a->is_failing = code != SQLITE_OK;
}

/* A change at once, else that it was still so a minute ago. */
static void keep(
    struct alerting *a, struct subject *s, struct kept *k, const struct mp_alert *al)
{
    bool is_open = al->state == MP_ALERT_PENDING || al->state == MP_ALERT_FIRING;
    struct mp_alert copy = *al;
    bool is_new;

    if (!a->options.keeps) {
        return;
    }
    if (a->options.post == NULL && al->event == MP_EVENT_FIRED) {
        copy.is_told = false; /* somebody looked, but nobody was told */
    }
    if (is_open && k->first_ns == 0) {
        k->first_ns = al->since_ns;
        k->kept_ns = 0;
    }
    if (k->first_ns == 0) {
        return;
    }
    is_new = k->kept_ns == 0 || k->state != al->state || k->severity != al->severity;
    if (!is_open && k->state == MP_ALERT_PENDING) {
        settle(
            a, alert_store_drop(a->options.db, &s->who, al->rule->name, k->first_ns));
        *k = (struct kept){0};
        return;
    }
    if (is_new || al->seen_ns - k->kept_ns >= STORE_EVERY_S * 1000000000ull) {
        settle(a, alert_store_put(a->options.db, &s->who, &copy, k->first_ns));
        k->kept_ns = al->seen_ns;
        k->state = al->state;
        k->severity = al->severity;
    }
    if (!is_open) {
        *k = (struct kept){0};
    }
}

static void restore(struct alerting *a, struct subject *s)
{
    const struct mp_alert *all;
    size_t count;

    alert_store_restore(a->options.db, &s->who, a->engine);
    all = mp_alerts_of(a->engine, s->who.id, &count);
    for (size_t i = 0; i < count; i++) {
        if (all[i].since_ns != 0) {
            s->kept[i] = (struct kept){
                all[i].since_ns, all[i].seen_ns, all[i].state, all[i].severity};
        }
    }
}

static void load_points(struct subject *s, sqlite3 *db, uint64_t now_ns)
{
    struct past past;
    struct past_of of = {.run_id = s->who.run_id};
    int64_t now_s = (int64_t)(now_ns / 1000000000u);

    if (!past_load(&past, db, &of, now_s - 7 * 86400, now_s)) {
        return;
    }
    s->older = must(calloc(past.point_count + 1, sizeof(*s->older)));
    for (size_t i = 0; i < past.point_count; i++) {
        const struct past_point *p = &past.points[i];

        s->older[s->older_count++] =
            (struct mp_alert_point){(uint64_t)p->time_s * 1000000000u,
                (double)p->live_bytes, (double)p->high_bytes,
                p->resident_bytes == MP_UNKNOWN ? NAN : (double)p->resident_bytes};
    }
    past_fini(&past);
}

/* ---- one look ---- */

static size_t rule_count(const struct alerting *a)
{
    size_t count = 0;

    for (size_t i = 0; i < a->options.config->rule_count; i++) {
        count += a->options.config->rules[i].is_enabled;
    }
    return count;
}

static struct subject *get_subject(
    struct alerting *a, const mp_image_t *image, uint64_t now_ns)
{
    struct alert_process who;
    struct subject *s;

    alert_process_make(&who, image);
    for (size_t i = 0; i < a->count; i++) {
        s = &a->subjects[i];
        if (strcmp(s->who.id, who.id) == 0
            && memcmp(s->who.run_id, who.run_id, sizeof(who.run_id)) == 0) {
            return s;
        }
    }
    a->subjects = must_grow(a->subjects, a->count, &a->room, sizeof(*a->subjects));
    s = &a->subjects[a->count++];
    *s = (struct subject){
        .who = who, .kept = must(calloc(rule_count(a) + 1, sizeof(*s->kept)))};
    if (a->options.db != NULL) {
        restore(a, s);
        load_points(s, a->options.db, now_ns);
    }
    return s;
}

static void describe_leak(struct mp_alert_facts *f, const struct leaks *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct leak *k = &l->all[i];

        if (k->verdict->kind > MP_VERDICT_GROWING || k->ack != NULL) {
            continue;
        }
        snprintf(f->leak, sizeof(f->leak), "%.50s in %.20s, %.12s, %.20s/h",
            k->depth > 0 ? k->frames[0].function : "?", k->component,
            mp_verdict_name(k->verdict->kind),
            format_bytes(k->verdict->bytes_per_hour.value).text);
        return;
    }
}

static void make_facts(struct alerting *a, struct subject *s, const mp_image_t *image,
    const struct mp_proc *kernel, const struct mp_pressure *pressure, uint64_t now_ns,
    struct mp_alert_facts *ret)
{
    struct leaks *l = NULL;
    bool *is_known = NULL;
    uint64_t slow_ns = (uint64_t)a->options.slow_ms * 1000000u;

    if (!a->options.is_quick
        && (s->slow_ns == 0 || now_ns < s->slow_ns || now_ns - s->slow_ns >= slow_ns)) {
        s->slow_ns = now_ns;
        l = leaks_create(image, NULL);
        is_known = must(calloc(mp_verdicts_count(l->verdicts) + 1, sizeof(*is_known)));
        for (size_t i = 0; i < l->count; i++) {
            for (size_t k = 0; k < mp_verdicts_count(l->verdicts); k++) {
                if (l->all[i].verdict == mp_verdicts_at(l->verdicts, k)) {
                    is_known[k] = l->all[i].ack != NULL;
                }
            }
        }
    }
    if (mp_alert_facts_make(image, kernel, pressure, l != NULL ? l->verdicts : NULL,
            is_known, s->older, s->older_count, now_ns, ret)
        != 0) {
        must(NULL);
    }
    if (l != NULL) {
        describe_leak(ret, l);
        leaks_destroy(l);
        free(is_known);
    }
    if (a->options.db != NULL
        && (s->baseline_ns == 0 || now_ns - s->baseline_ns >= 60000000000u)) {
        s->baseline_ns = now_ns;
        alert_baseline_find(&s->baseline, a->options.db, image);
    }
    alert_baseline_compare(&s->baseline, image, ret);
}

static void add_event(
    struct alerting *a, const struct subject *s, const struct mp_alert *alert)
{
    a->events =
        must_grow(a->events, a->event_count, &a->event_room, sizeof(*a->events));
    alert_notice_make(&a->events[a->event_count], alert, &s->who);
    if (a->sinks != NULL) {
        alert_sinks_tell(a->sinks, &a->events[a->event_count]);
    }
    a->event_count++;
}

static void take_alerts(struct alerting *a, struct subject *s)
{
    size_t count;
    const struct mp_alert *all = mp_alerts_of(a->engine, s->who.id, &count);

    for (size_t i = 0; i < count; i++) {
        keep(a, s, &s->kept[i], &all[i]);
        if (all[i].event != MP_EVENT_NONE) {
            add_event(a, s, &all[i]);
        }
    }
}

void alerting_begin(struct alerting *a)
{
    int64_t acks = a->options.db != NULL ? acks_state(a->options.db) : 0;
    bool is_other = acks != a->acks;

    a->acks = acks;
    a->event_count = 0;
    for (size_t i = 0; i < a->count; i++) {
        a->subjects[i].is_seen = false;
        if (is_other) { /* who knows of a leak need not be told of it for a minute more */
            a->subjects[i].slow_ns = 0;
        }
    }
}

void alerting_look(struct alerting *a, const mp_image_t *image,
    const struct mp_proc *kernel, const struct mp_pressure *pressure, uint64_t now_ns)
{
    struct subject *s = get_subject(a, image, now_ns);
    struct mp_alert_facts facts;
    struct mp_proc asked;

    if (kernel == NULL && mp_image_life(image) == MP_LIFE_RUNNING
        && mp_proc_read(s->who.pid, &asked) == 0) {
        kernel = &asked;
    }
    s->is_seen = true;
    make_facts(a, s, image, kernel, pressure, now_ns, &facts);
    if (mp_alerts_look(a->engine, s->who.id, &facts) != 0) {
        must(NULL);
    }
    mp_alert_facts_fini(&facts);
    take_alerts(a, s);
}

static int compare_notices(const void *a, const void *b)
{
    const struct alert_notice *x = a;
    const struct alert_notice *y = b;
    static const int rank[] = {[MP_ALERT_FIRING] = 0,
        [MP_ALERT_PENDING] = 1,
        [MP_ALERT_RESOLVED] = 2,
        [MP_ALERT_INACTIVE] = 3};
    int order = rank[x->state] - rank[y->state];

    if (order == 0) {
        order = (int)y->severity - (int)x->severity;
    }
    if (order == 0) {
        order = strcmp(x->process.id, y->process.id);
    }
    return order != 0 ? order : strcmp(x->name, y->name);
}

struct alert_notice *alerting_list(
    const struct alerting *a, bool all, size_t *ret_count)
{
    struct alert_notice *list =
        must(calloc(mp_alerts_count(a->engine) + 1, sizeof(*list)));
    size_t used = 0;

    for (size_t i = 0; i < a->count; i++) {
        size_t count;
        const struct mp_alert *of =
            mp_alerts_of(a->engine, a->subjects[i].who.id, &count);

        for (size_t k = 0; k < count; k++) {
            if (all || of[k].state != MP_ALERT_INACTIVE) {
                alert_notice_make(&list[used++], &of[k], &a->subjects[i].who);
            }
        }
    }
    qsort(list, used, sizeof(*list), compare_notices);
    *ret_count = used;
    return list;
}

/* Alertmanager hears of all that was told and still fires. */
static void refresh(struct alerting *a)
{
    struct alert_notice *firing;
    size_t used = 0;

    if (a->sinks == NULL) {
        return;
    }
    firing = must(calloc(mp_alerts_count(a->engine) + 1, sizeof(*firing)));
    for (size_t i = 0; i < a->count; i++) {
        size_t count;
        const struct mp_alert *of =
            mp_alerts_of(a->engine, a->subjects[i].who.id, &count);

        for (size_t k = 0; k < count; k++) {
            if (of[k].state == MP_ALERT_FIRING && of[k].is_told) {
                alert_notice_make(&firing[used++], &of[k], &a->subjects[i].who);
            }
        }
    }
    alert_sinks_refresh(a->sinks, firing, used);
    free(firing);
}

void alerting_end(struct alerting *a, uint64_t now_ns)
{
    for (size_t i = 0; i < a->count;) {
        struct subject *s = &a->subjects[i];

        if (s->is_seen) {
            i++;
            continue;
        }
        mp_alerts_end(a->engine, s->who.id, now_ns);
        take_alerts(a, s);
        mp_alerts_forget(a->engine, s->who.id);
        free_subject(s);
        *s = a->subjects[--a->count];
    }
    refresh(a);
    if (a->options.keeps && !a->is_failing) {
        static const uint64_t hour_ns = 3600000000000u;
        static uint64_t tidied_ns;

        if (now_ns - tidied_ns >= hour_ns) {
            tidied_ns = now_ns;
            settle(a, alert_store_tidy(a->options.db, (int64_t)(now_ns / 1000000000u)));
        }
    }
}

const struct alert_notice *alerting_events(const struct alerting *a, size_t *ret_count)
{
    *ret_count = a->event_count;
    return a->events;
}

/* ---- another history, another configuration ---- */

void alerting_set_history(struct alerting *a, sqlite3 *db)
{
    a->options.db = db;
    a->options.keeps = db != NULL;
    a->is_failing = false;
    for (size_t i = 0; i < a->count; i++) {
        a->subjects[i].baseline_ns = 0;
        alert_baseline_fini(&a->subjects[i].baseline);
        for (size_t k = 0; k < rule_count(a); k++) {
            a->subjects[i].kept[k].kept_ns = 0; /* its row is not there */
        }
    }
}

void alerting_reload(struct alerting *a, const struct config *config)
{
    mp_alerts_t *before = a->engine;

    alert_sinks_destroy(a->sinks, 1000);
    a->options.config = config;
    a->engine = make_engine(config);
    for (size_t i = 0; i < mp_alerts_count(before); i++) {
        const struct mp_alert *al = mp_alerts_at(before, i);

        if (mp_alerts_restore(a->engine, al->rule->name, al) != 0) {
            must(NULL);
        }
    }
    for (size_t i = 0; i < a->count; i++) {
        size_t count;
        const struct mp_alert *of =
            mp_alerts_of(a->engine, a->subjects[i].who.id, &count);

        free(a->subjects[i].kept);
        a->subjects[i].kept = must(calloc(rule_count(a) + 1, sizeof(struct kept)));
        a->subjects[i].slow_ns = 0;
        for (size_t k = 0; k < count; k++) {
            if (of[k].since_ns != 0) {
                a->subjects[i].kept[k] = (struct kept){
                    of[k].since_ns, of[k].seen_ns, of[k].state, of[k].severity};
            }
        }
    }
    mp_alerts_free(before);
    a->sinks = make_sinks(a);
}
