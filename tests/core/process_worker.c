/*
 * process_worker - what the tests of test_process.py look at from outside
 *
 *     purge      a peak of 200 MB, freed; then light activity; prints RSS in KiB
 *     calloc     300 MB of zeroed blocks that are not looked at; prints RSS in KiB
 *     burst      a burst, then a pair of malloc and free each 10 ms until it is killed
 *     scribble   allocates while it overwrites its own region (path in argv[2])
 *     fork       a forked child that lives on and allocates, then waits for a line
 *     steady     allocates ten blocks a second until it is killed
 *     overflow   names 4,100 components and allocates in each
 */
#include <mpalloc.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static long rss_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) {
        exit(2);
    }
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void light_activity(int tenths)
{
    for (int i = 0; i < tenths; i++) {
        usleep(100000);
        free(malloc((size_t)(100 + i)));
    }
}

static int purge(void)
{
    enum { COUNT = 100000 };
    static void *blocks[COUNT];

    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(2000);
        memset(blocks[i], 1, 2000);
    }
    printf("peak %ld\n", rss_kib());
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    printf("freed %ld\n", rss_kib());
    light_activity(25);
    printf("later %ld\n", rss_kib());
    return 0;
}

static int untouched(void)
{
    static void *blocks[5000];
    int count = 0;

    printf("before %ld\n", rss_kib());
    for (size_t size = 20000; size < 40000000; size *= 3) {
        for (size_t sum = 0; sum < 40000000; sum += size) {
            blocks[count++] = calloc(1, size);
        }
    }
    printf("after %ld\n", rss_kib());
    for (int i = 0; i < count; i++) {
        free(blocks[i]);
    }
    return 0;
}

static void burst(void)
{
    static void *blocks[100000];

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 100000; i++) {
            blocks[i] = malloc(100);
        }
        for (int i = 0; i < 100000; i++) {
            free(blocks[i]);
        }
    }
    printf("burst over\n");
    for (;;) {
        usleep(10000);
        free(malloc(100));
    }
}

static atomic_bool stop;

static void *churn(void *arg)
{
    uint64_t state = (uintptr_t)arg * 7919 + 1;
    unsigned char *blocks[200] = {NULL};
    size_t sizes[200] = {0};

    while (!atomic_load(&stop)) {
        size_t i;

        state = state * 6364136223846793005u + 1442695040888963407u;
        i = (state >> 33) % 200;
        if (blocks[i] != NULL) {
            if (blocks[i][0] != i || blocks[i][sizes[i] - 1] != i) {
                fprintf(stderr, "a block changed\n");
                abort();
            }
            free(blocks[i]);
        }
        sizes[i] = 1 + (state >> 44) % 3000;
        blocks[i] = malloc(sizes[i]);
        blocks[i][0] = blocks[i][sizes[i] - 1] = (unsigned char)i;
    }
    for (size_t i = 0; i < 200; i++) {
        free(blocks[i]);
    }
    return NULL;
}

static int scribble(const char *path)
{
    pthread_t threads[2];
    struct stat st;
    int fd = open(path, O_RDWR);
    uint64_t state = 4711;
    volatile uint64_t *words;

    if (fd < 0 || fstat(fd, &st) != 0) {
        return 2;
    }
    words = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (uintptr_t i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, churn, (void *)i);
    }
    for (int i = 0; i < 20000000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        /* the parts that are backed from the start: header, facts, totals, mailbox */
        words[(state >> 33) % (28672 / sizeof(*words))] = state;
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    {
        struct mp_snapshot s = {.size = sizeof(s)};

        mp_snapshot(&s);
        printf("live %llu\n", (unsigned long long)s.live_blocks);
    }
    return 0;
}

static int fork_and_wait(void)
{
    pid_t child = fork();

    if (child == 0) {
        char line[8];

        light_activity(6);
        printf("child %d\n", (int)getpid());
        fflush(stdout);
        _exit(read(0, line, sizeof(line)) < 0);
    }
    return waitpid(child, NULL, 0) == child ? 0 : 2;
}

static int overflow(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    struct mp_component_stats c = {.size = sizeof(c)};
    char name[32];
    void *last = NULL;

    for (int i = 0; i < 4100; i++) {
        snprintf(name, sizeof(name), "part-%d", i);
        last = mp_malloc(mp_component(name), 100);
    }
    mp_snapshot(&s);
    mp_component_stats(1, &c);
    printf("components %llu refused %llu %s %llu\n", (unsigned long long)s.components,
        (unsigned long long)s.components_refused_total, c.name,
        (unsigned long long)c.live_blocks);
    fflush(stdout);
    light_activity(6);
    free(last);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(mode, "purge") == 0) {
        return purge();
    }
    if (strcmp(mode, "calloc") == 0) {
        return untouched();
    }
    if (strcmp(mode, "burst") == 0) {
        burst();
    }
    if (strcmp(mode, "scribble") == 0 && argc > 2) {
        return scribble(argv[2]);
    }
    if (strcmp(mode, "fork") == 0) {
        return fork_and_wait();
    }
    if (strcmp(mode, "overflow") == 0) {
        return overflow();
    }
    if (strcmp(mode, "steady") == 0) {
        for (;;) {
            light_activity(10);
        }
    }
    return 2;
}
