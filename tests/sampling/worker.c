/*
 * worker - a program whose allocations are known, for test_sampling.py
 *
 * Reads commands, one a line, and answers each with a line: "ok", and figures. What it
 * allocates between two commands is what the command says, and nothing else: no stdio.
 *
 *     alloc COUNT SIZE     blocks that are kept, by keep() below
 *     calloc COUNT SIZE    the same, zeroed
 *     free COUNT           the last ones of them (0: all)
 *     grow SIZE            realloc of the last one
 *     pairs COUNT SIZE     malloc and free, at once
 *     deep COUNT           one block of 32 bytes from each of so many different stacks
 *     small                a block of each size up to 1,024, at once freed
 *     enter NAME, operation NAME, thread NAME     "-": none
 *     set BYTES            mp_sample_set
 *     dump PATH            mp_dump; "error N" when it fails
 *     counters             what mp_snapshot says, and the processor time in ns
 *     burn MS SIZE         pairs for so long, as fast as it goes
 *     idle MS              a pair each millisecond
 *     open N PATH, run N COUNT SIZE, close N      a plugin: blocks that it keeps
 *     hole BYTES           mapped, so that the next plugin lies elsewhere
 *     storm ROUNDS DUMP CHILD     eight threads, short ones, a fork; dumps of both processes
 *     threads COUNT        that allocate along known functions until the process ends
 *     fork, clone, vfork, spawn PROGRAM     a child; fork and clone leave "COMMAND…" to it
 *     seccomp              a thread that may only use memory
 *     filter               no system calls from now on but those of memory and files
 */
#include <mpalloc.h>

#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

extern char **environ;

static void say(const char *format, ...)
{
    static char line[4096];
    va_list ap;
    int n;

    va_start(ap, format);
    n = vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    if (write(1, line, (size_t)n) != n) {
        _exit(2);
    }
}

static void fail(const char *what)
{
    say("failed: %s (errno %d)\n", what, errno);
    _exit(2);
}

static uint64_t clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- blocks that are kept ---- */

enum { KEPT_MOST = 1 << 20 };
static void *kept[KEPT_MOST];
static size_t kept_count;

static NOINLINE void keep(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        void *p = malloc(size); /* keep */

        if (p == NULL || kept_count == KEPT_MOST) {
            fail("malloc");
        }
        kept[kept_count++] = p;
    }
}

static void release(size_t count)
{
    for (size_t i = 0; i < count && kept_count > 0; i++) {
        free(kept[--kept_count]);
    }
}

static NOINLINE void pair(size_t size)
{
    void *volatile p = malloc(size);

    free(p);
}

/* Each bit of `way` is a call of the one or the other: 2^depth stacks. */
static NOINLINE void go_right(uint64_t way, unsigned depth);

static NOINLINE void go_left(uint64_t way, unsigned depth)
{
    if (depth == 0) {
        keep(1, 32);
    } else if ((way & 1) != 0) {
        go_right(way >> 1, depth - 1);
    } else {
        go_left(way >> 1, depth - 1);
    }
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

static NOINLINE void go_right(uint64_t way, unsigned depth)
{
    if (depth == 0) {
        keep(1, 32);
    } else if ((way & 1) != 0) {
        go_right(way >> 1, depth - 1);
    } else {
        go_left(way >> 1, depth - 1);
    }
    __asm__ volatile("" ::: "memory");
}

/* ---- known functions, with their lines ---- */

static NOINLINE void *leaf(size_t size)
{
    void *p = malloc(size); /* leaf */

    __asm__ volatile("" ::: "memory");
    return p;
}

static NOINLINE void *branch(size_t size)
{
    void *p = leaf(size); /* branch */

    __asm__ volatile("" ::: "memory");
    return p;
}

static NOINLINE void *go_along(void *arg)
{
    void *blocks[64] = {NULL};

    for (unsigned i = 0;; i++) {
        size_t at = i * 2654435761u >> 26;

        free(blocks[at]);
        blocks[at] = branch(1 + i * 40503u % 5000); /* go_along */
    }
    return arg;
}

static void start_threads(unsigned count)
{
    pthread_t thread;

    while (count-- > 0) {
        if (pthread_create(&thread, NULL, go_along, NULL) != 0) {
            fail("pthread_create");
        }
    }
}

/* ---- a storm ---- */

enum { STORM_THREADS = 8, SLOTS = 128, SHARED = 256 };
static _Atomic(void *) shared[SHARED];
static unsigned rounds;

/*
 * A thread that fork loses in the middle of such a block has counted it, but not yet sampled,
 * or no more: for one of 33 MiB all the child's figures would be off. Small ones are both at
 * once.
 */
static pthread_rwlock_t between_large =
    PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

/* Most small; one in 16 of some spans; one in 1,000 with a mapping of its own. */
static size_t random_size(uint64_t r)
{
    if (r % 1000 == 0) {
        return ((size_t)33 << 20) + (r >> 40) % 100000;
    }
    if (r % 16 == 0) {
        return 32769 + (r >> 40) % 300000;
    }
    return 1 + (r >> 40) % ((size_t)16 << (r >> 20) % 11);
}

static void step(uint64_t r, size_t size, void **at)
{
    if (r % 11 == 0) {
        *at = realloc(*at, size);
    } else {
        free(*at);
        *at = r % 7 == 0    ? calloc(1, size)
              : r % 13 == 0 ? aligned_alloc(256, (size + 255) & ~(size_t)255)
                            : malloc(size);
    }
    if (r % 3 == 0) { /* another thread frees it */
        free(atomic_exchange(&shared[r / 3 % SHARED], *at));
        *at = NULL;
    }
}

static void stir(uint64_t seed, unsigned steps)
{
    void *own[SLOTS] = {NULL};
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;

    for (unsigned i = 0; i < steps; i++) {
        uint64_t r = next_random(&state);
        size_t size = random_size(next_random(&state));

        pthread_rwlock_rdlock(&between_large);
        step(r, size, &own[r % SLOTS]);
        pthread_rwlock_unlock(&between_large);
    }
    for (unsigned i = 0; i < SLOTS; i += 1 + (seed % 2)) { /* some stay */
        pthread_rwlock_rdlock(&between_large);
        free(own[i]);
        pthread_rwlock_unlock(&between_large);
    }
}

/* Short lives: a few blocks of each of some classes, then another thread has the heap. */
static void *live_shortly(void *arg)
{
    stir((uintptr_t)arg, 40);
    return NULL;
}

static void *stir_long(void *arg)
{
    uint64_t seed = (uintptr_t)arg;

    for (unsigned i = 0; i < rounds; i++) {
        pthread_t other;

        stir(seed * 1000 + i, 100);
        if (pthread_create(
                &other, NULL, live_shortly, (void *)(uintptr_t)(seed * 977 + i))
            == 0) {
            pthread_join(other, NULL);
        }
    }
    return NULL;
}

static int dump_when_there_is_a_region(const char *path)
{
    int code = mp_dump(path);

    for (unsigned i = 0; i < 500 && code == -ENODATA; i++) {
        usleep(1000);
        for (size_t size = 16; size <= 1024; size += 16) {
            pair(size);
        }
        code = mp_dump(path);
    }
    return code;
}

static int storm_in_child(const char *path)
{
    pthread_t threads[2];

    for (uintptr_t i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, stir_long, (void *)(i + 100)) != 0) {
            return 2;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    return dump_when_there_is_a_region(path) == 0 ? 0 : 2;
}

static void storm(const char *path, const char *child_path)
{
    pthread_t threads[STORM_THREADS];
    uint64_t seed = clock_ns(CLOCK_REALTIME);
    int status = 0;
    pid_t child;

    for (uintptr_t i = 0; i < STORM_THREADS; i++) {
        if (pthread_create(&threads[i], NULL, stir_long, (void *)(seed % 99991 + i))
            != 0) {
            fail("pthread_create");
        }
    }
    usleep(3000);
    pthread_rwlock_wrlock(&between_large);
    child = fork();
    if (child == 0) {
        between_large = (pthread_rwlock_t)PTHREAD_RWLOCK_INITIALIZER;
        _exit(storm_in_child(child_path));
    }
    pthread_rwlock_unlock(&between_large);
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    if (waitpid(child, &status, 0) != child || status != 0) {
        fail("the child");
    }
    if (mp_dump(path) != 0) {
        fail("mp_dump");
    }
    say("ok\n");
}

/* ---- plugins ---- */

enum { PLUGINS = 8 };
static void *plugins[PLUGINS];

static void open_plugin(unsigned i, const char *path)
{
    plugins[i % PLUGINS] = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (plugins[i % PLUGINS] == NULL) {
        fail(dlerror());
    }
    say("ok %p\n", dlsym(plugins[i % PLUGINS], "run"));
}

static void run_plugin(unsigned i, size_t count, size_t size)
{
    void *(*run)(size_t) =
        (void *(*)(size_t))(uintptr_t)dlsym(plugins[i % PLUGINS], "run");

    while (count-- > 0) {
        kept[kept_count++] = run(size);
    }
    say("ok\n");
}

/* ---- restrictions ---- */

static void forbid_files(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fallocate, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ftruncate, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettid, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        say("none here\n");
        _exit(77);
    }
}

static void *allocate_confined(void *arg)
{
    forbid_files();
    keep(20000, 200);
    return arg;
}

static void wait_for(pid_t child)
{
    int status = 0;

    if (child < 0 || waitpid(child, &status, 0) != child) {
        fail("the child");
    }
    say("ok %d %d\n", (int)child, status);
}

/* ---- commands ---- */

static char input[65536];
static size_t input_at, input_end;

static char *read_line(void)
{
    for (;;) {
        char *end = memchr(input + input_at, '\n', input_end - input_at);
        ssize_t n;

        if (end != NULL) {
            char *line = input + input_at;

            *end = '\0';
            input_at = (size_t)(end + 1 - input);
            return line;
        }
        memmove(input, input + input_at, input_end - input_at);
        input_end -= input_at;
        input_at = 0;
        n = read(0, input + input_end, sizeof(input) - input_end);
        if (n <= 0) {
            return NULL;
        }
        input_end += (size_t)n;
    }
}

static void answer_counters(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    if (mp_snapshot(&s) != 0) {
        fail("mp_snapshot");
    }
    say("ok %llu %llu %llu %llu %llu\n", (unsigned long long)s.allocated_bytes_total,
        (unsigned long long)s.live_bytes, (unsigned long long)s.live_blocks,
        (unsigned long long)s.allocated_blocks_total,
        (unsigned long long)clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

static void burn(uint64_t ms, size_t size)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + ms * 1000000;

    while (clock_ns(CLOCK_MONOTONIC) < end) {
        for (unsigned i = 0; i < 100; i++) {
            pair(size);
        }
    }
}

static void idle(uint64_t ms)
{
    while (ms-- > 0) {
        usleep(1000);
        for (size_t size = 16; size <= 64; size += 16) {
            pair(size);
        }
        pair(40000);
    }
}

static const char *name_or_null(const char *name)
{
    return strcmp(name, "-") == 0 ? NULL : name;
}

static void obey(char *line);

/* The child obeys one more command, given after a colon, and ends. */
static void in_child(const char *line)
{
    char *more = strchr(line, ':');

    while (more != NULL) {
        char *next = strchr(more + 1, ':');

        if (next != NULL) {
            *next = '\0';
        }
        obey(more + 1);
        more = next;
    }
    _exit(0);
}

static bool obey_processes(const char *line, const char *word, const char *text)
{
    pid_t child;

    if (strcmp(word, "fork") == 0) {
        child = fork();
        child == 0 ? in_child(line) : wait_for(child);
    } else if (strcmp(word, "clone") == 0) {
        child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
        child == 0 ? in_child(line) : wait_for(child);
    } else if (strcmp(word, "vfork") == 0) {
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        child = vfork();
        if (child == 0) {
            execl(text, text, (char *)NULL);
            _exit(3);
        }
        wait_for(child);
    } else if (strcmp(word, "spawn") == 0) {
        char *argv[] = {(char *)(uintptr_t)text, NULL};

        if (posix_spawn(&child, text, NULL, NULL, argv, environ) != 0) {
            fail("posix_spawn");
        }
        wait_for(child);
    } else if (strcmp(word, "exec") == 0) {
        execl(text, text, (char *)NULL);
        fail("exec");
    } else {
        return false;
    }
    return true;
}

static bool obey_tags(const char *word, const char *text)
{
    if (strcmp(word, "enter") == 0) {
        mp_enter(name_or_null(text) != NULL ? mp_component(text) : NULL);
    } else if (strcmp(word, "operation") == 0) {
        mp_operation(name_or_null(text));
    } else if (strcmp(word, "thread") == 0) {
        pthread_setname_np(pthread_self(), text);
    } else if (strcmp(word, "dump") == 0) {
        int code = dump_when_there_is_a_region(text);

        if (code != 0) {
            say("error %d\n", code);
            return true;
        }
    } else {
        return false;
    }
    say("ok\n");
    return true;
}

static bool obey_numbers(const char *word, uint64_t a, uint64_t b)
{
    if (strcmp(word, "alloc") == 0) {
        keep(a, b);
    } else if (strcmp(word, "calloc") == 0) {
        for (; a > 0; a--) {
            kept[kept_count++] = calloc(1, b);
        }
    } else if (strcmp(word, "free") == 0) {
        release(a != 0 ? a : KEPT_MOST);
    } else if (strcmp(word, "grow") == 0) {
        kept[kept_count - 1] = realloc(kept[kept_count - 1], a);
        say("ok %p\n", kept[kept_count - 1]);
        return true;
    } else if (strcmp(word, "pairs") == 0) {
        for (; a > 0; a--) {
            pair(b);
        }
    } else if (strcmp(word, "deep") == 0) {
        for (uint64_t i = 0; i < a; i++) {
            go_left(i, 20);
        }
    } else if (strcmp(word, "small") == 0) {
        for (size_t size = 1; size <= 1024; size++) {
            pair(size);
        }
    } else if (strcmp(word, "set") == 0) {
        say("ok %d\n", mp_sample_set(a));
        return true;
    } else if (strcmp(word, "burn") == 0) {
        burn(a, b);
    } else if (strcmp(word, "idle") == 0) {
        idle(a);
    } else if (strcmp(word, "hole") == 0) {
        say("ok %p\n", mmap(NULL, a, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        return true;
    } else if (strcmp(word, "threads") == 0) {
        start_threads((unsigned)a);
    } else {
        return false;
    }
    say("ok\n");
    return true;
}

static void obey(char *line)
{
    char word[32] = "";
    char text[1024] = "";
    char more[1024] = "";
    uint64_t a, b, c;

    sscanf(line, "%31s %1023s %1023s", word, text, more);
    a = strtoull(text, NULL, 0);
    b = strtoull(more, NULL, 0);
    if (obey_processes(line, word, text) || obey_tags(word, text)
        || obey_numbers(word, a, b)) {
        return;
    }
    if (strcmp(word, "counters") == 0) {
        answer_counters();
    } else if (strcmp(word, "storm") == 0) {
        char child[1024];

        sscanf(line, "%*s %*s %*s %1023s", child);
        rounds = (unsigned)a;
        storm(more, child);
    } else if (strcmp(word, "open") == 0) {
        open_plugin((unsigned)a, more);
    } else if (strcmp(word, "run") == 0) {
        sscanf(line, "%*s %*s %*s %lu", &c);
        run_plugin((unsigned)a, b, c);
    } else if (strcmp(word, "close") == 0) {
        dlclose(plugins[a % PLUGINS]);
        say("ok\n");
    } else if (strcmp(word, "seccomp") == 0) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, allocate_confined, NULL) != 0) {
            fail("pthread_create");
        }
        pthread_join(thread, NULL);
        say("ok\n");
    } else if (strcmp(word, "filter") == 0) {
        forbid_files();
        say("ok\n");
    } else {
        say("unknown: %s\n", line);
    }
}

int main(void)
{
    char *line;

    while ((line = read_line()) != NULL) {
        obey(line);
    }
    return 0;
}
