/*
 * prog - code for the profiles of test_export.py: calls that are inlined, and a library
 *
 * Never run for long: its addresses are what the tests want. Each function calls malloc, or
 * one that does, on a line of its own.
 */
#include "proglib.h"

#include <stdlib.h>

static inline __attribute__((always_inline)) void *inner(size_t n)
{
    return malloc(n); /* line: inner */
}

static inline __attribute__((always_inline)) void *middle(size_t n)
{
    return inner(n + 1); /* line: middle */
}

__attribute__((noinline)) void *outer(size_t n);
void *outer(size_t n)
{
    char *p = middle(n); /* line: outer */

    p[0] = 1;
    return p;
}

__attribute__((noinline)) void *direct(size_t n);
void *direct(size_t n)
{
    char *p = malloc(n); /* line: direct */

    p[0] = 2;
    return p;
}

int main(int argc, char **argv)
{
    (void)argv;
    free(outer((size_t)argc));        /* line: main outer */
    free(direct((size_t)argc));       /* line: main direct */
    free(library_take((size_t)argc)); /* line: main library */
    return 0;
}
