/*
 * latency - how long single calls of malloc and free take, under a mixed load
 *
 *     latency [--threads N] [--seconds S] [--seed N]
 *
 * Each call lies between two reads of the clock; a third kind of interval, with nothing in
 * it, shows what the clock and the machine do by themselves. The median of a million of
 * those is subtracted from all. Counts go to a histogram with 32 buckets a doubling.
 * Prints JSON; bench/latency runs it and makes the table.
 */
#include "bench.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#    include <x86intrin.h>
#endif

enum { THREADS_MAX = 64, SLOTS = 4000, CELLS = 512, BATCH = 64, SIZES = 4096 };
enum { SUB = 32, SUB_BITS = 5, BUCKETS = (64 - SUB_BITS + 1) * SUB };
enum kind { MALLOC, FREE, NOTHING, KINDS };

static const char *const kind_name[KINDS] = {"malloc", "free", "nothing"};

struct histogram {
    uint64_t count[BUCKETS];
    uint64_t worst;
};

struct slot {
    void *block;
    size_t size;
};

/* One thread. Cells are shared: what a thread swaps in, another one frees. */
struct tester {
    uint64_t random;
    _Atomic(void *) *cell;
    uint32_t *sizes;
    struct slot *slot;
    struct histogram *histogram; /* of each kind */
};

static uint64_t deadline_ns;
static uint64_t overhead; /* ticks of an interval with nothing in it */

static void *map(size_t bytes)
{
    void *p = array_map(bytes);

    memset(p, 0, bytes); /* no page fault of ours within an interval */
    return p;
}

/* ---- the clock: nothing before it runs after it, and the other way round ---- */

static inline uint64_t ticks_begin(void)
{
#ifdef __x86_64__
    uint64_t t;

    _mm_lfence();
    t = __rdtsc();
    _mm_lfence();
    return t;
#else
    return bench_now_ns();
#endif
}

static inline uint64_t ticks_end(void)
{
#ifdef __x86_64__
    unsigned cpu;
    uint64_t t = __rdtscp(&cpu);

    _mm_lfence();
    return t;
#else
    return bench_now_ns();
#endif
}

/* ---- the histogram ---- */

/* Below 32 ticks each has its own bucket, above it 32 a doubling. */
static unsigned bucket_of(uint64_t ticks)
{
    unsigned shift;

    if (ticks < SUB) {
        return (unsigned)ticks;
    }
    shift = 63 - (unsigned)__builtin_clzll(ticks) - SUB_BITS;
    return (shift + 1) * SUB + (unsigned)((ticks >> shift) - SUB);
}

/* The least value of a bucket: that of the next one is where it ends. */
static uint64_t bucket_from(unsigned bucket)
{
    return bucket < SUB ? bucket : (uint64_t)(SUB + bucket % SUB) << (bucket / SUB - 1);
}

static inline void histogram_add(struct histogram *h, uint64_t ticks)
{
    ticks = ticks > overhead ? ticks - overhead : 0;
    h->count[bucket_of(ticks)]++;
    if (ticks > h->worst) {
        h->worst = ticks;
    }
}

static uint64_t median_of_nothing(void)
{
    struct histogram *h = map(sizeof(*h));
    uint64_t seen = 0;
    unsigned bucket = 0;

    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t began = ticks_begin();

        histogram_add(h, ticks_end() - began);
    }
    while ((seen += h->count[bucket]) < 500000) {
        bucket++;
    }
    munmap(h, sizeof(*h));
    return bucket_from(bucket);
}

/* ---- the load ---- */

/* Sizes as lifetime.c has them, with one in 2,000 of 64 KiB to 1 MiB. */
static size_t draw_size(uint64_t *random)
{
    unsigned doublings = 3;

    for (unsigned i = 0; i < 12; i++) {
        doublings += random_below(random, 100) < 28;
    }
    if (random_below(random, 2000) == 0) {
        doublings = 16 + (unsigned)random_below(random, 4);
    }
    return 16 + ((size_t)1 << doublings) + random_below(random, (size_t)1 << doublings);
}

/* The size lies in the block, so that whoever frees it can check it. */
static void *timed_malloc(struct tester *t, size_t size)
{
    uint64_t began = ticks_begin();
    void *p = malloc(size);

    histogram_add(&t->histogram[MALLOC], ticks_end() - began);
    checked(p, size);
    block_mark((char *)p + 8, size - 8);
    memcpy(p, &size, sizeof(size));
    return p;
}

static void timed_free(struct tester *t, void *p)
{
    uint64_t began;
    size_t size;

    memcpy(&size, p, sizeof(size));
    block_check((char *)p + 8, size - 8);
    began = ticks_begin();
    free(p);
    histogram_add(&t->histogram[FREE], ticks_end() - began);
}

static void step(struct tester *t)
{
    uint64_t r = random_next(&t->random), began;
    struct slot *s = &t->slot[(r >> 32) % SLOTS];

    if (s->block != NULL) {
        timed_free(t, s->block);
    }
    s->block = timed_malloc(t, t->sizes[r % SIZES]);
    if ((r >> 16 & 15) == 0) { /* one in 16 passes to whoever comes to this cell */
        s->block = atomic_exchange_explicit(
            &t->cell[(r >> 20) % CELLS], s->block, memory_order_acq_rel);
    }
    began = ticks_begin();
    histogram_add(&t->histogram[NOTHING], ticks_end() - began);
}

static void *test(void *arg)
{
    struct tester *t = arg;

    while (bench_now_ns() < deadline_ns) {
        for (unsigned i = 0; i < BATCH; i++) {
            step(t);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        if (t->slot[i].block != NULL) {
            timed_free(t, t->slot[i].block);
        }
    }
    return NULL;
}

static void tester_init(struct tester *t, unsigned index, uint64_t seed)
{
    t->random = (seed * 1000 + index + 1) * 0x9e3779b97f4a7c15ull | 1;
    t->slot = map(SLOTS * sizeof(*t->slot));
    t->histogram = map(KINDS * sizeof(*t->histogram));
    t->sizes = map(SIZES * sizeof(*t->sizes));
    for (unsigned i = 0; i < SIZES; i++) {
        t->sizes[i] = (uint32_t)draw_size(&t->random);
    }
}

/* ---- the result ---- */

static void print_kind(
    const struct tester *testers, unsigned threads, enum kind kind, double ns)
{
    uint64_t total = 0, worst = 0;
    const char *comma = "";

    printf("  \"%s\": {\"histogram\": [", kind_name[kind]);
    for (unsigned b = 0; b < BUCKETS; b++) {
        uint64_t count = 0;

        for (unsigned i = 0; i < threads; i++) {
            count += testers[i].histogram[kind].count[b];
        }
        if (count > 0) {
            printf("%s[%.2f, %.2f, %llu]", comma, (double)bucket_from(b) * ns,
                (double)bucket_from(b + 1) * ns, (unsigned long long)count);
            comma = ", ";
        }
        total += count;
    }
    for (unsigned i = 0; i < threads; i++) {
        uint64_t own = testers[i].histogram[kind].worst;

        worst = own > worst ? own : worst;
    }
    printf("], \"count\": %llu, \"worst_ns\": %.1f}%s\n", (unsigned long long)total,
        (double)worst * ns, kind + 1 < KINDS ? "," : "");
}

/* All threads run at the same time; the first one is the main thread. */
static double run_testers(struct tester *testers, unsigned threads, double seconds)
{
    pthread_t thread[THREADS_MAX];
    uint64_t began_ns = bench_now_ns(), began = ticks_begin();

    deadline_ns = began_ns + (uint64_t)(seconds * 1e9);
    for (unsigned i = 1; i < threads; i++) {
        if (pthread_create(&thread[i], NULL, test, &testers[i]) != 0) {
            bench_fail("no thread number %u", i);
        }
    }
    test(&testers[0]);
    for (unsigned i = 1; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }
    return (double)(bench_now_ns() - began_ns) / (double)(ticks_end() - began);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"threads", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 's'},
        {"seed", required_argument, NULL, 'r'}, {0}};
    static struct tester testers[THREADS_MAX];
    unsigned threads = 2;
    double seconds = 2, ns;
    uint64_t seed = 1;
    _Atomic(void *) *cell;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 't':
            threads = (unsigned)atoi(optarg);
            break;
        case 's':
            seconds = atof(optarg);
            break;
        case 'r':
            seed = strtoull(optarg, NULL, 10);
            break;
        default:
            threads = 0;
        }
    }
    if (threads == 0 || threads > THREADS_MAX || seconds <= 0 || optind != argc) {
        fputs("usage: latency [--threads N] [--seconds S] [--seed N]\n", stderr);
        return 2;
    }
    overhead = median_of_nothing();
    cell = map(CELLS * sizeof(*cell));
    for (unsigned i = 0; i < threads; i++) {
        testers[i].cell = cell;
        tester_init(&testers[i], i, seed);
    }
    ns = run_testers(testers, threads, seconds);
    for (unsigned i = 0; i < CELLS; i++) {
        free(cell[i]);
    }
    printf("{\"threads\": %u, \"ns_per_tick\": %.5f, \"clock_ns\": %.2f,\n", threads,
        ns, (double)overhead * ns);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        print_kind(testers, threads, kind, ns);
    }
    puts("}");
    return 0;
}
