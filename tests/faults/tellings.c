/*
 * tellings - what is told at limits and under pressure, to functions of the program that allocate,
 * fork, and end their thread
 */
#include "../api/test.h"

#include "workload.h"

#include <mpalloc.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

enum { SOFT = 2 * MIB, HARD = 6 * MIB };

static unsigned told; /* atomic */
static __thread bool ends_when_told;

static void when_told(const struct shadow *w)
{
    unsigned n = __atomic_add_fetch(&told, 1, __ATOMIC_SEQ_CST);
    void *p = malloc(3000 * (size_t)n);

    CHECK(p != NULL || errno == ENOMEM);
    if (n % 4 == 1) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            free(malloc(100 * KIB));
            free(realloc(p, 70 * KIB));
            if (!w->is_changing) {
                workload_check(w);
            }
            workload_look();
            _exit(0);
        }
        if (child > 0) {
            CHECK(waitpid(child, &status, 0) == child);
            CHECK(status == 0);
        }
    }
    free(p);
    errno = EINTR;
    if (ends_when_told) {
        pthread_exit(NULL);
    }
}

static void on_limit(mp_component_t *c, size_t live, void *arg)
{
    CHECK(c != NULL && live > 0);
    when_told(arg);
}

static void on_pressure(double pressure, void *arg)
{
    CHECK(pressure >= 0 && pressure <= 1);
    when_told(arg);
}

/* Blocks in a list, small and large, until no more are given; all are freed then. */
static size_t fill(struct shadow *w, mp_component_t *c, size_t most)
{
    void **list = NULL;
    size_t bytes = 0;
    unsigned i = 0;

    while (bytes < most) {
        size_t size = i++ % 5 == 4 ? 100 * KIB : 40 + i % 50 * 40;
        void **p = i % 7 == 0 ? mp_realloc(c, mp_malloc(c, size / 2), size)
                              : mp_malloc(c, size);

        if (p == NULL) {
            CHECK_EQ(errno, ENOMEM);
            w->failed++;
            break;
        }
        *p = list;
        list = (void **)p;
        bytes += malloc_usable_size(p);
    }
    while (list != NULL) {
        void **next = *list;

        free(list);
        list = next;
    }
    return bytes;
}

static void *fill_and_end(void *arg)
{
    ends_when_told =
        ((const struct shadow *)arg)->must_succeed; /* it loads a library */
    mp_enter(mp_component("limits/end"));
    for (int i = 0; i < 100; i++) { /* the block at which it ends is lost */
        free(malloc(SOFT / 8));
        free(malloc(SOFT + SOFT / 8));
    }
    ends_when_told = false;
    return arg;
}

void workload_limits(struct shadow *w)
{
    mp_component_t *c = mp_component("limits/all");
    mp_component_t *end = mp_component("limits/end");
    int error = mp_component_limit(c, SOFT, HARD);
    struct timespec tick = {0, 12 * 1000 * 1000};
    pthread_attr_t attr;
    pthread_t thread;

    CHECK(error == 0 || (error == -ENOMEM && !w->must_succeed));
    error = mp_component_limit(end, SOFT, 0);
    CHECK(error == 0 || (error == -ENOMEM && !w->must_succeed));
    mp_component_on_limit(on_limit, w);
    CHECK(mp_pressure_subscribe(on_pressure, w, 1e-9) == 0);
    for (int i = 0; i < 3; i++) {
        size_t bytes = fill(w, c, 3 * HARD);

        CHECK(bytes <= HARD + HARD / 64 + 64 * KIB || error != 0 || !w->must_succeed);
        CHECK(bytes >= HARD - HARD / 16 || !w->must_succeed);
        for (int k = 0; k < 100; k++) {
            workload_step(w);
        }
    }
    CHECK(told > 0 || !w->must_succeed);
    CHECK(pthread_attr_init(&attr) == 0);
    CHECK(pthread_attr_setstacksize(&attr, STACK) == 0);
    if (pthread_create(&thread, &attr, fill_and_end, w) == 0) {
        void *ret = &thread;

        CHECK(pthread_join(thread, &ret) == 0);
    }
    pthread_attr_destroy(&attr);
    nanosleep(&tick, NULL); /* a look at the pressure */
    for (int k = 0; k < 100; k++) {
        workload_step(w);
    }
    CHECK(mp_pressure_unsubscribe(on_pressure, w) == 0);
    mp_component_on_limit(NULL, NULL);
    workload_check(w);
    CHECK_EQ(mp_component_limit(c, 0, 0), 0);
    CHECK_EQ(mp_component_limit(end, 0, 0), 0);
}
