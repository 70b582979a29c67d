/*
 * history_load - one demanding process that changes: dumps of it, for a simulated month of history
 *
 *     history_load DIRECTORY DUMPS COMPONENTS STACKS
 *
 * So many components and call stacks; each stack loses memory for good, and in every dump another
 * share of memory is of each.
 */
#include <mpalloc.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCKS = 40000, DEPTH = 10, COMPONENTS_MAX = 1024 };

static void *held[BLOCKS];
static volatile int calls; /* what is behind a call cannot be left out */

/* The bits of a number are the way that is taken: 2^DEPTH stacks. */
__attribute__((noinline)) static void *left(
    mp_component_t *c, unsigned way, int depth, size_t bytes);

__attribute__((noinline)) static void *right(
    mp_component_t *c, unsigned way, int depth, size_t bytes)
{
    void *p = depth == 0  ? mp_malloc(c, bytes)
              : (way & 1) ? right(c, way >> 1, depth - 1, bytes)
                          : left(c, way >> 1, depth - 1, bytes);

    calls++;
    return p;
}

static void *left(mp_component_t *c, unsigned way, int depth, size_t bytes)
{
    void *p = depth == 0  ? mp_malloc(c, bytes)
              : (way & 1) ? right(c, way >> 1, depth - 1, bytes)
                          : left(c, way >> 1, depth - 1, bytes);

    calls += 2;
    return p;
}

int main(int argc, char **argv)
{
    static mp_component_t *parts[COMPONENTS_MAX];
    int dumps = argc > 4 ? atoi(argv[2]) : 0;
    unsigned part_count = argc > 4 ? (unsigned)atoi(argv[3]) : 1;
    unsigned stacks = argc > 4 ? (unsigned)atoi(argv[4]) : 1;

    for (unsigned i = 0; i < part_count && i < COMPONENTS_MAX; i++) {
        char name[64];

        snprintf(name, sizeof(name), "service-%u/part-number-%u", i / 16, i);
        parts[i] = mp_component(name);
    }
    for (int n = 0; n < dumps; n++) {
        struct mp_leak_summary found = {.size = sizeof(found), .wait_ms = 10};
        char path[4096];

        for (int i = 0; i < BLOCKS / (n == 0 ? 1 : 4); i++) {
            int at = n == 0 ? i : rand() % BLOCKS;
            unsigned way = (unsigned)rand() % stacks;

            free(held[at]);
            held[at] =
                right(parts[way % part_count], way, DEPTH, 100 + (size_t)rand() % 4000);
        }
        for (unsigned way = 0; way < stacks; way++) {
            for (int i = 0; i < 3; i++) {
                *(volatile char *)right(parts[way % part_count], way, DEPTH, 700) = 1;
            }
        }
        /* What a check found is in the dumps after it, too. */
        if (n % 4 == 0 && mp_leak_check(&found) != 0) {
            perror("mp_leak_check");
            return 1;
        }
        snprintf(path, sizeof(path), "%s/%d.mp", argv[1], n);
        if (mp_dump(path) != 0) {
            perror(path);
            return 1;
        }
    }
    return 0;
}
