/*
 * watch - a program that looks at its own region now and then
 *
 * Owns: one thread, from mps_on_leak or mps_on_alert to mps_stop_watch, and what it told of.
 */
#include <mpstats.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOLD_MOST = 4096 };

#define JUDGE_NS                                                                       \
    60000000000u /* alerts are given verdicts so often, if nobody else wants them */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* Who is called, and how often. */
struct turn {
    unsigned period_s; /* 0: nobody */
    uint64_t next_ns;  /* CLOCK_MONOTONIC */
};

static struct {
    pthread_t thread;
    bool is_running;
    bool is_joined; /* somebody waits for its end */
    bool must_stop;
    bool has_handlers; /* of fork */
    char path[4096];

    struct turn leaks;
    mps_leak_fn *leak_fn;
    void *leak_arg;
    size_t told_count;
    uint64_t told[TOLD_MOST]; /* component and frame: they keep their numbers */

    struct turn alerts;
    mps_alert_fn *alert_fn;
    void *alert_arg;
    mp_alerts_t *engine;
    uint64_t judged_ns; /* when alerts were given verdicts last */
} watch;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- looks ---- */

static bool is_told(const struct mp_verdict *v)
{
    uint64_t key = (uint64_t)v->component << 32 | v->frame;

    for (size_t i = 0; i < watch.told_count; i++) {
        if (watch.told[i] == key) {
            return true;
        }
    }
    if (watch.told_count < TOLD_MOST) {
        watch.told[watch.told_count++] = key;
    }
    return false;
}

static void tell_leaks(const mp_image_t *image, const mp_verdicts_t *verdicts)
{
    for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);

        if (v->kind <= MP_VERDICT_GROWING && !is_told(v)) {
            watch.leak_fn(v, image, watch.leak_arg);
        }
    }
}

static void tell_alerts(const mp_image_t *image, const mp_verdicts_t *verdicts)
{
    struct mp_alert_facts facts;
    struct mp_proc kernel;
    const struct mp_alert *all;
    bool is_known = mp_proc_read((uint64_t)getpid(), &kernel) == 0;
    size_t count;
    int code;

    if (mp_alert_facts_make(image, is_known ? &kernel : NULL, NULL, verdicts, NULL,
            NULL, 0, now_ns(CLOCK_REALTIME), &facts)
        != 0) {
        return;
    }
    code = mp_alerts_look(watch.engine, "self", &facts);
    mp_alert_facts_fini(&facts);
    all = mp_alerts_of(watch.engine, "self", &count);
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (all[i].event != MP_EVENT_NONE) {
            watch.alert_fn(&all[i], image, watch.alert_arg);
        }
    }
}

/* What is due. */
struct due {
    bool leaks;
    bool alerts;
    bool verdicts; /* of alerts, which want them less often */
};

static void look(const struct due *due)
{
    mp_verdicts_t *verdicts = NULL;
    mp_image_t *image = NULL;

    if (mp_image_open(watch.path, &image, NULL) != 0) {
        return; /* it may be better next time */
    }
    if (due->leaks || due->verdicts) {
        int code = mp_verdicts_make(image, NULL, &verdicts);

        if (code == 0 && due->leaks) {
            tell_leaks(image, verdicts);
        }
    }
    if (due->alerts) {
        tell_alerts(image, verdicts);
    }
    mp_verdicts_free(verdicts);
    mp_image_free(image);
}

/* ---- the thread ---- */

static bool is_due_locked(struct turn *t, uint64_t now)
{
    if (t->period_s == 0 || now < t->next_ns) {
        return false;
    }
    t->next_ns = now + (uint64_t)t->period_s * 1000000000u;
    return true;
}

static void wait_locked(void)
{
    uint64_t next =
        watch.leaks.period_s == 0 ? watch.alerts.next_ns
        : watch.alerts.period_s == 0 || watch.leaks.next_ns < watch.alerts.next_ns
            ? watch.leaks.next_ns
            : watch.alerts.next_ns;
    uint64_t now = now_ns(CLOCK_MONOTONIC);
    struct timespec until;

    if (next <= now) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    next = next - now + (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(next / 1000000000u);
    until.tv_nsec = (long)(next % 1000000000u);
    pthread_cond_timedwait(&changed, &lock, &until);
}

static void *run(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    while (!watch.must_stop) {
        uint64_t now = now_ns(CLOCK_MONOTONIC);
        struct due due = {.leaks = is_due_locked(&watch.leaks, now),
            .alerts = is_due_locked(&watch.alerts, now)};

        due.verdicts =
            due.alerts && (watch.judged_ns == 0 || now - watch.judged_ns >= JUDGE_NS);
        if (due.verdicts || (due.leaks && due.alerts)) {
            watch.judged_ns = now;
        }
        if (due.leaks || due.alerts) {
            pthread_mutex_unlock(&lock);
            look(&due);
            pthread_mutex_lock(&lock);
        } else {
            wait_locked();
        }
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* ---- fork: the child has no such thread, and may have its own ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    watch.is_running = false;
    watch.is_joined = false;
}

/* ---- from one to the other ---- */

static int start_locked(void)
{
    int code = 0;

    if (watch.is_running) {
        pthread_cond_broadcast(&changed);
        return 0;
    }
    if (!watch.has_handlers) {
        code = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
        watch.has_handlers = code == 0;
    }
    if (code == 0) {
        watch.must_stop = false;
        code = -pthread_create(&watch.thread, NULL, run, NULL);
        watch.is_running = code == 0;
    }
    return code;
}

/* Whether one may be added now: none of the kind is there, and the region is. */
static int check_locked(const struct turn *turn)
{
    if (!watch.is_running) {
        watch.leaks.period_s = watch.alerts.period_s = 0;
        return mp_find_pid((uint64_t)getpid(), watch.path, sizeof(watch.path), NULL);
    }
    return turn->period_s != 0 || watch.must_stop ? -EBUSY : 0;
}

static int begin_locked(struct turn *turn, unsigned period_s)
{
    int code;

    *turn = (struct turn){
        period_s, now_ns(CLOCK_MONOTONIC) + (uint64_t)period_s * 1000000000u};
    code = start_locked();
    if (code != 0) {
        turn->period_s = 0;
    }
    return code;
}

int mps_on_leak(mps_leak_fn *fn, void *arg, unsigned period_s)
{
    int code;

    if (fn == NULL || period_s == 0) {
        return -EINVAL;
    }
    pthread_mutex_lock(&lock);
    code = check_locked(&watch.leaks);
    if (code == 0) {
        watch.leak_fn = fn;
        watch.leak_arg = arg;
        watch.told_count = 0;
        code = begin_locked(&watch.leaks, period_s);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int mps_on_alert(mps_alert_fn *fn, void *arg, const struct mp_alert_rule *rules,
    size_t count, unsigned period_s)
{
    mp_alerts_t *engine = NULL;
    int code;

    if (fn == NULL || period_s == 0) {
        return -EINVAL;
    }
    if (rules == NULL) {
        rules = mp_alert_rules(MP_PRESET_PRODUCTION, &count);
    }
    code = mp_alerts_create(rules, count, &engine);
    if (code != 0) {
        return code;
    }
    pthread_mutex_lock(&lock);
    code = check_locked(&watch.alerts);
    if (code == 0) {
        mp_alerts_free(watch.engine); /* of a watch that ended */
        watch.engine = engine;
        watch.alert_fn = fn;
        watch.alert_arg = arg;
        watch.judged_ns = 0;
        code = begin_locked(&watch.alerts, period_s);
        engine = NULL;
    }
    pthread_mutex_unlock(&lock);
    mp_alerts_free(engine);
    return code;
}

/* One of those who stop it joins the thread; the others wait for that one. */
void mps_stop_watch(void)
{
    pthread_mutex_lock(&lock);
    watch.must_stop = true;
    pthread_cond_broadcast(&changed);
    if (watch.is_running && !pthread_equal(watch.thread, pthread_self())) {
        if (!watch.is_joined) {
            watch.is_joined = true;
            pthread_mutex_unlock(&lock);
            pthread_join(watch.thread, NULL);
            pthread_mutex_lock(&lock);
            watch.is_running = watch.is_joined = false;
            watch.leaks.period_s = watch.alerts.period_s = 0;
            pthread_cond_broadcast(&changed);
        }
        while (watch.is_joined) {
            pthread_cond_wait(&changed, &lock);
        }
    }
    pthread_mutex_unlock(&lock);
}
