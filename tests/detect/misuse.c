/*
 * misuse - one mistake with memory at a time
 *
 *     misuse CASE BYTES
 *     misuse --list
 *
 * Each case makes its mistake with a block of BYTES bytes and then ends. Exit status: 0 when
 * nobody noticed, 3 when the program itself saw that the allocator prevented it. Whoever
 * notices kills the process, so every other end counts as caught. Built without
 * optimisation: the compiler would notice most of this.
 */
#include <alloca.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { UNNOTICED = 0, PREVENTED = 3, MANY = 256 };

static volatile size_t bytes;

static unsigned char *get(void)
{
    unsigned char *p = malloc(bytes);

    if (p == NULL) {
        _exit(99);
    }
    return p;
}

static unsigned char *get_filled(void)
{
    unsigned char *p = get();

    memset(p, 'A', bytes);
    return p;
}

/* ---- overflow and underflow ---- */

static void write_direct(unsigned char *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ((volatile unsigned char *)to)[i] = 'B';
    }
}

static void write_copy(unsigned char *to, size_t n)
{
    static unsigned char from[1 << 20];
    void *(*volatile copy)(void *, const void *, size_t) = memcpy;

    memset(from, 'B', sizeof(from));
    copy(to, from, n);
}

static int over(size_t n, void (*write)(unsigned char *, size_t))
{
    unsigned char *before = get_filled(); /* so that it has neighbours */
    unsigned char *p = get_filled();
    unsigned char *after = get_filled();

    write(p + bytes, n);
    free(p);
    free(before);
    free(after);
    return UNNOTICED;
}

static int under(size_t n, void (*write)(unsigned char *, size_t))
{
    unsigned char *before = get_filled(); /* so that it has neighbours */
    unsigned char *p = get_filled();
    unsigned char *after = get_filled();

    write(p - n, n);
    free(p);
    free(before);
    free(after);
    return UNNOTICED;
}

#define OVER(name, n, write)                                                           \
    static int name##_overflow(void)                                                   \
    {                                                                                  \
        return over((n), (write));                                                     \
    }                                                                                  \
    static int name##_underflow(void)                                                  \
    {                                                                                  \
        return under((n), (write));                                                    \
    }
OVER(one_byte, 1, write_direct)
OVER(one_byte_memcpy, 1, write_copy)
OVER(thirty_two_bytes, 32, write_direct)
OVER(thirty_two_bytes_memcpy, 32, write_copy)
OVER(one_mbyte, 1 << 20, write_direct)
OVER(one_mbyte_memcpy, 1 << 20, write_copy)

/* ---- freed twice ---- */

static int double_free(void)
{
    unsigned char *p = get_filled();

    free(p);
    free(p);
    return UNNOTICED;
}

static int double_free_delayed(void)
{
    unsigned char *p = get_filled();
    unsigned char *other[MANY];

    free(p);
    for (int i = 0; i < MANY; i++) {
        other[i] = malloc(i + 32u);
    }
    for (int i = 0; i < MANY; i++) {
        free(other[i]);
    }
    free(p);
    return UNNOTICED;
}

static int double_free_interleaved(void)
{
    unsigned char *p = get_filled();
    unsigned char *q = get_filled();

    free(p);
    free(q);
    free(p);
    return UNNOTICED;
}

/* The second free comes when others may have the block: theirs must not vanish. */
static int double_free_reuse(void)
{
    unsigned char *p = get_filled();
    unsigned char *other[MANY];

    free(p);
    for (int i = 0; i < MANY; i++) {
        other[i] = get_filled();
    }
    free(p);
    for (int i = 0; i < MANY; i++) {
        free(other[i]);
    }
    return UNNOTICED;
}

static int double_free_single_reuse(void)
{
    unsigned char *p = get_filled();
    unsigned char *q;

    free(p);
    q = get_filled();
    free(p);
    free(q);
    return UNNOTICED;
}

/* ---- what is no block ---- */

static int invalid_free_alloca(void)
{
    unsigned char *p = alloca(bytes + 16);

    memset(p, 0, bytes);
    free(p);
    return UNNOTICED;
}

static int invalid_free_stack(void)
{
    unsigned char room[512];

    memset(room, 0, sizeof(room));
    free(room + 16);
    return UNNOTICED;
}

static int invalid_free_mapped(void)
{
    unsigned char *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    free(p);
    return UNNOTICED;
}

/* A block's length behind a block: the start of another one, maybe never handed out. */
static int invalid_free_close(void)
{
    unsigned char *p = get_filled();

    free(p + bytes * 3);
    return UNNOTICED;
}

static int invalid_free_far(void)
{
    unsigned char *p = get_filled();

    free(p + ((size_t)1 << 40));
    return UNNOTICED;
}

static int invalid_free_unaligned(void)
{
    unsigned char *p = get_filled();

    free(p + 1);
    return UNNOTICED;
}

static int invalid_free_interior(void)
{
    unsigned char *p = get_filled();

    free(p + (bytes > 16 ? 16 : 8));
    return UNNOTICED;
}

/* ---- properties ---- */

static int executable_heap(void)
{
    unsigned char *p = get();

    p[0] = 0xc3; /* ret */
    ((void (*)(void))(uintptr_t)p)();
    return UNNOTICED;
}

static int impossibly_large_malloc(void)
{
    void *p = malloc((size_t)PTRDIFF_MAX + bytes);

    return p == NULL && errno == ENOMEM ? PREVENTED : UNNOTICED;
}

static int reuse(size_t second)
{
    unsigned char *p = get_filled();
    unsigned char *q;

    free(p);
    q = malloc(second);
    return p != q ? PREVENTED : UNNOTICED;
}

static int malloc_reuse(void)
{
    return reuse(bytes);
}

static int malloc_reuse_downsize(void)
{
    return reuse(bytes - bytes / 8);
}

static int realloc_reuse(void)
{
    unsigned char *p = get_filled();
    unsigned char *q = realloc(p, bytes * 4);
    unsigned char *r;

    if (q == p) {
        return UNNOTICED;
    }
    r = get();
    write_direct(p, 8); /* through the old pointer */
    return r != p ? PREVENTED : UNNOTICED;
}

static int zero_size(bool is_freed, bool is_write)
{
    volatile unsigned char *p = malloc(0);

    if (is_freed) {
        free((void *)p);
    }
    if (is_write) {
        p[0] = 'B';
        p[bytes % 16] = 'B';
    } else {
        return p[0] == 'x' ? 1 : UNNOTICED;
    }
    return UNNOTICED;
}

static int read_zero_size(void)
{
    return zero_size(false, false);
}

static int read_zero_size_free(void)
{
    return zero_size(true, false);
}

static int write_zero_size(void)
{
    return zero_size(false, true);
}

static int write_zero_size_free(void)
{
    return zero_size(true, true);
}

static int write_after_free(void)
{
    static unsigned char *other[32 * MANY];
    unsigned char *p = get_filled();
    int n = bytes <= 16 ? 32 * MANY : MANY;

    free(p);
    write_direct(p, 8);
    for (int i = 0; i < n; i++) { /* somebody gets it */
        other[i] = get_filled();
    }
    for (int i = 0; i < n; i++) {
        free(other[i]);
    }
    return UNNOTICED;
}

static int write_after_free_reuse(void)
{
    unsigned char *p = get_filled();
    unsigned char *q;

    free(p);
    q = get_filled();
    write_direct(p, 8);
    return q[0] != 'B' ? PREVENTED : UNNOTICED;
}

static int zero_after_free(void)
{
    unsigned char *p = get_filled();
    size_t kept = 0;

    free(p);
    for (size_t i = 16; i < (bytes < 64 ? 64 : bytes); i++) {
        kept += ((volatile unsigned char *)p)[i] == 'A';
    }
    if (bytes <= 16) {
        kept = ((volatile unsigned char *)p)[7] == 'A' || p[0] == 'A';
    }
    return kept == 0 ? PREVENTED : UNNOTICED;
}

static int zero_on_malloc(void)
{
    unsigned char *p[MANY];
    size_t kept = 0;

    for (int i = 0; i < MANY; i++) {
        p[i] = get_filled();
    }
    for (int i = 0; i < MANY; i++) {
        free(p[i]);
    }
    for (int i = 0; i < MANY; i++) {
        p[i] = get();
        for (size_t k = 0; k < bytes; k++) {
            kept += p[i][k] == 'A';
        }
    }
    return kept == 0 ? PREVENTED : UNNOTICED;
}

#define CASE(f)                                                                        \
    {                                                                                  \
#        f, f                                                                          \
    }
static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    CASE(one_byte_overflow),
    CASE(one_byte_underflow),
    CASE(one_byte_memcpy_overflow),
    CASE(one_byte_memcpy_underflow),
    CASE(thirty_two_bytes_overflow),
    CASE(thirty_two_bytes_underflow),
    CASE(thirty_two_bytes_memcpy_overflow),
    CASE(thirty_two_bytes_memcpy_underflow),
    CASE(one_mbyte_overflow),
    CASE(one_mbyte_underflow),
    CASE(one_mbyte_memcpy_overflow),
    CASE(one_mbyte_memcpy_underflow),
    CASE(double_free),
    CASE(double_free_delayed),
    CASE(double_free_interleaved),
    CASE(double_free_reuse),
    CASE(double_free_single_reuse),
    CASE(invalid_free_alloca),
    CASE(invalid_free_stack),
    CASE(invalid_free_mapped),
    CASE(invalid_free_close),
    CASE(invalid_free_far),
    CASE(invalid_free_unaligned),
    CASE(invalid_free_interior),
    CASE(executable_heap),
    CASE(impossibly_large_malloc),
    CASE(malloc_reuse),
    CASE(malloc_reuse_downsize),
    CASE(realloc_reuse),
    CASE(read_zero_size),
    CASE(read_zero_size_free),
    CASE(write_zero_size),
    CASE(write_zero_size_free),
    CASE(write_after_free),
    CASE(write_after_free_reuse),
    CASE(zero_after_free),
    CASE(zero_on_malloc),
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            puts(cases[i].name);
        }
        return 0;
    }
    for (size_t i = 0; argc == 3 && i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            bytes = strtoul(argv[2], NULL, 10);
            return cases[i].run();
        }
    }
    fprintf(stderr, "usage: misuse CASE BYTES, or misuse --list\n");
    return 2;
}
