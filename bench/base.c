/*
 * base - what every program here needs: its end with a message, the clock, arrays of its own
 *
 * Nothing in here calls malloc: the heap may be broken, or is what is being measured.
 */
#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void bench_fail(const char *format, ...)
{
    char line[256];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof(line) - 1, format, ap);
    va_end(ap);
    n = n < 0 ? 0 : n > (int)sizeof(line) - 2 ? (int)sizeof(line) - 2 : n;
    line[n] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)n + 1); /* the heap may be broken */
    _exit(1);
}

uint64_t bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void *array_map(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        bench_fail("no memory for the harness: %s", strerror(errno));
    }
    return p;
}

void array_unmap(void *array, size_t bytes)
{
    munmap(array, bytes);
}
