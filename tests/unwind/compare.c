/*
 * compare - a library to preload: at random points our stack equals libgcc's
 *
 * A timer interrupts the program; its handler walks the stack with both unwinders, through
 * the frame of the signal, and ours a second time from the signal's registers. Every tenth
 * signal is followed by some single steps, each of which is compared, too: prologues,
 * epilogues and stubs are entered that way. When the process ends, figures and the first
 * differences go to the file COMPARE_OUT.PID; COMPARE_US is the interval.
 */
#include "libgcc.h"
#include "os.h"
#include "unwind_table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    MOST = UNWIND_MOST,
    STEPS = 40,
    TRAP_FLAG = 0x100,
    REPORT_MAX = 1 << 16,
    SHOWN_MAX = 12,
};

static unsigned points, equal, longer, different, steps, frames, missed;
static char report[REPORT_MAX];
static size_t report_bytes;
static timer_t timer;
static pid_t timer_of;
static __thread unsigned steps_left;
static __thread bool is_inside;

static int is_syscall(const unsigned char *at)
{
    return at[0] == 0x0f && at[1] == 0x05;
}

static void say(const char *what, const struct trace *t, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < t->count; i++) {
        struct unwind_module m;
        bool is_known = unwind_find_module(t->pc[i], &m);

        report_bytes += (size_t)snprintf(report + report_bytes,
            sizeof(report) - report_bytes, "  %s %zu: %#lx %s+%#lx\n", what, i - from,
            (unsigned long)t->pc[i], is_known ? m.path : "?",
            (unsigned long)(is_known ? t->pc[i] - m.bias : 0));
    }
}

/* Whether a walk may end here because nothing is known about the code. */
static bool is_unknown(uintptr_t pc)
{
    struct libgcc_bases b;

    return _Unwind_Find_FDE((void *)(pc - 1), &b) == NULL;
}

/* The frames of both from index a and b on. */
static void judge(
    const struct trace *ours, size_t a, const struct trace *theirs, size_t b)
{
    size_t n = ours->count - a;
    size_t m = theirs->count - b;
    size_t same = 0;

    while (same < n && same < m && ours->pc[a + same] == theirs->pc[b + same]) {
        same++;
    }
    __atomic_add_fetch(&points, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&frames, (unsigned)m, __ATOMIC_RELAXED);
    /* What was cut off at the end for want of room is not compared. */
    if ((same == n && same == m) || (same == n && ours->is_cut)
        || (same == m && theirs->is_cut)) {
        __atomic_add_fetch(&equal, 1, __ATOMIC_RELAXED);
    } else if (same == m && is_unknown(theirs->pc[theirs->count - 1])) {
        __atomic_add_fetch(&longer, 1, __ATOMIC_RELAXED);
    } else if (__atomic_fetch_add(&different, 1, __ATOMIC_RELAXED) < SHOWN_MAX
               && report_bytes < REPORT_MAX / 2) {
        size_t from = same > 2 ? same - 2 : 0;

        report_bytes += (size_t)snprintf(report + report_bytes,
            sizeof(report) - report_bytes, "they differ after %zu frames:\n", same);
        say("ours  ", ours, a + from, a + same + 3);
        say("theirs", theirs, b + from, b + same + 3);
    }
}

static void compare(void *context, uintptr_t restorer)
{
    static __thread struct trace ours, theirs, direct;
    struct unwind_context c;
    struct unwind_info info;
    size_t a, b;

    ours.count = unwind_here(ours.pc, MOST, &info);
    if (info.end == UNWIND_LOST && ours.count > 0
        && !os_is_readable((const void *)ours.pc[ours.count - 1])) {
        /* libgcc looks at the code there, and crashes */
        __atomic_add_fetch(&missed, 1, __ATOMIC_RELAXED);
        report_bytes += (size_t)snprintf(
            report + report_bytes, sizeof(report) - report_bytes, "both are lost:\n");
        say("ours", &ours, ours.count > 5 ? ours.count - 5 : 0, ours.count);
        return;
    }
    trace_by_libgcc(&theirs);
    ours.is_cut = info.end == UNWIND_TRUNCATED;
    a = trace_index_of(&ours, restorer);
    b = trace_index_of(&theirs, restorer);
    if (b == theirs.count) {
        __atomic_add_fetch(&missed, 1, __ATOMIC_RELAXED); /* libgcc lost its way */
        return;
    }
    judge(&ours, a, &theirs, b);
    /* The same without the handler's frames; fewer of these are cut off. */
    unwind_capture_signal(&c, context);
    direct.count = unwind_walk(&c, 0, direct.pc, MOST, &info);
    direct.is_cut = info.end == UNWIND_TRUNCATED;
    if (b + 1 < theirs.count) {
        judge(&direct, 0, &theirs, b + 1);
    }
}

static void on_signal(int number, siginfo_t *i, void *context)
{
    ucontext_t *u = context;
    int saved = errno;

    (void)i;
    if (!is_inside) {
        is_inside = true;
        compare(context, (uintptr_t)__builtin_return_address(0));
        is_inside = false;
        if (number == SIGTRAP) {
            __atomic_add_fetch(&steps, 1, __ATOMIC_RELAXED);
            steps_left -= steps_left > 0;
        } else if (points % 10 == 0) {
            steps_left = STEPS;
        }
#if defined(__x86_64__)
        /*
         * Not over a system call: the one that blocks all signals makes the next step one
         * that kills, and what clone makes would step without us.
         */
        if (is_syscall((const unsigned char *)u->uc_mcontext.gregs[REG_RIP])) {
            steps_left = 0;
        }
        if (steps_left > 0) {
            u->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
        } else {
            u->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        }
#else
        (void)u;
#endif
    }
    errno = saved;
}

static void write_report(void)
{
    static unsigned done;
    const char *out = getenv("COMPARE_OUT");
    char line[512];
    int fd, n;

    if (out == NULL || points == 0 || __atomic_exchange_n(&done, 1, __ATOMIC_RELAXED)) {
        return;
    }
    n = snprintf(line, sizeof(line), "%s.%d", out, getpid());
    fd = n > 0 ? open(line, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        return;
    }
    n = snprintf(line, sizeof(line),
        "points %u equal %u longer %u different %u steps %u frames %u missed %u "
        "truncated %lu lost %lu\n",
        points, equal, longer, different, steps, frames, missed,
        (unsigned long)unwind_counts.truncated, (unsigned long)unwind_counts.lost);
    n = (int)write(fd, line, (size_t)n);
    n = (int)write(fd, report, report_bytes);
    (void)n;
    close(fd);
}

static __attribute__((destructor)) void end(void)
{
    if (timer_of == getpid()) {
        timer_delete(timer);
    }
    write_report();
}

static __attribute__((constructor)) void begin(void)
{
    struct sigaction act = {
        .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF};
    const char *interval = getenv("COMPARE_US");
    long us = interval != NULL ? strtol(interval, NULL, 10) : 1000;
    struct itimerspec when = {{0, us * 1000}, {0, us * 1000}};

    /* Both may meet again in a handler of the program: then neither is compared. */
    sigemptyset(&act.sa_mask);
    sigaddset(&act.sa_mask, SIGPROF);
    sigaction(SIGPROF, &act, NULL);
    sigaction(SIGTRAP, &act, NULL);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) == 0) {
        timer_of = getpid();
        timer_settime(timer, 0, &when, NULL);
    }
}
