/*
 * thread_churn - threads that allocate and end, many of them: does their memory come back?
 *
 *     thread_churn [--threads N] [--at-once N] [--settle SECONDS] [--limit MIB]
 *
 * Goal: after 10,000 threads, 64 at a time, resident memory is within 8 MiB of the start;
 * with --limit, more than that ends with code 1. --settle waits, with a small allocation
 * every 100 ms, for an allocator that gives memory back after a delay. Every second thread leaves one block to
 * the main thread, which frees it when the thread is gone.
 */
#include "rss.h"

#include <pthread.h>
#include <stdio.h>

enum { AT_ONCE_MAX = 1024, BLOCKS = 200 };

struct legacy {
    unsigned seed;
    void *block;
};

static void *live(void *arg)
{
    struct legacy *l = arg;
    unsigned random = l->seed * 2654435761u + 1;
    void *p[BLOCKS];

    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size;

        random = random * 1664525u + 1013904223u;
        size = (size_t)16 << (random >> 29);
        p[i] = malloc(size);
        if (p[i] == NULL) {
            abort();
        }
        memset(p[i], (int)i, size);
    }
    for (unsigned i = 1; i < BLOCKS; i++) {
        free(p[i]);
    }
    l->block = p[0];
    if (l->seed % 2 == 0) {
        free(p[0]);
        l->block = NULL;
    }
    return NULL;
}

static void generation(unsigned first, unsigned count)
{
    static pthread_t threads[AT_ONCE_MAX];
    static struct legacy legacies[AT_ONCE_MAX];

    for (unsigned i = 0; i < count; i++) {
        legacies[i].seed = first + i;
        if (pthread_create(&threads[i], NULL, live, &legacies[i]) != 0) {
            fprintf(stderr, "thread_churn: no thread number %u\n", first + i);
            exit(1);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        free(legacies[i].block);
    }
}

int main(int argc, char **argv)
{
    unsigned total = 10000, at_once = 64;
    double limit = 0, settle = 0, start, end;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0) {
            total = (unsigned)atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--at-once") == 0) {
            at_once = (unsigned)atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--settle") == 0) {
            settle = atof(argv[i + 1]);
        } else if (strcmp(argv[i], "--limit") == 0) {
            limit = atof(argv[i + 1]);
        }
    }
    if (at_once == 0 || at_once > AT_ONCE_MAX) {
        fprintf(stderr, "thread_churn: 1 to %d threads at once\n", AT_ONCE_MAX);
        return 2;
    }
    free(malloc(1)); /* the allocator is up */
    start = (double)rss_bytes() / (1 << 20);
    for (unsigned done = 0; done < total; done += at_once) {
        generation(done, total - done < at_once ? total - done : at_once);
    }
    for (; settle > 0; settle -= 0.1) {
        usleep(100000);
        free(malloc(100));
    }
    end = (double)rss_bytes() / (1 << 20);
    printf("%u threads, %u at once: RSS %.2f MiB before, %.2f MiB after\n", total,
        at_once, start, end);
    if (limit > 0 && end - start > limit) {
        printf("more than %.1f MiB above the start\n", limit);
        return 1;
    }
    return 0;
}
