/*
 * exchange - threads that free what others allocated: through a shared stack, to and fro
 * between two, round a ring
 *
 * Batches pass as one pointer, so that a lock is taken once for hundreds of blocks.
 */
#include "bench.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { BATCH = 200, STACK_MOST = 64 };

/* From the harness, not from malloc: what is measured are its blocks. */
struct batch {
    struct batch *next;
    uint32_t size[BATCH];
    void *block[BATCH];
};

struct stack {
    pthread_mutex_t lock;
    struct batch *full;  /* lock */
    struct batch *empty; /* lock */
    unsigned count;      /* lock: of full ones */
    size_t bytes;
    struct batch *batches;
};

static void batch_fill(struct batch *b, size_t most, uint64_t *random)
{
    for (unsigned i = 0; i < BATCH; i++) {
        b->size[i] = (uint32_t)(8 + random_below(random, most - 8));
        b->block[i] = block_new(b->size[i]);
    }
}

static void batch_drop(struct batch *b)
{
    for (unsigned i = 0; i < BATCH; i++) {
        block_delete(b->block[i], b->size[i]);
    }
}

static void stack_begin(struct plan *plan)
{
    unsigned count = STACK_MOST + plan->threads;
    size_t bytes = sizeof(struct stack) + count * sizeof(struct batch);
    struct stack *s = array_map(bytes);

    pthread_mutex_init(&s->lock, NULL);
    s->bytes = bytes;
    s->batches = (struct batch *)(s + 1);
    for (unsigned i = 0; i < count; i++) {
        s->batches[i].next = s->empty;
        s->empty = &s->batches[i];
    }
    plan->state = s;
}

static void stack_end(struct plan *plan)
{
    struct stack *s = plan->state;

    for (struct batch *b = s->full; b != NULL; b = b->next) {
        batch_drop(b);
    }
    array_unmap(s, s->bytes);
}

/* A batch to fill, or one to drop when enough lie there; *ret_full says which. */
static struct batch *stack_take(struct stack *s, bool want_full, bool *ret_full)
{
    struct batch *b, **from;

    pthread_mutex_lock(&s->lock);
    *ret_full = s->count > 0 && (want_full || s->count == STACK_MOST);
    from = *ret_full ? &s->full : &s->empty;
    b = *from;
    *from = b->next;
    s->count -= *ret_full;
    pthread_mutex_unlock(&s->lock);
    return b;
}

static void stack_give(struct stack *s, struct batch *b, bool full)
{
    struct batch **to = full ? &s->full : &s->empty;

    pthread_mutex_lock(&s->lock);
    b->next = *to;
    *to = b;
    s->count += full;
    pthread_mutex_unlock(&s->lock);
}

/* Every thread makes a batch, then frees one that lies on the stack, mostly another's. */
static void anyones(struct worker *w)
{
    struct stack *s = w->plan->state;

    while (worker_more(w)) {
        for (unsigned turn = 0; turn < 2; turn++) {
            bool is_full;
            struct batch *b =
                stack_take(s, turn == 1 || random_below(&w->random, 2) == 0, &is_full);

            if (is_full) {
                batch_drop(b);
            } else {
                batch_fill(b, w->plan->workload->size, &w->random);
                w->ops += BATCH;
            }
            stack_give(s, b, !is_full);
        }
    }
}

/* ---- a ring: what a thread frees comes from its left neighbour ---- */

enum { SLOTS = 64 };

struct slot {
    _Atomic(void *) block; /* the left neighbour puts, the right one takes */
    size_t size;           /* written before the block is put */
};

struct place {
    struct slot slot[SLOTS];
    atomic_bool done; /* the neighbour to the left will put no more */
};

static void ring_begin(struct plan *plan)
{
    plan->state = array_map(plan->threads * sizeof(struct place));
}

static void ring_end(struct plan *plan)
{
    array_unmap(plan->state, plan->threads * sizeof(struct place));
}

static bool slot_take(struct slot *s)
{
    void *p = atomic_load_explicit(&s->block, memory_order_acquire);

    if (p == NULL) {
        return false;
    }
    block_delete(p, s->size);
    atomic_store_explicit(&s->block, NULL, memory_order_release);
    return true;
}

static bool slot_put(struct slot *s, size_t size)
{
    void *p;

    if (atomic_load_explicit(&s->block, memory_order_acquire) != NULL) {
        return false;
    }
    p = block_new(size);
    s->size = size;
    atomic_store_explicit(&s->block, p, memory_order_release);
    return true;
}

/*
 * For each slot `local` blocks stay in the thread, with a lifetime of 128 others. A thread
 * that is done goes on to take until its left neighbour is: nobody waits for ever.
 */
static void round_the_ring(struct worker *w, unsigned local)
{
    struct place *places = w->plan->state;
    struct place *mine = &places[w->index];
    struct place *right = &places[(w->index + 1) % w->plan->threads];
    void *own[128] = {NULL};
    size_t size[128] = {0}, most = w->plan->workload->size;
    unsigned at = 0;
    bool is_done = false;

    while (worker_more(w)) {
        unsigned moved = 0;

        for (unsigned i = 0; i < SLOTS; i++) {
            moved += slot_take(&mine->slot[i]);
            moved += slot_put(&right->slot[i], 8 + random_below(&w->random, most - 8));
            for (unsigned n = 0; n < local; n++) {
                unsigned place = (at++ + n) % 128;

                if (own[place] != NULL) {
                    block_delete(own[place], size[place]);
                }
                size[place] = 8 + random_below(&w->random, most - 8);
                own[place] = block_new(size[place]);
            }
        }
        w->ops += moved + local * SLOTS;
        if (moved == 0) {
            sched_yield(); /* the neighbours have not come by */
        }
    }
    for (unsigned i = 0; i < 128; i++) {
        if (own[i] != NULL) {
            block_delete(own[i], size[i]);
        }
    }
    atomic_store_explicit(&right->done, true, memory_order_release);
    while (!is_done) {
        is_done = atomic_load_explicit(&mine->done, memory_order_acquire);
        for (unsigned i = 0; i < SLOTS; i++) {
            slot_take(&mine->slot[i]);
        }
        if (!is_done) {
            sched_yield();
        }
    }
}

static void ring_remote(struct worker *w)
{
    round_the_ring(w, 0);
}

static void ring_mix(struct worker *w)
{
    round_the_ring(w, 3);
}

#define EXCHANGE .groups = "producer_consumer"

const struct workload exchange_workloads[] = {
    {"exchange", "4 threads, each frees batches that others allocated", EXCHANGE,
        .threads = 4, .at_least = 1, .ops = 40000000, .size = 512, .begin = stack_begin,
        .work = anyones, .end = stack_end},
    {"ring-remote", "2 threads, every block is freed by the other one", EXCHANGE,
        .threads = 2, .at_least = 2, .ops = 16000000, .size = 256, .begin = ring_begin,
        .work = ring_remote, .end = ring_end},
    {"ring-mix", "4 threads in a ring, one block in four or so goes to the next one",
        EXCHANGE, .threads = 4, .at_least = 2, .ops = 20000000, .size = 1024,
        .begin = ring_begin, .work = ring_mix, .end = ring_end},
    {0},
};
