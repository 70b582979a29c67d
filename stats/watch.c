/*
 * watch - a program that looks at its own region now and then
 *
 * Owns: one thread, from mps_on_leak to mps_stop_watch, and which stacks it told of.
 */
#include <mpstats.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TOLD_MOST = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct {
    pthread_t thread;
    bool is_running;
    bool is_joined; /* somebody waits for its end */
    bool must_stop;
    bool has_handlers; /* of fork */
    mps_leak_fn *fn;
    void *arg;
    unsigned period_s;
    char path[4096];
    size_t told_count;
    uint64_t told[TOLD_MOST]; /* component and frame: they keep their numbers */
} watch;

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

static void look(void)
{
    mp_verdicts_t *verdicts = NULL;
    mp_image_t *image = NULL;

    if (mp_image_open(watch.path, &image, NULL) != 0) {
        return; /* it may be better next time */
    }
    if (mp_verdicts_make(image, NULL, &verdicts) == 0) {
        for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
            const struct mp_verdict *v = mp_verdicts_at(verdicts, i);

            if (v->kind <= MP_VERDICT_GROWING && !is_told(v)) {
                watch.fn(v, image, watch.arg);
            }
        }
    }
    mp_verdicts_free(verdicts);
    mp_image_free(image);
}

/* False: it shall end. */
static bool wait_a_period(void)
{
    struct timespec until;
    bool must_stop;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += watch.period_s;
    pthread_mutex_lock(&lock);
    while (!watch.must_stop
           && pthread_cond_timedwait(&changed, &lock, &until) != ETIMEDOUT) {
    }
    must_stop = watch.must_stop;
    pthread_mutex_unlock(&lock);
    return !must_stop;
}

static void *run(void *unused)
{
    (void)unused;
    while (wait_a_period()) {
        look();
    }
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

static int start_locked(mps_leak_fn *fn, void *arg, unsigned period_s)
{
    int code = watch.is_running ? -EBUSY
                                : mp_find_pid((uint64_t)getpid(), watch.path,
                                    sizeof(watch.path), NULL);

    if (code == 0 && !watch.has_handlers) {
        code = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
        watch.has_handlers = code == 0;
    }
    if (code == 0) {
        watch.fn = fn;
        watch.arg = arg;
        watch.period_s = period_s;
        watch.must_stop = false;
        watch.told_count = 0;
        code = -pthread_create(&watch.thread, NULL, run, NULL);
        watch.is_running = code == 0;
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
    code = start_locked(fn, arg, period_s);
    pthread_mutex_unlock(&lock);
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
            pthread_cond_broadcast(&changed);
        }
        while (watch.is_joined) {
            pthread_cond_wait(&changed, &lock);
        }
    }
    pthread_mutex_unlock(&lock);
}
