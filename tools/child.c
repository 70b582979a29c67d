#include "child.h"

#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t child_pid;

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What the terminal sends to the group has reached the program already. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (child_pid > 0 && info->si_code <= 0) { /* sent by kill or sigqueue */
        kill((pid_t)child_pid, number);
    }
}

static const int passed[] = {
    SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT};
enum { PASSED = sizeof(passed) / sizeof(passed[0]) };

static void set_signals(void)
{
    struct sigaction action = {.sa_flags = SA_RESTART | SA_SIGINFO};

    action.sa_sigaction = pass_on;
    for (size_t i = 0; i < PASSED; i++) {
        sigaction(passed[i], &action, NULL);
    }
    signal(SIGCHLD, SIG_DFL); /* ignored, its end would be nobody's to wait for */
}

int child_exec(const char *path, char **words)
{
    int code;

    execv(path, words);
    if (errno == ENOEXEC) { /* a script without its first line */
        execvp(words[0], words);
    }
    code = errno;
    cli_fail("run", EXIT_FAILED, "%s: %s", words[0], strerror(code));
    return code == ENOENT ? 127 : 126;
}

int child_start(struct child *c, const char *path, char **words, bool keep)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all); /* none is lost between fork and handlers */
    sigprocmask(SIG_SETMASK, &all, &before);
    c->start_ms = now_ms();
    c->pid = fork();
    if (c->pid == 0) {
        char number[32];

        if (keep) { /* of this process, not of its children */
            snprintf(number, sizeof(number), "%d", (int)getpid());
            setenv("MPALLOC_KEEP", number, 1);
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
        _exit(child_exec(path, words));
    }
    if (c->pid < 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return cli_fail("run", EXIT_FAILED, "no process for %s: %m", words[0]);
    }
    child_pid = c->pid;
    set_signals();
    sigaddset(&before, SIGCHLD); /* child_wait takes it: none comes too early */
    sigprocmask(SIG_SETMASK, &before, NULL);
    return EXIT_FINE;
}

static bool has_ended(const struct child *c)
{
    siginfo_t info = {.si_pid = 0};

    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOWAIT | WNOHANG) != 0
           || info.si_pid != 0;
}

/* The first process of a container inherits those of others that ended. */
static void bury_orphans(const struct child *c)
{
    siginfo_t info = {.si_pid = 0};

    while (getpid() == 1 && waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG) == 0
           && info.si_pid != 0 && info.si_pid != c->pid) {
        waitpid(info.si_pid, NULL, 0);
        info.si_pid = 0;
    }
}

static bool wait_until(const struct child *c, uint64_t end_ms)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    while (!has_ended(c)) {
        uint64_t now = now_ms();
        uint64_t left = now < end_ms ? end_ms - now : 0;
        struct timespec t = {(time_t)(left / 1000), (long)(left % 1000) * 1000000};

        if (left == 0) {
            return false;
        }
        bury_orphans(c);
        sigtimedwait(&ends, NULL, end_ms == UINT64_MAX ? NULL : &t);
    }
    return true;
}

bool child_wait(const struct child *c, unsigned limit_ms)
{
    return wait_until(c, limit_ms != 0 ? c->start_ms + limit_ms : UINT64_MAX);
}

void child_stop(const struct child *c, unsigned patience_ms)
{
    kill(c->pid, SIGTERM);
    kill(c->pid, SIGCONT); /* a stopped one would not hear of it */
    if (!wait_until(c, now_ms() + patience_ms)) {
        kill(c->pid, SIGKILL);
        wait_until(c, UINT64_MAX);
    }
}

void child_end(struct child *c)
{
    while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR) {
    }
    child_pid = 0;
}

int child_end_as(const struct child *c)
{
    if (WIFSIGNALED(c->status)) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(c->status), SIG_DFL);
        kill(getpid(), WTERMSIG(c->status));
        return 128 + WTERMSIG(c->status);
    }
    return WEXITSTATUS(c->status);
}
