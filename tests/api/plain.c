/*
 * plain - a program that knows nothing of the library, for shapes.py to put it under things
 *
 *     plain               allocates in two threads, says "fine"
 *     plain wait          says "ready" and sleeps, with a block that says so
 *     plain leak          loses 1,234 bytes
 *     plain touch_freed   reads a freed block
 *     plain late LIBRARY PLUGIN   opens the library while it runs
 */
#include "plugin.h"
#include "test.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

static const char *volatile marker;

static void *churn(void *arg)
{
    uint64_t state = 3;
    void *p[100] = {NULL};

    for (int i = 0; i < 20000; i++) {
        size_t k = test_random(&state) % 100;

        free(p[k]);
        p[k] = malloc(1 + test_random(&state) % (i % 100 == 0 ? 300000 : 2000));
        CHECK(p[k] != NULL);
        test_fill(p[k], 1, 1);
    }
    for (int k = 0; k < 100; k++) {
        free(p[k]);
    }
    return arg;
}

static void run(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, churn, NULL) == 0);
    churn(NULL);
    CHECK(pthread_join(thread, NULL) == 0);
}

static const char *file_of(const void *p)
{
    Dl_info info;

    return p != NULL && dladdr(p, &info) != 0 ? info.dli_fname : "";
}

/*
 * F85: what is opened late serves who asks it by handle, with blocks that any free takes;
 * neither the program nor a plugin that comes later may get one half of it.
 */
static void open_late(const char *library, const char *plugin)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    void *(*its_malloc)(size_t);
    void (*its_free)(void *);
    size_t (*its_usable)(void *);
    const void *(*plugins_malloc)(void);
    void *p, *before = malloc(100);

    if (handle == NULL) {
        test_fail(dlerror(), __FILE__, __LINE__);
    }
    *(void **)&its_malloc = dlsym(handle, "malloc");
    *(void **)&its_free = dlsym(handle, "free");
    *(void **)&its_usable = dlsym(handle, "malloc_usable_size");
    CHECK(strstr(file_of(*(void **)&its_malloc), "mpalloc") != NULL);
    p = its_malloc(5000);
    CHECK(p != NULL && its_usable(p) >= 5000 && its_usable(before) >= 100);
    free(p);
    its_free(before);
    run();
    handle = dlopen(plugin, RTLD_NOW);
    CHECK(handle != NULL);
    *(void **)&plugins_malloc = dlsym(handle, "plugin_address_of_malloc");
    CHECK(strstr(file_of(plugins_malloc()), "libc.so") != NULL);
    run();
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (strcmp(mode, "late") == 0) {
        open_late(argv[2], argv[3]);
    } else if (strcmp(mode, "wait") == 0) {
        marker = strdup("a block of the program");
        test_claim("ready");
        alarm(60);
        pause();
    } else if (strcmp(mode, "leak") == 0) {
        test_fill(malloc(test_opaque(1234)), 1, 1234);
    } else if (strcmp(mode, "touch_freed") == 0) {
        volatile char *p = malloc(test_opaque(100));

        free((void *)p);
        test_fill((void *)test_opaque((size_t)p), 1, 1);
    } else {
        run();
    }
    test_claim("fine");
    return 0;
}
