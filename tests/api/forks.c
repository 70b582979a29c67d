/*
 * forks - children of a process whose threads allocate can allocate themselves
 *
 *     forks [FORKS]
 *
 * Eight threads allocate in all classes while the main thread forks (E69 to E75). Every
 * child has 10 s (alarm), and must end with the code it was asked for.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { THREADS = 8, HELD = 200, CODE = 42 };

extern char **environ;

static bool stopping;
static unsigned char *volatile held[THREADS][HELD]; /* each thread writes its own */
static int forks = 500;
static int prepared, parented, childed; /* calls of the atfork handlers */

/* How many of the other ways to a child: `most`, and fewer beside less than 300 forks. */
static int share(int most)
{
    return forks < 300 ? most * forks / 300 : most;
}

static size_t some_size(uint64_t *state)
{
    uint64_t r = test_random(state);

    return r % 100 == 0 ? (r >> 8) % 400000
           : r % 8 == 0 ? (r >> 8) % 30000
                        : (r >> 8) % 1200;
}

static void allocate_some(uint64_t *state, int count)
{
    void *p[64] = {NULL};

    for (int i = 0; i < count; i++) {
        size_t k = test_random(state) % 64;
        size_t n = some_size(state);

        free(p[k]);
        p[k] = i % 5 == 0 ? calloc(1, n) : malloc(n);
        CHECK(p[k] != NULL);
        if (i % 7 == 0) {
            p[k] = realloc(p[k], n + 100);
            CHECK(p[k] != NULL);
        }
        test_fill(p[k], i, n < 64 ? n : 64);
    }
    for (int i = 0; i < 64; i++) {
        free(p[i]);
    }
}

/* Holds blocks whose first byte is the index, for children to find and free. */
static void *churn(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    uint64_t state = me * 12345 + 6789;

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        size_t k = test_random(&state) % HELD;
        unsigned char *p = held[me][k];

        held[me][k] = NULL;
        free(p);
        p = malloc(1 + some_size(&state));
        CHECK(p != NULL);
        p[0] = (unsigned char)k;
        held[me][k] = p;
        if (k == 0) {
            usleep(200); /* the children want to run, too */
        }
    }
    return NULL;
}

static void *live_in_child(void *arg)
{
    uint64_t state = (uintptr_t)arg | 1;

    allocate_some(&state, 300);
    return malloc(1000);
}

/* ---- children ---- */

static void child_allocates(uint64_t seed)
{
    pthread_t thread;
    void *left;

    allocate_some(&seed, 200);
    CHECK(pthread_create(&thread, NULL, live_in_child, (void *)(uintptr_t)seed) == 0);
    allocate_some(&seed, 200);
    CHECK(pthread_join(thread, &left) == 0);
    CHECK(left != NULL);
    free(left);
}

/* Blocks of threads that are not here: readable, and may be freed. */
static void child_frees_what_threads_left(void)
{
    for (int t = 0; t < THREADS; t++) {
        for (int k = 0; k < HELD; k++) {
            if (held[t][k] != NULL) {
                CHECK(held[t][k][0] == (unsigned char)k);
                free(held[t][k]);
            }
        }
    }
}

static void child_forks_again(uint64_t seed, int depth)
{
    int status;
    pid_t child;

    if (depth == 0) {
        return;
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(10);
        allocate_some(&seed, 100);
        child_forks_again(seed + 1, depth - 1);
        _exit(CODE);
    }
    allocate_some(&seed, 100);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CODE);
}

static void run_child(int number)
{
    alarm(10);
    child_allocates((uint64_t)number + 1);
    if (number % 3 == 0) {
        child_frees_what_threads_left();
        child_allocates((uint64_t)number + 2);
    }
    if (number % 25 == 0) {
        child_forks_again((uint64_t)number + 3, 3);
    }
    if (number % 2 == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    if (number % 5 == 0) {
        exit(CODE); /* with destructors */
    }
    _exit(CODE);
}

static void expect(pid_t child, int code)
{
    char text[100];
    int status;

    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
        snprintf(text, sizeof(text), "child ends with %d (wait status 0x%x)", code,
            (unsigned)status);
        test_fail(text, __FILE__, __LINE__);
    }
}

static void e69_children_of_busy_threads_allocate(void)
{
    for (int i = 0; i < forks; i++) {
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            run_child(i);
        }
        free(malloc(100));
        expect(child, i % 2 == 0 ? 0 : CODE);
    }
}

/* ---- handlers of the program ---- */

static void *volatile from_prepare;

static void prepare(void)
{
    from_prepare = malloc(20000);
    CHECK(from_prepare != NULL);
    prepared++;
}
static void in_parent(void)
{
    free(from_prepare);
    parented++;
}
static void in_child(void)
{
    free(from_prepare);
    free(calloc(1, 70000));
    childed++;
}

static void e72_atfork_handlers_allocate(void)
{
    int count = share(50);

    CHECK(pthread_atfork(prepare, in_parent, in_child) == 0);
    for (int i = 0; i < count; i++) {
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            alarm(10);
            CHECK(childed == 1);
            child_allocates((uint64_t)i + 1);
            _exit(CODE);
        }
        expect(child, CODE);
    }
    CHECK(prepared == count && parented == count);
}

/* ---- other ways to a child ---- */

/* A function of its own: vfork returns twice, and might clobber a loop's variable. */
static void vfork_and_exec(void)
{
    pid_t child = vfork();

    CHECK(child >= 0);
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    free(malloc(1000));
    expect(child, 0);
}

static void e75_vfork_and_exec(void)
{
    for (int i = share(100); i > 0; i--) {
        vfork_and_exec();
    }
}

static void e75_posix_spawn(void)
{
    for (int i = share(100); i > 0; i--) {
        char *const argv[] = {(char *)"sh", (char *)"-c", (char *)"exit 7", NULL};
        pid_t child;

        CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, argv, environ) == 0);
        expect(child, 7);
    }
}

static void e75_system_and_popen(void)
{
    for (int i = share(20); i > 0; i--) {
        FILE *f = popen("echo here", "r");
        char line[16];
        int status = system("exit 5");

        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 5);
        CHECK(f != NULL && fgets(line, sizeof(line), f) != NULL);
        CHECK(strcmp(line, "here\n") == 0 && pclose(f) == 0);
    }
}

/* ---- E71: fork in a signal handler, of a single thread that does not allocate ---- */

static volatile sig_atomic_t handled;

static void on_signal(int number)
{
    int saved = errno;
    pid_t child = fork();

    (void)number;
    if (child == 0) {
        alarm(10);
        for (int i = 0; i < 100; i++) {
            free(malloc(100 + (size_t)i * 300));
        }
        _exit(CODE);
    }
    expect(child, CODE);
    handled++;
    errno = saved;
}

static void e71_fork_in_a_signal_handler(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(raise(SIGUSR1) == 0);
        free(malloc(1000));
    }
    CHECK(handled == 20);
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];

    forks = argc > 1 ? atoi(argv[1]) : forks;
    RUN(e71_fork_in_a_signal_handler);
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
    }
    RUN(e69_children_of_busy_threads_allocate);
    RUN(e75_vfork_and_exec);
    RUN(e75_posix_spawn);
    RUN(e75_system_and_popen);
    RUN(e72_atfork_handlers_allocate);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    return 0;
}
