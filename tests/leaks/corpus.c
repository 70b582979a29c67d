/*
 * corpus - programs of known truth for verdicts about leaks: corpus SHAPE [WORK_MIB]
 *
 * Each serves requests, whose blocks live for a moment; beside them one thing happens that is
 * or is not a leak. Its blocks are made by one function (grow_*) in the component "part", so
 * that who judges can be judged. Deterministic; time is work: 60 s of a service in two or so.
 *
 * With CORPUS_DUMP=PATH a copy of the region is written at the end, while all is still held; with
 * CORPUS_CHECK=PATH another, after a leak check. CORPUS_SEED=N: another run of the same.
 */
#include "corpus.h"

#include <mpalloc.h>

#include <dlfcn.h>

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUESTS = 64, SLOTS = 1 << 16 };

static mp_component_t *part;

struct work {
    uint64_t state;
    double done; /* bytes allocated, */
    double all;  /* of so many */
    double share;
    unsigned thread;
    unsigned threads;
    double own;                 /* of that */
    _Atomic uint64_t *together; /* what all threads did, so that they go at one pace */
    void *requests[REQUESTS];
};

static uint64_t roll(struct work *w)
{
    w->state = w->state * 6364136223846793005u + 1442695040888963407u;
    return w->state >> 33;
}

static double roll_one(struct work *w)
{
    return ((double)roll(w) + 0.5) / 2147483648.0;
}

static double now(const struct work *w)
{
    return w->done / w->all;
}

/* ---- requests ---- */

NOINLINE static void *serve_request(struct work *w)
{
    size_t size = 64 + roll(w) % 2304;
    char *p = malloc(size);

    w->done += (double)size;
    p[0] = p[size - 1] = 1;
    return p;
}

/* Of what all threads did; whoever is ahead of the others lets them go on. */
static double keep_pace(struct work *w)
{
    uint64_t all =
        atomic_fetch_add_explicit(w->together, 1024, memory_order_relaxed) + 1024;

    w->own += 1024;
    while (w->own > (double)all / w->threads + 1048576 && (double)all < w->all) {
        sched_yield();
        all = atomic_load_explicit(w->together, memory_order_relaxed);
    }
    return (double)all;
}

static bool step(struct work *w)
{
    unsigned i = roll(w) % REQUESTS;

    free(w->requests[i]);
    w->requests[i] = serve_request(w);
    return (w->together != NULL ? keep_pace(w) : w->done) < w->all;
}

/* ---- what is beside them ---- */

/* One more of it; each shape has its own, so that names tell them apart. */
#define GROW(name)                                                                     \
    NOINLINE static struct node *grow_##name(struct work *w, size_t bytes)             \
    {                                                                                  \
        struct node *n = mp_malloc(part, sizeof(*n) + bytes);                          \
                                                                                       \
        memset(n, 0, sizeof(*n));                                                      \
        w->done += (double)(sizeof(*n) + bytes);                                       \
        return n;                                                                      \
    }

GROW(cache)
GROW(handlers)
GROW(cycle)
GROW(tree)
GROW(local)
GROW(traffic)
GROW(thread)
GROW(marked)
GROW(lru)
GROW(warm_up)
GROW(sawtooth)
GROW(session)
GROW(index)
GROW(word)
GROW(table)
GROW(pool)
GROW(thread_cache)
GROW(parked)
GROW(hidden)
GROW(steady)
GROW(walk)

static struct node *slots[SLOTS];
static struct node *volatile dropped; /* so that the compiler keeps what is lost */
static struct node *volatile kept;

/* Of a thread that ends: what it held is held no more. */
static void drop_requests(struct work *w, void *also[REQUESTS])
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        free(w->requests[i]);
        w->requests[i] = NULL;
        if (also != NULL) {
            free(also[i]);
        }
    }
}

static bool chance(struct work *w, double p)
{
    return roll_one(w) < p;
}

/* ---- leaks ---- */

/* A map that never evicts. */
static void run_cache(struct work *w)
{
    while (step(w)) {
        if (chance(w, 0.1)) {
            struct node *n = grow_cache(w, 200 + roll(w) % 400);
            unsigned slot = roll(w) % SLOTS;

            n->next = slots[slot];
            slots[slot] = n;
        }
    }
}

/* Who comes registers a handler; nobody takes it back. */
static void run_handlers(struct work *w)
{
    while (step(w)) {
        if (chance(w, 0.1)) {
            struct node *n = grow_handlers(w, 300);

            n->next = kept;
            kept = n;
        }
    }
}

/* Two that hold each other, and nobody holds them. */
static void run_cycle(struct work *w)
{
    while (step(w)) {
        if (chance(w, 0.08)) {
            struct node *a = grow_cycle(w, 200);
            struct node *b = grow_cycle(w, 200);

            a->other = b;
            b->other = a;
            dropped = a;
        }
    }
    dropped = NULL;
}

/* Trees whose root is forgotten. */
static void run_tree(struct work *w)
{
    while (step(w)) {
        if (chance(w, 0.02)) {
            struct node *root = grow_tree(w, 100);

            for (unsigned i = 0; i < 8; i++) {
                struct node *n = grow_tree(w, 200);

                n->next = root->next;
                n->other = root;
                root->next = n;
            }
            dropped = root;
        }
    }
    dropped = NULL;
}

/* Of what is served, a share is not freed. */
static void run_traffic(struct work *w)
{
    struct node *live[REQUESTS] = {NULL};

    while (step(w)) {
        unsigned i = roll(w) % REQUESTS;

        if (!chance(w, w->share * 2)) { /* half of all bytes are these */
            free(live[i]);
        }
        live[i] = grow_traffic(w, roll(w) % 2304);
    }
}

static void run_marked(struct work *w)
{
    struct node *live[256] = {NULL};
    double next = 0;

    while (step(w)) {
        unsigned i = roll(w) % 256;

        free(live[i]);
        live[i] = grow_marked(w, 4096);
        if (chance(w, 0.03)) {
            live[i] = NULL;
        }
        if (now(w) > next) {
            for (i = 0; i < 256; i++) { /* a round is over */
                free(live[i]);
                live[i] = NULL;
            }
            mp_mark("round");
            next += 0.06;
        }
    }
}

/* A buffer that one request made large, and that stays so. */
static void run_buffer(struct work *w)
{
    static char *buffer;
    size_t size = 0;

    while (step(w)) {
        size_t wanted = now(w) > 0.1 && size < 40 << 20 ? 48 << 20 : 1 << 12;

        if (wanted > size) {
            mp_component_t *was = mp_enter(part);

            buffer = realloc(buffer, wanted);
            mp_leave(was);
            memset(buffer + size, 1, wanted - size);
            size = wanted;
        }
        buffer[0]++;
    }
}

/* A library that is loaded for each round, and takes what it holds with it. */
static void run_plugin(struct work *w)
{
    struct node *(*grow)(mp_component_t *, size_t) = NULL;
    void *library = NULL;
    double next = 0;

    while (step(w)) {
        if (now(w) >= next) {
            if (library != NULL) {
                dlclose(library);
            }
            library = dlopen(CORPUS_PLUGIN, RTLD_NOW | RTLD_LOCAL);
            *(void **)&grow = library != NULL ? dlsym(library, "grow_plugin") : NULL;
            if (grow == NULL) {
                fprintf(stderr, "corpus: %s\n", dlerror());
                exit(1);
            }
            next += 1.0 / 24;
        }
        if (chance(w, 0.1)) {
            grow(part, 300);
            w->done += 300;
        }
    }
    dlclose(library);
}

/* A map in C++ that never forgets. */
static void run_container(struct work *w)
{
    while (step(w)) {
        if (chance(w, 0.1)) {
            grow_container(part, (uint64_t)roll(w) << 20 | roll(w), 200);
            w->done += 300;
        }
    }
}

/* ---- threads ---- */

static _Thread_local struct node *local;

static void *serve_thread(void *arg)
{
    struct work *w = arg;
    struct node *live[REQUESTS] = {NULL};
    char name[16];

    snprintf(name, sizeof(name), "worker-%u", w->thread);
    pthread_setname_np(pthread_self(), name);
    while (step(w)) {
        unsigned i = roll(w) % REQUESTS;

        if (w->thread != 5 || !chance(w, 0.5)) {
            free(live[i]);
        }
        live[i] = grow_thread(w, roll(w) % 2304);
    }
    drop_requests(w, (void **)live);
    return NULL;
}

static void *grow_thread_local(void *arg)
{
    struct work *w = arg;

    pthread_setname_np(pthread_self(), w->thread == 1 ? "collector" : "worker");
    while (step(w)) {
        if (w->thread == 1 && chance(w, 0.4)) {
            struct node *n = grow_local(w, 300);

            n->next = local;
            local = n;
        }
    }
    if (w->thread == 1) { /* it goes on to hold them */
        kept = local;
    }
    drop_requests(w, NULL);
    return NULL;
}

static void run_threads(struct work *w, unsigned count, void *(*body)(void *))
{
    static struct work works[8];
    pthread_t threads[8];
    _Atomic uint64_t together = 0;

    for (unsigned i = 0; i < count; i++) {
        works[i] = (struct work){.state = w->state + i,
            .all = w->all,
            .thread = i,
            .threads = count,
            .together = &together};
        pthread_create(&threads[i], NULL, body, &works[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void run_thread8(struct work *w)
{
    run_threads(w, 8, serve_thread);
}

static void run_local(struct work *w)
{
    run_threads(w, 4, grow_thread_local);
}

/* ---- innocents ---- */

static void run_lru(struct work *w)
{
    unsigned at = 0;

    while (step(w)) {
        if (chance(w, 0.2)) {
            free(slots[at]);
            slots[at] = grow_lru(w, 500 + roll(w) % 1000);
            at = (at + 1) % SLOTS;
        }
    }
}

static void run_warm_up(struct work *w)
{
    while (step(w)) {
        if (now(w) < 0.4 && chance(w, 0.1)) {
            struct node *n = grow_warm_up(w, 500);

            n->next = kept;
            kept = n;
        }
    }
}

static void run_sawtooth(struct work *w)
{
    double next = 0.13;

    while (step(w)) {
        if (chance(w, 0.2)) {
            struct node *n = grow_sawtooth(w, 500);

            n->next = kept;
            kept = n;
        }
        if (now(w) > next) {
            for (struct node *n = kept, *more; n != NULL; n = more) {
                more = n->next;
                free(n);
            }
            kept = NULL;
            next += 0.13;
        }
    }
}

/* Sessions, that come and go with the load. */
static void run_diurnal(struct work *w)
{
    while (step(w)) {
        unsigned i = roll(w) % 8192;

        if (slots[i] != NULL && chance(w, 0.3)) {
            free(slots[i]);
            slots[i] = NULL;
        }
        if (slots[i] == NULL && chance(w, 0.1 * (1.1 + sin(2 * M_PI * 2.3 * now(w))))) {
            slots[i] = grow_session(w, 4000);
        }
    }
}

/* Keys are drawn; those that are there already make nothing new. */
static void run_index(struct work *w)
{
    while (step(w)) {
        unsigned i = roll(w) % (SLOTS / 2);

        if (chance(w, 0.1) && slots[i] == NULL) {
            slots[i] = grow_index(w, 1500);
        }
    }
}

/* Words by Zipf's law, of a language of 65,536. */
static void run_words(struct work *w)
{
    while (step(w)) {
        unsigned i = (unsigned)exp(roll_one(w) * log(SLOTS)) - 1;

        if (slots[i % SLOTS] == NULL) {
            slots[i % SLOTS] = grow_word(w, 2000);
        }
    }
}

static void run_tables(struct work *w)
{
    for (unsigned i = 0; i < 40000; i++) {
        slots[i] = grow_table(w, 2000);
    }
    while (step(w)) {
    }
}

/* As many as were needed at once, ever: the need wanders. */
static void run_pool(struct work *w)
{
    double load = 0;
    unsigned count = 0;

    while (step(w)) {
        if (chance(w, 0.001)) {
            load += -0.02 * load + 0.5 * (roll_one(w) + roll_one(w) - 1);
        }
        while (count < 8000 * (1 + load / 2) && count < SLOTS) {
            slots[count++] = grow_pool(w, 3000);
        }
    }
}

static void *fill_thread_cache(void *arg)
{
    struct work *w = arg;
    struct node **cache = slots + (size_t)w->thread * 4096; /* of threads that go on */

    while (step(w)) {
        if (chance(w, 0.1)) {
            unsigned i = roll(w) % 4096;

            free(cache[i]);
            cache[i] = grow_thread_cache(w, 2000);
        }
    }
    drop_requests(w, NULL);
    return NULL;
}

static void run_thread_caches(struct work *w)
{
    run_threads(w, 4, fill_thread_cache);
}

static void run_steady(struct work *w)
{
    while (step(w)) {
        unsigned i = roll(w) % 1024;

        free(slots[i]);
        slots[i] = grow_steady(w, 4000);
    }
}

/* Any of them goes or comes: what is live wanders. */
static void run_walk(struct work *w)
{
    for (unsigned i = 0; i < 16384; i++) {
        slots[i] = grow_walk(w, 3000);
    }
    while (step(w)) {
        unsigned i = roll(w) % 32768;

        if (!chance(w, 0.05)) {
            continue;
        }
        if (slots[i] != NULL) {
            free(slots[i]);
            slots[i] = NULL;
        } else {
            slots[i] = grow_walk(w, 3000);
        }
    }
}

/* The heads of lists that nothing but registers of a thread that waits for work points to. */
static void run_parked(struct work *w)
{
    for (unsigned i = 0; i < 20000; i++) {
        struct node *n = grow_parked(w, 1500);

        n->next = kept;
        kept = n;
    }
    while (step(w)) {
    }
    park((uintptr_t *)&kept);
}

/* Each has the addresses of its neighbours combined: no pointer leads to most of it. */
static void run_hidden(struct work *w)
{
    struct node *before = NULL;

    kept = grow_hidden(w, 1500);
    for (struct node *n = kept, *next; n != NULL; before = n, n = next) {
        next = now(w) < 0.005 ? grow_hidden(w, 1500) : NULL;
        n->next = (struct node *)((uintptr_t)before ^ (uintptr_t)next);
    }
    before = NULL;
    while (step(w)) {
    }
}

/* ---- which ---- */

static const struct {
    const char *name;
    void (*run)(struct work *w);
    double mib;
    double share;
} shapes[] = {{"cache", run_cache, 6000, 0}, {"handlers", run_handlers, 8000, 0},
    {"cycle", run_cycle, 8000, 0}, {"tree", run_tree, 8000, 0},
    {"local", run_local, 8000, 0}, {"thread8", run_thread8, 8000, 0},
    {"slow10", run_traffic, 2000, 0.1}, {"slow1", run_traffic, 30000, 0.01},
    {"slow01", run_traffic, 24000, 0.001}, {"marked", run_marked, 8000, 0},
    {"plugin", run_plugin, 8000, 0}, {"container", run_container, 8000, 0},
    {"buffer", run_buffer, 6000, 0}, {"lru", run_lru, 6000, 0},
    {"warm_up", run_warm_up, 6000, 0}, {"sawtooth", run_sawtooth, 6000, 0},
    {"diurnal", run_diurnal, 6000, 0}, {"index", run_index, 6000, 0},
    {"words", run_words, 6000, 0}, {"tables", run_tables, 6000, 0},
    {"pool", run_pool, 6000, 0}, {"thread_caches", run_thread_caches, 6000, 0},
    {"steady", run_steady, 6000, 0}, {"walk", run_walk, 6000, 0},
    {"parked", run_parked, 6000, 0}, {"hidden", run_hidden, 6000, 0}};

static bool write_dumps(void)
{
    const char *dump = getenv("CORPUS_DUMP");
    const char *check = getenv("CORPUS_CHECK");
    struct mp_leak_summary s = {.size = sizeof(s)};
    bool is_fine = dump == NULL || mp_dump(dump) == 0;

    if (check != NULL && is_fine) {
        is_fine = mp_leak_check(&s) == 0 && mp_dump(check) == 0;
    }
    return is_fine;
}

int main(int argc, char **argv)
{
    const char *seed = getenv("CORPUS_SEED");
    struct work w = {.state = seed != NULL ? strtoull(seed, NULL, 10) * 8191 + 1 : 1};

    part = mp_component("part");
    for (size_t i = 0; argc > 1 && i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (strcmp(argv[1], shapes[i].name) == 0) {
            w.all = (argc > 2 ? strtod(argv[2], NULL) : shapes[i].mib) * 1048576;
            w.share = shapes[i].share;
            shapes[i].run(&w);
            if (!write_dumps()) {
                fprintf(stderr, "corpus: no dump\n");
                return 1;
            }
            return 0;
        }
    }
    fprintf(stderr, "usage: corpus SHAPE [WORK_MIB], SHAPE one of");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        fprintf(stderr, " %s", shapes[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}
