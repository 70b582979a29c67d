/*
 * measure - runs a program with a library preloaded, and says what it took
 *
 *     measure FILE LIBRARY PROGRAM [ARGUMENT...]
 *
 * FILE gets a line of JSON; LIBRARY is - for none. A small program of its own, because
 * Linux carries the peak of resident memory across exec: a child of a large interpreter
 * would begin with the interpreter's. The figures are those of PROGRAM and of the children
 * that it waited for; the peak is that of the largest of them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void start(const char *library, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (strcmp(library, "-") != 0) {
        setenv("LD_PRELOAD", library, 1);
    }
    execvp(argv[0], argv);
    fprintf(stderr, "measure: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    int status;
    double began, seconds;
    pid_t child;
    FILE *out;

    if (argc < 4) {
        fputs("usage: measure FILE LIBRARY PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    began = now();
    child = fork();
    if (child == 0) {
        start(argv[2], argv + 3);
    }
    while (child > 0 && wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    seconds = now() - began;
    out = fopen(argv[1], "w");
    if (child < 0 || out == NULL) {
        perror("measure");
        return 1;
    }
    fprintf(out,
        "{\"seconds\": %.6f, \"peak_rss_bytes\": %ld, \"user_seconds\": %.6f, "
        "\"system_seconds\": %.6f, \"minor_faults\": %ld}\n",
        seconds, usage.ru_maxrss * 1024, seconds_of(usage.ru_utime),
        seconds_of(usage.ru_stime), usage.ru_minflt);
    fclose(out);
    if (WIFSIGNALED(status)) { /* as the program ended, so do we; no core of our own */
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
