/*
 * loader - shared objects come and go while threads allocate
 *
 *     loader ROUNDS PLUGIN...
 *
 * F84 to F92: dlopen and dlclose under load, threads that outlive a plugin, namespaces of
 * their own, callbacks of dl_iterate_phdr that allocate while the library writes figures.
 * The plugins are plugin.c, built in different ways; the first two are used at once.
 */
#include "plugin.h"
#include "test.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

enum { PLUGINS_MAX = 8 };

static int rounds;
static int plugins;
static char **plugin;
static bool stopping;

struct functions {
    int (*resolved)(void);
    int (*is_fresh)(void);
    char *(*use_thread)(void);
    void (*forget_thread)(void);
    void *(*allocate)(size_t bytes);
    void (*release)(void *p);
    int (*churn)(void);
    const void *(*address_of_malloc)(void);
};

static void *function(void *handle, const char *name)
{
    void *f = dlsym(handle, name);

    if (f == NULL) {
        test_fail(name, __FILE__, __LINE__);
    }
    return f;
}

static struct functions functions_of(void *handle)
{
    struct functions f;

    *(void **)&f.resolved = function(handle, "plugin_resolved");
    *(void **)&f.is_fresh = function(handle, "plugin_is_fresh");
    *(void **)&f.use_thread = function(handle, "plugin_use_thread");
    *(void **)&f.forget_thread = function(handle, "plugin_forget_thread");
    *(void **)&f.allocate = function(handle, "plugin_malloc");
    *(void **)&f.release = function(handle, "plugin_free");
    *(void **)&f.churn = function(handle, "plugin_churn");
    *(void **)&f.address_of_malloc = function(handle, "plugin_address_of_malloc");
    return f;
}

static void *load(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        test_fail(dlerror(), __FILE__, __LINE__);
    }
    return handle;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, run, arg) == 0);
    return thread;
}

static void join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

static void allocate_in_many_classes(uint64_t *state)
{
    void *p[32];

    for (int i = 0; i < 32; i++) {
        p[i] = malloc(test_random(state) % (i == 0 ? 200000 : 3000));
        CHECK(p[i] != NULL);
    }
    for (int i = 0; i < 32; i++) {
        free(p[i]);
    }
}

static void *churn(void *arg)
{
    uint64_t state = (uintptr_t)arg;

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        allocate_in_many_classes(&state);
    }
    return NULL;
}

/* ---- F84, F88 ---- */

/* Each way to build a plugin: its malloc is the program's, and blocks go both ways. */
static void f88_every_plugin_shares_the_programs_malloc(void)
{
    for (int i = 0; i < plugins; i++) {
        void *handle = load(plugin[i]);
        struct functions f = functions_of(handle);
        void *p = f.allocate(5000);
        void *q = malloc(6000);

        CHECK(malloc_usable_size(p) >= 5000);
        free(p);
        f.release(q);
        CHECK(f.churn());
        CHECK(f.address_of_malloc() == dlsym(RTLD_DEFAULT, "malloc"));
        CHECK(dlclose(handle) == 0);
    }
}

static void f89_a_resolver_in_a_plugin_allocates(void)
{
    void *handle = load(plugin[0]);

    CHECK(functions_of(handle).resolved());
    CHECK(dlclose(handle) == 0);
}

static void *open_and_close(void *arg)
{
    for (int i = 0; i < rounds; i++) {
        void *handle = load(arg);
        struct functions f = functions_of(handle);
        char *text;

        CHECK(f.is_fresh() && f.resolved()); /* or it was not unloaded in between */
        text = f.use_thread();
        f.forget_thread();
        CHECK(dlclose(handle) == 0);
        CHECK(strcmp(text, "from the plugin") == 0);
        free(text);
    }
    return NULL;
}

static void f84_dlopen_and_dlclose_under_load(void)
{
    pthread_t busy[2] = {start(churn, (void *)1), start(churn, (void *)2)};
    pthread_t loading[2] = {
        start(open_and_close, plugin[0]), start(open_and_close, plugin[1])};

    for (int i = 0; i < 2; i++) {
        join(loading[i]);
    }
    stopping = true;
    for (int i = 0; i < 2; i++) {
        join(busy[i]);
    }
    stopping = false;
}

static pthread_barrier_t barrier;
static struct functions shared;

static void *outlive(void *ret_text)
{
    *(char **)ret_text = shared.use_thread();
    shared.forget_thread();
    pthread_barrier_wait(&barrier); /* used it */
    pthread_barrier_wait(&barrier); /* it is gone */
    free(malloc(100));
    return NULL;
}

static void f84_threads_end_after_the_dlclose(void)
{
    enum { THREADS = 8 };

    CHECK(pthread_barrier_init(&barrier, NULL, THREADS + 1) == 0);
    for (int i = 0; i < 20; i++) {
        void *handle = load(plugin[i % 2]);
        pthread_t thread[THREADS];
        char *text[THREADS];

        shared = functions_of(handle);
        for (int t = 0; t < THREADS; t++) {
            thread[t] = start(outlive, &text[t]);
        }
        pthread_barrier_wait(&barrier);
        CHECK(dlclose(handle) == 0);
        pthread_barrier_wait(&barrier);
        for (int t = 0; t < THREADS; t++) {
            join(thread[t]);
            CHECK(strcmp(text[t], "from the plugin") == 0);
            free(text[t]);
        }
    }
}

/* ---- F87 ---- */

/* A namespace of its own has a C library of its own, with its malloc. */
static void f87_namespaces_do_not_cross(void)
{
    void *handle = dlmopen(LM_ID_NEWLM, plugin[0], RTLD_NOW | RTLD_LOCAL);
    struct functions f;
    void *p;

    if (handle == NULL) {
        test_fail(dlerror(), __FILE__, __LINE__);
    }
    f = functions_of(handle);
    CHECK(f.is_fresh());
    CHECK(f.address_of_malloc() != dlsym(RTLD_DEFAULT, "malloc"));
    for (size_t n = 1; n < 300000; n *= 3) {
        p = f.allocate(n);
        CHECK(p != NULL && malloc_usable_size(p) == 0); /* not one of ours */
        f.release(p);
    }
    CHECK(f.churn());
    CHECK(dlclose(handle) == 0);
    free(malloc(1000));
}

/* ---- F90 ---- */

static int on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    allocate_in_many_classes(arg);
    if (test_random(arg) % 8 == 0) {
        malloc_trim(0); /* and what waits for a look at the figures */
    }
    return info->dlpi_phnum == 0;
}

/* New threads: their first malloc is made while the loader's lock is held. */
static void *iterate(void *arg)
{
    uint64_t state = (uintptr_t)arg;

    CHECK(dl_iterate_phdr(on_object, &state) == 0);
    return NULL;
}

static void *keep_iterating(void *arg)
{
    for (uintptr_t i = 1; !__atomic_load_n(&stopping, __ATOMIC_RELAXED); i++) {
        join(start(iterate, (void *)(i * 7 + (uintptr_t)arg)));
    }
    return NULL;
}

static void *look_up(void *arg)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        CHECK(dlsym(RTLD_DEFAULT, "malloc") != NULL);
        CHECK(dlsym(RTLD_DEFAULT, "there is no such name") == NULL);
        CHECK(dlerror() != NULL);
        CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL);
        open_and_close(plugin[0]);
    }
    return arg;
}

static void *write_figures(void *arg)
{
    int (*dump)(const char *) = NULL;
    FILE *f = fopen("/dev/null", "w");
    bool counts = getenv("TEST_NO_COUNTERS") == NULL;
    char path[64];

    CHECK(f != NULL);
    *(void **)&dump = dlsym(RTLD_DEFAULT, "mp_dump");
    CHECK(dump != NULL);
    snprintf(path, sizeof(path), "/tmp/mpalloc-loader-%d.mp", (int)getpid());
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        struct mallinfo2 m = mallinfo2();

        (void)m;
        CHECK(dump(path) == 0 || !counts); /* lists the loaded objects, too */
        unlink(path);
        CHECK(malloc_info(0, f) == 0);
        malloc_trim(0);
    }
    fclose(f);
    return arg;
}

static void f90_callbacks_of_the_loader_allocate_while_figures_are_written(void)
{
    uint64_t end = now_ms() + (rounds > 1000 ? 60000 : 1500);
    int saved = rounds;
    pthread_t thread[5];

    rounds = 1;
    thread[0] = start(keep_iterating, (void *)1);
    thread[1] = start(keep_iterating, (void *)2);
    thread[2] = start(look_up, NULL);
    thread[3] = start(write_figures, NULL);
    thread[4] = start(churn, (void *)3);
    while (now_ms() < end) {
        usleep(10000);
    }
    stopping = true;
    for (int i = 0; i < 5; i++) {
        join(thread[i]);
    }
    stopping = false;
    rounds = saved;
}

/* ---- F92 ---- */

/* What valgrind calls at the end: libc frees all it has, by our free. */
static void f92_libc_may_free_all_it_has(void)
{
    void (*freeres)(void) = NULL;
    FILE *f = popen("true", "r"); /* something to free */

    CHECK(f != NULL && pclose(f) == 0);
    *(void **)&freeres = dlsym(RTLD_DEFAULT, "__libc_freeres");
    CHECK(freeres != NULL);
    freeres();
    free(malloc(1000));
}

int main(int argc, char **argv)
{
    CHECK(argc >= 4);
    rounds = atoi(argv[1]);
    plugins = argc - 2;
    plugin = argv + 2;
    alarm(rounds > 1000 ? 1200 : 60); /* a deadlock is a failure */
    RUN(f88_every_plugin_shares_the_programs_malloc);
    RUN(f89_a_resolver_in_a_plugin_allocates);
    RUN(f84_dlopen_and_dlclose_under_load);
    RUN(f84_threads_end_after_the_dlclose);
    RUN(f87_namespaces_do_not_cross);
    RUN(f90_callbacks_of_the_loader_allocate_while_figures_are_written);
    RUN(f92_libc_may_free_all_it_has);
    return 0;
}
