#include "workers.h"

#include "../must.h"

#include <pthread.h>

enum {
    THREADS = 16, /* that do not wait */
    WAITING = 64, /* that do, by workers_pause */
    SLOW = 12,    /* of these, at most */
    SLOW_WAITING = 256,
    STACK_BYTES = 1024 * 1024,
};

struct queue {
    struct job *first;
    struct job **last;
    size_t count;
};

/* All under `lock`. */
struct workers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct queue quick;
    struct queue slow;
    size_t running;
    size_t running_slow;
    size_t idle;
    size_t thread_count;
    size_t waiting;
    bool is_ending;
    pthread_t threads[THREADS + WAITING];
};

/* Of this thread, while it has a job: whose it is, and whether that is a slow one. */
static _Thread_local struct workers *mine;
static _Thread_local bool is_mine_slow;

static void push(struct queue *q, struct job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
    q->count++;
}

static struct job *pop(struct queue *q)
{
    struct job *job = q->first;

    q->first = job->next;
    if (q->first == NULL) {
        q->last = &q->first;
    }
    q->count--;
    return job;
}

static bool has_work_locked(const struct workers *w)
{
    return w->quick.count > 0 || (w->slow.count > 0 && w->running_slow < SLOW);
}

static void *work(void *arg)
{
    struct workers *w = arg;

    mine = w;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        bool is_slow;
        struct job *job;

        while (!has_work_locked(w) && !w->is_ending) {
            w->idle++;
            pthread_cond_wait(&w->more, &w->lock);
            w->idle--;
        }
        if (!has_work_locked(w)) {
            break;
        }
        is_slow = w->quick.count == 0;
        job = pop(is_slow ? &w->slow : &w->quick);
        w->running++;
        w->running_slow += is_slow;
        pthread_mutex_unlock(&w->lock);
        is_mine_slow = is_slow;
        job->run(job);
        pthread_mutex_lock(&w->lock);
        w->running--;
        w->running_slow -= is_slow;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct workers *workers_create(void)
{
    struct workers *w = must(calloc(1, sizeof(*w)));

    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    w->quick.last = &w->quick.first;
    w->slow.last = &w->slow.first;
    return w;
}

/* Without a new thread those that there are do it; the first there must be. */
static bool add_thread_locked(struct workers *w)
{
    pthread_attr_t attributes;
    bool made;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    made = pthread_create(&w->threads[w->thread_count], &attributes, work, w) == 0;
    pthread_attr_destroy(&attributes);
    if (made) {
        pthread_setname_np(w->threads[w->thread_count], "serve-work");
        w->thread_count++;
    }
    return w->thread_count > 0;
}

static bool add_threads_locked(struct workers *w)
{
    return w->idle >= w->quick.count + w->slow.count
                   || w->thread_count >= THREADS + w->waiting
               ? true
               : add_thread_locked(w);
}

bool workers_pause(void)
{
    bool paused;

    if (mine == NULL) {
        return false;
    }
    pthread_mutex_lock(&mine->lock);
    paused = mine->waiting < WAITING;
    if (paused) {
        mine->waiting++;
        mine->running_slow -= is_mine_slow;
        add_threads_locked(mine);
        pthread_cond_signal(&mine->more);
    }
    pthread_mutex_unlock(&mine->lock);
    return paused;
}

void workers_go_on(void)
{
    pthread_mutex_lock(&mine->lock);
    mine->waiting--;
    mine->running_slow += is_mine_slow;
    pthread_mutex_unlock(&mine->lock);
}

bool workers_add(struct workers *w, struct job *job, bool is_quick)
{
    bool taken = true;

    pthread_mutex_lock(&w->lock);
    if (w->is_ending || (!is_quick && w->slow.count >= SLOW_WAITING)) {
        taken = false;
    } else {
        push(is_quick ? &w->quick : &w->slow, job);
        taken = add_threads_locked(w);
        pthread_cond_signal(&w->more);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

size_t workers_busy(struct workers *w)
{
    size_t busy;

    pthread_mutex_lock(&w->lock);
    busy = w->running + w->quick.count + w->slow.count;
    pthread_mutex_unlock(&w->lock);
    return busy;
}

void workers_destroy(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    w->is_ending = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->thread_count; i++) {
        pthread_join(w->threads[i], NULL);
    }
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    free(w);
}
