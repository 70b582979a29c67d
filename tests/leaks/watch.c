/*
 * watch - a program that watches itself is told of its own leak, and of nothing else
 *
 * Serves requests, fills a bounded cache, and forgets a tenth of what it allocates; mps_on_leak
 * looks every second. The one call must be about the stack and the component that leak, come
 * once, and mps_stop_watch leaves no thread behind. A second watch is refused while one runs and
 * works after it; a child that was forked has none, and can have one.
 *
 * watch quiet: the same without the leak, and no call may come.
 */
#include <mpalloc.h>
#include <mpstats.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition)) {                                                            \
            printf("line %d: %s\n", __LINE__, #condition);                             \
            failed = 1;                                                                \
        }                                                                              \
    } while (false)

enum { SLOTS = 512, QUIET_S = 4, PATIENCE_S = 60 };

struct node {
    struct node *next;
    char rest[500];
};

static mp_component_t *part;
static mp_component_t *cache;
static struct node *volatile kept;
static void *slots[SLOTS];
static int failed;

/* What the callback was told, under the watch's own order: read after it has stopped. */
static struct {
    _Atomic unsigned calls;
    char component[256];
    bool is_own_stack;
    bool is_bad;
    bool must_stop;
} told;

/* ---- work ---- */

NOINLINE struct node *watch_grow_leak(void);
NOINLINE void *watch_grow_cache(void);

NOINLINE struct node *watch_grow_leak(void)
{
    struct node *n = mp_malloc(part, sizeof(*n));

    memset(n, 0, sizeof(*n));
    return n;
}

NOINLINE void *watch_grow_cache(void)
{
    return mp_malloc(cache, 3000);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A tenth of a second or so of a service. */
static NOINLINE void serve(bool leaks)
{
    static uint32_t state = 1;

    for (unsigned i = 0; i < 2000; i++) {
        unsigned slot;

        state = state * 1664525 + 1013904223;
        slot = (state >> 8) % SLOTS;
        free(slots[slot]);
        slots[slot] = watch_grow_cache();
        free(malloc(64 + (state >> 8) % 4000));
        if (leaks && i % 2 == 0) {
            struct node *n = watch_grow_leak();

            n->next = kept;
            kept = n;
        }
    }
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

/*
 * For so long, or until `after_s` after it was told: from one place of the program, for another
 * one would be another stack.
 */
static NOINLINE void serve_for(double seconds, bool leaks, double after_s)
{
    double start = now_s();
    double end = start + seconds;
    bool was_told = false;

    while (now_s() < end) {
        serve(leaks);
        if (told.calls > 0 && !was_told) {
            was_told = true;
            printf("told after %.1f s\n", now_s() - start);
            end = now_s() + after_s;
        }
    }
}

static unsigned count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    unsigned count = 0;

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        count += e->d_name[0] != '.';
    }
    closedir(d);
    return count;
}

/* ---- what is told ---- */

/* Whether the innermost frame of this program is in that function. */
static bool is_stack_of(const mp_image_t *image, uint32_t frame, const char *function)
{
    char own[4096] = "";
    Dl_info info;

    if (readlink("/proc/self/exe", own, sizeof(own) - 1) < 0
        || dladdr((void *)(uintptr_t)watch_grow_leak, &info) == 0) {
        return false;
    }
    while (frame != 0) {
        const struct mp_region_frame *f = mp_image_frame(image, frame);
        const struct mp_region_module *m =
            f != NULL ? mp_image_module(image, f->module) : NULL;

        if (m != NULL && strcmp(m->path, own) == 0) {
            return dladdr((char *)info.dli_fbase + f->offset, &info) != 0
                   && info.dli_sname != NULL && strcmp(info.dli_sname, function) == 0;
        }
        frame = f != NULL ? f->parent : 0; /* that one is the allocator's */
    }
    return false;
}

static void on_leak(const struct mp_verdict *v, const mp_image_t *image, void *arg)
{
    const struct mp_region_component *c = mp_image_component(image, v->component);

    told.is_own_stack = is_stack_of(image, v->frame, "watch_grow_leak");
    snprintf(told.component, sizeof(told.component), "%s", c != NULL ? c->name : "");
    told.is_bad = arg != &told || v->kind != MP_VERDICT_GROWING || v->line_count == 0
                  || v->live_bytes.value < 1 << 20;
    if (told.must_stop) {
        mps_stop_watch(); /* asks only: this is the thread that it would wait for */
    }
    free(malloc(100)); /* it may allocate */
    told.calls++;
}

/* ---- the claims ---- */

static void begin(bool must_stop)
{
    told.calls = 0;
    told.must_stop = must_stop;
    EXPECT(mps_on_leak(NULL, NULL, 1) == -EINVAL);
    EXPECT(mps_on_leak(on_leak, NULL, 0) == -EINVAL);
    EXPECT(mps_on_leak(on_leak, &told, 1) == 0);
    EXPECT(mps_on_leak(on_leak, &told, 1) == -EBUSY);
    EXPECT(count_threads() == 2);
}

/* Once, though it looked twice more: it is the same leak. */
static void end(bool must_stop)
{
    unsigned threads = count_threads();

    EXPECT(told.calls == 1);
    EXPECT(told.is_own_stack && !told.is_bad);
    EXPECT(strcmp(told.component, "part") == 0);
    EXPECT(threads == (must_stop ? 1 : 2)); /* the callback asked: it went by itself */
    mps_stop_watch();
    mps_stop_watch(); /* there is none any more */
    EXPECT(count_threads() == 1);
}

/* A watch, and a new one, that was told of nothing: of one stack, so from one place. */
static void leak_is_told_once(void)
{
    for (unsigned i = 0; i < 2; i++) {
        begin(i == 1);
        serve_for(PATIENCE_S, true, i == 0 ? 2.2 : 0.5);
        end(i == 1);
    }
}

/* The thread is not in the child: there is nothing to wait for, and one can be started. */
static void child_has_no_watch(void)
{
    int status = -1;
    pid_t pid;

    EXPECT(mps_on_leak(on_leak, &told, 1) == 0);
    pid = fork();
    if (pid == 0) {
        int code;

        alarm(30); /* or it waits for ever */
        code = mps_on_leak(on_leak, &told, 1);
        if (code == 0) {
            EXPECT(count_threads() == 2);
            mps_stop_watch();
        }
        EXPECT(code != -EBUSY && count_threads() == 1);
        mps_stop_watch();
        _exit(failed);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(count_threads() == 2); /* ours goes on */
    mps_stop_watch();
    EXPECT(count_threads() == 1);
}

static void innocent_is_not_told(void)
{
    EXPECT(mps_on_leak(on_leak, &told, 1) == 0);
    serve_for(QUIET_S, false, QUIET_S);
    mps_stop_watch();
    EXPECT(told.calls == 0);
    EXPECT(count_threads() == 1);
}

int main(int argc, char **argv)
{
    double start = now_s();

    part = mp_component("part");
    cache = mp_component("cache");
    mps_stop_watch(); /* without a watch: nothing */
    if (argc > 1 && strcmp(argv[1], "quiet") == 0) {
        innocent_is_not_told();
    } else {
        leak_is_told_once();
        child_has_no_watch();
    }
    printf("%.1f s, told %u times, of %s\n", now_s() - start, told.calls,
        told.component[0] != 0 ? told.component : "nothing");
    return failed;
}
