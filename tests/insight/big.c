/*
 * big - a process with much memory, of many call stacks
 *
 *     big MIB STACKS [SECONDS]
 *
 * Each stack is another path through a tree of calls; each holds the same. Says "ready" and how
 * many there are, then waits until its standard input ends. With SECONDS it works meanwhile, with
 * small blocks, and prints how many rounds it came to in each of them.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEPTH = 8, WAYS = 6, BLOCK_BYTES = 2000, ROUND = 2000 };

static char *last; /* of a list through the blocks */

static void hold(size_t blocks)
{
    for (size_t i = 0; i < blocks; i++) {
        char *p = malloc(BLOCK_BYTES);

        if (p == NULL) {
            abort();
        }
        memset(p, 1, BLOCK_BYTES);
        memcpy(p, &last, sizeof(last));
        last = p;
    }
}

static void walk(unsigned depth, size_t path, size_t blocks);

#define WAY(n)                                                                         \
    __attribute__((noinline)) static void way##n(                                      \
        unsigned depth, size_t path, size_t blocks)                                    \
    {                                                                                  \
        walk(depth, path, blocks);                                                     \
        __asm__ volatile("" ::: "memory"); /* no tail call: the frame stays */         \
    }

WAY(0)
WAY(1)
WAY(2)
WAY(3)
WAY(4)
WAY(5)

static void (*const ways[WAYS])(unsigned, size_t, size_t) = {
    way0, way1, way2, way3, way4, way5};

__attribute__((noinline)) static void walk(unsigned depth, size_t path, size_t blocks)
{
    if (depth == 0) {
        hold(blocks);
    } else {
        ways[path % WAYS](depth - 1, path / WAYS, blocks);
    }
    __asm__ volatile("" ::: "memory");
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor time of this thread: others may have the processor meanwhile. */
static double used(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void work(double seconds)
{
    static void *block[ROUND];
    double begin = now();

    while (now() - begin < seconds) {
        double start = used();
        unsigned long rounds = 0;

        for (; used() - start < 0.1; rounds++) {
            for (size_t i = 0; i < ROUND; i++) {
                block[i] = malloc(16 + (i * 37 + rounds) % 500);
            }
            for (size_t i = 0; i < ROUND; i++) {
                free(block[i]);
            }
        }
        printf("%.1f\n", (double)rounds / (used() - start));
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    size_t bytes = (size_t)atol(argc > 1 ? argv[1] : "64") << 20;
    size_t stacks = (size_t)atol(argc > 2 ? argv[2] : "1000");
    struct pollfd in = {.fd = 0, .events = POLLIN};

    for (size_t i = 0; i < stacks; i++) {
        walk(DEPTH, i, bytes / stacks / BLOCK_BYTES + 1);
    }
    printf("ready %zu\n", stacks);
    fflush(stdout);
    if (argc > 3) {
        work(atof(argv[3]));
    }
    poll(&in, 1, -1);
    return 0;
}
