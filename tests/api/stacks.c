/*
 * stacks - how much of a thread's stack the library needs, and threads of unequal rights
 *
 * D67: every slow path on the smallest stack that a thread can have, and what was touched
 * of it. D68: threads of high and low priority on one processor.
 */
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

enum { KIB = 1 << 10, MIB = 1 << 20, PAINT = 0xa5 };

static unsigned char *stack;
static size_t stack_bytes;
static void *volatile remote[200];
static int (*dump)(const char *);
static char dump_path[64];

static void *do_nothing(void *arg)
{
    return arg;
}

/* What every thread does: refills, carving, growth, resizing, remote frees. */
static void *allocate_all_ways(void *arg)
{
    void *p[300];

    for (size_t i = 0; i < 300; i++) {
        p[i] = malloc(i * i * 2);
    }
    for (size_t i = 0; i < 300; i++) {
        p[i] = realloc(p[i], 1 + (i * 7919) % 60000);
        CHECK(p[i] != NULL);
    }
    for (size_t i = 0; i < 300; i++) {
        free(p[(i * 7) % 300]);
    }
    for (size_t i = 0; i < 200; i++) {
        free(remote[i]);
    }
    free(calloc(40, MIB));
    free(realloc(malloc(40 * MIB), 80 * MIB));
    free(memalign(65536, 100000));
    free(valloc(1));
    return arg;
}

/* What looks at figures or gives memory back. */
static void *tell_all_ways(void *arg)
{
    struct mallinfo2 m = mallinfo2();

    (void)m;
    malloc_trim(0);
    if (dump != NULL) {
        unlink(dump_path);
        dump(dump_path);
    }
    for (int i = 0; i < 3; i++) { /* ticks: purges, counts, publishes */
        usleep(20000);
        for (size_t n = 0; n < 20000; n += 100) {
            free(malloc(n));
        }
    }
    return arg;
}

/* Bytes of the stack that were touched. */
static size_t used_by(void *(*run)(void *))
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t clean = 0;

    test_fill(stack, PAINT, stack_bytes);
    for (size_t i = 0; i < 200; i++) {
        remote[i] = malloc(i * 20);
    }
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstack(&attr, stack, stack_bytes) == 0);
    CHECK(pthread_create(&thread, &attr, run, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    while (clean < stack_bytes && stack[clean] == PAINT) {
        clean++;
    }
    return stack_bytes - clean;
}

static void expect_at_most(const char *what, size_t bytes, size_t most)
{
    char text[100];

    snprintf(
        text, sizeof(text), "%s needs %zu of %zu bytes of stack", what, bytes, most);
    if (bytes > most) {
        test_fail(text, __FILE__, __LINE__);
    }
    test_claim(text);
}

static void d67_slow_paths_fit_the_smallest_stack(void)
{
    size_t none, allocating, telling;

    stack_bytes = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    stack_bytes =
        stack_bytes < 16 * KIB ? 16 * KIB : (stack_bytes + 4095) / 4096 * 4096;
    stack = mmap(NULL, 4096 + stack_bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(stack != MAP_FAILED);
    CHECK(mprotect(stack, 4096, PROT_NONE) == 0);
    stack += 4096;
    allocate_all_ways(NULL); /* the loader resolves names on the caller's stack */
    tell_all_ways(NULL);
    used_by(do_nothing);
    none = used_by(do_nothing);
    allocating = used_by(allocate_all_ways);
    telling = used_by(tell_all_ways);
    unlink(dump_path);
    /* The array of the function itself is 2,400 bytes; samples of call stacks take more. */
    expect_at_most("malloc and its kin", allocating - none,
        2400 + (getenv("TEST_NO_COUNTERS") != NULL ? 2 * KIB + 512 : 8 * KIB));
    expect_at_most("publishing", telling - none, 8 * KIB);
}

/* ---- D68 ---- */

static bool stopping;
static uint64_t passes[3];

static void *contend(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    struct sched_param high = {.sched_priority = 10}, low = {.sched_priority = 1};

    /* Real time, where that is allowed; else at least unequal. */
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, me == 0 ? &high : &low)
        != 0) {
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), me == 0 ? 0 : 19);
    }
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        void *p[20];

        for (size_t i = 0; i < 20; i++) {
            p[i] =
                malloc(30000 + i * 10000); /* all of them take the lock of the spans */
            CHECK(p[i] != NULL);
        }
        for (int i = 0; i < 20; i++) {
            free(p[i]);
        }
        __atomic_add_fetch(&passes[me], 1, __ATOMIC_RELAXED);
        if (me == 0) { /* sleeps, wakes up while the others hold a lock, waits for it */
            struct timespec t = {.tv_nsec = 30000};

            nanosleep(&t, NULL);
        }
    }
    return NULL;
}

static void d68_priorities_on_one_processor_do_not_livelock(void)
{
    pthread_t thread[3];
    cpu_set_t one;
    struct sched_param highest = {.sched_priority = 20};

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &highest);
    for (uintptr_t i = 0; i < 3; i++) {
        CHECK(pthread_create(&thread[i], NULL, contend, (void *)i) == 0);
    }
    for (int i = 0; i < 300 && (i < 100 || passes[0] < 50); i++) {
        usleep(10000);
    }
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    CHECK(passes[0] >= 50);
}

int main(void)
{
#ifndef TEST_STATIC
    *(void **)&dump = dlsym(RTLD_DEFAULT, "mp_dump");
#endif
    snprintf(dump_path, sizeof(dump_path), "/tmp/mpalloc-stacks-%d.mp", (int)getpid());
    alarm(60);
    RUN(d67_slow_paths_fit_the_smallest_stack);
    RUN(d68_priorities_on_one_processor_do_not_livelock);
    return 0;
}
