/*
 * realloc - things that grow: vectors that double, buffers that gain 4 KiB, strings
 *
 * An operation is one call of realloc. Once the thing is complete its content is checked:
 * every word of a vector, both ends of every page of a buffer, every byte of a string.
 */
#include "bench.h"

#include <string.h>

static void *grow(void *p, size_t size)
{
    return checked(realloc(p, size), size);
}

/* A vector of words, 8 B to 1 MiB; 4 of them grow in turn. */
static void vector(struct worker *w)
{
    enum { VECTORS = 4 };
    size_t most = w->plan->workload->size / sizeof(uint64_t);

    while (worker_more(w)) {
        uint64_t *v[VECTORS] = {NULL};

        for (size_t n = 1; n <= most; n *= 2) {
            for (unsigned i = 0; i < VECTORS; i++) {
                v[i] = grow(v[i], n * sizeof(uint64_t));
                for (size_t at = n / 2; at < n; at++) {
                    v[i][at] = at + i;
                }
                w->ops++;
            }
        }
        for (unsigned i = 0; i < VECTORS; i++) {
            for (size_t at = 0; at < most; at++) {
                if (v[i][at] != at + i) {
                    bench_fail("word %zu of a vector is wrong", at);
                }
            }
            free(v[i]);
        }
    }
}

/* A buffer that gains 4 KiB at a time; a block behind it comes and goes. */
static void append(struct worker *w)
{
    size_t most = w->plan->workload->size;

    while (worker_more(w)) {
        char *p = NULL;

        for (size_t size = 4096; size <= most; size += 4096) {
            void *other = block_new(8192);

            p = grow(p, size);
            memset(p + size - 4096, (int)(size >> 12), 64);
            p[size - 1] = (char)(size >> 12);
            block_delete(other, 8192);
            w->ops++;
        }
        for (size_t size = 4096; size <= most; size += 4096) {
            if (p[size - 4096] != (char)(size >> 12)
                || p[size - 1] != (char)(size >> 12)) {
                bench_fail("page %zu of a buffer is wrong", size >> 12);
            }
        }
        free(p);
    }
}

/* 64 strings that gain 1 to 24 bytes at a time until they have 400. */
static void strings(struct worker *w)
{
    enum { STRINGS = 64, LONG = 400 };
    char *s[STRINGS] = {NULL};
    size_t length[STRINGS] = {0};

    while (worker_more(w)) {
        for (unsigned i = 0; i < 256; i++) {
            size_t at = random_below(&w->random, STRINGS);
            size_t more = 1 + random_below(&w->random, 24);

            s[at] = grow(s[at], length[at] + more + 1);
            memset(s[at] + length[at], 'a' + (int)at % 26, more);
            length[at] += more;
            s[at][length[at]] = '\0';
            if (length[at] >= LONG) {
                char is[2] = {(char)('a' + (int)at % 26), '\0'};

                if (strspn(s[at], is) != length[at]) {
                    bench_fail("a string of %zu bytes is wrong", length[at]);
                }
                free(s[at]);
                s[at] = NULL;
                length[at] = 0;
            }
        }
        w->ops += 256;
    }
    for (unsigned i = 0; i < STRINGS; i++) {
        free(s[i]);
    }
}

#define ONE_THREAD .threads = 1, .at_least = 1

const struct workload realloc_workloads[] = {
    {"realloc-vector", "4 vectors that double from 8 B to 1 MiB",
        .groups = "vec_allocations", ONE_THREAD, .ops = 80000, .size = MIB,
        .work = vector},
    {"realloc-append", "a buffer of up to 8 MiB that gains 4 KiB at a time",
        .groups = "vec_allocations", ONE_THREAD, .ops = 400000, .size = 8 * MIB,
        .work = append},
    {"realloc-string", "64 strings that gain 1 to 24 B at a time",
        .groups = "string_allocations", ONE_THREAD, .ops = 32000000, .work = strings},
    {0},
};
