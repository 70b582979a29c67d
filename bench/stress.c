/*
 * stress - everything at once: sizes of 8 B to some MiB, realloc, other threads' blocks
 *
 * `stress-mix` keeps a growing list a thread, swaps blocks with all others through a
 * shared table, and ends its threads now and then. `stress-realloc` is a table of slots
 * per thread whose blocks are replaced, resized or handed over for a later free.
 */
#include "bench.h"

#include <stdatomic.h>

/* ---- stress-mix ---- */

enum { CELLS = 1000, ROUND = 20000, KEPT_MOST = 8000, BATCH = 100 };

/* The size lies in the block: whoever gets it can check and free it. */
struct head {
    uint64_t size;
    uint64_t mark;
};

static void *head_new(size_t size)
{
    struct head *h = checked(malloc(size), size);

    h->size = size;
    h->mark = block_sign(h, size);
    ((volatile char *)h)[size - 1] = 1;
    return h;
}

static void head_delete(void *p)
{
    struct head *h = p;

    if (h != NULL) {
        if (h->mark != block_sign(h, h->size)) {
            bench_fail("the block of %llu bytes at %p lost its mark",
                (unsigned long long)h->size, p);
        }
        free(h);
    }
}

/* Small as a rule; one in 100 up to 16 KiB, one in 10,000 up to 2 MiB. */
static size_t draw_size(uint64_t *random)
{
    size_t rare = random_below(random, 10000);
    size_t most = rare == 0 ? 2 * MIB : rare < 100 ? 16 * KIB : 512;

    return sizeof(struct head) + 8 + random_below(random, most);
}

static void cells_begin(struct plan *plan)
{
    plan->state = array_map(CELLS * sizeof(_Atomic(void *)));
}

static void cells_end(struct plan *plan)
{
    _Atomic(void *) *cell = plan->state;

    for (unsigned i = 0; i < CELLS; i++) {
        head_delete(cell[i]);
    }
    array_unmap(plan->state, CELLS * sizeof(*cell));
}

/* The life of one thread: keeps half of what it makes, drops some, swaps some. */
static void *mix_round(void *arg)
{
    struct worker *w = arg;
    _Atomic(void *) *cell = w->plan->state;
    void **kept = array_map(KEPT_MOST * sizeof(void *));
    unsigned count = 0;

    for (unsigned done = 0; done < ROUND && worker_more(w); done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            void *p = head_new(draw_size(&w->random));
            uint64_t r = random_next(&w->random);

            if ((r & 7) == 0) {
                p = atomic_exchange_explicit(
                    &cell[(r >> 32) % CELLS], p, memory_order_acq_rel);
            }
            if ((r >> 3 & 1) == 0 && count < KEPT_MOST) {
                kept[count++] = p;
            } else {
                head_delete(p);
            }
            if ((r >> 4 & 3) == 0 && count > 0) {
                unsigned at = (unsigned)((r >> 32) % count);

                head_delete(kept[at]);
                kept[at] = kept[--count];
            }
        }
        w->ops += BATCH;
    }
    while (count > 0) {
        head_delete(kept[--count]);
    }
    array_unmap(kept, KEPT_MOST * sizeof(void *));
    return NULL;
}

static void mix(struct worker *w)
{
    while (worker_more(w)) {
        pthread_t thread;

        bench_thread(&thread, mix_round, w);
        pthread_join(thread, NULL);
    }
}

/* ---- stress-realloc ---- */

enum { SLOTS = 3000, INBOX = 256 };

struct slot {
    unsigned char *block;
    size_t size;
};

struct inbox {
    _Atomic(void *) block[INBOX]; /* heads: any thread puts, the owner takes */
};

static void inboxes_begin(struct plan *plan)
{
    plan->state = array_map(plan->threads * sizeof(struct inbox));
}

static void inboxes_end(struct plan *plan)
{
    struct inbox *box = plan->state;

    for (unsigned i = 0; i < plan->threads; i++) {
        for (unsigned n = 0; n < INBOX; n++) {
            head_delete(box[i].block[n]);
        }
    }
    array_unmap(plan->state, plan->threads * sizeof(struct inbox));
}

/* Of smaller sizes more: the doublings are as likely as each other, up to 32 KiB. */
static size_t slot_size(uint64_t *random)
{
    unsigned shift = 4 + (unsigned)random_below(random, 11);

    return ((size_t)1 << shift) + random_below(random, (size_t)1 << shift);
}

/* First and last eight bytes, and a byte in the middle, tell the size it had. */
static void slot_resize(struct slot *s, size_t size)
{
    size_t common = s->size < size ? s->size : size;
    uint64_t was;

    block_check(s->block, s->size);
    __builtin_memset(s->block + 8, (int)(s->size & 0xff), 1);
    was = s->size;
    s->block = checked(realloc(s->block, size), size);
    if (common > 16 && s->block[8] != (was & 0xff)) {
        bench_fail("realloc from %zu to %zu bytes lost content", s->size, size);
    }
    s->size = size;
    block_mark(s->block, size);
}

static void slot_replace(struct slot *s, size_t size)
{
    if (s->block != NULL) {
        block_delete(s->block, s->size);
    }
    s->size = size;
    s->block = block_new(size);
}

static void resize(struct worker *w)
{
    struct inbox *boxes = w->plan->state;
    struct slot *slots = array_map(SLOTS * sizeof(*slots));

    while (worker_more(w)) {
        for (unsigned i = 0; i < BATCH; i++) {
            struct slot *s = &slots[random_below(&w->random, SLOTS)];
            size_t what = random_below(&w->random, 16);

            if (what < 4 && s->block != NULL) {
                slot_resize(s, slot_size(&w->random));
            } else if (what < 14) {
                slot_replace(s, slot_size(&w->random));
            } else { /* a present to somebody, who finds it later */
                struct inbox *to = &boxes[random_below(&w->random, w->plan->threads)];

                head_delete(atomic_exchange_explicit(
                    &to->block[random_below(&w->random, INBOX)],
                    head_new(sizeof(struct head) + slot_size(&w->random)),
                    memory_order_acq_rel));
            }
        }
        head_delete(atomic_exchange_explicit(
            &boxes[w->index].block[random_below(&w->random, INBOX)], NULL,
            memory_order_acq_rel));
        w->ops += BATCH;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (slots[i].block != NULL) {
            block_delete(slots[i].block, slots[i].size);
        }
    }
    array_unmap(slots, SLOTS * sizeof(*slots));
}

#define STRESS .groups = "stress_mix", .threads = 4, .at_least = 1

const struct workload stress_workloads[] = {
    {"stress-mix", "4 lines of threads: lists, swaps, blocks of up to 2 MiB", STRESS,
        .ops = 12000000, .begin = cells_begin, .work = mix, .end = cells_end},
    {"stress-realloc", "4 threads: slots replaced, resized, handed over, to 32 KiB",
        STRESS, .ops = 3000000, .begin = inboxes_begin, .work = resize,
        .end = inboxes_end},
    {0},
};
