/*
 * exact - a program whose every block is known, for test_exact.py
 *
 * Some 100,000 blocks from several functions, in an order that depends on nothing. Each
 * function has one way to obtain a block; those that resize do that alone. The most is held at
 * once in hold_most, which frees nothing meanwhile. Some blocks are never freed.
 *
 * Prints, for each function that resizes, how often a block stayed what it was, and of how
 * many bytes: "NAME BLOCKS BYTES". No stdio, whose buffers would be blocks, too.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 3000, ROUNDS = 80000, MOST = 400, RESIZED = 300 };

/* A realloc that neither moves nor changes the block: mpalloc counts none, DHAT a new one. */
struct stayed {
    const char *name;
    unsigned long blocks;
    unsigned long bytes; /* the lesser of what was asked for before and after */
};

static void *slots[SLOTS];
static void *most[MOST];
static uint64_t state = 42;

static size_t draw(size_t least, size_t end)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return least + (size_t)(state >> 33) % (end - least);
}

static __attribute__((noinline)) void *take_small(void)
{
    return malloc(draw(1, 700)); /* line: take_small */
}

static __attribute__((noinline)) void *take_nothing(void)
{
    return malloc(0); /* line: take_nothing */
}

static __attribute__((noinline)) void *take_zeroed(void)
{
    return calloc(draw(1, 40), 24); /* line: take_zeroed */
}

static __attribute__((noinline)) void *take_aligned(void)
{
    return aligned_alloc(64, 64 * draw(1, 30)); /* line: take_aligned */
}

static __attribute__((noinline)) void *take_page(void)
{
    void *p;
    int code = posix_memalign(&p, 4096, draw(1, 9000)); /* line: take_page */

    return code == 0 ? p : NULL;
}

static __attribute__((noinline)) void *take_large(void)
{
    return malloc(draw(30000, 90000)); /* line: take_large */
}

static __attribute__((noinline)) void *take_deep(unsigned depth)
{
    if (depth > 0) {
        void *volatile p = take_deep(depth - 1);

        return p;
    }
    return malloc(draw(16, 100)); /* line: take_deep */
}

static void *take(void)
{
    switch (draw(0, 100)) {
    case 0:
        return take_large();
    case 1:
    case 2:
        return take_page();
    case 3:
    case 4:
    case 5:
        return take_aligned();
    case 6:
    case 7:
    case 8:
        return take_nothing();
    case 9:
    case 10:
    case 11:
        return take_deep((unsigned)draw(0, 8));
    default:
        return draw(0, 4) == 0 ? take_zeroed() : take_small();
    }
}

static void churn(void)
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t at = draw(0, SLOTS);

        free(slots[at]);
        slots[at] = take();
    }
}

static void note(struct stayed *s, const void *before, size_t old_usable, size_t old,
    void *p, size_t size)
{
    if (p == before && malloc_usable_size(p) == old_usable) {
        s->blocks++;
        s->bytes += old < size ? old : size;
    }
}

/* Strings that grow a little, then more: in place, moved, large, in place again. */
static __attribute__((noinline)) void grow(struct stayed *stayed)
{
    for (unsigned i = 0; i < RESIZED; i++) {
        size_t size = draw(1, 50);
        char *p = malloc(size); /* line: grow */

        while (size < 200000) {
            size_t more = size + 1 + size / draw(2, 12);
            const void *before = p;
            size_t usable = malloc_usable_size(p);

            p = realloc(p, more); /* line: grow more */
            note(stayed, before, usable, size, p, more);
            size = more;
        }
        if (i % 16 != 0) {
            free(p);
        }
    }
}

static __attribute__((noinline)) void shrink(struct stayed *stayed)
{
    for (unsigned i = 0; i < RESIZED; i++) {
        size_t size = draw(10000, 400000);
        char *p = malloc(size); /* line: shrink */

        while (size > 20) {
            size_t less = size - 1 - size / draw(2, 12);
            const void *before = p;
            size_t usable = malloc_usable_size(p);

            p = realloc(p, less); /* line: shrink more */
            note(stayed, before, usable, size, p, less);
            size = less;
        }
        if (i % 16 != 0) {
            free(p);
        }
    }
}

/* Of the mappings of huge blocks, too. */
static __attribute__((noinline)) void stretch(struct stayed *stayed)
{
    size_t size = 30 << 20;
    char *p = malloc(size); /* line: stretch */

    for (unsigned i = 0; i < 20; i++) {
        size_t other = draw(30 << 20, 50 << 20);
        const void *before = p;
        size_t usable = malloc_usable_size(p);

        other = i % 2 == 0 ? size + 100 : other;
        p = realloc(p, other); /* line: stretch more */
        note(stayed, before, usable, size, p, other);
        size = other;
    }
    free(p);
}

static __attribute__((noinline)) void hold_most(void)
{
    for (unsigned i = 0; i < MOST; i++) {
        most[i] = malloc(300000 + draw(0, 9000)); /* line: hold_most */
    }
    for (unsigned i = 0; i < MOST; i++) {
        free(most[i]);
    }
}

static void put_number(unsigned long n, char end)
{
    char text[24];
    size_t at = sizeof(text);

    text[--at] = end;
    do {
        text[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    if (write(1, text + at, sizeof(text) - at) < 0) {
        _exit(1);
    }
}

int main(void)
{
    static struct stayed stayed[] = {
        {"grow ", 0, 0}, {"shrink ", 0, 0}, {"stretch ", 0, 0}};

    churn();
    grow(&stayed[0]);
    hold_most();
    shrink(&stayed[1]);
    stretch(&stayed[2]);
    churn();
    for (unsigned i = 0; i < SLOTS; i += 2) {
        free(slots[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (write(1, stayed[i].name, strlen(stayed[i].name)) < 0) {
            return 1;
        }
        put_number(stayed[i].blocks, ' ');
        put_number(stayed[i].bytes, '\n');
    }
    return 0;
}
