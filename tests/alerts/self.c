/*
 * self - mps_on_alert: one thread for it and mps_on_leak, each change told once, stopped from
 * within, and none in a child
 */
#include <mpalloc.h>
#include <mpstats.h>

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXPECT(condition)                                                              \
    do {                                                                               \
        if (!(condition)) {                                                            \
            printf("line %d: %s\n", __LINE__, #condition);                             \
            failed = 1;                                                                \
        }                                                                              \
    } while (false)

enum { MIB = 1 << 20, PATIENCE_S = 30 };

static const struct mp_alert_rule rules[] = {
    {.name = "Large",
        .measure = MP_MEASURE_LIVE,
        .threshold = 20 * MIB,
        .clears = 10 * MIB,
        .severity = MP_SEVERITY_WARNING,
        .is_enabled = true},
    {.name = "Limited",
        .measure = MP_MEASURE_COMPONENT_RATIO,
        .threshold = 1,
        .clears = 1,
        .severity = MP_SEVERITY_CRITICAL,
        .is_enabled = true},
};
static int failed;
static _Atomic unsigned fired;
static _Atomic unsigned resolved;
static _Atomic unsigned limited;
static _Atomic bool must_stop;

static void on_alert(const struct mp_alert *a, const mp_image_t *image, void *arg)
{
    EXPECT(arg == &failed && image != NULL && a->text[0] != '\0');
    free(malloc(100)); /* it may allocate */
    if (strcmp(a->rule->name, "Limited") == 0) {
        EXPECT(strstr(a->text, "budget holds") != NULL);
        limited += a->event == MP_EVENT_FIRED;
        return;
    }
    fired += a->event == MP_EVENT_FIRED;
    resolved += a->event == MP_EVENT_RESOLVED;
    if (must_stop) {
        mps_stop_watch(); /* asks only */
    }
}

static void on_leak(const struct mp_verdict *v, const mp_image_t *image, void *arg)
{
    (void)v;
    (void)image;
    (void)arg;
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

/* Allocates, so that counters are published; false: it took too long. */
static bool wait_for(const _Atomic unsigned *what, unsigned count)
{
    time_t end = time(NULL) + PATIENCE_S;

    while (*what < count && time(NULL) < end) {
        for (int i = 0; i < 1000; i++) {
            free(malloc(500));
        }
        mp_snapshot(&(struct mp_snapshot){.size = sizeof(struct mp_snapshot)});
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return *what >= count;
}

static void child_has_none(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int code;

        alarm(30);
        EXPECT(count_threads() == 1);
        code = mps_on_alert(on_alert, &failed, rules, 2, 1);
        /* Its region may not be there yet; of its parent's watch it knows nothing. */
        EXPECT(code == 0 ? count_threads() == 2 : code != -EBUSY);
        mps_stop_watch();
        EXPECT(count_threads() == 1);
        fflush(stdout);
        _exit(failed);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void changes_are_told_once(void)
{
    void *block = malloc(30 * MIB);

    EXPECT(wait_for(&fired, 1));
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
    EXPECT(fired == 1 && resolved == 0);
    free(block);
    EXPECT(wait_for(&resolved, 1));
}

static void a_component_over_its_limit(void)
{
    mp_component_t *budget = mp_component("budget");
    void *block;

    EXPECT(limited == 0);
    EXPECT(mp_component_limit(budget, MIB, 0) == 0);
    block = mp_malloc(budget, 2 * MIB);
    EXPECT(block != NULL && wait_for(&limited, 1));
    free(block);
}

int main(void)
{
    void *block;

    EXPECT(mps_on_alert(NULL, NULL, NULL, 0, 1) == -EINVAL);
    EXPECT(mps_on_alert(on_alert, NULL, NULL, 0, 0) == -EINVAL);
    EXPECT(mps_on_alert(on_alert, &failed, rules, 2, 1) == 0);
    EXPECT(mps_on_alert(on_alert, &failed, rules, 2, 1) == -EBUSY);
    EXPECT(mps_on_leak(on_leak, NULL, 1) == 0);
    EXPECT(mps_on_leak(on_leak, NULL, 1) == -EBUSY);
    EXPECT(count_threads() == 2); /* one for both */
    changes_are_told_once();
    a_component_over_its_limit();
    child_has_none();
    mps_stop_watch();
    EXPECT(count_threads() == 1);

    must_stop = true;
    EXPECT(mps_on_leak(on_leak, NULL, 1) == 0); /* the other way round */
    EXPECT(mps_on_alert(on_alert, &failed, rules, 2, 1) == 0);
    block = malloc(30 * MIB);
    EXPECT(wait_for(&fired, 2));
    mps_stop_watch();
    EXPECT(count_threads() == 1);
    EXPECT(mps_on_alert(on_alert, &failed, NULL, 0, 1) == 0); /* the built-in rules */
    mps_stop_watch();
    free(block);
    printf("fired %u, resolved %u, limited %u\n", fired, resolved, limited);
    return failed;
}
