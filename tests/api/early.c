/*
 * early - malloc before main, before the constructors, and before it ever ran
 *
 * F89: from preinit_array. (A resolver of an IFUNC: plugin.c. Those of the program itself
 * run before the loader has filled in thread-local storage, alloc/README.md says.)
 * D63: the program has more keys than fit a thread's first page of them before the library
 * makes its own; the C library then allocates inside pthread_setspecific.
 * E73: the first malloc of all runs against fork.
 */
#include "test.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { KEYS = 100, THREADS = 8, CODE = 42 };

static pthread_key_t keys[KEYS];
static char *from_preinit;
static int destroyed;

static void destroy(void *value)
{
    CHECK(*(unsigned char *)value == 9);
    free(value);
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_RELAXED);
}

/* Runs before the constructors of all libraries. */
static void before_constructors(void)
{
    for (int i = 0; i < KEYS; i++) {
        pthread_key_create(&keys[i], destroy);
    }
    from_preinit = malloc(100);
    free(malloc(200000));
}
#ifdef TEST_STATIC
/* One constructor of the highest priority: preinit_array is for dynamic programs alone. */
__attribute__((constructor(101))) static void first(void)
{
    before_constructors();
}
#else
__attribute__((section(".preinit_array"), used)) static void (*preinit)(
    void) = before_constructors;
#endif

static void f89_preinit_allocates(void)
{
    CHECK(from_preinit != NULL);
    strcpy(from_preinit, "still there");
    from_preinit = realloc(from_preinit, 5000);
    CHECK(from_preinit != NULL && strcmp(from_preinit, "still there") == 0);
    free(from_preinit);
}

/* The last key first: its slot is on a page that the C library has yet to allocate. */
static void *set_keys(void *arg)
{
    for (int i = KEYS; i-- > 0;) {
        void *p = arg != NULL ? malloc(1) : calloc(1, 70000);

        CHECK(p != NULL);
        *(unsigned char *)p = 9;
        CHECK(pthread_setspecific(keys[i], p) == 0);
    }
    return NULL;
}

static void d63_keys_of_the_program_before_those_of_the_library(void)
{
    for (uintptr_t i = 0; i < 20; i++) {
        pthread_t thread;

        CHECK(pthread_create(&thread, NULL, set_keys, (void *)(i % 2)) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK_EQ(destroyed, 20 * KEYS);
}

static bool go;

static void *first_malloc(void *arg)
{
    while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE)) {
    }
    for (size_t i = 1; i < 30; i++) {
        free(malloc(i * (uintptr_t)arg * 50));
    }
    return NULL;
}

/* In a process that is new each time: main runs this as `early fork`. */
static void first_mallocs_race_with_fork(void)
{
    pthread_t thread[THREADS];
    pid_t child;
    int status;

    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, first_malloc, (void *)(i + 1)) == 0);
    }
    __atomic_store_n(&go, true, __ATOMIC_RELEASE);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pthread_t another;

        alarm(20);
        CHECK(pthread_create(&another, NULL, first_malloc, (void *)3) == 0);
        for (size_t i = 1; i < 100; i++) {
            free(malloc(i * 300));
        }
        CHECK(pthread_join(another, NULL) == 0);
        _exit(CODE);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CODE);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
}

static void e73_the_first_malloc_races_with_fork(char *self)
{
    for (int i = 0; i < 30; i++) {
        int status;
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            execl("/proc/self/exe", self, "fork", (char *)NULL);
            _exit(1);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    test_claim(__func__);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        first_mallocs_race_with_fork();
        return 0;
    }
    RUN(f89_preinit_allocates);
    RUN(d63_keys_of_the_program_before_those_of_the_library);
    e73_the_first_malloc_races_with_fork(argv[0]);
    return 0;
}
