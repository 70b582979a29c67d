/*
 * find - which regions there are, and which belongs to whom
 */
#include "image.h"
#include "proc.h"
#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATHS_MAX = 100 * 1000 };

static const char memfd_prefix[] = "/memfd:mpalloc";

int mp_find_directory(uint64_t uid, char *ret_path, size_t size)
{
    const char *set = secure_getenv("MPALLOC_DIR");
    int n = set != NULL && set[0] != '\0'
                ? snprintf(ret_path, size, "%s", set)
                : snprintf(
                    ret_path, size, "/dev/shm/mpalloc-%llu", (unsigned long long)uid);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* ---- lists ---- */

static int append(struct mp_paths *paths, const char *path)
{
    if (paths->count >= PATHS_MAX) {
        return 0;
    }
    if ((paths->count & (paths->count + 1)) == 0) { /* room for 2^n - 1 so far */
        char **more =
            realloc(paths->path, (paths->count * 2 + 1) * sizeof(*paths->path));

        if (more == NULL) {
            return -ENOMEM;
        }
        paths->path = more;
    }
    paths->path[paths->count] = strdup(path);
    if (paths->path[paths->count] == NULL) {
        return -ENOMEM;
    }
    paths->count++;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

void mp_paths_free(struct mp_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        free(paths->path[i]);
    }
    free(paths->path);
    *paths = (struct mp_paths){0, NULL};
}

/* "PID-TICKS.mp" */
static bool is_region_name(const char *name, uint64_t *ret_pid)
{
    char *end;

    if (!isdigit((unsigned char)name[0])) {
        return false;
    }
    *ret_pid = strtoull(name, &end, 10);
    if (end[0] != '-' || !isdigit((unsigned char)end[1])) {
        return false;
    }
    strtoull(end + 1, &end, 10);
    return strcmp(end, ".mp") == 0;
}

/* Regions of process `pid` (0: of all) in a directory. */
static int list_directory(
    const char *directory, uint64_t pid, struct mp_paths *ret, struct mp_error *error)
{
    DIR *d = opendir(directory);
    struct dirent *e;
    int code = 0;

    if (d == NULL && errno == ENOENT) {
        return 0;
    }
    if (d == NULL) {
        return text_fail(
            error, -errno, "%s: cannot be listed: %s", directory, strerror(errno));
    }
    while (code == 0 && (e = readdir(d)) != NULL) {
        char path[PATH_MAX];
        uint64_t its;

        if (is_region_name(e->d_name, &its) && (pid == 0 || its == pid)
            && snprintf(path, sizeof(path), "%s/%s", directory, e->d_name)
                   < (int)sizeof(path)) {
            code = append(ret, path);
        }
    }
    closedir(d);
    return code == 0 ? 0 : text_fail(error, code, "out of memory");
}

/* ---- regions that are no files ---- */

/* Others may have passed theirs on to it. */
static bool is_of_process(const char *path, uint64_t pid)
{
    mp_image_t *image = NULL;
    bool same = mp_image_open(path, &image, NULL) == 0 && image->process.pid == pid;

    mp_image_free(image);
    return same;
}

/* The descriptor of /proc/PID that is the memfd of a region. */
static bool find_memfd(uint64_t pid, char *ret_path, size_t size)
{
    char directory[64];
    struct dirent *e;
    bool found = false;
    DIR *d;

    snprintf(directory, sizeof(directory), "/proc/%llu/fd", (unsigned long long)pid);
    d = opendir(directory);
    while (d != NULL && !found && (e = readdir(d)) != NULL) {
        char target[64];
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

        target[n > 0 ? n : 0] = '\0';
        found = strncmp(target, memfd_prefix, sizeof(memfd_prefix) - 1) == 0
                && snprintf(ret_path, size, "%s/%s", directory, e->d_name) < (int)size
                && is_of_process(ret_path, pid);
    }
    if (d != NULL) {
        closedir(d);
    }
    return found;
}

/* What a live process has mapped under the name of a region, wherever it is. */
static bool find_mapped(uint64_t pid, char *ret_path, size_t size)
{
    char *text = NULL;
    char *rest = NULL;
    bool found = false;

    if (proc_read_file(pid, "maps", &text) <= 0) {
        free(text); /* of a thread of the kernel: empty, but there */
        return false;
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL && !found;
         line = strtok_r(NULL, "\n", &rest)) {
        char *path = strchr(line, '/');
        char *base = path != NULL ? strrchr(path, '/') + 1 : NULL;
        uint64_t its;

        found = base != NULL && is_region_name(base, &its) && its == pid
                && access(path, F_OK) == 0
                && snprintf(ret_path, size, "%s", path) < (int)size;
    }
    free(text);
    return found;
}

static bool is_listed(const struct mp_paths *paths, const char *path)
{
    for (size_t i = 0; i < paths->count; i++) {
        if (strcmp(paths->path[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* Regions of running processes that are elsewhere: in another directory, or no files. */
static int list_running(uint64_t uid, struct mp_paths *ret)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    int code = 0;

    while (d != NULL && code == 0 && (e = readdir(d)) != NULL) {
        uint64_t pid = strtoull(e->d_name, NULL, 10);
        char path[PATH_MAX];
        struct stat st;

        if (isdigit((unsigned char)e->d_name[0])
            && fstatat(dirfd(d), e->d_name, &st, 0) == 0
            && (uid == MP_UNKNOWN || st.st_uid == uid)
            && (find_mapped(pid, path, sizeof(path))
                || find_memfd(pid, path, sizeof(path)))
            && !is_listed(ret, path)) {
            code = append(ret, path);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return code;
}

int mp_find_all(
    const char *directory, bool running, struct mp_paths *ret, struct mp_error *error)
{
    char standard[PATH_MAX];
    int code = 0;

    *ret = (struct mp_paths){0, NULL};
    if (directory == NULL) {
        code = mp_find_directory(geteuid(), standard, sizeof(standard));
        directory = standard;
    }
    code = code != 0 ? code : list_directory(directory, 0, ret, error);
    if (code == 0 && running) {
        code = list_running(geteuid(), ret);
    }
    if (ret->count > 1) {
        qsort(ret->path, ret->count, sizeof(*ret->path), compare);
    }
    return code;
}

/* ---- by process ---- */

/* The last of those in the directory: names sort by start time. */
static int find_in_directory(const char *directory, uint64_t pid, char *ret_path,
    size_t size, struct mp_error *error)
{
    struct mp_paths paths = {0, NULL};
    int code = list_directory(directory, pid, &paths, error);

    if (code == 0 && paths.count == 0) {
        code = -ENOENT;
    } else if (code == 0) {
        qsort(paths.path, paths.count, sizeof(*paths.path), compare);
        code = snprintf(ret_path, size, "%s", paths.path[paths.count - 1]) < (int)size
                   ? 0
                   : -ENAMETOOLONG;
    }
    mp_paths_free(&paths);
    return code;
}

static int fail_pid(uint64_t pid, bool is_alive, bool is_ours, const char *directory,
    struct mp_error *error)
{
    unsigned long long number = pid;

    if (!is_alive) {
        return text_fail(error, -ESRCH,
            "process %llu: does not exist, and none of that number left a region in %s",
            number, directory);
    }
    if (!is_ours) {
        return text_fail(
            error, -EPERM, "process %llu: belongs to another user", number);
    }
    return text_fail(error, -ENOENT,
        "process %llu: runs, but without mpalloc (mpalloc doctor %llu says why)",
        number, number);
}

int mp_find_pid(uint64_t pid, char *ret_path, size_t size, struct mp_error *error)
{
    char directory[PATH_MAX];
    char proc[64];
    struct stat st;
    bool is_alive;
    bool is_ours;
    int code;

    if (pid == 0) {
        return text_fail(error, -ESRCH, "process 0: does not exist");
    }
    snprintf(proc, sizeof(proc), "/proc/%llu", (unsigned long long)pid);
    is_alive = stat(proc, &st) == 0;
    is_ours = is_alive && (geteuid() == 0 || st.st_uid == geteuid());
    if (is_alive && is_ours
        && (find_mapped(pid, ret_path, size) || find_memfd(pid, ret_path, size))) {
        return 0;
    }
    code = mp_find_directory(
        is_alive ? st.st_uid : geteuid(), directory, sizeof(directory));
    code = code != 0 ? code : find_in_directory(directory, pid, ret_path, size, error);
    if (is_alive && st.st_uid != geteuid() && code == -EACCES) {
        return fail_pid(pid, true, false, directory, error);
    }
    return code != -ENOENT ? code : fail_pid(pid, is_alive, is_ours, directory, error);
}

/* ---- by name ---- */

static bool has_name(const char *path, const char *name, bool *ret_is_running)
{
    mp_image_t *image = NULL;
    bool same;

    if (mp_image_open(path, &image, NULL) != 0) {
        return false;
    }
    same = strcmp(image->process.service, name) == 0;
    *ret_is_running = same && mp_image_life(image) == MP_LIFE_RUNNING;
    mp_image_free(image);
    return same;
}

int mp_find_name(const char *name, char *ret_path, size_t size, struct mp_error *error)
{
    struct mp_paths paths;
    size_t running = 0;
    size_t all = 0;
    const char *best = NULL;
    int code = mp_find_all(NULL, true, &paths, error);

    for (size_t i = 0; code == 0 && i < paths.count; i++) {
        bool is_running = false;

        if (has_name(paths.path[i], name, &is_running)) {
            best = is_running || running == 0 ? paths.path[i] : best;
            running += is_running;
            all++;
        }
    }
    if (code == 0 && all == 0) {
        code = text_fail(error, -ENOENT, "no process is named \"%s\"", name);
    } else if (code == 0 && running != 1 && all != 1) {
        code = text_fail(error, -ENOTUNIQ,
            "\"%s\" names %zu processes, %zu of them running: give the PID", name, all,
            running);
    } else if (code == 0 && snprintf(ret_path, size, "%s", best) >= (int)size) {
        code = text_fail(error, -ENAMETOOLONG, "%s: too long a path", best);
    }
    mp_paths_free(&paths);
    return code;
}

/* ---- by what people write ---- */

static bool is_number(const char *word)
{
    size_t digits = strspn(word, "0123456789");

    return digits > 0 && digits < 20 && word[digits] == '\0';
}

static bool is_path(const char *word)
{
    size_t n = strlen(word);

    return strchr(word, '/') != NULL || (n > 3 && strcmp(word + n - 3, ".mp") == 0);
}

/* A program's name is that of its file, where people start it: only a region is meant as a file. */
static bool is_region(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    uint64_t magic = 0;
    bool is_one = fd >= 0 && pread(fd, &magic, sizeof(magic), 0) == sizeof(magic)
                  && magic == MP_REGION_MAGIC;

    if (fd >= 0) {
        close(fd);
    }
    return is_one;
}

int mp_find_target(
    const char *target, char *ret_path, size_t size, struct mp_error *error)
{
    if (target[0] == '\0') {
        return text_fail(
            error, -EINVAL, "give a PID, a region file, or the name of a process");
    }
    if (is_number(target)) {
        return mp_find_pid(strtoull(target, NULL, 10), ret_path, size, error);
    }
    if (!is_path(target) && !is_region(target)) {
        int code = mp_find_name(target, ret_path, size, error);

        if (code != -ENOENT || access(target, F_OK) != 0) {
            return code;
        }
    }
    if (strlen(target) >= size) {
        return text_fail(error, -ENAMETOOLONG, "%.64s...: too long a path", target);
    }
    strcpy(ret_path, target);
    return 0;
}

int mp_attach(const char *target, mp_image_t **ret, struct mp_error *error)
{
    char path[PATH_MAX];
    int code = mp_find_target(target, path, sizeof(path), error);

    *ret = NULL;
    return code != 0 ? code : mp_image_open(path, ret, error);
}
