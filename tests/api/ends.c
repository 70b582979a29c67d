/*
 * ends - processes and threads that end while others allocate
 *
 *     ends RUNS
 *
 * D61, D64 to D66. Each run is a child with eight allocating threads that ends in one way;
 * it must end with the right code, and in time.
 */
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { THREADS = 8, CODE = 42 };

static int runs;

static void *storm(void *arg)
{
    uint64_t state = (uintptr_t)arg + 1;

    for (;;) {
        void *p[40];

        for (int i = 0; i < 40; i++) {
            p[i] = malloc(test_random(&state) % (i == 0 ? 300000 : 2500));
            CHECK(p[i] != NULL);
        }
        for (int i = 0; i < 40; i++) {
            p[i] = realloc(p[i], 1 + test_random(&state) % 3000);
            free(p[i]);
        }
        pthread_testcancel();
    }
    return NULL;
}

static void start_storm(pthread_t *ret_threads, bool detached)
{
    pthread_attr_t attr;

    CHECK(pthread_attr_init(&attr) == 0);
    if (detached) {
        CHECK(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0);
    }
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&ret_threads[i], &attr, storm, (void *)i) == 0);
    }
    pthread_attr_destroy(&attr);
}

static void expect(pid_t child, int code, int by_signal)
{
    char text[100];
    int status;

    CHECK(waitpid(child, &status, 0) == child);
    if (by_signal != 0 ? !WIFSIGNALED(status) || WTERMSIG(status) != by_signal
                       : !WIFEXITED(status) || WEXITSTATUS(status) != code) {
        snprintf(text, sizeof(text),
            "the child ends with %d or signal %d (status 0x%x)", code, by_signal,
            (unsigned)status);
        test_fail(text, __FILE__, __LINE__);
    }
}

static void end_many_times(void (*end)(void), bool detached, int by_signal)
{
    for (int i = 0; i < runs; i++) {
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            struct rlimit none = {0, 0};
            pthread_t threads[THREADS];

            alarm(30);
            setrlimit(RLIMIT_CORE, &none);
            start_storm(threads, detached);
            usleep((unsigned)(i % 20) * 150);
            end();
        }
        expect(child, CODE, by_signal);
    }
}

static void by_exit(void)
{
    exit(CODE);
}
static void by_posix_exit(void)
{
    _exit(CODE);
}
static void by_quick_exit(void)
{
    quick_exit(CODE);
}
static void *call_exit(void *arg)
{
    (void)arg;
    exit(CODE);
}
static void by_exit_of_a_thread(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, call_exit, NULL) == 0);
    pthread_join(thread, NULL);
    for (;;) {
        pause();
    }
}
static void *exit_after(void *thread)
{
    /* Static programs forget how to unwind when they exit: main's thread does that. */
    CHECK(pthread_join(*(pthread_t *)thread, NULL) == 0);
    exit(CODE);
}
/* main's thread ends, the others go on, and one ends the process. */
static void by_exit_after_main_thread(void)
{
    static pthread_t self;
    pthread_t thread;

    self = pthread_self();
    CHECK(pthread_create(&thread, NULL, exit_after, &self) == 0);
    pthread_exit(NULL);
}

static void d64_exit_while_threads_allocate(void)
{
    end_many_times(by_exit, false, 0);
    end_many_times(by_exit_of_a_thread, false, 0);
    end_many_times(by_exit_after_main_thread, false, 0);
}
static void d65_other_exits_while_threads_allocate(void)
{
    end_many_times(by_posix_exit, false, 0);
    end_many_times(by_quick_exit, false, 0);
    end_many_times(abort, false, SIGABRT);
}
static void d66_detached_threads_run_when_main_returns(void)
{
    end_many_times(by_exit, true, 0);
}

/* ---- D61: cancelled while they allocate ---- */

static void *tell_and_trim(void *arg)
{
    FILE *f = arg;

    for (;;) {
        struct mallinfo2 m = mallinfo2();

        (void)m;
        malloc_info(0, f);
        malloc_stats();
        malloc_trim(0);
        pthread_testcancel();
    }
    return NULL;
}

static void expect_all_locks_free(void)
{
    struct mallinfo2 m;
    pid_t child = fork(); /* takes all locks */

    if (child == 0) {
        _exit(CODE);
    }
    expect(child, CODE, 0);
    m = mallinfo2();
    (void)m;
    malloc_trim(0);
    free(malloc(1000000));
}

/* Writing to stderr is a cancellation point, and closing files of the library, too. */
static void d61_cancelled_threads_leave_no_lock(void)
{
    FILE *f = fopen("/dev/null", "w");
    int saved = dup(STDERR_FILENO);

    CHECK(f != NULL && saved >= 0);
    dup2(fileno(f), STDERR_FILENO);
    for (int i = 0; i < runs; i++) {
        pthread_t threads[THREADS], telling;

        alarm(30);
        start_storm(threads, false);
        CHECK(pthread_create(&telling, NULL, tell_and_trim, f) == 0);
        usleep((unsigned)(i % 20) * 150);
        CHECK(pthread_cancel(telling) == 0);
        for (int k = 0; k < THREADS; k++) {
            CHECK(pthread_cancel(threads[k]) == 0);
        }
        CHECK(pthread_join(telling, NULL) == 0);
        for (int k = 0; k < THREADS; k++) {
            CHECK(pthread_join(threads[k], NULL) == 0);
        }
        if (i % 10 == 0) {
            expect_all_locks_free();
        }
    }
    alarm(0);
    dup2(saved, STDERR_FILENO);
    close(saved);
}

int main(int argc, char **argv)
{
    runs = argc > 1 ? atoi(argv[1]) : 20;
    RUN(d64_exit_while_threads_allocate);
    RUN(d65_other_exits_while_threads_allocate);
    RUN(d66_detached_threads_run_when_main_returns);
    RUN(d61_cancelled_threads_leave_no_lock);
    return 0;
}
