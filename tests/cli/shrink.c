/*
 * shrink - a cache that shrinks under memory pressure, for the tests
 *
 *     shrink MOST
 *
 * Adds blocks until MOST bytes were allocated in all; drops half of them whenever it is told that
 * pressure is 0.5 or more. Prints how often it was told, the pressure of the first time, and the
 * most bytes that it held.
 */
#include <mpalloc.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned told;
static double told_value;
static volatile bool must_shrink;

static void on_pressure(double pressure, void *arg)
{
    free(malloc(100));
    told_value = told++ == 0 ? pressure : told_value;
    *(volatile bool *)arg = true;
}

int main(int argc, char **argv)
{
    uint64_t most = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    void **first = NULL;
    uint64_t blocks = 0;
    uint64_t highest = 0;

    if (mp_pressure_subscribe(on_pressure, (void *)&must_shrink, 0.5) != 0) {
        return 1;
    }
    for (uint64_t bytes = 0; bytes < most; bytes += 1000) {
        void **p = malloc(1000);

        if (p == NULL) {
            return 2;
        }
        memset(p, 1, 1000);
        *p = (void *)first;
        first = p;
        blocks++;
        highest = blocks > highest ? blocks : highest;
        if (bytes % 1000000 == 0) {
            usleep(16000);
        }
        if (must_shrink) {
            must_shrink = false;
            for (uint64_t n = blocks / 2; n > 0; n--, blocks--) {
                p = first;
                first = *p;
                free(p);
            }
        }
    }
    printf("%u %.3f %llu %.3f\n", told, told_value, (unsigned long long)highest * 1000,
        mp_pressure());
    return 0;
}
