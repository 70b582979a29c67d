/*
 * leak_pause - what a leak check costs the program while it runs
 *
 * leak_pause MIB THREADS CHECKS [LIMIT_MS]: THREADS threads hold MIB of live blocks together. Each
 * wants to run every half millisecond, allocates a little, and notes how late it was done: the
 * latest in each check, and without one. Prints also what marking took, of the time that a
 * processor spent on it, and before each check the floor of both (leak_floor.h). With a limit the
 * program fails when every check passed it: a machine that is busy otherwise disturbs some.
 */
#include "leak_floor.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mpalloc.h>

enum { THREADS_MAX = 64, LINKS = 6, EVERY_NS = 500000, EACH = 20 };

struct node {
    struct node *links[LINKS];
    uint64_t children;
};

static struct worker {
    pthread_t thread;
    unsigned number;
    size_t blocks;
    uint64_t longest_ns;
} workers[THREADS_MAX];
static volatile bool is_over;
static pthread_barrier_t ready;

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Links to what was made a little before. */
static size_t bounded(size_t i)
{
    return i < 100 ? i : 100;
}

/* A random graph that is all reached from the thread's stack. */
static struct node *make_graph(size_t blocks, uint64_t random)
{
    struct node **all = malloc(blocks * sizeof(struct node *));
    struct node *first;

    if (all == NULL) {
        abort();
    }
    for (size_t i = 0; i < blocks; i++) {
        struct node *n = malloc(sizeof(*n) + random % 64);

        random = random * 6364136223846793005u + 1442695040888963407u;
        if (n == NULL) {
            abort();
        }
        memset(n, 0, sizeof(*n));
        all[i] = n;
        if (i > 0) {
            size_t from = (random >> 20) % i;

            while (all[from]->children == LINKS - 2) {
                from = from > 0 ? from - 1 : i - 1;
            }
            all[from]->links[all[from]->children++] = n; /* a tree, and links across */
            n->links[LINKS - 2] = all[(random >> 10) % i];
            n->links[LINKS - 1] = all[i - 1 - (random >> 10) % bounded(i)];
        }
    }
    first = all[0];
    free(all);
    return first;
}

static void *run(void *arg)
{
    struct worker *w = arg;
    struct node *graph = make_graph(w->blocks, w->number * 77 + 1);
    uint64_t due;

    pthread_barrier_wait(&ready);
    due = clock_ns();
    while (!is_over) {
        uint64_t now = clock_ns();

        due = (due + EVERY_NS > now ? due : now) + EVERY_NS;
        do {
            const struct timespec until = {
                (time_t)(due / 1000000000u), (long)(due % 1000000000u)};

            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        } while (clock_ns() < due);
        for (unsigned i = 0; i < EACH; i++) {
            free(malloc(64 + (due & 255)));
        }
        now = clock_ns() - due;
        if (now > __atomic_load_n(&w->longest_ns, __ATOMIC_RELAXED)) {
            __atomic_store_n(&w->longest_ns, now, __ATOMIC_RELAXED);
        }
    }
    __asm__ volatile("" : : "r"(graph) : "memory");
    return NULL;
}

static double longest_ms(unsigned threads)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < threads; i++) {
        uint64_t ns = __atomic_exchange_n(&workers[i].longest_ns, 0, __ATOMIC_RELAXED);

        longest = ns > longest ? ns : longest;
    }
    return (double)longest / 1e6;
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
    unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 8;
    unsigned checks = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 5;
    double limit_ms = argc > 4 ? strtod(argv[4], NULL) : 0;
    double least_ms = 1e9;

    if (threads == 0 || threads > THREADS_MAX) {
        fprintf(stderr, "leak_pause: 1 to %d threads\n", THREADS_MAX);
        return 2;
    }
    pthread_barrier_init(&ready, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        workers[i].number = i;
        workers[i].blocks = (mib << 20) / threads / (sizeof(struct node) + 40);
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    pthread_barrier_wait(&ready);
    sleep(1);
    longest_ms(threads);
    sleep(1);
    printf("%zu MiB, %u threads; without a check the latest was %.2f ms late\n", mib,
        threads, longest_ms(threads));
    for (unsigned i = 0; i < checks; i++) {
        struct leak_floor floor = {0};
        struct mp_leak_summary s = {.size = sizeof(s), .rounds = 1};
        int code;
        double stall_ms;

        longest_ms(threads);
        code = leak_floor_measure(&floor);
        if (code != 0) {
            fprintf(stderr, "leak_pause: fork: %s\n", strerror(-code));
            return 1;
        }
        stall_ms = longest_ms(threads);
        printf(
            "  floor: %.2f ms late, fork %.2f; %.0f MiB of pages touched in %.0f ms of "
            "CPU: %.2f GiB/s\n",
            stall_ms, floor.fork_ms, (double)floor.all_bytes / (1 << 20), floor.read_ms,
            (double)floor.all_bytes / (1 << 30) / (floor.read_ms / 1e3));
        longest_ms(threads);
        code = mp_leak_check(&s);
        stall_ms = longest_ms(threads);
        if (code != 0) {
            fprintf(stderr, "leak_pause: mp_leak_check: %s\n", strerror(-code));
            return 1;
        }
        least_ms = stall_ms < least_ms ? stall_ms : least_ms;
        printf(
            "%.2f ms late; stood still %.2f ms, fork %.2f; marked %.0f MiB in %.0f ms, "
            "%.0f of CPU: %.2f GiB/s; own memory %.2f %%; partial %llx; %llu lost\n",
            stall_ms, (double)s.pause_ns / 1e6, (double)s.fork_ns / 1e6,
            (double)s.heap_bytes / (1 << 20), (double)s.mark_ns / 1e6,
            (double)s.mark_cpu_ns / 1e6,
            (double)s.heap_bytes / (1 << 30) / ((double)s.mark_cpu_ns / 1e9),
            100.0 * (double)s.child_bytes / (double)s.heap_bytes,
            (unsigned long long)s.partial, (unsigned long long)s.definite.blocks);
    }
    is_over = true;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    return limit_ms > 0 && least_ms > limit_ms;
}
