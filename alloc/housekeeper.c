#include "housekeeper.h"

#include "atomic.h"
#include "options.h"
#include "os.h"
#include "probe.h"
#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include "fault_calls.h" /* last: no thread may be had */

enum {
    STACK_BYTES =
        256 * 1024,   /* untouched but for its top; exit handlers may run on it */
    ROUND_MS = 200,   /* with figures every 400 ms they are at most 1 s old */
    ALONE_MAX = 2,    /* rounds with one thread left before it ends */
    FAILURES_MAX = 3, /* where no thread may be had it is not tried for ever */
};

enum state { NOT_ALLOWED, NONE, RUNNING, STOPPED };

static uint32_t state; /* enum state; atomic */
static uint32_t failures;

/* False: the program is single-threaded again, or ends. */
static bool round_of(unsigned *alone)
{
    uint32_t now_ms = os_coarse_ms();

    *alone = thread_count() <= 1 ? *alone + 1 : 0;
    if (*alone > ALONE_MAX || load_relaxed(&state) != RUNNING || os_is_sandboxed()) {
        return false;
    }
    if (now_ms - load_relaxed(&probe_last_ms) >= ROUND_MS) {
        probe_tick(now_ms);
    }
    return true;
}

static void *run(void *arg)
{
    uint32_t running = RUNNING;
    unsigned alone = 0;

    (void)arg;
    os_prctl(PR_SET_NAME, (const unsigned long[4]){(unsigned long)"mpalloc"});
    do {
        os_futex_wait_ms(&state, RUNNING, ROUND_MS);
    } while (round_of(&alone));
    cas_acquire(&state, &running, NONE);
    return NULL;
}

static bool start(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    int saved = errno; /* a malloc that succeeds keeps it */
    bool done = false;

    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    if (pthread_attr_setstacksize(&attr, STACK_BYTES) == 0
        && pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        done = pthread_create(&thread, &attr, run, NULL) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attr);
    errno = saved;
    return done;
}

/* Comes again while it starts the thread, which allocates. */
COLD NOINLINE void probe_thread_started(void)
{
    uint32_t none = NONE;
    uint32_t running = RUNNING;

    if (!options.housekeeper || load_relaxed(&state) != NONE || thread_count() < 2
        || os_is_single_threaded() || os_is_sandboxed()
        || load_relaxed(&failures) >= FAILURES_MAX
        || !cas_acquire(&state, &none, RUNNING)) {
        return;
    }
    if (!start()) {
        add_relaxed(&failures, 1);
        cas_acquire(&state, &running, NONE);
    }
}

void housekeeper_allow(void)
{
    store_relaxed(&state, NONE);
}

void housekeeper_stop(void)
{
    if (swap_release(&state, STOPPED) == RUNNING) { /* else no call for nobody */
        os_futex_wake_all(&state);
    }
}

void housekeeper_after_fork_in_child(void)
{
    uint32_t running = RUNNING;

    cas_acquire(&state, &running, NONE);
}
