/*
 * regressions - bugs that a review of the core found, one mode for each
 *
 *     regressions MODE
 *
 * The modes in the second half of the table want an environment: regressions.py calls them.
 * Each mode is a process of its own: several are about the first of something.
 */
#include "test.h"

#include <mpalloc.h>
#include <mpalloc/region.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ---- helpers ---- */

static struct mp_snapshot snapshot(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    CHECK_EQ(mp_snapshot(&s), 0);
    return s;
}

/* As of the last snapshot. */
static struct mp_component_stats stats_of(const char *name)
{
    struct mp_component_stats c = {.size = sizeof(c)};

    for (size_t i = 0; mp_component_stats(i, &c) == 0; i++) {
        if (strcmp(c.name, name) == 0) {
            return c;
        }
    }
    test_fail(name, __FILE__, __LINE__);
}

static void in_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, function, arg) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void expect_success(pid_t child)
{
    int status;

    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pass_slow_paths(mp_component_t *c)
{
    for (size_t i = 0; i < 400; i++) {
        free(mp_malloc(c, 64 + i % 100 * 16));
    }
}

/* The region of this process: where it is mapped, or NULL. Readers of it use region.h. */
static const char *find_region(char *ret_path, size_t size)
{
    FILE *f = fopen("/proc/self/maps", "r");
    const char *base = NULL;
    char line[1024];
    char own[32];

    CHECK(f != NULL);
    snprintf(own, sizeof(own), "/%d-", (int)getpid());
    while (base == NULL && fgets(line, sizeof(line), f) != NULL) {
        const char *path = strchr(line, '/');

        if (path != NULL
            && ((strstr(path, own) != NULL && strstr(path, ".mp\n") != NULL)
                || strstr(path, "/memfd:mpalloc") == path)) {
            base = (const char *)(uintptr_t)strtoull(line, NULL, 16);
            snprintf(ret_path, size, "%.*s", (int)strcspn(path, "\n"), path);
        }
    }
    fclose(f);
    return base;
}

static const void *section(const char *base, uint32_t id)
{
    const struct mp_region_header *h = (const struct mp_region_header *)base;

    for (uint32_t i = 0; i < h->section_count; i++) {
        if (h->sections[i].id == id) {
            return base + h->sections[i].offset;
        }
    }
    test_fail("the section is there", __FILE__, __LINE__);
}

/* In a forked child, which gets its region when it lives for some time. */
static void await_region(void)
{
    uint64_t end = now_ms() + 5000;
    char path[256];

    while (find_region(path, sizeof(path)) == NULL) {
        CHECK(now_ms() < end);
        pass_slow_paths(NULL);
        usleep(10000);
    }
}

/* ---- counts of components whose threads are gone ---- */

static void *keep_100(void *arg)
{
    static void *kept[100];
    mp_component_t *c = mp_component(arg);

    for (int i = 0; i < 100; i++) {
        kept[i] = mp_malloc(c, 200);
        CHECK(kept[i] != NULL);
    }
    return kept;
}

static void *free_50(void *arg)
{
    mp_component_t *c = mp_component(arg);
    void *p[50];

    for (int i = 0; i < 50; i++) {
        p[i] = mp_malloc(c, 200);
        CHECK(p[i] != NULL);
    }
    for (int i = 0; i < 50; i++) {
        free(p[i]);
    }
    return NULL;
}

static void *free_one(void *arg)
{
    free(mp_malloc(mp_component(arg), 3000));
    free(mp_malloc(NULL, 3000));
    return NULL;
}

static void expect_blocks(const char *name, uint64_t allocated, uint64_t freed)
{
    struct mp_component_stats c = stats_of(name);

    CHECK_EQ(c.allocated_blocks_total, allocated);
    CHECK_EQ(c.freed_blocks_total, freed);
    CHECK_EQ(c.live_blocks, allocated - freed);
}

static void the_first_snapshot_knows_components_whose_thread_is_gone(void)
{
    static char names[3][8] = {"keeps", "frees", "one"};

    in_thread(keep_100, names[0]);
    in_thread(free_50, names[1]); /* with the heaps of the threads before */
    in_thread(free_one, names[2]);
    for (int i = 0; i < 2; i++) {
        snapshot();
        expect_blocks(names[0], 100, 0);
        expect_blocks(names[1], 50, 50);
        expect_blocks(names[2], 1, 1);
    }
}

/* ---- rows that did not change since the region was opened ---- */

static void check_row(const char *base, const char *name, uint64_t blocks)
{
    const struct mp_region_totals *totals = section(base, MP_SECTION_TOTALS);
    const struct mp_region_component *c = section(base, MP_SECTION_COMPONENTS);
    const struct mp_region_cell *cells = section(base, MP_SECTION_COUNTERS);
    uint64_t in_cells = 0;
    uint64_t row = 0;

    while (row < totals->component_count && strcmp(c[row].name, name) != 0) {
        row++;
    }
    CHECK(row < totals->component_count);
    for (int i = 0; i < MP_REGION_CLASSES; i++) {
        const struct mp_region_cell *cell = &cells[row * MP_REGION_CLASSES + i];

        in_cells += cell->allocated_blocks_total - cell->freed_blocks_total;
    }
    CHECK_EQ(c[row].live_blocks, blocks);
    CHECK_EQ(in_cells, blocks);
}

static void check_dump(const char *path, const char *name, uint64_t blocks)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    char *base;

    unlink(path);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(base != MAP_FAILED);
    close(fd);
    check_row(base, name, blocks);
    munmap(base, (size_t)st.st_size);
}

static void a_childs_dump_holds_rows_that_did_not_change(void)
{
    static const char name[] = "unchanged since the fork";
    mp_component_t *c = mp_component(name);
    char path[64];
    pid_t child;

    for (int i = 0; i < 10000; i++) {
        void *volatile kept = mp_malloc(c, 1000);

        CHECK(kept != NULL);
    }
    snapshot();
    snprintf(path, sizeof(path), "/tmp/mpalloc-regression-%d.mp", (int)getpid());
    unlink(path);
    child = fork();
    if (child == 0) {
        alarm(10);
        await_region();
        for (int i = 0; i < 5; i++) {
            pass_slow_paths(mp_component("of the child"));
            usleep(12000);
        }
        CHECK_EQ(mp_dump(path), 0);
        _exit(0);
    }
    expect_success(child);
    check_dump(path, name, 10000);
}

/* ---- huge blocks ---- */

static void huge_blocks_are_in_the_peak(void)
{
    enum { BLOCKS = 10, BYTES = 64 * MIB };
    void *p[BLOCKS];

    for (int i = 0; i < BLOCKS; i++) {
        p[i] = malloc(BYTES);
        CHECK(p[i] != NULL);
        usleep(30000);
    }
    for (int i = 0; i < BLOCKS; i++) {
        free(p[i]);
    }
    CHECK(snapshot().live_peak_bytes >= (uint64_t)BLOCKS * BYTES);
}

/* ---- threads whose first malloc is in a destructor ---- */

static pthread_key_t key;

static void allocate_late(void *arg)
{
    (void)arg;
    free(malloc(test_opaque(100)));
}

static void *set_key(void *arg)
{
    CHECK(pthread_setspecific(key, &key) == 0);
    return arg;
}

static void threads_that_allocate_only_in_destructors_leave_nothing(void)
{
    struct mp_snapshot before, after;

    free(malloc(test_opaque(100))); /* the library's key is before ours in each round */
    CHECK(pthread_key_create(&key, allocate_late) == 0);
    in_thread(set_key, NULL);
    before = snapshot();
    for (int i = 0; i < 1000; i++) {
        in_thread(set_key, NULL);
    }
    after = snapshot();
    CHECK(after.active_bytes <= before.active_bytes + MIB);
    CHECK(after.metadata_bytes <= before.metadata_bytes + 256 * KIB);
    CHECK(after.threads <= before.threads + 1);
}

/* ---- lists that are put back during a sweep ---- */

static uint64_t allocated, freed;

static void *count_malloc(size_t bytes)
{
    void *p = malloc(bytes);

    CHECK(p != NULL);
    allocated++;
    return p;
}

static void count_free(void *p)
{
    free(p);
    freed++;
}

static void expect_counted(const struct mp_snapshot *before)
{
    struct mp_snapshot after = snapshot();

    CHECK_EQ(after.allocated_blocks_total - before->allocated_blocks_total, allocated);
    CHECK_EQ(after.freed_blocks_total - before->freed_blocks_total, freed);
    CHECK_EQ(after.live_blocks - before->live_blocks, allocated - freed);
}

static void lists_put_back_during_a_sweep_are_not_counted(void)
{
    enum { SPANS = 70000, BLOCKS = 600 }; /* spans for a sweep of several ticks */
    static void *filling[SPANS];
    struct mp_snapshot before = snapshot();
    void *p[BLOCKS];

    for (int i = 0; i < SPANS; i++) {
        filling[i] = count_malloc(32 * KIB);
    }
    for (unsigned round = 0; round < 5; round++) {
        for (int repeat = 0; repeat < 20; repeat++) {
            for (int i = 0; i < BLOCKS; i++) {
                p[i] = count_malloc(48);
            }
            for (int i = 0; i < BLOCKS; i++) {
                count_free(p[i]);
            }
        }
        usleep(420000); /* figures are published at the next tick */
        for (unsigned tick = 0; tick < 6; tick++) {
            count_free(count_malloc(2000 + (round * 8 + tick) * 500));
            if (tick == 0) {
                mp_trim();
            }
            usleep(11000);
        }
    }
    expect_counted(&before);
    for (int i = 0; i < SPANS; i++) {
        count_free(filling[i]);
    }
    expect_counted(&before);
}

/* ---- children that no handler of pthread_atfork heard of ---- */

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static void look_and_end(void (*end)(int))
{
    void *volatile p = malloc(30000);

    alarm(10);
    CHECK(p != NULL);
    snapshot();
    end(0);
}

static void check_unharmed(pid_t (*make)(void), void (*end)(int))
{
    char path[256];
    const char *base = find_region(path, sizeof(path));
    const struct mp_region_totals *totals;
    const struct mp_region_process *process;
    struct mp_region_totals before;
    pid_t child;

    CHECK(base != NULL);
    totals = section(base, MP_SECTION_TOTALS);
    process = section(base, MP_SECTION_PROCESS);
    snapshot();
    before = *totals;
    child = make();
    if (child == 0) {
        look_and_end(end);
    }
    expect_success(child);
    CHECK(memcmp(&before, totals, sizeof(before)) == 0);
    CHECK_EQ(process->state, MP_STATE_RUNNING);
    CHECK_EQ(process->pid, getpid());
    CHECK(path[1] == 'm' || access(path, F_OK) == 0); /* /memfd:… has no file */
}

static void a_childs_snapshot_leaves_the_parents_region_alone(void)
{
    check_unharmed(raw_clone, _exit);
    check_unharmed(raw_clone, exit);
#if __GLIBC_PREREQ(2, 34)
    check_unharmed(_Fork, _exit);
    check_unharmed(_Fork, exit);
#endif
}

/* ---- cancelled threads ---- */

static bool is_cancelled;

static void *allocate_when_cancelled(void *arg)
{
    uint64_t end;

    while (!__atomic_load_n(&is_cancelled, __ATOMIC_ACQUIRE)) {
    }
    end = now_ms() + 300; /* the region of a child comes after 100 ms at most */
    while (now_ms() < end) {
        pass_slow_paths(NULL);
    }
    return arg;
}

/* malloc is no cancellation point: the thread ends by itself, and holds no lock. */
static void a_cancelled_thread_in_a_child_holds_no_lock(void)
{
    pid_t child = fork();

    if (child == 0) {
        struct mallinfo2 info;
        pthread_t thread;
        void *result;

        alarm(10);
        CHECK(
            pthread_create(&thread, NULL, allocate_when_cancelled, &is_cancelled) == 0);
        CHECK(pthread_cancel(thread) == 0);
        __atomic_store_n(&is_cancelled, true, __ATOMIC_RELEASE);
        CHECK(pthread_join(thread, &result) == 0);
        info = mallinfo2(); /* takes all locks */
        (void)info;
        CHECK(result == &is_cancelled);
        _exit(0);
    }
    expect_success(child);
}

/* ---- for regressions.py ---- */

static bool stopping;

static void *allocate_large_and_small(void *arg)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        char *p[64];

        for (size_t i = 0; i < 64; i++) {
            p[i] = malloc(40000 + i * 1000);
            CHECK(p[i] != NULL);
            p[i][0] = 1;
        }
        for (int i = 0; i < 64; i++) {
            free(p[i]);
        }
        for (size_t i = 0; i < 300; i++) {
            free(malloc(16 + i * 3));
        }
    }
    return arg;
}

/* MPALLOC_PURGE_DELAY=1h */
static void nothing_is_purged_before_the_delay(void)
{
    pthread_t thread[6];

    for (int i = 0; i < 6; i++) {
        CHECK(pthread_create(&thread[i], NULL, allocate_large_and_small, NULL) == 0);
    }
    usleep(1200000);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 6; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    CHECK_EQ(snapshot().purges_total, 0);
}

/* Memfds of the library that are open here; whether one of them has this inode. */
static int count_memfds(ino_t wanted, bool *ret_found, ino_t *ret_last)
{
    DIR *d = opendir("/proc/self/fd");
    const struct dirent *e;
    int count = 0;

    *ret_found = false;
    CHECK(d != NULL);
    while ((e = readdir(d)) != NULL) {
        char name[64];
        struct stat st;
        ssize_t n = readlinkat(dirfd(d), e->d_name, name, sizeof(name) - 1);

        name[n > 0 ? n : 0] = '\0';
        if (strncmp(name, "/memfd:mpalloc", 14) == 0
            && fstatat(dirfd(d), e->d_name, &st, 0) == 0) {
            count++;
            *ret_found |= st.st_ino == wanted;
            *ret_last = st.st_ino;
        }
    }
    closedir(d);
    return count;
}

static void check_generation(ino_t parents, int more)
{
    bool found;
    ino_t own = 0;
    pid_t child;

    CHECK(count_memfds(parents, &found, &own) <= 1 && !found);
    await_region();
    CHECK_EQ(count_memfds(parents, &found, &own), 1);
    CHECK(!found);
    child = more > 0 ? fork() : -1;
    if (child == 0) {
        alarm(10);
        check_generation(own, more - 1);
        _exit(0);
    }
    if (child > 0) {
        expect_success(child);
    }
}

/* MPALLOC_REGION=memfd */
static void children_have_one_memfd_of_their_own(void)
{
    check_generation(0, 2);
}

/* MPALLOC_REPORT=PATH; says who the child was. */
static void parent_and_child_report(void)
{
    char line[32];
    pid_t child = fork();

    if (child == 0) {
        alarm(10);
        await_region();
        exit(0);
    }
    expect_success(child);
    test_write(line, (size_t)snprintf(line, sizeof(line), "child %d\n", (int)child));
}

/* MPALLOC_DIR: the file must be gone afterwards. */
static void end_with_a_region(void (*end)(int))
{
    char path[256];

    free(malloc(100000));
    CHECK(find_region(path, sizeof(path)) != NULL && access(path, F_OK) == 0);
    test_write("had a region\n", 13);
    end(0);
}

static void end_by_posix_exit(void)
{
    end_with_a_region(_exit);
}

static void end_by_c_exit(void)
{
    end_with_a_region(_Exit);
}

static void a_vfork_childs_exit_leaves_the_parents_region(void)
{
    char path[256];
    const char *base = find_region(path, sizeof(path));
    const struct mp_region_process *process;
    pid_t child;

    CHECK(base != NULL);
    process = section(base, MP_SECTION_PROCESS);
    for (int i = 0; i < 3; i++) {
        child = vfork();
        if (child == 0) {
            _exit(0);
        }
        expect_success(child);
        CHECK_EQ(process->state, MP_STATE_RUNNING);
        CHECK(access(path, F_OK) == 0);
    }
}

/* Forty that get a region and are gone without a word. */
static void forked_children_die(void)
{
    enum { CHILDREN = 40 };
    pid_t child[CHILDREN];

    for (int i = 0; i < CHILDREN; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            alarm(10);
            await_region();
            syscall(SYS_exit_group, 0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        expect_success(child[i]);
    }
}

static const struct mode {
    const char *name;
    void (*run)(void);
    bool is_without_counters; /* has something to say in -Dprofile=false builds */
} modes[] = {
    {"gone_threads", the_first_snapshot_knows_components_whose_thread_is_gone, false},
    {"child_dump", a_childs_dump_holds_rows_that_did_not_change, false},
    {"huge_peak", huge_blocks_are_in_the_peak, false},
    {"late_threads", threads_that_allocate_only_in_destructors_leave_nothing, false},
    {"sweep_lists", lists_put_back_during_a_sweep_are_not_counted, false},
    {"raw_clone", a_childs_snapshot_leaves_the_parents_region_alone, false},
    {"cancelled", a_cancelled_thread_in_a_child_holds_no_lock, true},

    {"purge_delay", nothing_is_purged_before_the_delay, false},
    {"memfds", children_have_one_memfd_of_their_own, false},
    {"reports", parent_and_child_report, false},
    {"_exit", end_by_posix_exit, false},
    {"_Exit", end_by_c_exit, false},
    {"vfork", a_vfork_childs_exit_leaves_the_parents_region, false},
    {"dying_children", forked_children_die, false},
};

int main(int argc, char **argv)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (argc == 2 && strcmp(argv[1], modes[i].name) == 0) {
            if (getenv("TEST_NO_COUNTERS") != NULL && !modes[i].is_without_counters) {
                CHECK_EQ(mp_snapshot(&s), -ENOSYS);
                return TEST_SKIPPED;
            }
            modes[i].run();
            test_claim(argv[1]);
            return 0;
        }
    }
    test_fail("the mode is known", __FILE__, __LINE__);
}
