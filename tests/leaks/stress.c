/*
 * stress - leak checks in a loop while eight threads allocate, come and go, and the process forks
 *
 * stress SECONDS: nothing is lost that the threads hold, whatever they are just doing; in the end,
 * when they are quiet, the four kinds are the counters in each component and class, and what was
 * dropped on purpose is lost.
 */
#include "scrub.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mpalloc.h>

enum { THREADS = 8, SLOTS = 3000, DROPPED = 100, STALE = 5 };

static volatile bool is_over;
static void *volatile shared[SLOTS]; /* threads free what others made */
static uint64_t checks, partials, interrupted;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t draw_size(uint64_t *state)
{
    uint64_t r = draw(state);

    return r % 100 < 90   ? r / 100 % 600
           : r % 100 < 99 ? r / 100 % 20000
                          : r / 100 % 300000;
}

static void step(uint64_t *random)
{
    void *p = calloc(1, draw_size(random));
    size_t at = draw(random) % SLOTS;

    free(__atomic_exchange_n(&shared[at], p, __ATOMIC_ACQ_REL));
    if (draw(random) % 64 == 0) {
        p = __atomic_exchange_n(&shared[at], NULL, __ATOMIC_ACQ_REL);
        p = realloc(p, draw_size(random) + 1);
        free(__atomic_exchange_n(&shared[at], p, __ATOMIC_ACQ_REL));
    }
}

static void *short_life(void *arg)
{
    uint64_t random = (uintptr_t)arg | 1;

    for (int i = 0; i < 100; i++) {
        step(&random);
    }
    return NULL;
}

static void *run(void *arg)
{
    uint64_t random = ((uintptr_t)arg + 1) * 0x9e3779b97f4a7c15u;
    pthread_t other;

    mp_enter(mp_component((uintptr_t)arg % 2 != 0 ? "odd" : "even"));
    while (!is_over) {
        for (int i = 0; i < 1000; i++) {
            step(&random);
        }
        if (draw(&random) % 16 == 0
            && pthread_create(&other, NULL, short_life, (void *)(uintptr_t)random)
                   == 0) {
            pthread_join(other, NULL);
        }
        if ((uintptr_t)arg == 0) {
            pid_t child = fork();

            if (child == 0) {
                struct mp_leak_summary s = {.size = sizeof(s), .rounds = 1};

                _exit(-mp_leak_check(&s));
            }
            if (child > 0) {
                int status = 0;

                while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
                }
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
                    fprintf(stderr, "a forked child's check failed: %x %s\n", status,
                        WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "");
                    _exit(1);
                }
            }
        }
    }
    return NULL;
}

static bool sums_are_exact(const struct mp_leak_summary *s)
{
    struct mp_snapshot now = {.size = sizeof(now)};

    mp_snapshot(&now);
    if (s->definite.blocks + s->indirect.blocks + s->possible.blocks
                + s->reachable.blocks
            == now.live_blocks
        && s->definite.bytes + s->indirect.bytes + s->possible.bytes
                   + s->reachable.bytes
               == now.live_bytes) {
        return true;
    }
    fprintf(stderr, "kinds: %llu blocks, counters: %llu\n",
        (unsigned long long)(s->definite.blocks + s->indirect.blocks
                             + s->possible.blocks + s->reachable.blocks),
        (unsigned long long)now.live_blocks);
    return false;
}

static __attribute__((noinline)) void drop(void)
{
    for (int i = 0; i < DROPPED; i++) {
        void *volatile p = calloc(1, 100);

        p = NULL;
        (void)p;
    }
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    struct mp_leak_summary s = {.size = sizeof(s)};
    struct timespec start, now;
    pthread_t threads[THREADS];
    uint64_t pause = 0;
    uint64_t why = 0;

    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, run, (void *)i);
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        int code;

        s = (struct mp_leak_summary){.size = sizeof(s), .rounds = 2, .wait_ms = 20};
        code = mp_leak_check(&s);
        if (code != 0) {
            fprintf(stderr, "mp_leak_check: %s\n", strerror(-code));
            return 1;
        }
        checks++;
        partials += s.partial != 0;
        why |= s.partial;
        pause = s.pause_ns > pause ? s.pause_ns : pause;
        interrupted += s.definite.blocks;
        if (s.lost.blocks != 0 && s.partial == 0) {
            fprintf(stderr,
                "check %llu: %llu blocks lost that are held; %llu definite\n",
                (unsigned long long)checks, (unsigned long long)s.lost.blocks,
                (unsigned long long)s.definite.blocks);
            return 1;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) < seconds);
    is_over = true;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    drop();
    scrub();
    s = (struct mp_leak_summary){.size = sizeof(s), .rounds = 2, .wait_ms = 10};
    if (mp_leak_check(&s) != 0 || s.partial != 0 || !sums_are_exact(&s)) {
        fprintf(stderr, "at the end: partial %llx\n", (unsigned long long)s.partial);
        return 1;
    }
    /* The stacks of threads that ended are still mapped: old pointers to what lay there are in them. */
    if (s.lost.blocks > DROPPED || s.lost.blocks < DROPPED - STALE) {
        fprintf(stderr, "%llu blocks lost, dropped were %d\n",
            (unsigned long long)s.lost.blocks, DROPPED);
        return 1;
    }
    printf("%llu checks, %llu partial (%llx), %llu blocks definite in one round; stood "
           "still "
           "%.2f "
           "ms at most\n",
        (unsigned long long)checks, (unsigned long long)partials,
        (unsigned long long)why, (unsigned long long)interrupted, (double)pause / 1e6);
    return 0;
}
