/*
 * requests - a burst of blocks for a request, freed with its response
 *
 * A request is a header, some fields, a body and a tree of values as a parser makes them:
 * 60 blocks or so, of 16 B to 8 KiB. An operation is one block.
 */
#include "bench.h"

enum { BLOCKS_MAX = 96, DEPTH = 64, LIVE = 64 };

struct request {
    unsigned count;
    uint32_t size[BLOCKS_MAX];
    void *block[BLOCKS_MAX];
};

static void request_add(struct request *r, size_t size)
{
    r->size[r->count] = (uint32_t)size;
    r->block[r->count++] = block_new(size);
}

static void request_fill(struct request *r, uint64_t *random)
{
    unsigned fields = 8 + (unsigned)random_below(random, 16);
    unsigned values = 16 + (unsigned)random_below(random, 40);

    r->count = 0;
    request_add(r, 256); /* the request itself */
    for (unsigned i = 0; i < fields; i++) {
        request_add(r, 16 + random_below(random, 48));
    }
    request_add(r, 1024 + random_below(random, 7 * KIB));
    for (unsigned i = 0; i < values; i++) {
        request_add(r, i % 3 == 0 ? 48 : 16 + random_below(random, 80));
    }
    request_add(r, 512 + random_below(random, 4 * KIB)); /* the response */
}

static void request_drop(struct request *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        block_delete(r->block[i], r->size[i]);
    }
    r->count = 0;
}

/* 64 requests are in flight, and end in any order. */
static void serve(struct worker *w)
{
    struct request *live = array_map(LIVE * sizeof(*live));

    while (worker_more(w)) {
        struct request *r = &live[random_below(&w->random, LIVE)];

        request_drop(r);
        request_fill(r, &w->random);
        w->ops += r->count;
    }
    for (unsigned i = 0; i < LIVE; i++) {
        request_drop(&live[i]);
    }
    array_unmap(live, LIVE * sizeof(*live));
}

/* ---- made in one thread, answered and freed in its partner ---- */

struct desk {
    pthread_mutex_t lock;
    pthread_cond_t has_room;
    pthread_cond_t has_request;
    unsigned head, count; /* lock */
    bool closed;          /* lock */
    struct request queue[DEPTH];
};

static void desks_begin(struct plan *plan)
{
    struct desk *d = array_map(plan->threads / 2 * sizeof(*d));

    for (unsigned i = 0; i < plan->threads / 2; i++) {
        pthread_mutex_init(&d[i].lock, NULL);
        pthread_cond_init(&d[i].has_room, NULL);
        pthread_cond_init(&d[i].has_request, NULL);
    }
    plan->state = d;
}

static void desks_end(struct plan *plan)
{
    array_unmap(plan->state, plan->threads / 2 * sizeof(struct desk));
}

static void receive(struct worker *w, struct desk *d)
{
    uint64_t quota = 2 * w->quota; /* the partner counts nothing */

    while (w->plan->ops != 0 ? w->ops < quota : worker_more(w)) {
        struct request r;

        request_fill(&r, &w->random);
        w->ops += r.count;
        pthread_mutex_lock(&d->lock);
        while (d->count == DEPTH) {
            pthread_cond_wait(&d->has_room, &d->lock);
        }
        d->queue[(d->head + d->count++) % DEPTH] = r;
        pthread_cond_signal(&d->has_request);
        pthread_mutex_unlock(&d->lock);
    }
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    pthread_cond_signal(&d->has_request);
    pthread_mutex_unlock(&d->lock);
}

static void answer(struct desk *d)
{
    for (;;) {
        struct request r;

        pthread_mutex_lock(&d->lock);
        while (d->count == 0 && !d->closed) {
            pthread_cond_wait(&d->has_request, &d->lock);
        }
        if (d->count == 0) {
            pthread_mutex_unlock(&d->lock);
            return;
        }
        r = d->queue[d->head];
        d->head = (d->head + 1) % DEPTH;
        d->count--;
        pthread_cond_signal(&d->has_room);
        pthread_mutex_unlock(&d->lock);
        request_drop(&r);
    }
}

/* Threads 2 i and 2 i + 1 share a desk; an odd one out works for itself. */
static void hand_off(struct worker *w)
{
    struct desk *d = (struct desk *)w->plan->state + w->index / 2;

    if (w->index == w->plan->threads - 1 && w->plan->threads % 2 == 1) {
        serve(w);
    } else if (w->index % 2 == 0) {
        receive(w, d);
    } else {
        answer(d);
    }
}

#define REQUESTS .groups = "request_response"

const struct workload requests_workloads[] = {
    {"request-own", "64 requests of some 60 blocks, freed by their thread", REQUESTS,
        .threads = 1, .at_least = 1, .ops = 30000000, .work = serve},
    {"request-handed", "requests of some 60 blocks, each freed by a second thread",
        REQUESTS, .threads = 2, .at_least = 2, .ops = 16000000, .begin = desks_begin,
        .work = hand_off, .end = desks_end},
    {0},
};
