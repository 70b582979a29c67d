/* The files of os.h; the rest is in os_linux.c. */
#include "os.h"

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault_calls.h" /* last: it stands before the kernel's entries */

#ifndef MADV_POPULATE_WRITE
#    define MADV_POPULATE_WRITE 23
#endif

long os_read_file(const char *path, char *buffer, size_t size)
{
    int saved = errno;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0) {
        n = -errno;
    } else {
        n = read(fd, buffer, size - 1);
        n = n < 0 ? -errno : n;
        close(fd);
    }
    buffer[n > 0 ? n : 0] = '\0';
    errno = saved;
    return n;
}

bool os_trusts_ticks(void)
{
    static const char *const trusted[] = {
        "tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"};
    char name[64];

    if (os_read_file("/sys/devices/system/clocksource/clocksource0/current_clocksource",
            name, sizeof(name))
        <= 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(trusted) / sizeof(trusted[0]); i++) {
        size_t n = strlen(trusted[i]);

        if (strncmp(name, trusted[i], n) == 0 && (name[n] == '\n' || name[n] == '\0')) {
            return true;
        }
    }
    return false;
}

long os_read_link(const char *path, char *buffer, size_t size)
{
    int saved = errno;
    ssize_t n = readlink(path, buffer, size - 1);

    n = n < 0 ? -errno : n;
    buffer[n > 0 ? n : 0] = '\0';
    errno = saved;
    return n;
}

int os_open_directory(const char *path)
{
    int saved = errno;
    struct stat st;
    int fd;

    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        fd = -errno;
    } else {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            fd = -errno;
        } else if (fstat(fd, &st) != 0 || st.st_uid != geteuid()
                   || (st.st_mode & 077) != 0) {
            close(fd);
            fd = -EPERM;
        }
    }
    errno = saved;
    return fd;
}

/* Size and backing of a new file; closes it on failure. */
/* Beyond RLIMIT_FSIZE the kernel does not refuse, it kills. */
static bool may_grow_to(size_t bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur >= bytes;
}

static int size_file(int fd, size_t bytes, size_t reserved)
{
    int failed = 0;

    if (!may_grow_to(bytes)) {
        failed = -EFBIG;
    } else if (ftruncate(fd, (off_t)bytes) != 0) {
        failed = -errno;
    } else if (fallocate(fd, 0, 0, (off_t)reserved) != 0) {
        failed = -errno; /* a hole on a full tmpfs would be a SIGBUS later */
    }
    if (failed != 0) {
        close(fd);
        return failed;
    }
    return fd;
}

int os_create_file(int directory, const char *name, size_t bytes, size_t reserved)
{
    int saved = errno;
    int fd = openat(
        directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        fd = -errno;
    } else {
        fd = size_file(fd, bytes, reserved);
        if (fd < 0) {
            unlinkat(directory, name, 0);
        }
    }
    errno = saved;
    return fd;
}

int os_create_memfd(const char *name, size_t bytes, size_t reserved)
{
    int saved = errno;
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        fd = -errno;
    } else {
        fd = size_file(fd, bytes, reserved);
    }
    if (fd >= 0) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, 512); /* out of the program's way */

        if (high >= 0) {
            close(fd);
            fd = high;
        }
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    }
    errno = saved;
    return fd;
}

void *os_map_file(int fd, size_t bytes, bool writable, size_t offset)
{
    int saved = errno;
    void *p = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ,
        MAP_SHARED, fd, (off_t)offset);

    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

bool os_populate(void *start, size_t bytes)
{
    int saved = errno;
    bool done = madvise(start, bytes, MADV_POPULATE_WRITE) == 0;

    errno = saved;
    return done;
}

bool os_back_file(int fd, size_t offset, size_t bytes)
{
    int saved = errno;
    bool done = fallocate(fd, 0, (off_t)offset, (off_t)bytes) == 0;

    errno = saved;
    return done;
}

int os_write_new_file(const char *path, size_t bytes)
{
    int saved = errno;
    int fd;

    if (!may_grow_to(bytes)) {
        return -EFBIG;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    fd = fd < 0 ? -errno : fd;
    errno = saved;
    return fd;
}

bool os_write_at(int fd, const void *data, size_t bytes, size_t offset)
{
    const char *at = data;
    int saved = errno;

    while (bytes > 0) {
        ssize_t n = pwrite(fd, at, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = saved;
            return false;
        }
        at += n;
        offset += (size_t)n;
        bytes -= (size_t)n;
    }
    errno = saved;
    return true;
}

uint64_t os_file_age_s(int directory, const char *name)
{
    struct stat st;
    int saved = errno;
    uint64_t age = 0;

    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        time_t now = (time_t)(os_realtime_ns() / 1000000000u);

        age = now > st.st_mtime ? (uint64_t)(now - st.st_mtime) : 0;
    }
    errno = saved;
    return age;
}

bool os_read_at(
    int directory, const char *name, void *buffer, size_t bytes, size_t offset)
{
    int saved = errno;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool done = false;

    if (fd >= 0) {
        done = pread(fd, buffer, bytes, (off_t)offset) == (ssize_t)bytes;
        close(fd);
    }
    errno = saved;
    return done;
}

void os_close(int fd)
{
    int saved = errno;

    close(fd);
    errno = saved;
}

bool os_unlink_at(int directory, const char *name)
{
    int saved = errno;
    bool done = unlinkat(directory, name, 0) == 0;

    errno = saved;
    return done;
}

void os_list_directory(
    int directory, unsigned most, bool (*each)(const char *name, void *arg), void *arg)
{
    union {
        struct dirent64 entry;
        char bytes[2048];
    } buffer;
    int saved = errno;
    unsigned seen = 0;
    ssize_t n;

    while ((n = getdents64(directory, (void *)&buffer, sizeof(buffer))) > 0) {
        ssize_t at = 0;

        while (at < n) {
            const struct dirent64 *e = (const struct dirent64 *)(buffer.bytes + at);

            at += e->d_reclen;
            if (e->d_name[0] != '.' && (++seen > most || !each(e->d_name, arg))) {
                errno = saved;
                return;
            }
        }
    }
    errno = saved;
}
