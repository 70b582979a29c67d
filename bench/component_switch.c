/*
 * component_switch - what mp_enter and mp_leave cost: ns per pair
 *
 * Goal: at most 10 ns once the thread has used the component. With --limit NS the program
 * fails above that; a test machine is noisy, so the best of 20 rounds counts.
 */
#include <mpalloc.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAIRS = 1000000, ROUNDS = 20 };

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* volatile: the call through it is a call, whatever the compiler knows. */
static void *(*volatile allocate)(size_t) = malloc;

static double round_of(mp_component_t *const *c, bool with_malloc)
{
    double began = now_ns();

    for (unsigned i = 0; i < PAIRS; i++) {
        mp_component_t *previous = mp_enter(c[i & 7]);

        if (with_malloc) {
            free(allocate(64));
        }
        mp_leave(previous);
    }
    return (now_ns() - began) / PAIRS;
}

static double plain_round(void)
{
    double began = now_ns();

    for (unsigned i = 0; i < PAIRS; i++) {
        free(allocate(64));
    }
    return (now_ns() - began) / PAIRS;
}

static void keep_least(double *best, double value)
{
    if (value < *best) {
        *best = value;
    }
}

int main(int argc, char **argv)
{
    double limit = argc == 3 && strcmp(argv[1], "--limit") == 0 ? atof(argv[2]) : 0;
    double pair = 1e9, both = 1e9, plain = 1e9;
    mp_component_t *c[8];
    char name[16];

    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), "part-%u", i);
        c[i] = mp_component(name);
    }
    round_of(c, true); /* the first use on this thread */
    for (unsigned i = 0; i < ROUNDS; i++) {
        keep_least(&pair, round_of(c, false));
        keep_least(&both, round_of(c, true));
        keep_least(&plain, plain_round());
    }
    printf("mp_enter + mp_leave               %6.2f ns\n", pair);
    printf("malloc + free                     %6.2f ns\n", plain);
    printf("mp_enter + malloc + free + leave  %6.2f ns\n", both);
    return limit > 0 && pair > limit;
}
