/*
 * keeper_worker - programs that a housekeeper looks after, or that must have none
 *
 *     keeper_worker single       no thread of ours in a single-threaded program
 *     keeper_worker sleep        a burst in two threads, then all sleep; says so, and waits
 *     keeper_worker alone        threads come and go: the housekeeper goes with them
 *     keeper_worker fork         children have none until they start threads
 *     keeper_worker leave        main ends by pthread_exit
 *     keeper_worker sandbox      it ends when the program filters its calls
 *     keeper_worker refused      no thread may be had
 *     keeper_worker end          exits with all of it running
 */
#include "../api/test.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

enum { MIB = 1 << 20, BLOCKS = 100000 };

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Threads of this process; *ret_ours: those of the library; all signals are blocked there. */
static int tasks(int *ret_ours)
{
    DIR *d = opendir("/proc/self/task");
    struct dirent *e;
    int count = 0;

    *ret_ours = 0;
    CHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        char path[300], line[200];
        bool is_ours = false;
        FILE *f;

        if (e->d_name[0] == '.') {
            continue;
        }
        count++;
        snprintf(path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
        f = fopen(path, "r");
        while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
            is_ours |= strcmp(line, "Name:\tmpalloc\n") == 0;
            if (is_ours && strncmp(line, "SigBlk:", 7) == 0) {
                /* but for KILL, STOP, and the two of the C library */
                CHECK(
                    (strtoul(line + 7, NULL, 16) | 0x180040100) >= 0xfffffffffffbfeff);
            }
        }
        if (f != NULL) {
            fclose(f);
        }
        *ret_ours += is_ours;
    }
    closedir(d);
    return count;
}

/* Wait until there are so many threads of ours, at most 10 s. */
static void await_ours(int wanted)
{
    int ours = -1;

    for (int i = 0; i < 1000 && ours != wanted; i++) {
        pause_ms(10);
        tasks(&ours);
    }
    CHECK_EQ(ours, wanted);
}

static pthread_barrier_t barrier;
static void *volatile kept[BLOCKS];

static void *stay(void *arg)
{
    free(malloc(100));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return arg;
}

static pthread_t start(void)
{
    pthread_t thread;

    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, stay, NULL) == 0);
    pthread_barrier_wait(&barrier);
    return thread;
}

static void stop(pthread_t thread)
{
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void single(void)
{
    int ours;

    for (int i = 0; i < 30; i++) {
        free(malloc(1000));
        free(malloc(MIB));
        pause_ms(20);
    }
    CHECK_EQ(tasks(&ours), 1);
}

static void sleep_on(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        kept[i] = malloc(2000);
        test_fill(kept[i], 1, 2000);
    }
    start();
    await_ours(1);
    for (int i = 0; i < BLOCKS - 1000; i++) {
        free(kept[i]);
    }
    test_write("asleep\n", 7);
    CHECK(getchar() == EOF);
}

static void alone(void)
{
    for (int i = 0; i < 2; i++) {
        pthread_t thread = start();
        int ours;

        await_ours(1);
        CHECK_EQ(tasks(&ours), 3);
        stop(thread);
        await_ours(0);
        CHECK_EQ(tasks(&ours), 1);
    }
}

static void forked(void)
{
    pthread_t thread = start();
    pid_t child;
    int status, ours;

    await_ours(1);
    for (int i = 0; i < 50; i++) {
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK_EQ(tasks(&ours), 1);
            free(malloc(5 * MIB));
            if (i < 3) {
                thread = start();
                await_ours(1);
                stop(thread);
                await_ours(0);
            }
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    stop(thread);
}

static void *leave_last(void *arg)
{
    free(malloc(10));
    pause_ms(500);
    return arg;
}

static void leave(void)
{
    pthread_t thread;

    free(malloc(10));
    CHECK(pthread_create(&thread, NULL, leave_last, NULL) == 0);
    await_ours(1);
    pthread_exit(NULL);
}

static void sandbox(void)
{
    pthread_t thread = start();

    await_ours(1);
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    await_ours(0);
    stop(thread);
    thread = start();
    pause_ms(300);
    await_ours(0);
    stop(thread);
}

static void refused(void)
{
    int ours;

    for (int i = 0; i < 10; i++) {
        pthread_t thread = start();

        errno = 77;
        free(malloc(100000));
        CHECK(errno == 77);
        CHECK_EQ(tasks(&ours), 2);
        stop(thread);
    }
}

static void *churn(void *arg)
{
    for (;;) {
        free(malloc((uintptr_t)arg * 100));
    }
    return NULL;
}

static void end(void)
{
    pthread_t thread;

    for (uintptr_t i = 1; i < 4; i++) {
        CHECK(pthread_create(&thread, NULL, churn, (void *)i) == 0);
    }
    await_ours(1);
    exit(0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "single") == 0) {
        single();
    } else if (strcmp(what, "sleep") == 0) {
        sleep_on();
    } else if (strcmp(what, "alone") == 0) {
        alone();
    } else if (strcmp(what, "fork") == 0) {
        forked();
    } else if (strcmp(what, "leave") == 0) {
        leave();
    } else if (strcmp(what, "sandbox") == 0) {
        sandbox();
    } else if (strcmp(what, "refused") == 0) {
        refused();
    } else if (strcmp(what, "end") == 0) {
        end();
    } else {
        return 2;
    }
    return 0;
}
