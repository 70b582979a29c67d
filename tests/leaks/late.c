/*
 * late - threads that do not stop for a leak check at once, or not at all
 *
 * late: a check waits for a thread that only has no processor, or that blocks signals for a moment;
 * it goes on without one that blocks them for good, sleeping or running, or that sleeps so that
 * nothing wakes it, and says how many those are.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpalloc.h>

enum { CHECKS = 5, HOGS = 4, PAUSE_MOST_MS = 400, VFORK_MS = 2000 };

static volatile bool is_ready, is_over;

static void pause_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&left, &left) != 0) {
    }
}

static void block_all(int how)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(how, &all, NULL);
}

static void *sleep_blocked(void *arg)
{
    block_all(SIG_BLOCK);
    is_ready = true;
    while (!is_over) {
        pause_ms(5);
    }
    return arg;
}

static void *run_blocked(void *arg)
{
    block_all(SIG_BLOCK);
    is_ready = true;
    while (!is_over) {
    }
    return arg;
}

/* Half of the time with all signals blocked, as a thread that starts threads. */
static void *run_now_and_then(void *arg)
{
    is_ready = true;
    while (!is_over) {
        block_all(SIG_BLOCK);
        for (volatile int i = 0; i < 100000; i++) {
        }
        block_all(SIG_UNBLOCK);
        for (volatile int i = 0; i < 100000; i++) {
        }
    }
    return arg;
}

/* Until its child is gone nothing wakes it but SIGKILL. */
static void *sleep_deep(void *arg)
{
    struct timespec t = {VFORK_MS / 1000, VFORK_MS % 1000 * 1000000};
    pid_t child;

    is_ready = true;
    child = vfork();
    if (child == 0) {
        syscall(SYS_nanosleep, &t, NULL);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return arg;
}

static pid_t hogs[HOGS];

static void bind_to(int processor)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

/* The same, and has its processor for a small part of the time only. */
static void *run_starved(void *arg)
{
    cpu_set_t mine;
    int processor = 0;

    sched_getaffinity(0, sizeof(mine), &mine);
    while (!CPU_ISSET(processor, &mine)) {
        processor++;
    }
    for (int i = 0; i < HOGS; i++) {
        hogs[i] = fork();
        if (hogs[i] == 0) {
            bind_to(processor);
            for (;;) {
            }
        }
    }
    bind_to(processor);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    return run_now_and_then(arg);
}

static bool is_as_expected(const char *name, void *(*run)(void *), uint64_t missed)
{
    pthread_t thread;
    uint64_t longest_ns = 0;
    bool is_right = true;

    is_ready = is_over = false;
    pthread_create(&thread, NULL, run, NULL);
    while (!is_ready) {
        pause_ms(1);
    }
    pause_ms(20);
    for (int i = 0; i < CHECKS; i++) {
        struct mp_leak_summary s = {.size = sizeof(s), .rounds = 1};
        int code = mp_leak_check(&s);

        if (code != 0 || s.threads_missed != missed || s.threads != 2 - missed
            || ((s.partial & MP_LEAK_THREADS_MISSED) != 0) != (missed != 0)) {
            printf("%s: code %d, %llu threads stood, %llu did not, partial %llx\n",
                name, code, (unsigned long long)s.threads,
                (unsigned long long)s.threads_missed, (unsigned long long)s.partial);
            is_right = false;
        }
        longest_ns = s.pause_ns > longest_ns ? s.pause_ns : longest_ns;
    }
    is_over = true;
    for (int i = 0; i < HOGS && hogs[i] != 0; i++) {
        kill(hogs[i], SIGKILL);
        waitpid(hogs[i], NULL, 0);
        hogs[i] = 0;
    }
    pthread_join(thread, NULL);
    printf("%s: stood still %.1f ms at most\n", name, (double)longest_ns / 1e6);
    if (missed != 0 && longest_ns > PAUSE_MOST_MS * UINT64_C(1000000)) {
        printf("%s: waited for in vain, and for long\n", name);
        is_right = false;
    }
    return is_right;
}

int main(void)
{
    bool is_right = is_as_expected("asleep with signals blocked", sleep_blocked, 1);

    is_right &= is_as_expected("running with signals blocked", run_blocked, 1);
    is_right &= is_as_expected("blocks signals now and then", run_now_and_then, 0);
    is_right &= is_as_expected("asleep without end", sleep_deep, 1);
    is_right &= is_as_expected("without a processor", run_starved, 0);
    return !is_right;
}
