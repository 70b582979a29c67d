#include "os.h"

#include "bits.h"
#include "check.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Of the kernel, whose headers need not be there (musl-gcc does not find them). */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

#include "fault_calls.h" /* last: it stands before the kernel's entries */

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_FIXED_NOREPLACE
#    define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_WIPEONFORK
#    define MADV_WIPEONFORK 18
#endif

/* ---- memory ---- */

size_t os_page;

COLD NOINLINE size_t os_find_page(void)
{
    size_t found = getauxval(AT_PAGESZ);

    found = found != 0 ? found : (size_t)1 << CONFIG_PAGE_SHIFT;
    store_relaxed(&os_page, found);
    return found;
}

void *os_map(size_t bytes)
{
    int saved = errno;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

bool os_map_at(void *start, size_t bytes)
{
    int saved = errno;
    /* To kernels before 4.17 it is a hint: what is there already stays on any. */
    void *p = mmap(start, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (p != MAP_FAILED && p != start) {
        munmap(p, bytes);
        p = MAP_FAILED;
    }
    errno = saved;
    return p != MAP_FAILED;
}

void *os_lonely_address(size_t bytes, unsigned bits)
{
    /*
     * Between 2/8 and 5/8 of all (with 47 bits: 32 to 80 TiB): below the kernel's top-down
     * mappings and the executable, above what sanitizers and language runtimes claim.
     */
    const uintptr_t low = (uintptr_t)1 << (bits - 2);
    const uintptr_t room = ((uintptr_t)3 << (bits - 3)) - bytes;
    uint64_t random;

    if (UNDER_TSAN) { /* any address outside its own layout is fatal */
        return NULL;
    }
    os_random(&random, sizeof(random));
    return (void *)(low + bits_round_down(random % room, 2 * MIB));
}

bool os_unmap(void *start, size_t bytes)
{
    int saved = errno;
    bool done = munmap(start, bytes) == 0;

    errno = saved;
    return done;
}

void *os_remap(void *start, size_t old_bytes, size_t new_bytes, bool may_move)
{
    int saved = errno;
    void *p = mremap(start, old_bytes, new_bytes, may_move ? MREMAP_MAYMOVE : 0);

    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

void *os_map_inaccessible(size_t bytes)
{
    int saved = errno;
    void *p = mmap(
        NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

bool os_make_inaccessible(void *start, size_t bytes)
{
    int saved = errno;
    /* Mapped anew: at once without its pages, too. */
    void *p = mmap(start, bytes, PROT_NONE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    bool done = p != MAP_FAILED || mprotect(start, bytes, PROT_NONE) == 0;

    errno = saved;
    return done;
}

bool os_purge(void *start, size_t bytes)
{
    int saved = errno;
    bool done = madvise(start, bytes, MADV_DONTNEED) == 0;

    errno = saved;
    return done;
}

bool os_advise_huge(void *start, size_t bytes, bool is_wanted)
{
    int saved = errno;
    bool done = madvise(start, bytes, is_wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) == 0;

    errno = saved;
    return done;
}

size_t os_resident_bytes(void *start, size_t bytes)
{
    unsigned char in_memory[512];
    size_t page = os_page_bytes();
    size_t step = sizeof(in_memory) * page;
    size_t resident = 0;
    int saved = errno;

    for (size_t at = 0; at < bytes; at += step) {
        size_t part = bits_min(bytes - at, step);

        if (mincore((char *)start + at, part, in_memory) != 0) {
            break;
        }
        for (size_t i = 0; i < part / page; i++) {
            resident += (in_memory[i] & 1) * page;
        }
    }
    errno = saved;
    return resident;
}

bool os_protect(void *start, size_t bytes, bool may_access)
{
    int saved = errno;
    bool done =
        mprotect(start, bytes, may_access ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;

    errno = saved;
    return done;
}

static bool has_valgrind;

void os_note_valgrind(void)
{
    has_valgrind = true;
}

bool os_is_readable(const void *address)
{
    int saved = errno;
    bool is_readable;

    if (UNLIKELY(has_valgrind)) {
        uint64_t word;
        struct iovec here = {&word, sizeof(word)};
        struct iovec there = {(void *)(uintptr_t)address, sizeof(word)};

        is_readable =
            process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)sizeof(word);
        errno = saved;
        return is_readable;
    }
    /* The kernel reads the set before it finds that there is no such operation. */
    syscall(SYS_rt_sigprocmask, ~0, address, NULL, sizeof(uint64_t));
    is_readable = errno == EINVAL;
    errno = saved;
    return is_readable;
}

void *os_map_wiped_on_fork(size_t bytes)
{
    int saved = errno;
    void *p = os_map(bytes);

    if (p != NULL && madvise(p, bytes, MADV_WIPEONFORK) != 0) {
        os_unmap(p, bytes);
        p = NULL;
    }
    errno = saved;
    return p;
}

/* ---- time, random, waiting ---- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0, 0};

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint32_t os_coarse_ms(void)
{
    return (uint32_t)(clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000u);
}

uint64_t os_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t os_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t os_started_ns(uint64_t ticks)
{
    uint64_t since_boot = ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
    uint64_t boot = clock_ns(CLOCK_BOOTTIME);

    return os_realtime_ns() - (boot > since_boot ? boot - since_boot : 0);
}

const char *os_called(void)
{
    const char *path = (const char *)getauxval(AT_EXECFN);

    return path != NULL ? path : "";
}

const void *os_program_headers(size_t *ret_count)
{
    *ret_count = getauxval(AT_PHNUM);
    return (const void *)getauxval(AT_PHDR);
}

uint64_t os_inode(int fd)
{
    int saved = errno;
    struct stat st;
    uint64_t inode = fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;

    errno = saved;
    return inode;
}

bool os_sandbox_noted;

int os_prctl(int option, const unsigned long argument[4])
{
    return (int)syscall(
        SYS_prctl, option, argument[0], argument[1], argument[2], argument[3]);
}

int os_cancel_disable(void)
{
    int state = PTHREAD_CANCEL_ENABLE;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

void os_cancel_restore(int state)
{
    pthread_setcancelstate(state, NULL);
}

int os_duplicate(int fd)
{
    int saved = errno;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 512);

    copy = copy < 0 ? -errno : copy;
    errno = saved;
    return copy;
}

NORETURN void os_exit(int code)
{
    for (;;) {
        syscall(SYS_exit_group, code);
    }
}

void os_random(void *buffer, size_t bytes)
{
    int saved = errno;
    unsigned char *out = buffer;

    /* Not by its wrapper: that is a cancellation point, and we may hold a lock. */
    if (os_is_sandboxed()
        || syscall(SYS_getrandom, buffer, bytes, GRND_NONBLOCK) != (long)bytes) {
        const unsigned char *seed = (const unsigned char *)getauxval(AT_RANDOM);
        uint64_t mix = clock_ns(CLOCK_MONOTONIC) ^ (uint64_t)getpid() << 32;

        for (size_t i = 0; i < bytes; i++) {
            mix = mix * 6364136223846793005u + 1442695040888963407u;
            out[i] = (unsigned char)(mix >> 56) ^ (seed != NULL ? seed[i % 16] : 0);
        }
    }
    errno = saved;
}

void os_futex_wait_ms(uint32_t *word, uint32_t value, uint32_t most_ms)
{
    struct timespec most = {most_ms / 1000, (long)(most_ms % 1000) * 1000000};
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &most, NULL, 0);
    errno = saved;
}

void os_futex_wake_all(uint32_t *word)
{
    int saved = errno;

    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    errno = saved;
}

/* ---- the process ---- */

bool os_is_secure(void)
{
    return getauxval(AT_SECURE) != 0;
}

bool os_is_dumpable(void)
{
    int saved = errno;
    int answer = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

    errno = saved;
    return answer != 0; /* refused: not known to be hidden */
}

static uint64_t limit_of(int resource)
{
    struct rlimit limit;
    int saved = errno;
    uint64_t found = 0;

    if (getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        found = limit.rlim_cur != 0 ? limit.rlim_cur : 1;
    }
    errno = saved;
    return found;
}

uint64_t os_limit_as(void)
{
    return limit_of(RLIMIT_AS);
}

uint64_t os_limit_data(void)
{
    return limit_of(RLIMIT_DATA);
}

uint64_t os_limit_file(void)
{
    return limit_of(RLIMIT_FSIZE);
}

uint64_t os_physical_bytes(void)
{
    struct sysinfo info;
    int saved = errno;
    uint64_t found = sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;

    errno = saved;
    return found;
}

static uint64_t parse_decimal(const char *text)
{
    uint64_t value = 0;

    while (*text >= '0' && *text <= '9') {
        value = value * 10 + (uint64_t)(*text++ - '0');
    }
    return value;
}

/* The group that /proc/self/cgroup names on the line with this controller. */
static bool find_group(char *groups, const char *controller, char **ret_group)
{
    char *group = strstr(groups, controller);
    char *end;

    if (group == NULL) {
        return false;
    }
    group += strlen(controller) - 1; /* ends with the group's first slash */
    end = strchr(group, '\n');
    if (end != NULL) {
        *end = '\0';
    }
    *ret_group = group;
    return true;
}

/* The least limit on the way up from a group. */
static uint64_t least_limit(char *group, const char *root, const char *file)
{
    char path[768];
    char value[32];
    uint64_t least = 0;
    char *end = group + strlen(group);

    do {
        *end = '\0';
        check_format(path, sizeof(path), "%s%s%s", root, group, file);
        if (os_read_file(path, value, sizeof(value)) > 0 && value[0] != 'm') {
            uint64_t limit = parse_decimal(value);

            /* v1 says "none" by a number near the largest there is */
            if (limit != 0 && limit < (uint64_t)1 << 60
                && (least == 0 || limit < least)) {
                least = limit;
            }
        }
        end = strrchr(group, '/');
    } while (end != NULL);
    return least;
}

uint64_t os_cgroup_limit(void)
{
    char groups[1024];
    char *group;
    uint64_t limit = 0;

    if (os_read_file("/proc/self/cgroup", groups, sizeof(groups)) <= 0) {
        return 0;
    }
    if (find_group(groups, "0::/", &group)) {
        limit = least_limit(group, "/sys/fs/cgroup", "/memory.max");
    }
    if (limit == 0 && os_read_file("/proc/self/cgroup", groups, sizeof(groups)) > 0
        && find_group(groups, ":memory:/", &group)) {
        limit = least_limit(group, "/sys/fs/cgroup/memory", "/memory.limit_in_bytes");
    }
    return limit;
}

uint64_t os_pid(void)
{
    return (uint64_t)getpid();
}

uint64_t os_thread_id(void)
{
    return (uint64_t)gettid();
}

bool os_thread_name(char *ret, size_t size)
{
    int saved = errno;
    bool is_known = size >= 16 && prctl(PR_GET_NAME, ret, 0, 0, 0) == 0;

    errno = saved;
    return is_known;
}

uint64_t os_cpu_ns(void)
{
    struct timespec t = {0, 0};

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void os_raise(int number)
{
    int saved = errno;

    syscall(SYS_tgkill, getpid(), gettid(), number);
    errno = saved;
}

bool os_is_first_thread(void)
{
    return gettid() == getpid();
}

uint64_t os_parent_pid(void)
{
    return (uint64_t)getppid();
}

uint64_t os_uid(void)
{
    return (uint64_t)geteuid();
}

uint64_t os_pid_namespace(void)
{
    struct stat st;
    int saved = errno;
    uint64_t found = stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;

    errno = saved;
    return found;
}

bool os_process_exists(uint64_t pid)
{
    int saved = errno;
    bool exists = kill((pid_t)pid, 0) == 0 || errno != ESRCH;

    errno = saved;
    return exists;
}
