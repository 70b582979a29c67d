#include "source.h"

#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ATTEMPTS = 60,        /* a publication takes microseconds, rarely milliseconds */
    ATTEMPTS_AT_ONCE = 8, /* then it sleeps between two */
    ATTEMPT_SLEEP_NS = 50 * 1000,
    RECORD_MAX = 4096,
};

/* A memfd is reached through a link of /proc, /proc/PID/fd/N, the only one followed. */
static bool is_proc_descriptor(const char *path)
{
    static const char digits[] = "0123456789";
    const char *pid = path + strlen("/proc/");
    const char *number;

    if (strncmp(path, "/proc/", strlen("/proc/")) != 0) {
        return false;
    }
    number = pid + (strncmp(pid, "self", 4) == 0 ? 4 : strspn(pid, digits));
    if (number == pid || strncmp(number, "/fd/", strlen("/fd/")) != 0) {
        return false;
    }
    number += strlen("/fd/");
    return number[0] != '\0' && number[strspn(number, digits)] == '\0';
}

int source_open(const char *path, bool writable, int *ret_fd, struct mp_error *error)
{
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, is_proc_descriptor(path) ? flags : flags | O_NOFOLLOW);
    int code = -errno;

    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (code == -ELOOP) {
        return text_fail(error, -EACCES, "%s: is a symbolic link, not followed", path);
    }
    return text_fail(error, code, "%s: cannot be opened: %s", path, strerror(-code));
}

int source_init(struct source *s, int fd, const char *name, struct mp_error *error)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return text_fail(error, -errno, "%s: %s", name, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return text_fail(error, -EBADMSG, "%s: is not a regular file", name);
    }
    if (geteuid() != 0 && st.st_uid != geteuid()) {
        return text_fail(error, -EPERM, "%s: belongs to user %u, not to you (%u)", name,
            (unsigned)st.st_uid, (unsigned)geteuid());
    }
    *s = (struct source){.fd = fd,
        .name = name,
        .bytes = (uint64_t)st.st_size,
        .backed_bytes = (uint64_t)st.st_blocks * 512,
        .device = st.st_dev,
        .inode = st.st_ino};
    return 0;
}

int source_read(const struct source *s, void *to, size_t bytes, uint64_t offset,
    struct mp_error *error)
{
    char *at = to;

    while (bytes > 0) {
        ssize_t n = pread(s->fd, at, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return text_fail(
                error, -errno, "%s: cannot be read: %s", s->name, strerror(errno));
        }
        if (n == 0) {
            return text_fail(error, -EBADMSG, "%s: truncated: it ends at byte %llu",
                s->name, (unsigned long long)offset);
        }
        at += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

static bool is_odd(const void *record)
{
    uint64_t seq;

    memcpy(&seq, record, sizeof(seq));
    return (seq & 1) != 0;
}

int source_read_stable(const struct source *s, void *to, size_t bytes, uint64_t offset,
    struct mp_error *error)
{
    char again[RECORD_MAX];
    struct timespec pause = {0, ATTEMPT_SLEEP_NS};
    int code;

    bytes = bytes < sizeof(again) ? bytes : sizeof(again);
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (i >= ATTEMPTS_AT_ONCE) {
            nanosleep(&pause, NULL);
        }
        code = source_read(s, to, bytes, offset, error);
        if (code == 0) {
            code = source_read(s, again, bytes, offset, error);
        }
        if (code != 0) {
            return code;
        }
        /* Whatever order the kernel copies in: equal twice and even is one writing. */
        if (!is_odd(to) && memcmp(to, again, bytes) == 0) {
            return 0;
        }
    }
    return 1;
}
