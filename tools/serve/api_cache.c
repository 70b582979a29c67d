#include "api_cache.h"

#include "../must.h"
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    AT_ONCE = 2,         /* so many are made */
    PATIENCE_MS = 60000, /* to wait for one's turn */
    KEPT_MS = 30000,
    KEPT_BYTES = 32 << 20,
};

struct entry {
    struct made made;   /* first: what is held is this */
    struct entry *next; /* made less recently */
    char *key;
    uint64_t version;
    uint64_t made_ms;
    unsigned refs; /* with that of the list */
    bool is_ready;
    bool is_forgotten; /* in the list no more */
};

/* All under `lock`. */
struct api_cache {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry *first;
    unsigned making;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct api_cache *api_cache_create(void)
{
    struct api_cache *c = must(calloc(1, sizeof(*c)));
    pthread_condattr_t monotonic;

    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return c;
}

static void release_locked(struct entry *e)
{
    if (--e->refs == 0) {
        free(e->made.data);
        free(e->key);
        free(e);
    }
}

/* Takes it out of the list. */
static void forget_locked(struct entry **at)
{
    struct entry *e = *at;

    *at = e->next;
    e->is_forgotten = true;
    release_locked(e);
}

void api_cache_destroy(struct api_cache *c)
{
    while (c->first != NULL) {
        forget_locked(&c->first);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->changed);
    free(c);
}

static struct entry **find_locked(struct api_cache *c, const char *key)
{
    struct entry **at = &c->first;

    while (*at != NULL && strcmp((*at)->key, key) != 0) {
        at = &(*at)->next;
    }
    return at;
}

/* What is old, and what is beyond the room that there is, the oldest first. */
static void limit_locked(struct api_cache *c)
{
    struct entry **at = &c->first;
    uint64_t now = now_ms();
    size_t bytes = 0;

    while (*at != NULL) {
        struct entry *e = *at;

        bytes += e->is_ready ? e->made.bytes : 0; /* else its maker writes there */
        if (e->is_ready && (bytes > KEPT_BYTES || now - e->made_ms > KEPT_MS)) {
            bytes -= e->made.bytes;
            forget_locked(at);
        } else {
            at = &e->next;
        }
    }
}

static struct entry *add_locked(struct api_cache *c, const char *key, uint64_t version)
{
    struct entry *e = must(calloc(1, sizeof(*e)));

    e->key = must(strdup(key));
    e->version = version;
    e->refs = 2; /* the list's, and the caller's */
    e->next = c->first;
    c->first = e;
    return e;
}

/* Until something changed; the lock is free meanwhile, and so is the worker's place. */
static bool wait_locked(struct api_cache *c, const struct timespec *until)
{
    bool paused = workers_pause();
    int code = pthread_cond_timedwait(&c->changed, &c->lock, until);

    if (paused) {
        workers_go_on();
    }
    return code != ETIMEDOUT;
}

static struct timespec find_end(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += PATIENCE_MS / 1000;
    return t;
}

/* Makes it, in its turn. False: it did not come. */
static bool make_locked(struct api_cache *c, struct entry *e, make_fn *make, void *arg,
    const struct timespec *until)
{
    bool has_turn = true;

    while (c->making >= AT_ONCE && has_turn) {
        has_turn = wait_locked(c, until);
    }
    if (has_turn) {
        c->making++;
        pthread_mutex_unlock(&c->lock);
        make(&e->made, arg);
        pthread_mutex_lock(&c->lock);
        c->making--;
    }
    e->is_ready = true;
    e->made_ms = now_ms();
    pthread_cond_broadcast(&c->changed);
    return has_turn;
}

const struct made *api_cache_hold(struct api_cache *c, const char *key,
    uint64_t version, unsigned most_age_ms, make_fn *make, void *arg)
{
    struct timespec until = find_end();
    struct entry **at;
    struct entry *e;

    pthread_mutex_lock(&c->lock);
    limit_locked(c);
    at = find_locked(c, key);
    if (*at != NULL && (*at)->is_ready && (*at)->version != version
        && now_ms() - (*at)->made_ms > most_age_ms) {
        forget_locked(at);
        at = find_locked(c, key);
    }
    e = *at;
    if (e == NULL) {
        e = add_locked(c, key, version);
        make_locked(c, e, make, arg, &until);
    } else {
        e->refs++;
        while (!e->is_ready && wait_locked(c, &until)) {
        }
    }
    /* A failure is told to those who waited for it, and to nobody else. */
    if (e->is_ready && e->made.status != 200 && !e->is_forgotten) {
        at = &c->first;
        while (*at != e) {
            at = &(*at)->next;
        }
        forget_locked(at);
    }
    if (!e->is_ready || e->made.status == 0) {
        release_locked(e);
        e = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    return e != NULL ? &e->made : NULL;
}

void api_cache_release(struct api_cache *c, const struct made *made)
{
    pthread_mutex_lock(&c->lock);
    release_locked((struct entry *)made);
    pthread_mutex_unlock(&c->lock);
}

void api_cache_forget(struct api_cache *c, const char *beginning)
{
    struct entry **at = &c->first;

    pthread_mutex_lock(&c->lock);
    while (*at != NULL) {
        if (strncmp((*at)->key, beginning, strlen(beginning)) == 0) {
            forget_locked(at);
        } else {
            at = &(*at)->next;
        }
    }
    pthread_mutex_unlock(&c->lock);
}
