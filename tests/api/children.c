/*
 * children - processes that share more or less with their parent than fork's do
 *
 *     children RUNS
 *
 * E74 to E76, while eight threads allocate and, where the library is linked or preloaded,
 * one publishes without pause. What forks.c has is not repeated.
 */
#include "test.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { THREADS = 8, CODE = 42, STACK = 256 << 10 };

extern char **environ;

static int runs;
static bool stopping;
static char *child_stack;

static void allocate_some(uint64_t seed)
{
    void *p[100];

    for (int i = 0; i < 100; i++) {
        p[i] = malloc(test_random(&seed) % (i % 10 == 0 ? 200000 : 3000));
        CHECK(p[i] != NULL);
    }
    for (int i = 0; i < 100; i++) {
        free(p[i]);
    }
}

static void *churn(void *arg)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        allocate_some((uintptr_t)arg + 1);
        usleep(100);
    }
    return NULL;
}

static void *publish(void *f)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        CHECK(malloc_info(0, f) == 0);
        malloc_trim(0);
    }
    return NULL;
}

static void expect(pid_t child, int code)
{
    char text[100];
    int status;

    if (child < 0 || waitpid(child, &status, __WALL) != child) {
        test_fail("there is a child", __FILE__, __LINE__);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
        snprintf(text, sizeof(text), "the child ends with %d (wait status 0x%x)", code,
            (unsigned)status);
        test_fail(text, __FILE__, __LINE__);
    }
}

/* ---- E74: what a child has of its parent's publishing ---- */

static int count_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    CHECK(d != NULL);
    while (readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static bool maps_a_region_of(pid_t pid)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[1024], own[32];
    bool found = false;

    CHECK(f != NULL);
    snprintf(own, sizeof(own), "/%d-", (int)pid);
    while (fgets(line, sizeof(line), f) != NULL) {
        found |= strstr(line, own) != NULL && strstr(line, ".mp\n") != NULL;
    }
    fclose(f);
    return found;
}

static void e74_children_share_no_thread_file_or_region(void)
{
    int files = count_entries("/proc/self/fd");

    for (int i = 0; i < 20; i++) {
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            alarm(20);
            allocate_some((uint64_t)i + 1);
            CHECK_EQ(count_entries("/proc/self/task"), 2 + 1); /* ., .. and itself */
            CHECK(count_entries("/proc/self/fd") <= files);
            CHECK(!maps_a_region_of(getppid()));
            _exit(CODE);
        }
        expect(child, CODE);
    }
}

/* ---- E75 ---- */

static void e75_vfork_and_spawn_under_load(void)
{
    for (int i = 0; i < runs; i++) {
        char *const argv[] = {(char *)"true", NULL};
        pid_t child = vfork();

        CHECK(child >= 0);
        if (child == 0) {
            execv("/bin/true", argv);
            _exit(1);
        }
        expect(child, 0);
        CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, argv, environ) == 0);
        expect(child, 0);
        allocate_some((uint64_t)i + 1);
    }
}

/* ---- E76 ---- */

static int child_of_clone(void *arg)
{
    allocate_some((uintptr_t)arg + 1);
    free(strdup("in a child"));
    return CODE;
}

static pid_t cloned(int flags, uintptr_t seed)
{
    return clone(child_of_clone, child_stack + STACK, flags | SIGCHLD, (void *)seed);
}

/* Its own memory, through glibc's clone, which runs no handlers. */
static void e76_clone_without_handlers(void)
{
    for (int i = 0; i < runs; i++) {
        pid_t child = cloned(0, (uintptr_t)i);

        expect(child, CODE);
        allocate_some((uint64_t)i + 1);
    }
}

/* The parent's memory and thread pointer, while the parent waits: as posix_spawn does. */
static void e76_clone_that_shares_memory(void)
{
    for (int i = 0; i < runs; i++) {
        expect(cloned(CLONE_VM | CLONE_VFORK, (uintptr_t)i), CODE);
        allocate_some((uint64_t)i + 1);
    }
}

/* PID 1 of a namespace, and its child: nothing may depend on the PID. */
static void e76_first_process_of_a_namespace(void)
{
    for (int i = 0; i < 5; i++) {
        pid_t child = cloned(CLONE_NEWPID | CLONE_NEWUSER, (uintptr_t)i);

        if (child < 0) {
            CHECK(errno == EPERM || errno == EINVAL || errno == ENOSPC
                  || errno == EUSERS);
            test_claim("(not allowed here)");
            return;
        }
        expect(child, CODE);
    }
}

static void e76_unshare_in_a_child(void)
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        pid_t grandchild;

        alarm(20);
        unshare(CLONE_FS | CLONE_FILES);
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0) {
            grandchild = fork();
            CHECK(grandchild >= 0);
            if (grandchild == 0) {
                CHECK_EQ(getpid(), 1);
                _exit(child_of_clone(NULL));
            }
            expect(grandchild, CODE);
        }
        allocate_some(1);
        _exit(CODE);
    }
    expect(child, CODE);
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS + 1];
    FILE *f = fopen("/dev/null", "w");

    CHECK(f != NULL);
    runs = argc > 1 ? atoi(argv[1]) : 50;
    child_stack =
        mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(child_stack != MAP_FAILED);
    RUN(e76_clone_without_handlers);
    RUN(e76_clone_that_shares_memory);
    RUN(e76_first_process_of_a_namespace);
    RUN(e76_unshare_in_a_child);
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
    }
    CHECK(pthread_create(&thread[THREADS], NULL, publish, f) == 0);
    RUN(e74_children_share_no_thread_file_or_region);
    RUN(e75_vfork_and_spawn_under_load);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int i = 0; i <= THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    return 0;
}
