/*
 * leaks - the five ways in which programs forget memory, as load: what grows is what an
 * allocator must pack well, and what is dropped at last is what it must take back
 *
 * Everything is freed at the end of a round: a real leak would have no end to compare.
 */
#include "bench.h"

#include <string.h>

/* ---- a cache that evicts nothing ---- */

struct entry {
    struct entry *next;
    uint32_t size;
    void *value;
};

static void cache(struct worker *w)
{
    enum { BUCKETS = 4096, ENTRIES = 60000 };
    struct entry **bucket = array_map(BUCKETS * sizeof(*bucket));

    while (worker_more(w)) {
        for (unsigned n = 0; n < ENTRIES && worker_more(w); n++) {
            struct entry *e = checked(malloc(sizeof(*e)), sizeof(*e));
            struct entry **at = &bucket[random_below(&w->random, BUCKETS)];
            uint32_t size = 16 + (uint32_t)random_below(&w->random, 240);

            block_delete(block_new(64), 64); /* the query, which does end */
            *e = (struct entry){*at, size, block_new(size)};
            *at = e;
            w->ops += 3;
        }
        for (unsigned i = 0; i < BUCKETS; i++) {
            for (struct entry *e = bucket[i], *next; e != NULL; e = next) {
                next = e->next;
                block_delete(e->value, e->size);
                free(e);
            }
            bucket[i] = NULL;
        }
    }
    array_unmap(bucket, BUCKETS * sizeof(*bucket));
}

/* ---- handlers that are registered and never removed ---- */

static void handlers(struct worker *w)
{
    enum { HANDLERS = 50000, CLOSURE = 40 };

    while (worker_more(w)) {
        size_t count = 0, room = 0;
        void **handler = NULL;

        for (; count < HANDLERS && worker_more(w); count++) {
            if (count == room) {
                room += 64 + room / 4;
                handler = checked(realloc(handler, room * sizeof(void *)), room);
            }
            handler[count] = block_new(CLOSURE);
            block_delete(block_new(1024), 1024); /* what the event brought with it */
            w->ops += 2;
        }
        while (count > 0) {
            block_delete(handler[--count], CLOSURE);
        }
        free(handler);
    }
}

/* ---- counted references in a circle ---- */

struct member {
    struct member *other;
    uint32_t references;
    uint32_t size;
    void *body;
};

static struct member *member_new(uint32_t size)
{
    struct member *m = checked(malloc(sizeof(*m)), sizeof(*m));

    *m = (struct member){NULL, 1, size, block_new(size)};
    return m;
}

static void member_drop(struct member *m)
{
    if (--m->references == 0) {
        if (m->other != NULL) {
            member_drop(m->other);
        }
        block_delete(m->body, m->size);
        free(m);
    }
}

/* One pair in four is a circle; a list knows them, so that the round can end. */
static void cycles(struct worker *w)
{
    enum { PAIRS = 40000 };
    struct member **lost = array_map(PAIRS * sizeof(*lost));

    while (worker_more(w)) {
        unsigned count = 0;

        for (unsigned i = 0; i < PAIRS && worker_more(w); i++) {
            struct member *a = member_new(32 + (uint32_t)random_below(&w->random, 96));
            struct member *b = member_new(16);

            a->other = b;
            b->references++;
            if (i % 4 == 0) {
                b->other = a;
                a->references++;
                lost[count++] = a;
            }
            member_drop(b);
            member_drop(a);
            w->ops += 4;
        }
        while (count > 0) {
            struct member *a = lost[--count], *b = a->other;

            b->other = NULL;
            member_drop(a);
        }
    }
    array_unmap(lost, PAIRS * sizeof(*lost));
}

/* ---- buffers that are cleared and keep their room ---- */

static void buffers(struct worker *w)
{
    enum { BUFFERS = 64, MESSAGE = 64 };
    char *buffer[BUFFERS] = {NULL};
    size_t room[BUFFERS] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < BUFFERS; i++) {
            size_t want = 256 + random_below(&w->random, 4 * KIB);

            if (random_below(&w->random, 256) == 0) {
                want *= 64; /* one message of 256 is large, and the room remains */
            }
            for (unsigned n = 0; n < 32; n++) {
                block_delete(block_new(MESSAGE + n * 8), MESSAGE + n * 8);
            }
            if (want > room[i]) {
                buffer[i] = checked(realloc(buffer[i], want), want);
                room[i] = want;
            }
            memset(buffer[i], (int)i, want < 4096 ? want : 4096);
            if (buffer[i][want / 2 < 4096 ? want / 2 : 0] != (char)i) {
                bench_fail("buffer %u is wrong", i);
            }
            w->ops += 32;
        }
        if (random_below(&w->random, 64) == 0) { /* the cure, seldom */
            size_t i = random_below(&w->random, BUFFERS);

            free(buffer[i]);
            buffer[i] = NULL;
            room[i] = 0;
        }
    }
    for (unsigned i = 0; i < BUFFERS; i++) {
        free(buffer[i]);
    }
}

/* ---- what threads keep for themselves until they end ---- */

struct own {
    struct worker *worker;
    uint64_t random;
    uint64_t ops;
};

static void *keep(void *arg)
{
    enum { BLOCKS = 4000 };
    struct own *o = arg;
    void **block = checked(malloc(BLOCKS * sizeof(void *)), BLOCKS);
    uint32_t *size = checked(malloc(BLOCKS * sizeof(uint32_t)), BLOCKS);

    for (unsigned i = 0; i < BLOCKS; i++) {
        size[i] = 16 + (uint32_t)random_below(&o->random, 200);
        block[i] = block_new(size[i]);
        block_delete(block_new(512), 512);
        o->ops += 2;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        block_delete(block[i], size[i]);
    }
    free(block);
    free(size);
    return NULL;
}

static void threads(struct worker *w)
{
    while (worker_more(w)) {
        struct own o = {w, random_next(&w->random), 0};
        pthread_t thread;

        bench_thread(&thread, keep, &o);
        pthread_join(thread, NULL);
        w->ops += o.ops;
    }
}

#define LEAKS .groups = "leak_patterns", .at_least = 1

const struct workload leaks_workloads[] = {
    {"leak-cache", "a cache of 60,000 entries that only grows, then is dropped", LEAKS,
        .threads = 1, .ops = 10000000, .work = cache},
    {"leak-handlers", "50,000 handlers registered among short-lived events", LEAKS,
        .threads = 1, .ops = 30000000, .work = handlers},
    {"leak-cycles", "counted pairs, one in four a circle that stays", LEAKS,
        .threads = 1, .ops = 40000000, .work = cycles},
    {"leak-buffers", "64 buffers that keep the room of their largest message", LEAKS,
        .threads = 1, .ops = 50000000, .work = buffers},
    {"leak-threads", "2 lines of threads that keep 4,000 blocks until they end", LEAKS,
        .threads = 2, .ops = 16000000, .work = threads},
    {0},
};
