/* Other threads and a child of the process, as os.h says; the rest is in os_linux.c. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_calls.h" /* last: it stands before the kernel's entries */

#ifndef __WCLONE
#    define __WCLONE 0x80000000
#endif
#ifndef SYS_close_range
#    define SYS_close_range 436
#endif

/* As linux/fs.h has them since 6.7. */
struct pages_found {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};
struct pages_wanted {
    uint64_t bytes; /* of this */
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t found; /* address */
    uint64_t found_room;
    uint64_t pages_most;
    uint64_t inverted;
    uint64_t all_of;
    uint64_t any_of;
    uint64_t returned;
};
#define SCAN_PAGES   _IOWR('f', 16, struct pages_wanted)
#define PAGE_PRESENT (UINT64_C(1) << 3)
#define PAGE_SWAPPED (UINT64_C(1) << 4)

enum {
    SIGNAL_SET_BYTES = 8, /* as the kernel counts them */
    CLOCK_OF_THREAD = 6,  /* in the lowest bits of a clock's number: what it ran */
    DESCRIPTORS_MAX = 65536,
};

void *os_map_shared(size_t bytes)
{
    int saved = errno;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

int os_open_file(const char *path)
{
    int saved = errno;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    fd = fd < 0 ? -errno : fd;
    errno = saved;
    return fd;
}

long os_read_next(int fd, void *buffer, size_t bytes)
{
    int saved = errno;
    ssize_t n;

    do {
        n = read(fd, buffer, bytes);
    } while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    errno = saved;
    return n;
}

long os_read_from(int fd, void *buffer, size_t bytes, uint64_t offset)
{
    int saved = errno;
    ssize_t n = pread(fd, buffer, bytes, (off_t)offset);

    n = n < 0 ? -errno : n;
    errno = saved;
    return n;
}

void os_rewind(int fd)
{
    int saved = errno;

    lseek(fd, 0, SEEK_SET);
    errno = saved;
}

bool os_pages_present(void *start, size_t pages, uint64_t *ret)
{
    unsigned char in_memory[512];
    int saved = errno;
    bool is_known = pages <= sizeof(in_memory)
                    && mincore(start, pages * os_page_bytes(), in_memory) == 0;

    for (size_t i = 0; is_known && i < pages; i++) {
        ret[i] = (in_memory[i] & 1) != 0 ? UINT64_MAX : 0;
    }
    errno = saved;
    return is_known;
}

uintptr_t os_next_present(int pagemap, uintptr_t start, uintptr_t end)
{
    int saved = errno;
    struct pages_found found = {0, 0, 0};
    struct pages_wanted wanted = {.bytes = sizeof(wanted),
        .start = start,
        .end = end,
        .found = (uintptr_t)&found,
        .found_room = 1,
        .pages_most = 1,
        .any_of = PAGE_PRESENT | PAGE_SWAPPED,
        .returned = PAGE_PRESENT | PAGE_SWAPPED};
    long count = syscall(SYS_ioctl, pagemap, SCAN_PAGES, &wanted);

    errno = saved;
    return count < 0 ? 0 : count == 0 ? end : (uintptr_t)found.start;
}

/* ---- signals ---- */

/* Without the C library, which keeps two of them for itself. */
static void change_mask(int how, const uint64_t *set, uint64_t *ret_before)
{
    int saved = errno;

    syscall(SYS_rt_sigprocmask, how, set, ret_before, (size_t)SIGNAL_SET_BYTES);
    errno = saved;
}

uint64_t os_block_signals(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t before = 0;

    change_mask(SIG_SETMASK, &all, &before);
    return before;
}

void os_restore_signals(uint64_t mask)
{
    change_mask(SIG_SETMASK, &mask, NULL);
}

static uint64_t bit_of(int number)
{
    return (uint64_t)1 << (number - 1);
}

/* That the program has set nothing for, and does not wait for in this thread. */
static bool is_unused(int number, uint64_t mask)
{
    struct sigaction now;

    return (mask & bit_of(number)) == 0 && sigaction(number, NULL, &now) == 0
           && (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
}

static os_on_signal *on_signal; /* set before the first of them is sent */

static void handle(int number, siginfo_t *info, void *context)
{
    int saved = errno;

    (void)number;
    if (info->si_code == SI_QUEUE && info->si_pid == getpid()) {
        on_signal((uintptr_t)info->si_value.sival_ptr, context);
    }
    errno = saved;
}

int os_take_signal(os_on_signal *call, uint64_t mask)
{
    int saved = errno;
    int number = SIGRTMAX;
    struct sigaction act = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};

    while (number >= SIGRTMIN && !is_unused(number, mask)) {
        number--;
    }
    sigfillset(&act.sa_mask);
    act.sa_sigaction = handle;
    on_signal = call;
    if (number < SIGRTMIN || sigaction(number, &act, NULL) != 0) {
        number = -EBUSY;
    }
    errno = saved;
    return number;
}

void os_return_signal(int number)
{
    int saved = errno;
    struct sigaction act = {.sa_handler = SIG_IGN};

    /* What is pending in some thread would end the process: ignored, it is thrown away. */
    sigaction(number, &act, NULL);
    act.sa_handler = SIG_DFL;
    sigaction(number, &act, NULL);
    errno = saved;
}

int os_signal_thread(uint64_t thread_id, int number, uintptr_t value)
{
    int saved = errno;
    siginfo_t info = {0};
    int code;

    info.si_signo = number;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = (void *)value;
    code =
        syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)thread_id, number, &info) == 0
            ? 0
            : -errno;
    errno = saved;
    return code;
}

uint64_t os_thread_cpu_ns(uint64_t thread_id)
{
    int saved = errno;
    struct timespec t = {0, 0};
    clockid_t clock = (clockid_t)(~(uint32_t)thread_id << 3 | CLOCK_OF_THREAD);

    syscall(SYS_clock_gettime, clock, &t); /* old C libraries refuse such numbers */
    errno = saved;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void os_sleep_ms(uint32_t ms)
{
    int saved = errno;
    struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};

    while (syscall(SYS_nanosleep, &left, &left) != 0 && errno == EINTR) {
    }
    errno = saved;
}

/* ---- a child ---- */

int os_fork_silent(void)
{
    int saved = errno;
    long pid = syscall(SYS_clone, 0L, 0L, 0L, 0L, 0L);

    pid = pid < 0 ? -errno : pid;
    errno = saved;
    return (int)pid;
}

int os_reap(int pid, bool may_wait, int *ret_code)
{
    int saved = errno;
    int status = 0;
    long got;

    do {
        got =
            syscall(SYS_wait4, pid, &status, (may_wait ? 0 : WNOHANG) | __WCLONE, NULL);
    } while (got < 0 && errno == EINTR);
    got = got < 0 ? -errno : got != 0;
    *ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    errno = saved;
    return (int)got;
}

void os_kill(int pid)
{
    int saved = errno;

    kill(pid, SIGKILL);
    errno = saved;
}

/* Of kernels before 5.9, which cannot close all of them at once. */
static void close_one_by_one(void)
{
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        syscall(SYS_close, fd);
    }
}

static void prefer_to_be_killed(void)
{
    static const char most[] = "1000";
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    ssize_t done;

    if (fd >= 0) {
        done = write(fd, most, sizeof(most) - 1);
        (void)done;
        syscall(SYS_close, fd);
    }
}

void os_begin_child(uint32_t most_ms, void (*on_fault)(int))
{
    struct itimerval end = {.it_value = {most_ms / 1000 + 1, 0}};
    struct sigaction act = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    uint64_t mask = ~(bit_of(SIGSEGV) | bit_of(SIGBUS) | bit_of(SIGALRM));

    if (syscall(SYS_close_range, 0U, ~0U, 0U) != 0) {
        close_one_by_one();
    }
    sigemptyset(&act.sa_mask);
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    act.sa_handler = SIG_DFL;
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &end, NULL);
    change_mask(SIG_SETMASK, &mask, NULL);
    prctl(PR_SET_NAME, "mpalloc-leaks", 0, 0, 0);
    prefer_to_be_killed();
}
