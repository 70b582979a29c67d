/*
 * late - a program on the malloc of another opens libmpalloc, or a plugin linked with it
 *
 * Usage: late LIBRARY PLUGIN_LINKED. Every block can be given to every free. With
 * LATE_TAKES_ADDRESS, built as a non-PIE, the address of malloc is an entry of its PLT; with
 * LATE_OWN_MALLOC it exports a malloc of its own.
 */
#include "../api/test.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

#ifdef LATE_OWN_MALLOC
/* The least that there is: handed out and never reused; each with its size in front. */
static _Alignas(16) char store[64 << 20];
static size_t used; /* atomic */

void *malloc(size_t size)
{
    size_t at =
        __atomic_fetch_add(&used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED) + 16;

    memcpy(store + at - 16, &size, sizeof(size));
    return store + at;
}

void free(void *p)
{
    CHECK(p == NULL || ((char *)p > store && (char *)p < store + sizeof(store)));
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size);
}

void *realloc(void *p, size_t size)
{
    size_t old = 0;
    void *q = malloc(size);

    if (p != NULL) {
        memcpy(&old, (char *)p - 16, sizeof(old));
        memcpy(q, p, old < size ? old : size);
    }
    return q;
}
#endif

#ifdef LATE_TAKES_ADDRESS
void *(*volatile take_malloc)(size_t) = malloc;
void (*volatile take_free)(void *) = free;
#endif

static void *need(void *handle, const char *name)
{
    void *found = dlsym(handle, name);

    if (found == NULL) {
        fprintf(stderr, "%s: %s\n", name, dlerror());
    }
    CHECK(found != NULL);
    return found;
}

typedef void *(*maker)(size_t);
typedef void (*dropper)(void *);
typedef void (*sized_dropper)(void *, size_t);

static void *in_thread(void *function)
{
    return ((maker)function)(5000);
}

/* Blocks of each maker to each dropper. */
static void cross(maker *make, size_t makers, dropper *drop, size_t droppers)
{
    for (size_t m = 0; m < makers; m++) {
        for (size_t d = 0; d < droppers; d++) {
            for (size_t size = 0; size < 300000; size += size / 2 + 1) {
                char *p = make[m](size);

                CHECK(p != NULL);
                memset(p, 7, size);
                drop[d](p);
            }
        }
    }
}

int main(int argc, char **argv)
{
    void *ours;
    void *plugin;
    void *(*resize)(void *, size_t);
    void *(*zeroed)(size_t, size_t);
    void *(*aligned)(size_t, size_t);
    size_t (*usable)(void *);
    pthread_t thread;
    void *p;
    maker make[4] = {malloc};
    dropper drop[4] = {free};

    CHECK(argc == 3);
    ours = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (ours == NULL) {
        fprintf(stderr, "dlopen: %s\n", dlerror());
    }
    CHECK(ours != NULL);
    plugin = dlopen(argv[2], RTLD_NOW | RTLD_DEEPBIND);
    CHECK(plugin != NULL);
    make[1] = (maker)need(ours, "malloc");
    make[2] = (maker)need(plugin, "plugin_malloc");
    make[3] = (maker)need(plugin, "plugin_mp_malloc");
    drop[1] = (dropper)need(ours, "free");
    drop[2] = (dropper)need(plugin, "plugin_free");
    drop[3] = (dropper)need(ours, "_ZdlPv");
    cross(make, 4, drop, 4);

    ((sized_dropper)need(RTLD_DEFAULT, "free_sized"))(malloc(100), 100);
    resize = (void *(*)(void *, size_t))need(ours, "realloc");
    p = resize(malloc(10), 100000);
    test_fill(p, 9, 100000);
    p = realloc(p, 50);
    CHECK(test_is_filled(p, 9, 50));
    free(resize(resize(p, 7), 60000));
    zeroed = (void *(*)(size_t, size_t))need(ours, "calloc");
    for (size_t size = 1; size < 200000; size *= 3) {
        p = zeroed(1, size);
        CHECK(test_is_filled(p, 0, size));
        free(p);
    }
    aligned = (void *(*)(size_t, size_t))need(ours, "aligned_alloc");
    p = aligned(4096, 100);
    CHECK((uintptr_t)p % 4096 == 0);
#ifndef LATE_OWN_MALLOC /* that has no aligned blocks: they are the C library's */
    free(p);
    usable = (size_t(*)(void *))need(ours, "malloc_usable_size");
    p = malloc(1000);
    CHECK_EQ(usable(p), malloc_usable_size(p));
    free(p);
#else
    (void)usable;
#endif
    CHECK(pthread_create(&thread, NULL, in_thread, (void *)make[3]) == 0);
    CHECK(pthread_join(thread, &p) == 0);
    free(p);
    printf("nothing is half\n");
    return 0;
}
