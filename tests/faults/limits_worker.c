/*
 * limits_worker - a program in narrow places, for limits.py
 *
 *     limits_worker work                all kinds of requests, threads and a child
 *     limits_worker maps                no more mappings may be made (C47)
 *     limits_worker requests            impossible requests, a million times (C51)
 *     limits_worker closed FILE         fd 2 becomes a file of the program's (F94)
 *     limits_worker reopen DIRECTORY    all descriptors closed, and taken again (F95)
 *     limits_worker filter CALL errno|kill [before]
 *                                       a system call refused by seccomp (F98)
 *     limits_worker cycle MIB SECONDS   fill and empty up to a limit (C43)
 */
#include "../api/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { KIB = 1 << 10, MIB = 1 << 20, BLOCKS = 400 };

/* ---- work ---- */

static size_t size_of(uint64_t r)
{
    switch (r % 8) {
    case 0:
        return 32 * KIB + (r >> 8) % (300 * KIB);
    case 1:
        return (r >> 8) % 8 == 0 ? 33 * MIB : 2 * MIB;
    case 2:
    case 3:
        return KIB + (r >> 8) % (31 * KIB);
    default:
        return 1 + (r >> 8) % KIB;
    }
}

static size_t marked(size_t n)
{
    return n < 2 * KIB ? n : 2 * KIB;
}

static int steps = 3000;

/* can_resize_huge: that calls mremap, which a filter may have forbidden. */
static void work(uint64_t seed, bool can_resize_huge)
{
    unsigned char *block[64] = {NULL};
    size_t bytes[64] = {0};

    for (int i = 0; i < steps; i++) {
        uint64_t r = test_random(&seed);
        size_t k = r % 64;
        size_t n = size_of(r >> 8);
        size_t before = bytes[k];

        if (block[k] != NULL) {
            CHECK(test_is_filled(block[k], (int)k, marked(before)));
        }
        if (block[k] != NULL
            && (can_resize_huge || (n < 32 * MIB && before < 32 * MIB))) {
            block[k] = realloc(block[k], n);
            CHECK(block[k] != NULL);
            CHECK(test_is_filled(block[k], (int)k, marked(before < n ? before : n)));
        } else {
            free(block[k]);
            block[k] = i % 3 == 0 ? calloc(1, n) : malloc(n);
            CHECK(block[k] != NULL
                  && (i % 3 != 0 || test_is_filled(block[k], 0, marked(n))));
        }
        bytes[k] = n;
        test_fill(block[k], (int)k, marked(n));
        if (i % 5 == 0) {
            free(block[k]);
            block[k] = NULL;
            bytes[k] = 0;
        }
    }
    for (int k = 0; k < 64; k++) {
        free(block[k]);
    }
    malloc_trim(0);
}

static void *work_in_thread(void *arg)
{
    work((uintptr_t)arg, true);
    return NULL;
}

static void work_everywhere(void)
{
    pthread_t thread[2];
    pid_t child;
    int status;

    work(1, true);
    for (uintptr_t i = 0; i < 2; i++) {
        CHECK(pthread_create(&thread[i], NULL, work_in_thread, (void *)(i + 7)) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        work(5, true);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    test_claim("work");
}

/* ---- C47 ---- */

static void maps(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static unsigned char *small[100000];
    unsigned char *huge[3];
    size_t count = 0, foreign = 0, served = 0, again = 0;
    char *area, *hole;

    free(malloc(100));
    for (int i = 0; i < 3; i++) { /* most likely side by side, in one mapping */
        huge[i] = malloc(40 * MIB);
        CHECK(huge[i] != NULL);
        test_fill(huge[i], i + 1, page);
    }
    area = mmap(NULL, page * 2 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    for (; foreign < 65536; foreign++) {
        if (mprotect(area + foreign * 2 * page, page, PROT_READ) != 0) {
            CHECK(errno == ENOMEM);
            break;
        }
    }
    CHECK(foreign < 65536); /* else the machine allows more than this test takes */
    hole = mmap(NULL, page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)hole;
    for (; count < 100000; count++) {
        errno = 0;
        small[count] = malloc(2000);
        if (small[count] == NULL) {
            CHECK(errno == ENOMEM);
            break;
        }
        test_fill(small[count], (int)count, 2000);
    }
    served = count;
    CHECK(served >= 100); /* what was mapped ahead is there */
    for (int i = 0; i < 1000; i++) {
        void *p = malloc(64 * MIB);

        CHECK(p != NULL || errno == ENOMEM);
        free(p);
    }
    errno = 77;
    free(huge[1]); /* from the middle: the kernel refuses */
    CHECK(errno == 77);
    CHECK(test_is_filled(huge[0], 1, page) && test_is_filled(huge[2], 3, page));
    for (size_t i = 0; i < count; i += 2) {
        CHECK(test_is_filled(small[i], (int)i, 2000));
        free(small[i]);
        small[i] = NULL;
    }
    for (size_t i = 0; i < count; i += 2, again++) { /* there is room again */
        small[i] = malloc(2000);
        if (small[i] == NULL) {
            break;
        }
        test_fill(small[i], (int)i, 2000);
    }
    CHECK(again >= count / 2 * 8 / 10);
    malloc_trim(0);
    CHECK(munmap(area, page * 2 * 65536) == 0);
    huge[1] = malloc(40 * MIB);
    CHECK(huge[1] != NULL && malloc(200 * MIB) != NULL);
    for (int i = 0; i < 3; i++) {
        free(huge[i]);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(small[i] == NULL || test_is_filled(small[i], (int)i, 2000));
        free(small[i]);
    }
    printf("foreign %zu served %zu again %zu\n", foreign, served, again);
}

/* ---- C51 ---- */

static void requests(void)
{
    static const size_t sizes[] = {
        (size_t)1 << 47, (size_t)1 << 50, PTRDIFF_MAX, SIZE_MAX};
    size_t space = test_statm(0);
    void *p = malloc(1000);

    for (int i = 0; i < 1000000; i++) {
        errno = 0;
        CHECK(malloc(test_opaque(sizes[i & 3])) == NULL && errno == ENOMEM);
    }
    for (int i = 0; i < 20000; i++) {
        errno = 0;
        CHECK(realloc(p, test_opaque(sizes[i & 3])) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(memalign(4096, test_opaque(sizes[i & 3])) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(test_opaque(sizes[i & 3]), 1) == NULL && errno == ENOMEM);
    }
    free(p);
    CHECK(test_statm(0) <= space + 2 * MIB);
    test_claim("requests");
}

/* ---- F94, F95 ---- */

static void misuse(void)
{
    void *volatile p = malloc(40 * MIB);

    free(p);
    free(p); /* MPALLOC_ABORT=0, MPALLOC_LOG=debug: says so and goes on */
}

static void closed(const char *path)
{
    close_range(0, ~0u, 0);
    CHECK(open("/dev/null", O_RDONLY) == 0);
    CHECK(open("/dev/null", O_WRONLY) == 1);
    CHECK(open(path, O_RDWR | O_CREAT | O_EXCL, 0600) == 2);
    CHECK(write(2, "data", 4) == 4);
    misuse();
    work(3, true);
}

static void reopen(const char *directory)
{
    char path[300];

    work(1, true);
    close_range(3, ~0u, 0);
    for (int i = 3; i < 700; i++) {
        snprintf(path, sizeof(path), "%s/%d", directory, i);
        CHECK(open(path, O_RDWR | O_CREAT, 0600) == i);
        CHECK(write(i, "data", 4) == 4);
    }
    work_everywhere();
    for (int i = 3; i < 700; i++) {
        CHECK(lseek(i, 0, SEEK_END) == 4); /* open still, and as it was */
    }
    fflush(stdout);
}

/* ---- F98 ---- */

static const struct {
    const char *name;
    long number;
} calls[] = {
    {"madvise", SYS_madvise},
    {"munmap", SYS_munmap},
    {"mprotect", SYS_mprotect},
    {"mremap", SYS_mremap},
    {"brk", SYS_brk},
    {"openat", SYS_openat},
    {"memfd_create", SYS_memfd_create},
    {"prctl", SYS_prctl},
    {"getrandom", SYS_getrandom},
    {"getcpu", SYS_getcpu},
    {"rseq", SYS_rseq},
    {"set_mempolicy", SYS_set_mempolicy},
    {"sched_getaffinity", SYS_sched_getaffinity},
    {"membarrier", SYS_membarrier},
    {"fallocate", SYS_fallocate},
    {"ftruncate", SYS_ftruncate},
    {"fcntl", SYS_fcntl},
    {"newfstatat", SYS_newfstatat},
    {"readlinkat", SYS_readlinkat},
    {"kill", SYS_kill},
    {"sysinfo", SYS_sysinfo},
    {"prlimit64", SYS_prlimit64},
};

static void install(long number, bool kills)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K,
            kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        puts("no seccomp here");
        exit(TEST_SKIPPED);
    }
}

static void filter(char **argv)
{
    bool kills = strcmp(argv[3], "kill") == 0;
    struct timespec pause = {0, 110 * 1000 * 1000};
    long number = -1;
    pid_t child;
    int status;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        number = strcmp(argv[2], calls[i].name) == 0 ? calls[i].number : number;
    }
    CHECK(number >= 0);
    free(malloc(40 * MIB)); /* kept for the next */
    install(number, kills);
    free(malloc(50 * MIB));
    steps = 500;
    if (argv[4] != NULL) { /* the start of the library, too */
        execl("/proc/self/exe", argv[0], "work", (char *)NULL);
        CHECK(!"exec");
    }
    work(1, !(kills && number == SYS_mremap));
    nanosleep(&pause, NULL); /* ticks publish, purge and give back what idles */
    work(2, !(kills && number == SYS_mremap));
    child = fork(); /* one that lives long enough for a region of its own */
    CHECK(child >= 0);
    if (child == 0) {
        work(3, !(kills && number == SYS_mremap));
        nanosleep(&pause, NULL);
        work(4, !(kills && number == SYS_mremap));
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    test_claim(argv[2]);
}

/* ---- C43 ---- */

static void cycle(size_t most, int seconds)
{
    static unsigned char *block[BLOCKS];
    time_t end = time(NULL) + seconds;
    uint64_t seed = 9;
    size_t live = 0, rounds = 0;
    static size_t bytes[BLOCKS];

    for (; time(NULL) < end; rounds++) {
        while (live < most * MIB) {
            size_t k = test_random(&seed) % BLOCKS;
            size_t n = 64 * KIB + test_random(&seed) % (2 * MIB);

            live -= bytes[k];
            free(block[k]);
            block[k] = malloc(n);
            CHECK(block[k] != NULL);
            test_fill(block[k], (int)k, n);
            bytes[k] = n;
            live += n;
        }
        for (int k = 0; k < BLOCKS; k++) {
            CHECK(block[k] == NULL || test_is_filled(block[k], k, 4 * KIB));
            free(block[k]);
            block[k] = NULL;
            bytes[k] = 0;
        }
        live = 0;
    }
    printf("rounds %zu\n", rounds);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "work";

    if (strcmp(what, "work") == 0) {
        work_everywhere();
    } else if (strcmp(what, "maps") == 0) {
        maps();
    } else if (strcmp(what, "requests") == 0) {
        requests();
    } else if (strcmp(what, "closed") == 0) {
        closed(argv[2]);
    } else if (strcmp(what, "reopen") == 0) {
        reopen(argv[2]);
    } else if (strcmp(what, "filter") == 0) {
        filter(argv);
    } else if (strcmp(what, "cycle") == 0) {
        cycle((size_t)atol(argv[2]), atoi(argv[3]));
    } else {
        return 2;
    }
    return 0;
}
