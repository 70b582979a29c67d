/*
 * criterion - as much of Criterion as the unit tests of the core use, where there is none:
 * for another machine, another C library, under a sanitizer of one's own
 *
 * Each test runs in a forked child. One object links it: it holds main.
 */
#ifndef SHIM_CRITERION_H
#define SHIM_CRITERION_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHIM_SKIPPED = 77, SHIM_SECONDS = 100 };

struct shim_test {
    const char *suite;
    const char *name;
    void (*run)(void);
    struct shim_test *next;
    int signal; /* that must end it, 0: none */
    int exit_code;
    double timeout; /* meson has one of its own */
    void (*init)(void);
    void (*fini)(void);
};

static struct shim_test *shim_tests;

#define Test(suite_, name_, ...)                                                       \
    static void suite_##_##name_(void);                                                \
    static struct shim_test suite_##_##name_##_test = {                                \
        .suite = #suite_, .name = #name_, .run = suite_##_##name_, ##__VA_ARGS__};     \
    __attribute__((constructor)) static void suite_##_##name_##_add(void)              \
    {                                                                                  \
        suite_##_##name_##_test.next = shim_tests;                                     \
        shim_tests = &suite_##_##name_##_test;                                         \
    }                                                                                  \
    static void suite_##_##name_(void)

#define cr_assert(x, ...)                                                              \
    ((x) ? (void)0                                                                     \
         : (printf("%s:%d: not so: %s ", __FILE__, __LINE__, #x),                      \
             printf(" " __VA_ARGS__), putchar('\n'), fflush(NULL), _exit(1)))
#define cr_assert_eq(a, b, ...)  cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...)  cr_assert((a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...) cr_assert((a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...)  cr_assert((a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), __VA_ARGS__)
#define cr_assert_float_eq(a, b, by, ...)                                              \
    cr_assert((a) - (b) <= (by) && (b) - (a) <= (by), __VA_ARGS__)
#define cr_assert_not(x, ...)       cr_assert(!(x), __VA_ARGS__)
#define cr_assert_null(p, ...)      cr_assert((p) == NULL, __VA_ARGS__)
#define cr_assert_not_null(p, ...)  cr_assert((p) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp((a), (b)) == 0, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...)                                                 \
    cr_assert(memcmp((a), (b), (n)) == 0, __VA_ARGS__)
#define cr_skip_test(...) _exit(SHIM_SKIPPED)

static int shim_run(const struct shim_test *t)
{
    int status;
    int good;
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child == 0) {
        alarm(SHIM_SECONDS);
        if (t->init != NULL) {
            t->init();
        }
        t->run();
        if (t->fini != NULL) {
            t->fini();
        }
        fflush(NULL);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return 0;
    }
    good = t->signal != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == t->signal
                          : WIFEXITED(status) && WEXITSTATUS(status) == t->exit_code;
    if (WIFEXITED(status) && WEXITSTATUS(status) == SHIM_SKIPPED) {
        printf("skipped %s %s\n", t->suite, t->name);
        return 1;
    }
    printf("%s %s %s (wait status 0x%x)\n", good ? "ok" : "FAILED", t->suite, t->name,
        (unsigned)status);
    return good;
}

int main(void)
{
    int failed = 0;
    int count = 0;

    for (const struct shim_test *t = shim_tests; t != NULL; t = t->next) {
        count++;
        failed += !shim_run(t);
    }
    printf("%d tests, %d failed\n", count, failed);
    return failed != 0 || count == 0;
}

#endif
