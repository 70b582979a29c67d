/*
 * memory - how much of the kernel's memory a program keeps, and when it goes back
 *
 *     memory TEST [ARGUMENT]
 *
 * The rows G106 to G118 of the conformance list. Each prints its figures, and fails when
 * its bound does not hold. Resident memory is the kernel's figure, less what there was at
 * the start. Works with any malloc: run it without the library to compare.
 */
#include "../api/test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum {
    KIB = 1 << 10,
    MIB = 1 << 20,
    PEAK = 390 * MIB,
    SMALL = 2000,
    COUNT = PEAK / SMALL
};

static size_t base;
static uint64_t seed = 88172645463325252u;

static size_t resident(void)
{
    size_t now = test_statm(1);

    return now > base ? now - base : 0;
}

static void say(const char *what, double value, const char *unit, double bound)
{
    char line[200];
    int n = bound > 0 ? snprintf(line, sizeof(line), "%s %.2f %s, bound %.2f\n", what,
                value, unit, bound)
                      : snprintf(line, sizeof(line), "%s %.2f %s\n", what, value, unit);

    test_write(line, (size_t)n);
    if (bound > 0 && value > bound) {
        test_fail(what, __FILE__, __LINE__);
    }
}

static double mib(size_t bytes)
{
    return (double)bytes / MIB;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A few hundred requests a second, of several sizes. */
static void light_activity(double time)
{
    double end = seconds() + time;
    struct timespec pause = {0, 2 * 1000 * 1000};

    while (seconds() < end) {
        void *volatile p = malloc(16 + test_random(&seed) % 3000);

        free(p);
        nanosleep(&pause, NULL);
    }
}

/* Until so much is resident, or for long: a loaded machine may hold up the first second. */
static void settle(double most_bytes, double time)
{
    for (int i = 0; i < 10 && (i == 0 || (double)resident() > most_bytes); i++) {
        light_activity(time);
    }
}

/* An array outside of the heap. */
static void *outside(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(p != MAP_FAILED);
    memset(p, 0, bytes);
    base = test_statm(1);
    return p;
}

static void shuffle(unsigned char **block, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t k = test_random(&seed) % i;
        unsigned char *p = block[k];

        block[k] = block[i - 1];
        block[i - 1] = p;
    }
}

static unsigned char *obtain_untouched(size_t bytes)
{
    unsigned char *p = malloc(bytes);

    CHECK(p != NULL);
    return p;
}

static unsigned char *obtain(size_t bytes)
{
    return memset(obtain_untouched(bytes), 1, bytes);
}

static unsigned char **obtain_peak(void)
{
    unsigned char **block = outside(COUNT * sizeof(*block));

    for (size_t i = 0; i < COUNT; i++) {
        block[i] = obtain(SMALL);
    }
    return block;
}

/* G106 */
static void peak(double time)
{
    unsigned char **block = obtain_peak();
    size_t most = resident();

    say("peak", mib(most), "MiB", 0);
    shuffle(block, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        free(block[i]);
    }
    light_activity(time);
    say("resident afterwards", 100.0 * (double)resident() / (double)most,
        "% of the peak", 15);
}

/* G106, without any call; the bound is of a process with a housekeeper. */
static void idle(double time)
{
    unsigned char **block = obtain_peak();
    size_t most = resident();
    struct timespec pause = {(time_t)time, 0};

    shuffle(block, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        free(block[i]);
    }
    nanosleep(&pause, NULL);
    say("resident afterwards", 100.0 * (double)resident() / (double)most,
        "% of the peak", 0);
}

/* G107 */
static void pinned(double time)
{
    unsigned char **block = obtain_peak();
    size_t pages = 0;

    shuffle(block, COUNT);
    for (size_t i = COUNT / 100; i < COUNT; i++) {
        free(block[i]);
    }
    for (size_t i = 0; i < COUNT / 100; i++) {
        uintptr_t from = (uintptr_t)block[i] / 4096;
        uintptr_t to = ((uintptr_t)block[i] + SMALL - 1) / 4096;

        pages += to - from + 1; /* few share one */
    }
    settle((double)(pages * 4096) * 2, time);
    say("pinned pages", mib(pages * 4096), "MiB", 0);
    say("resident", mib(resident()), "MiB", 0);
    /* G107: the pinned pages and a tenth of the peak, which is 4.9 times as many. */
    say("resident for each pinned page", (double)resident() / (double)(pages * 4096),
        "", 16);
}

/* G108: every key is written anew with a longer value, several times. */
static void shift(double time)
{
    enum { KEYS = 1 << 20 };
    unsigned char **key = outside(KEYS * sizeof(*key));
    size_t worst = 0;

    for (size_t i = 0; i < KEYS; i++) {
        key[i] = obtain(64);
    }
    for (size_t bytes = 80; bytes <= 160; bytes += 16) {
        shuffle(key, KEYS);
        for (size_t i = 0; i < KEYS; i++) {
            unsigned char *p = obtain(bytes);

            free(key[i]);
            key[i] = p;
        }
        worst = resident() > worst ? resident() : worst;
    }
    light_activity(time);
    say("live", mib(KEYS * 160.0), "MiB", 0);
    say("fragmentation at the worst moment", (double)worst / (KEYS * 160.0), "", 0);
    say("fragmentation", (double)resident() / (KEYS * 160.0), "", 1.5);
}

/* G108, as it is written: most of one size go, as many bytes of another come. */
static void replace(double time)
{
    enum { BYTES = 200 * MIB, FIRST = BYTES / 64, SECOND = BYTES / 80 };
    unsigned char **block = outside((FIRST + SECOND) * sizeof(*block));

    for (size_t i = 0; i < FIRST; i++) {
        block[i] = obtain(64);
    }
    for (size_t i = 0; i < FIRST; i++) {
        if (i % 4096 >= 410) { /* what lives on was made together */
            free(block[i]);
        }
    }
    for (size_t i = 0; i < SECOND; i++) {
        block[FIRST + i] = obtain(80);
    }
    light_activity(time);
    say("fragmentation", (double)resident() / (1.1 * BYTES), "", 1.5);
}

/* G109: one survivor in each window of twice the size, from 16 bytes to 16 KiB. */
static void robson(double time)
{
    enum { BYTES = 64 * MIB, MOST = BYTES / 16 };
    unsigned char **block = outside(MOST * sizeof(*block));
    size_t *length = outside(MOST * sizeof(*length));
    size_t count = 0, live = 0;

    for (size_t n = 16; n <= 16 * KIB; n *= 2) {
        size_t kept = 0;
        uintptr_t window = 0;

        while (live + n <= BYTES && count < MOST) {
            block[count] = obtain(n);
            length[count++] = n;
            live += n;
        }
        for (size_t i = 0; i < count; i++) { /* nearly in order of address */
            uintptr_t its = (uintptr_t)block[i] / (2 * n);

            if (its == window || (length[i] < n && i % 2 != 0)) {
                live -= length[i];
                free(block[i]);
            } else {
                window = its;
                length[kept] = length[i];
                block[kept++] = block[i];
            }
        }
        count = kept;
    }
    while (live < BYTES) {
        block[count] = obtain(32 * KIB);
        length[count++] = 32 * KIB;
        live += 32 * KIB;
    }
    settle(1.6 * (double)live, time);
    say("live", mib(live), "MiB", 0);
    /* Any allocator that moves nothing has half of log2 of the largest block at worst. */
    say("fragmentation", (double)resident() / (double)live, "", 2);
}

/* D53: a block of 200 bytes in each of 4,000 threads that sleep; all of their memory. */
static void *hold(void *arg)
{
    void *volatile p = obtain(200);

    pthread_barrier_wait(arg);
    pthread_barrier_wait(arg);
    free(p);
    return NULL;
}

static void threads(void)
{
    enum { THREADS = 4000 };
    pthread_t *thread = outside(THREADS * sizeof(*thread));
    pthread_barrier_t barrier;

    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, hold, &barrier) == 0);
    }
    pthread_barrier_wait(&barrier);
    say("resident for each thread", (double)resident() / THREADS / KIB, "KiB", 32);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
}

/* G111 */
static void sawtooth(double time)
{
    enum { TEETH = 3, MOST = 500 * MIB / (64 * KIB) };
    unsigned char **block = outside(MOST * sizeof(*block));
    struct rusage before, after;
    double cpu;

    for (int tooth = 0; tooth < TEETH; tooth++) {
        for (size_t i = 0; i < MOST; i++) {
            block[i] = obtain(64 * KIB);
        }
        for (size_t i = MOST / 50; i < MOST; i++) {
            free(block[i]);
        }
        getrusage(RUSAGE_SELF, &before);
        light_activity(time);
        getrusage(RUSAGE_SELF, &after);
        cpu = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec
                       + after.ru_stime.tv_sec - before.ru_stime.tv_sec)
              + (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec
                         + after.ru_stime.tv_usec - before.ru_stime.tv_usec)
                    / 1e6;
        say("time for giving back, a tooth", cpu * 1000, "ms", 0);
        say("of 60 s", 100 * cpu / 60, "%", 1);
        say("resident between teeth", mib(resident()), "MiB", 0);
        for (size_t i = 0; i < MOST / 50; i++) {
            free(block[i]);
        }
    }
}

/* G112 */
static void growth(void)
{
    size_t space = test_statm(0);
    size_t most = 0;
    char *p = NULL;
    double start = seconds();

    for (size_t n = 1; n <= (size_t)1 << 30; n = n + n / 2 + 1) {
        p = realloc(p, n);
        CHECK(p != NULL);
        p[0] = p[n - 1] = 1;
        most = test_statm(0) - space > most ? test_statm(0) - space : most;
    }
    free(p);
    say("growing by half: seconds", seconds() - start, "s", 20);
    say("growing by half: address space for each byte",
        (double)most / (double)(1 << 30), "", 2.5);
    p = NULL;
    start = seconds();
    for (size_t n = 4096; n <= 512 * MIB; n += 4096) {
        p = realloc(p, n);
        CHECK(p != NULL);
        p[n - 1] = 1;
    }
    free(p);
    say("growing by 4 KiB: seconds", seconds() - start, "s",
        60); /* copying takes hours */
}

/* G113 */
static void overhead(void)
{
    enum { N = 3000 };
    unsigned char **block = outside(N * sizeof(*block));
    unsigned char *p;

    for (size_t i = 0; i < N; i++) {
        block[i] = obtain(65000 + i % 3000);
    }
    say("resident for each byte of blocks of 65 KB", (double)resident() / (N * 66500.0),
        "", 1.07);
    p = obtain(MIB + 1);
    say("waste of a block of 1 MiB and 1 byte",
        (double)(malloc_usable_size(p) - MIB - 1), "B", 4096);
}

static size_t huge_now(void)
{
    char text[4096];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");

    while (f != NULL && fgets(text, sizeof(text), f) != NULL) {
        sscanf(text, "AnonHugePages: %zu", &kib);
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib * KIB;
}

static void need_madvise(void)
{
    char text[256];
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");

    if (f == NULL || fgets(text, sizeof(text), f) == NULL
        || strstr(text, "[madvise]") == NULL) {
        puts("transparent huge pages are not set to madvise here");
        exit(TEST_SKIPPED);
    }
    fclose(f);
}

/* Of `count` blocks, the first bytes only. */
static void obtain_barely(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        *(volatile char *)obtain_untouched(size) = 1;
    }
}

/*
 * G115: none where memory is not about to be filled, whatever its size: small heaps, buffers
 * that are used in part, zeroed tables, much that nobody touches.
 */
static void huge_pages_none(void)
{
    need_madvise();
    for (int i = 0; i < 12000; i++) {
        obtain(1000);
    }
    CHECK(huge_now() == 0);
    obtain_barely(4000, 24 * KIB);
    CHECK(huge_now() == 0);
    CHECK(calloc(48, MIB) != NULL && calloc(8, MIB) != NULL);
    CHECK(obtain_untouched(6 * MIB) != NULL && obtain_untouched(64 * MIB) != NULL);
    say("huge pages", mib(huge_now()), "MiB", 0);
    CHECK(huge_now() == 0);
}

/* And where they pay: a heap that is filled, a large block. They cost no memory. */
static void huge_pages_some(void)
{
    enum { DENSE = 200000 };
    size_t filled = (size_t)DENSE * 1000;
    unsigned char **block = outside(DENSE * sizeof(*block));

    need_madvise();
    for (int i = 0; i < DENSE; i++) {
        block[i] = obtain(1000);
    }
    say("huge pages of a heap", mib(huge_now()), "MiB", 0);
    say("resident", mib(resident()), "MiB", 1.06 * mib(filled));
    if (huge_now() == 0) {
        puts("the kernel gave none"); /* it has none in one piece */
        exit(TEST_SKIPPED);
    }
    obtain(25 * MIB);
    obtain(100 * MIB);
    say("with large blocks", mib(huge_now()), "MiB", 0);
    CHECK(resident() < filled + filled / 16 + 130 * MIB);
    /* What goes back page by page stays away. */
    for (int i = 0; i < DENSE; i++) {
        if (i % 64 != 0) {
            free(block[i]);
        }
    }
    light_activity(4);
    say("resident when 63 of 64 are free", mib(resident()), "MiB", 0);
    CHECK(resident() < filled / 4 + 130 * MIB);
}

static size_t locked(void)
{
    char text[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f != NULL && fgets(text, sizeof(text), f) != NULL) {
        sscanf(text, "VmLck: %zu", &kib);
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib * KIB;
}

/* G117 */
static void locking(void)
{
    size_t before;

    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        puts("mlockall is not permitted here");
        exit(TEST_SKIPPED);
    }
    before = locked();
    say("locked at first", mib(before), "MiB", 64);
    for (int i = 0; i < 100; i++) {
        obtain(2 * MIB);
    }
    for (int i = 0; i < 20000; i++) {
        obtain(1000);
    }
    say("locked for each byte", (double)(locked() - before) / (219.0 * MIB), "", 1.7);
}

/* G118: what is not resident stays so when it is freed and given back. */
static void absent(void)
{
    enum { N = 300, BYTES = 300 * KIB };
    unsigned char *block[N];
    struct rusage before, after;

    for (int i = 0; i < N; i++) {
        block[i] = obtain(BYTES);
    }
    for (int i = 0; i < N; i++) { /* as if they had been swapped out */
        uintptr_t from = ((uintptr_t)block[i] + 4095) & ~(uintptr_t)4095;

        CHECK(madvise((void *)from, BYTES - 4096, MADV_DONTNEED) == 0);
    }
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < N; i++) {
        free(block[i]);
    }
    malloc_trim(0);
    getrusage(RUSAGE_SELF, &after);
    say("pages touched", (double)(after.ru_minflt - before.ru_minflt), "", 60);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    double time = argc > 2 ? atof(argv[2]) : 3;

    free(malloc(100));
    base = test_statm(1);
    if (strcmp(what, "peak") == 0) {
        peak(time);
    } else if (strcmp(what, "idle") == 0) {
        idle(time);
    } else if (strcmp(what, "pinned") == 0) {
        pinned(time);
    } else if (strcmp(what, "shift") == 0) {
        shift(time);
    } else if (strcmp(what, "replace") == 0) {
        replace(time);
    } else if (strcmp(what, "robson") == 0) {
        robson(time);
    } else if (strcmp(what, "sawtooth") == 0) {
        sawtooth(time);
    } else if (strcmp(what, "growth") == 0) {
        growth();
    } else if (strcmp(what, "overhead") == 0) {
        overhead();
    } else if (strcmp(what, "huge_pages_none") == 0) {
        huge_pages_none();
    } else if (strcmp(what, "huge_pages_some") == 0) {
        huge_pages_some();
    } else if (strcmp(what, "threads") == 0) {
        threads();
    } else if (strcmp(what, "locking") == 0) {
        locking();
    } else if (strcmp(what, "absent") == 0) {
        absent();
    } else {
        return 2;
    }
    return 0;
}
