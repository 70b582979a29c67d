/*
 * oom - without memory, malloc and kin say so, lose nothing and recover
 *
 *     oom as | data
 *
 * Under RLIMIT_AS or RLIMIT_DATA set while running (C39, C41, C48, C49, C51). Every test
 * runs in a child of its own, so that none finds the leavings of another.
 */
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { MIB = 1 << 20, LIMIT = 96 * MIB, BLOCKS_MAX = 200000 };

static int resource;
static unsigned char *blocks[BLOCKS_MAX];

static void limit(void)
{
    size_t used = test_statm(resource == RLIMIT_AS ? 0 : 5);
    struct rlimit r = {used + LIMIT, used + LIMIT};

    CHECK(setrlimit((__rlimit_resource_t)resource, &r) == 0);
}

static void *by_malloc(size_t n)
{
    return malloc(n);
}
static void *by_calloc(size_t n)
{
    return calloc(n / 8, 8);
}
static void *by_realloc(size_t n)
{
    return realloc(NULL, n);
}
static void *by_growth(size_t n)
{
    void *p = malloc(n / 3);
    void *q = p != NULL ? realloc(p, n) : NULL;

    if (q == NULL) {
        free(p);
    }
    return q;
}
static void *by_memalign(size_t n)
{
    return memalign(1024, n);
}
static void *by_posix_memalign(size_t n)
{
    void *p = NULL;
    int e = posix_memalign(&p, 4096, n);

    CHECK(e == 0 || (e == ENOMEM && p == NULL));
    errno = e;
    return p;
}

static unsigned char pattern_of(size_t i)
{
    return (unsigned char)(i * 31 + 7);
}

static size_t marked(size_t n)
{
    return n < 4096 ? n : 4096;
}

/* Allocate until there is no more; returns how many there are. */
static size_t exhaust(void *(*allocate)(size_t), size_t n, size_t from)
{
    size_t i = from;

    for (; i < BLOCKS_MAX; i++) {
        errno = 0;
        blocks[i] = allocate(n);
        if (blocks[i] == NULL) {
            CHECK(errno == ENOMEM);
            break;
        }
        test_fill(blocks[i], pattern_of(i), marked(n));
    }
    CHECK(i < BLOCKS_MAX);
    return i;
}

static void fill_free_and_fill_again(void *(*allocate)(size_t), size_t n)
{
    size_t count, again;

    limit();
    count = exhaust(allocate, n, 0);
    CHECK(count * n >= LIMIT / 2); /* most of what there was, went out */
    for (int i = 0; i < 1000; i++) {
        errno = 0;
        CHECK(malloc(64 * MIB) == NULL && errno == ENOMEM);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(test_is_filled(blocks[i], pattern_of(i), marked(n)));
    }
    for (size_t i = count / 2; i < count; i++) {
        free(blocks[i]);
    }
    again = exhaust(allocate, n, count / 2);
    CHECK(again - count / 2 >= (count - count / 2) / 10 * 8);
    for (size_t i = 0; i < again; i++) {
        CHECK(test_is_filled(blocks[i], pattern_of(i), marked(n)));
        free(blocks[i]);
    }
    blocks[0] = allocate(n);
    CHECK(blocks[0] != NULL);
    free(blocks[0]);
}

static void c49_failed_realloc_keeps_the_block(void)
{
    static const size_t sizes[] = {100, 5000, 100000, 33 * MIB};

    for (size_t i = 0; i < 4; i++) {
        blocks[i] = malloc(sizes[i]);
        CHECK(blocks[i] != NULL);
        test_fill(blocks[i], pattern_of(i), sizes[i]);
    }
    limit();
    exhaust(by_malloc, 500000, 4);
    exhaust(by_malloc, 3000, 1000);
    for (size_t i = 0; i < 4; i++) {
        errno = 0;
        CHECK(realloc(blocks[i], 40 * MIB) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(reallocarray(blocks[i], 40, MIB) == NULL && errno == ENOMEM);
        CHECK(test_is_filled(blocks[i], pattern_of(i), sizes[i]));
        blocks[i] = realloc(blocks[i], sizes[i] - sizes[i] / 40); /* in place */
        CHECK(blocks[i] != NULL);
        CHECK(test_is_filled(blocks[i], pattern_of(i), sizes[i] - sizes[i] / 40));
    }
}

static void *volatile shared[2];
static pthread_barrier_t limited;

static void *first_malloc(void *arg)
{
    (void)arg;
    errno = 0;
    shared[0] = malloc(40000);
    CHECK(shared[0] != NULL || errno == ENOMEM);
    free(shared[0]);
    errno = 0;
    shared[1] = malloc(100);
    CHECK(shared[1] != NULL || errno == ENOMEM);
    free(shared[1]);
    return NULL;
}

/* The thread's stack is there already; its heap may not be had. */
static void c48_new_thread_without_memory(void)
{
    pthread_t thread;
    size_t count, i;

    CHECK(pthread_create(&thread, NULL, first_malloc, NULL) == 0); /* caches a stack */
    CHECK(pthread_join(thread, NULL) == 0);
    limit();
    count = exhaust(by_malloc, 100000, 0);
    i = exhaust(by_malloc, 1000, count);
    if (pthread_create(&thread, NULL, first_malloc, NULL) == 0) {
        CHECK(pthread_join(thread, NULL) == 0);
    }
    while (i-- > 0) {
        free(blocks[i]);
    }
    CHECK(pthread_create(&thread, NULL, first_malloc, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(shared[0] != NULL && shared[1] != NULL);
}

static void c39_small(void)
{
    fill_free_and_fill_again(by_malloc, 1000);
}
static void c39_medium(void)
{
    fill_free_and_fill_again(by_malloc, 20000);
}
static void c39_large(void)
{
    fill_free_and_fill_again(by_malloc, 300000);
}
static void c39_calloc_small(void)
{
    fill_free_and_fill_again(by_calloc, 1016);
}
static void c39_calloc_large(void)
{
    fill_free_and_fill_again(by_calloc, 800000);
}
static void c39_realloc_small(void)
{
    fill_free_and_fill_again(by_realloc, 4000);
}
static void c49_realloc_growing(void)
{
    fill_free_and_fill_again(by_growth, 600000);
}
static void c39_memalign(void)
{
    fill_free_and_fill_again(by_memalign, 3000);
}
static void c39_posix_memalign_large(void)
{
    fill_free_and_fill_again(by_posix_memalign, 200000);
}

/* Threads that are out of memory together: no lock stays held, nothing is lost. */
static void *storm(void *arg)
{
    enum { MINE = 3000 };
    uint64_t state = (uintptr_t)arg;
    unsigned char **mine = (unsigned char **)shared[(uintptr_t)arg - 1];
    size_t failed = 0;

    pthread_barrier_wait(&limited);
    for (int i = 0; i < 60000; i++) {
        size_t k = test_random(&state) % MINE;

        if (mine[k] != NULL) {
            CHECK(mine[k][0] == pattern_of(k));
            free(mine[k]);
        }
        mine[k] = malloc(40 + test_random(&state) % 60000);
        if (mine[k] == NULL) {
            failed++;
        } else {
            mine[k][0] = pattern_of(k);
        }
    }
    CHECK(failed > 0);
    return NULL;
}

static void c39_two_threads_at_the_limit(void)
{
    pthread_t thread[2];

    for (uintptr_t i = 0; i < 2; i++) {
        shared[i] = calloc(3000, sizeof(void *));
        CHECK(shared[i] != NULL);
    }
    CHECK(pthread_barrier_init(&limited, NULL, 3) == 0);
    for (uintptr_t i = 0; i < 2; i++) { /* stacks count into both limits, too */
        CHECK(pthread_create(&thread[i], NULL, storm, (void *)(i + 1)) == 0);
    }
    limit();
    pthread_barrier_wait(&limited);
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
}

static void in_child(void (*test)(void), const char *name)
{
    pid_t child = fork();
    int status;

    CHECK(child >= 0);
    if (child == 0) {
        test();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        test_fail(name, __FILE__, __LINE__);
    }
    test_claim(name);
}
#define RUN_IN_CHILD(test) in_child(test, #test)

int main(int argc, char **argv)
{
    resource = argc > 1 && strcmp(argv[1], "data") == 0 ? RLIMIT_DATA : RLIMIT_AS;
    RUN_IN_CHILD(c39_small);
    RUN_IN_CHILD(c39_medium);
    RUN_IN_CHILD(c39_large);
    RUN_IN_CHILD(c39_calloc_small);
    RUN_IN_CHILD(c39_calloc_large);
    RUN_IN_CHILD(c39_realloc_small);
    RUN_IN_CHILD(c39_memalign);
    RUN_IN_CHILD(c39_posix_memalign_large);
    RUN_IN_CHILD(c39_two_threads_at_the_limit);
    RUN_IN_CHILD(c48_new_thread_without_memory);
    RUN_IN_CHILD(c49_realloc_growing);
    RUN_IN_CHILD(c49_failed_realloc_keeps_the_block);
    return 0;
}
