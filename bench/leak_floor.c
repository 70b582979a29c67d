#include "leak_floor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAPPINGS_MAX = 4096, ENTRIES = 512 };

#define PRESENT (UINT64_C(1) << 63) /* in an entry of /proc/self/pagemap */

static struct {
    uintptr_t start;
    uintptr_t end;
} mappings[MAPPINGS_MAX];
static unsigned mapping_count;

static double clock_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void see_line(const char *line)
{
    unsigned long start, end, offset, inode;
    char access[5];

    if (sscanf(line, "%lx-%lx %4s %lx %*s %lu", &start, &end, access, &offset, &inode)
            == 5
        && strncmp(access, "rw-p", 4) == 0 && inode == 0
        && mapping_count < MAPPINGS_MAX) {
        mappings[mapping_count].start = start;
        mappings[mapping_count++].end = end;
    }
}

static int list_mappings(void)
{
    char line[4352];
    FILE *f = fopen("/proc/self/maps", "r");

    if (f == NULL) {
        return -errno;
    }
    mapping_count = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        see_line(line);
    }
    fclose(f);
    return 0;
}

static uint64_t read_pages(int pagemap, uintptr_t start, uintptr_t end, size_t page)
{
    uint64_t entries[ENTRIES];
    uint64_t bytes = 0;

    while (start < end) {
        size_t wanted = (end - start) / page < ENTRIES ? (end - start) / page : ENTRIES;
        ssize_t got = pread(pagemap, entries, wanted * sizeof(entries[0]),
            (off_t)(start / page * sizeof(entries[0])));

        if (got <= 0) {
            return bytes;
        }
        for (size_t i = 0; i < (size_t)got / sizeof(entries[0]); i++, start += page) {
            if ((entries[i] & PRESENT) != 0) {
                (void)*(const volatile char *)start;
                bytes += page;
            }
        }
    }
    return bytes;
}

/* In the child: nothing that another thread may have been at when it was copied. */
static void read_all(struct leak_floor *ret)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    double start = clock_of(CLOCK_PROCESS_CPUTIME_ID);

    for (unsigned i = 0; i < mapping_count; i++) {
        ret->all_bytes += read_pages(
            pagemap, mappings[i].start, mappings[i].end, (size_t)sysconf(_SC_PAGESIZE));
    }
    ret->read_ms = clock_of(CLOCK_PROCESS_CPUTIME_ID) - start;
}

int leak_floor_measure(struct leak_floor *ret)
{
    struct leak_floor *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int code = list_mappings();
    double start;
    long pid;

    if (shared == MAP_FAILED || code != 0) {
        return code != 0 ? code : -errno;
    }
    start = clock_of(CLOCK_MONOTONIC);
    pid = syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); /* without handlers */
    if (pid == 0) {
        read_all(shared);
        _exit(0);
    }
    shared->fork_ms = clock_of(CLOCK_MONOTONIC) - start;
    code = pid < 0 ? -errno : 0;
    while (code == 0 && waitpid((pid_t)pid, NULL, 0) < 0) {
        code = errno == EINTR ? 0 : -errno;
    }
    *ret = *shared;
    munmap(shared, sizeof(*shared));
    return code;
}
