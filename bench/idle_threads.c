/*
 * idle_threads - resident memory per thread that used ten size classes and now sleeps
 *
 *     idle_threads [--threads N] [--limit KIB]
 *
 * The stack that the same threads touch without allocating is measured first and taken
 * off. Goal: at most 64 KiB; with --limit, more than that ends with code 1.
 */
#include "rss.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

enum { THREADS_MAX = 4096, STACK = 64 << 10 };

struct gathering {
    pthread_barrier_t arrived;
    pthread_barrier_t leaving;
    bool allocates;
};

static void *volatile kept[THREADS_MAX];

static void use_ten_classes(unsigned index)
{
    static const size_t size[10] = {16, 48, 96, 160, 256, 400, 640, 1024, 2000, 4000};
    void *p[10];

    for (unsigned i = 0; i < 10; i++) {
        p[i] = malloc(size[i]);
        if (p[i] == NULL) {
            abort();
        }
        memset(p[i], 1, size[i]);
    }
    for (unsigned i = 1; i < 10; i++) {
        free(p[i]);
    }
    kept[index] = p[0];
}

struct sleeper {
    struct gathering *gathering;
    unsigned index;
};

static void *sleep_on(void *arg)
{
    struct sleeper *s = arg;

    if (s->gathering->allocates) {
        use_ten_classes(s->index);
    }
    pthread_barrier_wait(&s->gathering->arrived);
    pthread_barrier_wait(&s->gathering->leaving);
    free(kept[s->index]);
    kept[s->index] = NULL;
    return NULL;
}

/* Resident bytes that `count` sleeping threads add. */
static double added_by(unsigned count, bool allocates)
{
    static pthread_t threads[THREADS_MAX];
    static struct sleeper sleepers[THREADS_MAX];
    struct gathering g = {.allocates = allocates};
    pthread_attr_t small;
    size_t before = rss_bytes();
    size_t with;

    pthread_barrier_init(&g.arrived, NULL, count + 1);
    pthread_barrier_init(&g.leaving, NULL, count + 1);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    for (unsigned i = 0; i < count; i++) {
        sleepers[i] = (struct sleeper){&g, i};
        if (pthread_create(&threads[i], &small, sleep_on, &sleepers[i]) != 0) {
            fprintf(stderr, "idle_threads: no thread number %u\n", i);
            exit(1);
        }
    }
    pthread_barrier_wait(&g.arrived);
    with = rss_bytes();
    pthread_barrier_wait(&g.leaving);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    return (double)with - (double)before;
}

int main(int argc, char **argv)
{
    unsigned count = 1000;
    double limit = 0, plain, full, each;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0) {
            count = (unsigned)atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--limit") == 0) {
            limit = atof(argv[i + 1]);
        }
    }
    if (count == 0 || count > THREADS_MAX) {
        fprintf(stderr, "idle_threads: 1 to %d threads\n", THREADS_MAX);
        return 2;
    }
    added_by(count, false); /* the C library keeps some of the stacks */
    plain = added_by(count, false);
    full = added_by(count, true);
    each = (full - plain) / count / 1024;
    printf("%u idle threads: %.1f KiB each beyond %.1f KiB of stack\n", count, each,
        plain / count / 1024);
    if (limit > 0 && each > limit) {
        printf("more than the limit of %.1f KiB\n", limit);
        return 1;
    }
    return 0;
}
