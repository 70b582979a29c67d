/*
 * sweep - one point of a curve: ns per operation at a heap size, a number of threads, a
 * number of components, a block size
 *
 *     sweep heap|threads|components|size VALUE [--seconds S] [--seed N]
 *
 * VALUE is in bytes for heap and size. An operation is a malloc and a free. Prints a line
 * of JSON; bench/sweep runs it for many values and draws the curve.
 */
#include "bench.h"
#include "rss.h"

#include <dlfcn.h>
#include <getopt.h>
#include <stdio.h>

enum { BATCH = 256, SLOTS = 1000, WINDOW = 4, THREADS_MAX = 256, COMPONENTS_MAX = 256 };

static uint64_t deadline_ns;

/* ---- blocks that know their size ---- */

static void *sized_new(size_t size)
{
    void *p = checked(malloc(size), size);

    block_mark((char *)p + 8, size - 8);
    *(uint64_t *)p = size;
    return p;
}

static void sized_delete(void *p)
{
    size_t size = *(uint64_t *)p;

    block_check((char *)p + 8, size - 8);
    free(p);
}

/* 24 B to 2 KiB or so, smaller ones more often; 330 B on average. */
static size_t draw_size(uint64_t *random)
{
    unsigned shift = 3 + (unsigned)random_below(random, 8);

    return 16 + ((size_t)1 << shift) + random_below(random, (size_t)1 << shift);
}

static void seconds_begin(double seconds)
{
    deadline_ns = bench_now_ns() + (uint64_t)(seconds * 1e9);
}

/* ---- the four curves; each returns operations, *ret_ns what they took ---- */

/* Blocks up to so many bytes, then any of them is replaced by another. */
static uint64_t sweep_heap(
    size_t bytes, double seconds, uint64_t random, uint64_t *ret_ns)
{
    size_t most = bytes / 64 + 1, count = 0, live = 0;
    void **block = array_map(most * sizeof(void *));
    uint64_t ops = 0, began;

    while (live < bytes && count < most) {
        size_t size = draw_size(&random);

        block[count++] = sized_new(size);
        live += size;
    }
    began = bench_now_ns();
    seconds_begin(seconds);
    while (bench_now_ns() < deadline_ns) {
        for (unsigned i = 0; i < BATCH; i++) {
            size_t at =
                (size_t)(((unsigned __int128)random_next(&random) * count) >> 64);

            sized_delete(block[at]);
            block[at] = sized_new(draw_size(&random));
        }
        ops += BATCH;
    }
    *ret_ns = bench_now_ns() - began;
    return ops;
}

struct thread {
    pthread_t id;
    uint64_t random;
    uint64_t ops;
    pthread_barrier_t *start;
};

static void *thread_main(void *arg)
{
    struct thread *t = arg;
    void *block[SLOTS] = {NULL};

    pthread_barrier_wait(t->start);
    while (bench_now_ns() < deadline_ns) {
        for (unsigned i = 0; i < BATCH; i++) {
            void **b = &block[random_below(&t->random, SLOTS)];

            if (*b != NULL) {
                sized_delete(*b);
            }
            *b = sized_new(draw_size(&t->random));
        }
        t->ops += BATCH;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (block[i] != NULL) {
            sized_delete(block[i]);
        }
    }
    return NULL;
}

/* Each thread has its own blocks; the time is that of all, for the operations of all. */
static uint64_t sweep_threads(
    size_t count, double seconds, uint64_t random, uint64_t *ret_ns)
{
    static struct thread threads[THREADS_MAX];
    pthread_barrier_t start;
    uint64_t ops = 0, began;

    pthread_barrier_init(&start, NULL, (unsigned)count + 1);
    seconds_begin(seconds + 60); /* nobody has begun */
    for (size_t i = 0; i < count; i++) {
        threads[i] =
            (struct thread){.random = random_next(&random) | 1, .start = &start};
        if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0) {
            bench_fail("no thread number %zu", i);
        }
    }
    seconds_begin(seconds);
    began = bench_now_ns();
    pthread_barrier_wait(&start);
    for (size_t i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL);
        ops += threads[i].ops;
    }
    *ret_ns = bench_now_ns() - began;
    return ops;
}

/* The next component at every operation; blocks live for 1,000 others. */
static uint64_t sweep_components(
    size_t count, double seconds, uint64_t random, uint64_t *ret_ns)
{
    void *(*component)(const char *);
    void *(*enter)(void *);
    void *block[SLOTS] = {NULL}, *c[COMPONENTS_MAX];
    uint64_t ops = 0, began;
    char name[32];

    *(void **)&component = dlsym(RTLD_DEFAULT, "mp_component");
    *(void **)&enter = dlsym(RTLD_DEFAULT, "mp_enter");
    if (component == NULL || enter == NULL) {
        bench_fail("this allocator has no components");
    }
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "part-%zu", i);
        c[i] = component(name);
    }
    began = bench_now_ns();
    seconds_begin(seconds);
    while (bench_now_ns() < deadline_ns) {
        for (unsigned i = 0; i < BATCH; i++) {
            void **b = &block[random_below(&random, SLOTS)];

            enter(c[(ops + i) % count]);
            if (*b != NULL) {
                sized_delete(*b);
            }
            *b = sized_new(draw_size(&random));
        }
        ops += BATCH;
    }
    *ret_ns = bench_now_ns() - began;
    return ops;
}

/* Four live blocks of one size, first in, first out; only their ends are written. */
static uint64_t sweep_size(
    size_t size, double seconds, uint64_t random, uint64_t *ret_ns)
{
    void *block[WINDOW] = {NULL};
    uint64_t ops = 0, began = bench_now_ns();
    unsigned batch = size > MIB ? 16 : BATCH;

    (void)random;
    seconds_begin(seconds);
    while (bench_now_ns() < deadline_ns) {
        for (unsigned i = 0; i < batch; i++) {
            void **b = &block[i % WINDOW];

            if (*b != NULL) {
                block_delete(*b, size);
            }
            *b = block_new(size);
        }
        ops += batch;
    }
    *ret_ns = bench_now_ns() - began;
    return ops;
}

static const struct curve {
    const char *name;
    size_t least, most;
    uint64_t (*run)(size_t value, double seconds, uint64_t random, uint64_t *ret_ns);
} curves[] = {
    {"heap", 1024, (size_t)1 << 40, sweep_heap},
    {"threads", 1, THREADS_MAX, sweep_threads},
    {"components", 1, COMPONENTS_MAX, sweep_components},
    {"size", 8, (size_t)1 << 32, sweep_size},
};

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'r'}, {0}};
    const struct curve *curve = NULL;
    double seconds = 0.5;
    uint64_t seed = 1, ops, ns;
    size_t value = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 's') {
            seconds = atof(optarg);
        } else if (c == 'r') {
            seed = strtoull(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    for (size_t i = 0; optind + 2 == argc && i < sizeof(curves) / sizeof(curves[0]);
         i++) {
        if (strcmp(argv[optind], curves[i].name) == 0) {
            curve = &curves[i];
            value = strtoull(argv[optind + 1], NULL, 10);
        }
    }
    if (curve == NULL || value < curve->least || value > curve->most
        || !(seconds > 0)) {
        fputs("usage: sweep heap|threads|components|size VALUE [--seconds S] [--seed "
              "N]\n",
            stderr);
        return 2;
    }
    ops = curve->run(value, seconds, seed * 0x9e3779b97f4a7c15ull | 1, &ns);
    printf("{\"curve\": \"%s\", \"value\": %zu, \"ops\": %llu, \"ns_per_op\": %.3f, "
           "\"rss_bytes\": %zu, \"huge_bytes\": %zu}\n",
        curve->name, value, (unsigned long long)ops,
        (double)ns / (double)(ops ? ops : 1), rss_bytes(), rss_huge_bytes());
    return 0;
}
