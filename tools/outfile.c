#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int outfile_open(struct outfile *f, const char *path)
{
    int fd;

    f->path = path;
    f->bytes = 0;
    if ((size_t)snprintf(f->name, sizeof(f->name), "%s.XXXXXX", path)
        >= sizeof(f->name)) {
        return -ENAMETOOLONG;
    }
    fd = mkostemp(f->name, O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    f->out = fdopen(fd, "w");
    if (f->out == NULL) {
        int code = -errno;

        close(fd);
        unlink(f->name);
        return code;
    }
    return 0;
}

/* Errors of the stream, then the mode that any new file would have. */
static int settle(struct outfile *f)
{
    mode_t mask = umask(0);
    struct stat status;

    umask(mask);
    errno = 0; /* an error of an earlier write is known, its number is not */
    if (fflush(f->out) != 0 || ferror(f->out)) {
        return errno != 0 ? -errno : -EIO;
    }
    if (fchmod(fileno(f->out), 0666 & ~mask) != 0
        || fstat(fileno(f->out), &status) != 0) {
        return -errno;
    }
    f->bytes = (uint64_t)status.st_size;
    return 0;
}

int outfile_close(struct outfile *f, int code)
{
    if (code == 0) {
        code = settle(f);
    }
    if (fclose(f->out) != 0 && code == 0) {
        code = -errno;
    }
    if (code == 0 && rename(f->name, f->path) != 0) {
        code = -errno;
    }
    if (code != 0) {
        unlink(f->name);
    }
    return code;
}

int outfile_check(const char *path)
{
    struct outfile file;
    struct stat status;
    int code;

    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return -EISDIR;
    }
    code = outfile_open(&file, path);
    if (code != 0) {
        return code;
    }
    outfile_close(&file, -ECANCELED);
    return 0;
}
