/*
 * pipe - producers allocate, one consumer frees: every free is remote
 *
 * Blocks travel in parcels of 64 through a bounded queue, so that the queue's own cost is
 * small and threads sleep rather than spin. Worker 0 consumes, the others produce.
 */
#include "bench.h"

#include <pthread.h>

enum { PARCEL = 64, QUEUE = 64 };

struct parcel {
    void *block[PARCEL];
    uint32_t size[PARCEL];
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t has_room;
    pthread_cond_t has_parcel;
    unsigned head;  /* lock: next to take */
    unsigned count; /* lock */
    unsigned producers;
    struct parcel parcels[QUEUE];
};

static void begin(struct plan *plan)
{
    struct queue *q = array_map(sizeof(*q));

    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->has_room, NULL);
    pthread_cond_init(&q->has_parcel, NULL);
    q->producers = plan->threads - 1;
    plan->state = q;
}

static void end(struct plan *plan)
{
    array_unmap(plan->state, sizeof(struct queue));
}

static void queue_put(struct queue *q, const struct parcel *p)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == QUEUE) {
        pthread_cond_wait(&q->has_room, &q->lock);
    }
    q->parcels[(q->head + q->count++) % QUEUE] = *p;
    pthread_cond_signal(&q->has_parcel);
    pthread_mutex_unlock(&q->lock);
}

static void queue_leave(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->producers--;
    pthread_cond_signal(&q->has_parcel);
    pthread_mutex_unlock(&q->lock);
}

/* False: empty, and all producers are done. */
static bool queue_get(struct queue *q, struct parcel *ret)
{
    bool found;

    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && q->producers > 0) {
        pthread_cond_wait(&q->has_parcel, &q->lock);
    }
    found = q->count > 0;
    if (found) {
        *ret = q->parcels[q->head];
        q->head = (q->head + 1) % QUEUE;
        q->count--;
        pthread_cond_signal(&q->has_room);
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

static void produce(struct worker *w)
{
    size_t most = w->plan->workload->size;
    uint64_t quota = w->plan->ops / (w->plan->threads - 1);
    struct parcel p;

    while (w->plan->ops != 0 ? w->ops < quota : worker_more(w)) {
        for (unsigned i = 0; i < PARCEL; i++) {
            p.size[i] = (uint32_t)(8 + random_below(&w->random, most - 8));
            p.block[i] = block_new(p.size[i]);
        }
        queue_put(w->plan->state, &p);
        w->ops += PARCEL;
    }
    queue_leave(w->plan->state);
}

static void consume(struct worker *w)
{
    struct parcel p;

    while (queue_get(w->plan->state, &p)) {
        for (unsigned i = 0; i < PARCEL; i++) {
            block_delete(p.block[i], p.size[i]);
        }
    }
}

static void work(struct worker *w)
{
    if (w->index == 0) {
        consume(w);
    } else {
        produce(w);
    }
}

#define PIPE                                                                           \
    .groups = "producer_consumer", .at_least = 2, .begin = begin, .work = work,        \
    .end = end

const struct workload pipe_workloads[] = {
    {"pipe-1-1", "1 producer, 1 consumer, 8 to 256 B", .threads = 2, .ops = 16000000,
        .size = 256, PIPE},
    {"pipe-3-1", "3 producers, 1 consumer, 8 to 256 B", .threads = 4, .ops = 10000000,
        .size = 256, PIPE},
    {"pipe-1-1-16k", "1 producer, 1 consumer, 8 B to 16 KiB", .threads = 2,
        .ops = 4000000, .size = 16 * KIB, PIPE},
    {0},
};
