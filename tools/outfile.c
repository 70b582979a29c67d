#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    NAMES = 1000,         /* that may be taken already */
    FULL_BYTES = 1 << 16, /* what is free of a disk that is full */
};

/* ---- names ---- */

static int descriptor_path(int fd, char *ret, size_t size)
{
    return snprintf(ret, size, "/proc/self/fd/%d", fd);
}

/* The folder that a path is in. */
static int open_nameless(const char *path)
{
    char folder[PATH_MAX];
    char self[64];
    char *slash;
    int fd;

    strcpy(folder, path);
    slash = strrchr(folder, '/');
    if (slash == NULL) {
        strcpy(folder, ".");
    } else {
        slash[slash == folder] = '\0';
    }
    fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    descriptor_path(fd, self, sizeof(self));
    if (fd >= 0 && access(self, F_OK) != 0) { /* no /proc: it could get no name */
        close(fd);
        return -1;
    }
    return fd;
}

/* Gives a nameless file a name that is not taken: 0 or -errno. */
static int give_name(struct outfile *f)
{
    char self[64];

    descriptor_path(fileno(f->out), self, sizeof(self));
    for (unsigned i = 0; i < NAMES; i++) {
        if ((size_t)snprintf(
                f->name, sizeof(f->name), "%s.%d-%u", f->path, (int)getpid(), i)
            >= sizeof(f->name)) {
            f->name[0] = '\0';
            return -ENAMETOOLONG;
        }
        if (linkat(AT_FDCWD, self, AT_FDCWD, f->name, AT_SYMLINK_FOLLOW) == 0) {
            return 0;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    f->name[0] = '\0';
    return -errno;
}

/* ---- opening ---- */

/* A descriptor, or -errno. */
static int open_beside(struct outfile *f)
{
    int fd = open_nameless(f->path);

    if (fd >= 0) {
        return fd;
    }
    if ((size_t)snprintf(f->name, sizeof(f->name), "%s.XXXXXX", f->path)
        >= sizeof(f->name)) {
        return -ENAMETOOLONG;
    }
    fd = mkostemp(f->name, O_CLOEXEC);
    if (fd < 0) {
        fd = -errno;
        f->name[0] = '\0';
    }
    return fd;
}

static void forget(struct outfile *f)
{
    if (f->name[0] != '\0') {
        unlink(f->name);
    }
}

int outfile_open(struct outfile *f, const char *path)
{
    struct stat status;
    bool is_there = stat(path, &status) == 0;
    int fd;

    f->bytes = 0;
    f->name[0] = '\0';
    f->is_direct = is_there && !S_ISREG(status.st_mode);
    if (strlen(path) >= sizeof(f->path)) {
        return -ENAMETOOLONG;
    }
    if (!is_there || f->is_direct || realpath(path, f->path) == NULL) {
        strcpy(f->path, path);
    }
    fd = f->is_direct ? open(path, O_WRONLY | O_CLOEXEC) : open_beside(f);
    if (fd < 0) {
        return f->is_direct ? -errno : fd;
    }
    f->out = fdopen(fd, "w");
    if (f->out == NULL) {
        int code = -errno;

        close(fd);
        forget(f);
        return code;
    }
    return 0;
}

/* ---- closing ---- */

/* Of a write that failed a while ago, whose number is gone: the likeliest. */
static int guess_error(FILE *out)
{
    struct stat status;
    struct statvfs space;

    if (fstat(fileno(out), &status) == 0 && S_ISREG(status.st_mode)) {
        return fstatvfs(fileno(out), &space) == 0
                       && (uint64_t)space.f_bavail * space.f_frsize < FULL_BYTES
                   ? -ENOSPC
                   : -EIO;
    }
    clearerr(out);
    errno = 0; /* the next write fails like it */
    return (putc('\n', out) == EOF || fflush(out) != 0) && errno != 0 ? -errno : -EIO;
}

int outfile_flush(FILE *out)
{
    bool has_failed = ferror(out) != 0;

    errno = 0;
    if (fflush(out) != 0) {
        return errno != 0 ? -errno : -EIO;
    }
    return has_failed ? guess_error(out) : 0;
}

/*
 * What umask says, without a moment in which it is another one: other threads may be making files.
 * Kernels before 4.7 do not tell: then nobody else may read it.
 */
static mode_t file_mask(void)
{
    static const char key[] = "\nUmask:\t";
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    const char *at;

    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    at = strstr(text, key);
    return at != NULL ? (mode_t)strtoul(at + strlen(key), NULL, 8) & 0777 : 0077;
}

/* What is left to be written, then the mode that any new file would have. */
static int settle(struct outfile *f)
{
    mode_t mask = file_mask();
    struct stat status;
    int code;

    code = outfile_flush(f->out);
    if (code != 0 || f->is_direct) {
        return code;
    }
    if (fchmod(fileno(f->out), 0666 & ~mask) != 0
        || fstat(fileno(f->out), &status) != 0) {
        return -errno;
    }
    f->bytes = (uint64_t)status.st_size;
    return f->name[0] == '\0' ? give_name(f) : 0;
}

int outfile_close(struct outfile *f, int code)
{
    if (code == 0) {
        code = settle(f);
    } else if (ferror(f->out)) {
        code = outfile_flush(f->out); /* says more than that somebody could not go on */
    }
    if (fclose(f->out) != 0 && code == 0) {
        code = -errno;
    }
    if (code == 0 && !f->is_direct && rename(f->name, f->path) != 0) {
        code = -errno;
    }
    if (code != 0) {
        forget(f);
    }
    return code;
}

int outfile_check(const char *path)
{
    struct outfile file;
    struct stat status;
    int code;

    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        return S_ISDIR(status.st_mode)   ? -EISDIR
               : access(path, W_OK) != 0 ? -errno
                                         : 0; /* opening it may wait, or do things */
    }
    code = outfile_open(&file, path);
    if (code != 0) {
        return code;
    }
    outfile_close(&file, -ECANCELED);
    return 0;
}
