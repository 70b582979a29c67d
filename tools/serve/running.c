#include "running.h"

#include "../cli.h"
#include "notify.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };

static void get_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
}

void running_prepare(void)
{
    sigset_t signals;

    /* Regions are read anew all the time, by many threads: what is free goes back. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 256 * 1024);
    get_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on files is a full disk */
}

void running_until_end(
    struct serve *s, void (*reload)(struct serve *s, void *arg), void *arg)
{
    uint64_t watchdog_ms = notify_watchdog_ms();
    uint64_t wait_ms = watchdog_ms > 0 && watchdog_ms < 1000 ? watchdog_ms : 1000;
    struct timespec t = {(time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000};
    sigset_t signals;
    int number = 0;

    get_signals(&signals);
    notify_say("READY=1");
    while (number != SIGTERM && number != SIGINT) {
        number = sigtimedwait(&signals, NULL, &t);
        if (number == SIGHUP) {
            notify_say("RELOADING=1");
            reload(s, arg);
            notify_say("READY=1");
        }
        if (watchdog_ms > 0) {
            notify_say("WATCHDOG=1");
        }
    }
    notify_say("STOPPING=1");
    if (!serve_stop(s, PATIENCE_MS)) {
        _exit(EXIT_FINE);
    }
}
