/*
 * test.h - what the child programs of this folder share: CHECK, claims, errno, RSS
 *
 * Each program is a list of functions, one to each claim. Claims are printed when they
 * were verified; the first CHECK that fails prints its place and ends with code 1.
 * Output goes through write(2): the programs run where malloc fails, too.
 */
#ifndef TEST_H
#define TEST_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEST_SKIPPED = 77 };

#define CHECK(x) ((x) ? (void)0 : test_fail(#x, __FILE__, __LINE__))
#define CHECK_EQ(a, b)                                                                 \
    test_equal((uint64_t)(a), (uint64_t)(b), #a " == " #b, __FILE__, __LINE__)

static inline void test_write(const char *line, size_t bytes)
{
    ssize_t done = write(STDOUT_FILENO, line, bytes);

    (void)done;
}

__attribute__((noreturn)) static inline void test_fail(
    const char *what, const char *file, int line)
{
    char text[600];
    int n = snprintf(text, sizeof(text), "%s:%d: not so: %s\n", file, line, what);

    test_write(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
    _exit(1);
}

static inline void test_equal(
    uint64_t a, uint64_t b, const char *what, const char *file, int line)
{
    char text[400];

    if (a != b) {
        snprintf(text, sizeof(text), "%s (%llu and %llu)", what, (unsigned long long)a,
            (unsigned long long)b);
        test_fail(text, file, line);
    }
}

/* Zero-size blocks are then not to be touched, and usable sizes are what was asked for. */
static inline int test_is_hardened(void)
{
    const char *value = getenv("MPALLOC_HARDEN");

    return value != NULL && strcmp(value, "1") == 0;
}

static inline void test_claim(const char *name)
{
    char text[200];
    int n = snprintf(text, sizeof(text), "ok %s\n", name);

    test_write(text, (size_t)n);
}

/* Run the test function and print its name, which is its claim. */
#define RUN(function) (function(), test_claim(#function))

/* A value the compiler knows nothing of: so that it does not fold or warn. */
static inline size_t test_opaque(size_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value;
}

static inline void test_fill(void *p, int value, size_t bytes)
{
    memset(p, value, bytes);
}

static inline int test_is_filled(const void *p, int value, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)p;

    if (bytes == 0) {
        return 1;
    }
    return at[0] == (unsigned char)value && memcmp(at, at + 1, bytes - 1) == 0;
}

/* Field number `index` of /proc/self/statm, in bytes: 0 is address space, 1 resident. */
static inline size_t test_statm(int index)
{
    char text[128];
    char *at = text;
    size_t pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    text[n > 0 ? n : 0] = '\0';
    for (int i = 0; i <= index; i++) {
        pages = strtoul(at, &at, 10);
    }
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static inline uint64_t test_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
