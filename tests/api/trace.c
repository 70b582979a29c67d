/*
 * trace - dies of a misuse of the heap, in different places; trace.py reads the stack
 *
 *     trace MODE
 *
 * The functions are exported, so that a stripped program would still show their names.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>

void culprit(void);
void outer(void);
void *small_thread(void *arg);
void on_signal(int number);

static pthread_barrier_t barrier;
static char in_data[64] __attribute__((aligned(16)));

__attribute__((noinline)) void culprit(void)
{
    free((void *)test_opaque((uintptr_t)in_data));
    test_opaque(0); /* no tail call */
}

__attribute__((noinline)) void outer(void)
{
    culprit();
    test_opaque(0);
}

void *small_thread(void *arg)
{
    (void)arg;
    outer();
    test_opaque(0);
    return NULL;
}

void on_signal(int number)
{
    (void)number;
    outer();
    test_opaque(0);
}

static void *at_once(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    outer();
    return NULL;
}

static void in_threads(unsigned count, void *(*run)(void *), size_t stack_bytes)
{
    pthread_attr_t attr;
    pthread_t thread[8];
    long least = sysconf(_SC_THREAD_STACK_MIN);

    CHECK(pthread_attr_init(&attr) == 0);
    if (stack_bytes != 0) {
        CHECK(pthread_attr_setstacksize(
                  &attr, least > (long)stack_bytes ? (size_t)least : stack_bytes)
              == 0);
    }
    CHECK(pthread_barrier_init(&barrier, NULL, count) == 0);
    for (unsigned i = 0; i < count; i++) {
        CHECK(pthread_create(&thread[i], &attr, run, NULL) == 0);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
    }
}

/* A handler of SIGABRT that misuses the heap, too. */
static void on_abort(int number)
{
    (void)number;
    culprit();
}

static void on_alternate_stack(void)
{
    stack_t s = {.ss_size = 16384};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

    if (s.ss_size < (size_t)sysconf(_SC_MINSIGSTKSZ) + 8192) {
        s.ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 8192;
    }
    s.ss_sp = malloc(s.ss_size);
    CHECK(sigaltstack(&s, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    raise(SIGUSR1);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (strcmp(mode, "main") == 0) {
        outer();
    } else if (strcmp(mode, "small_thread") == 0) {
        in_threads(1, small_thread, 16384);
    } else if (strcmp(mode, "at_once") == 0) {
        in_threads(8, at_once, 0);
    } else if (strcmp(mode, "handler") == 0) {
        on_alternate_stack();
    } else if (strcmp(mode, "twice") == 0) {
        signal(SIGABRT, on_abort);
        outer();
    }
    return 0;
}
