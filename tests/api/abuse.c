/*
 * abuse - one misuse of the heap, by name; abuse.py says what must come of it
 *
 *     abuse MODE
 *
 * Prints the address that is misused, then "continued" and the number of invalid frees
 * counted ("-" where the library has no counters), when it comes that far.
 */
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <mpalloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

enum { MIB = 1 << 20 };

static char in_data[4096] __attribute__((aligned(64)));

/* Say which address comes now; the compiler shall not know it. */
static void *target(const void *p)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "address 0x%lx\n", (unsigned long)p);

    test_write(text, (size_t)n);
    return (void *)test_opaque((uintptr_t)p);
}

static void *in_thread(void *p)
{
    free(p);
    return NULL;
}

static void free_in_thread(void *p)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, in_thread, p) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void large_interior(void)
{
    free(target((char *)malloc(200000) + 65536));
}
static void large_unaligned(void)
{
    free(target((char *)malloc(200000) + 1));
}
static void large_second_line(void)
{
    free(target((char *)malloc(200000) + 64));
}
static void huge_interior(void)
{
    free(target((char *)malloc(40 * MIB) + 4096));
}
static void stack_address(void)
{
    char on_stack[256];

    free(target(on_stack + 64));
}
static void data_address(void)
{
    free(target(in_data + 64));
}
static void tiny_address(void)
{
    free(target((void *)64));
}
static void noncanonical_address(void)
{
    free(target((void *)0x4141414141414140));
}
static void mapped_address(void)
{
    free(target(mmap(
        NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
}
static void large_twice(void)
{
    char *p = malloc(200000);

    free(p);
    free(target(p));
}
static void large_twice_in_merged_run(void)
{
    char *p[3] = {malloc(200000), malloc(200000), malloc(200000)};

    for (int i = 0; i < 3; i++) {
        free(p[i]);
    }
    free(target(p[1]));
}
static void large_twice_after_trim(void)
{
    char *p = malloc(200000);

    free(p);
    malloc_trim(0);
    free(target(p));
}
/* Its place belongs to the inside of another block by now. */
static void large_twice_inside_next(void)
{
    char *p[8], *q;

    for (int i = 0; i < 8; i++) {
        p[i] = malloc(200000);
    }
    for (int i = 0; i < 8; i++) {
        free(p[i]);
    }
    q = malloc(1500000);
    CHECK(p[3] > q && p[3] < q + 1500000);
    free(target(p[3]));
}
static void large_twice_in_thread(void)
{
    char *p;

    free_in_thread(NULL); /* what glibc allocates for a thread takes another span */
    p = malloc(200000);
    free(p);
    free_in_thread(target(p));
}
static void huge_twice(void)
{
    char *p = malloc(40 * MIB);

    free(p);
    free(target(p));
}
static void huge_twice_after_move(void)
{
    char *p = malloc(40 * MIB);

    p = realloc(p, 80 * MIB);
    CHECK(p != NULL);
    free(p);
    free(target(p));
}
/* Not found at once, says README.md: what must not happen is a hang or a wild access. */
static void small_twice(void)
{
    char *p = malloc(100);

    free(p);
    free(target(p));
}
static void small_twice_with_another_between(void)
{
    char *p = malloc(100);
    char *q = malloc(100);

    free(p);
    free(q);
    free(target(p));
}
static void small_twice_after_its_span_is_free(void)
{
    enum { COUNT = 3000 };
    static char *p[COUNT];

    for (int i = 0; i < COUNT; i++) {
        p[i] = malloc(1000);
    }
    for (int i = 0; i < COUNT; i++) {
        free(p[i]);
    }
    malloc_trim(0);
    free(target(p[COUNT / 2]));
}
static void small_interior_in_thread(void)
{
    free_in_thread(target((char *)malloc(64) + 16));
}
static void small_unaligned_in_thread(void)
{
    free_in_thread(target((char *)malloc(64) + 1));
}
static void *free_for_ever(void *p)
{
    for (int i = 0; i < 100000; i++) {
        free(p);
    }
    return NULL;
}
/* More blocks come back to a slab than it ever gave out. */
static void small_many_times_in_thread(void)
{
    pthread_t thread;
    char *p = malloc(64);

    CHECK(pthread_create(&thread, NULL, free_for_ever, target(p)) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}
static void realloc_freed_large(void)
{
    char *p = malloc(200000);

    free(p);
    errno = 0;
    CHECK(realloc(target(p), 300000) == NULL && errno == ENOMEM);
}
static void realloc_freed_huge(void)
{
    char *p = malloc(40 * MIB);

    free(p);
    CHECK(realloc(target(p), 80 * MIB) == NULL);
}
static void realloc_interior(void)
{
    CHECK(realloc(target((char *)malloc(200000) + 64), 300000) == NULL);
}
static void realloc_stack_address(void)
{
    char on_stack[256];

    CHECK(realloc(target(on_stack + 64), 300000) == NULL);
}
static void realloc_zero_stack_address(void)
{
    char on_stack[256];

    CHECK(realloc(target(on_stack + 64), 0) == NULL);
}
/* The size of what is no block is 0; asking is no crime. */
static void usable_size_of_wild_pointers(void)
{
    char on_stack[256];
    char *large = malloc(200000);

    CHECK(malloc_usable_size(target(on_stack + 64)) == 0);
    CHECK(malloc_usable_size((void *)test_opaque(64)) == 0);
    CHECK(malloc_usable_size((void *)test_opaque(0x4141414141414140)) == 0);
    CHECK(malloc_usable_size((char *)test_opaque((size_t)large) + 64) == 0);
    free(large);
    CHECK(malloc_usable_size((void *)test_opaque((uintptr_t)large)) == 0);
}

static const struct {
    const char *name;
    void (*commit)(void);
} modes[] = {
#define MODE(name)                                                                     \
    {                                                                                  \
#        name, name                                                                    \
    }
    MODE(large_interior),
    MODE(large_unaligned),
    MODE(large_second_line),
    MODE(huge_interior),
    MODE(stack_address),
    MODE(data_address),
    MODE(tiny_address),
    MODE(noncanonical_address),
    MODE(mapped_address),
    MODE(large_twice),
    MODE(large_twice_in_merged_run),
    MODE(large_twice_after_trim),
    MODE(large_twice_inside_next),
    MODE(large_twice_in_thread),
    MODE(huge_twice),
    MODE(huge_twice_after_move),
    MODE(small_twice),
    MODE(small_twice_with_another_between),
    MODE(small_twice_after_its_span_is_free),
    MODE(small_interior_in_thread),
    MODE(small_unaligned_in_thread),
    MODE(small_many_times_in_thread),
    MODE(realloc_freed_large),
    MODE(realloc_freed_huge),
    MODE(realloc_interior),
    MODE(realloc_stack_address),
    MODE(realloc_zero_stack_address),
    MODE(usable_size_of_wild_pointers),
};

static int (*find_snapshot(void))(struct mp_snapshot *)
{
#ifdef TEST_LINKED
    return mp_snapshot;
#else
    int (*found)(struct mp_snapshot *);

    *(void **)&found = dlsym(RTLD_DEFAULT, "mp_snapshot");
    return found;
#endif
}

static void say_continued(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    int (*snapshot)(struct mp_snapshot *) = find_snapshot();
    char text[64];
    int n;

    CHECK(snapshot != NULL);
    if (snapshot(&s) == 0) {
        n = snprintf(text, sizeof(text), "continued %lu\n", s.invalid_frees_total);
    } else {
        n = snprintf(text, sizeof(text), "continued -\n");
    }
    test_write(text, (size_t)n);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, argv[1]) == 0) {
            modes[i].commit();
            for (int k = 0; k < 1000; k++) { /* the heap still works */
                void *p = malloc(16 + (size_t)k * 37 % 70000);

                CHECK(p != NULL);
                free(p);
            }
            say_continued();
            return 0;
        }
    }
    return 2;
}
