/*
 * early - malloc is called before any constructor: by an IFUNC resolver, in preinit_array
 *
 * Blocks of that time are used, resized and freed later, also by other threads. With
 * EARLY_LIBRARY it is a library that does so in its own resolver and constructor.
 */
#include "../api/test.h"

#include <pthread.h>

struct early {
    char *blocks[40];
    char *large;
};

static struct early from_resolver __attribute__((unused));
static int (*volatile keep)(void);

static void fill(struct early *e)
{
    for (size_t i = 0; i < 40; i++) {
        e->blocks[i] = malloc(1 + i * 37);
        test_fill(e->blocks[i], (int)i, 1 + i * 37);
    }
    for (size_t i = 0; i < 40; i += 2) {
        free(e->blocks[i]);
        e->blocks[i] = calloc(1 + i * 37, 1);
    }
    e->large = malloc(300000);
    test_fill(e->large, 5, 300000);
}

static void verify(struct early *e)
{
    for (size_t i = 0; i < 40; i++) {
        CHECK(test_is_filled(e->blocks[i], i % 2 ? (int)i : 0, 1 + i * 37));
        e->blocks[i] = realloc(e->blocks[i], 5000 + i);
        CHECK(test_is_filled(e->blocks[i], i % 2 ? (int)i : 0, 1 + i * 37));
    }
    CHECK(test_is_filled(e->large, 5, 300000));
    e->large = realloc(e->large, 3000000);
    CHECK(test_is_filled(e->large, 5, 300000));
}

static void *empty(void *data)
{
    struct early *e = data;

    for (size_t i = 0; i < 40; i++) {
        free(e->blocks[i]);
    }
    free(e->large);
    return NULL;
}

static void use_up(struct early *e)
{
    pthread_t thread;

    verify(e);
    CHECK(pthread_create(&thread, NULL, empty, e) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static int answer(void)
{
    return 42;
}

__attribute__((unused)) static int (*resolve(void))(void)
{
#ifndef EARLY_ARCHIVE /* there the resolver runs before thread-local storage is ready */
    fill(&from_resolver);
#endif
    return answer;
}

#ifdef EARLY_LIBRARY
int early_library(void);
static struct early from_constructor;

__attribute__((visibility("hidden"))) int chosen_in_library(void)
    __attribute__((ifunc("resolve")));

__attribute__((constructor(101))) static void construct(void)
{
    fill(&from_constructor);
}

int early_library(void)
{
    keep = chosen_in_library;
    CHECK(keep() == 42);
    use_up(&from_resolver);
    use_up(&from_constructor);
    return 1;
}
#else
#    ifdef EARLY_WITH_LIBRARY
int early_library(void);
#    endif
static struct early from_preinit;

int chosen(void) __attribute__((ifunc("resolve")));

static void preinit(void)
{
    fill(&from_preinit);
}

__attribute__((section(".preinit_array"), used)) static void (*const entry)(
    void) = preinit;

int main(void)
{
    keep = chosen;
    CHECK(keep() == 42);
#    ifndef EARLY_ARCHIVE
    use_up(&from_resolver);
#    endif
    use_up(&from_preinit);
#    ifdef EARLY_WITH_LIBRARY
    CHECK(early_library() == 1);
#    endif
    printf("served before all constructors\n");
    return 0;
}
#endif
