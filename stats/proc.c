#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FIRST_BYTES = 16 * 1024,
    SMALL_BYTES = 8 * 1024,
    FILE_BYTES_MAX = 256 << 20, /* smaps of 65,530 mappings is 45 MB */
    CGROUP_NAME = 512,
};

/* ---- files ---- */

ssize_t proc_read_path(const char *path, char **ret)
{
    size_t room = FIRST_BYTES;
    size_t used = 0;
    char *text = malloc(room);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = fd < 0 ? -errno : text == NULL ? -ENOMEM : 0;

    while (code == 0) {
        ssize_t n = read(fd, text + used, room - used - 1);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            code = n < 0 ? -errno : 0;
            break;
        }
        used += (size_t)n;
        if (room - used < FIRST_BYTES / 2 && room < FILE_BYTES_MAX) {
            char *more = realloc(text, room * 2);

            room = more != NULL ? room * 2 : room;
            code = more != NULL ? 0 : -ENOMEM;
            text = more != NULL ? more : text;
        } else if (used + 1 == room) {
            break;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (code != 0) {
        free(text);
        return code;
    }
    text[used] = '\0';
    *ret = text;
    return (ssize_t)used;
}

ssize_t proc_read_file(uint64_t pid, const char *name, char **ret)
{
    char path[128];
    ssize_t n;

    *ret = NULL;
    snprintf(path, sizeof(path), "/proc/%llu/%s", (unsigned long long)pid, name);
    n = proc_read_path(path, ret);
    return n == -ENOENT ? -ESRCH : n;
}

/* The name may hold blanks and brackets: figures follow the last one. */
static int parse_stat(const char *text, struct proc_stat *ret)
{
    enum { MINOR = 7, MAJOR = 9, USER = 11, KERNEL = 12, START = 19, FIELDS };
    const char *at = strrchr(text, ')');
    uint64_t value[FIELDS] = {0};

    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return -ESRCH;
    }
    ret->state = at[2];
    at += 3;
    for (unsigned i = 1; i < FIELDS; i++) {
        char *end;

        value[i] = strtoull(at, &end, 10);
        if (end == at) {
            return -ESRCH;
        }
        at = end;
    }
    ret->minor_faults = value[MINOR];
    ret->major_faults = value[MAJOR];
    ret->user_ticks = value[USER];
    ret->kernel_ticks = value[KERNEL];
    ret->start_ticks = value[START];
    return 0;
}

int proc_read_stat(uint64_t pid, struct proc_stat *ret)
{
    char *text = NULL;
    ssize_t n = proc_read_file(pid, "stat", &text);
    int code = n < 0 ? (int)n : parse_stat(text, ret);

    free(text);
    return code;
}

uint64_t proc_pid_namespace(const char *pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%s/ns/pid", pid);
    return stat(path, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* ---- status ---- */

/* The value of "Name:   123 kB" in bytes, of "Name:  12" as it is. */
static uint64_t field(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, n) == 0 && at[n] == ':') {
            char *end;
            uint64_t value = strtoull(at + n + 1, &end, 10);

            return strncmp(end, " kB", 3) == 0 ? value * 1024 : value;
        }
        if (*at == '\0') {
            break;
        }
    }
    return MP_UNKNOWN;
}

static uint64_t count_mappings(uint64_t pid)
{
    char *text = NULL;
    uint64_t lines = 0;

    if (proc_read_file(pid, "maps", &text) < 0) {
        return MP_UNKNOWN;
    }
    for (const char *at = text; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    free(text);
    return lines;
}

/* ---- cgroup ---- */

static uint64_t read_limit(const char *path)
{
    char *text = NULL;
    uint64_t value = MP_UNKNOWN;

    if (proc_read_path(path, &text) > 0) {
        if (text[0] >= '0' && text[0] <= '9') {
            value = strtoull(text, NULL, 10);
        }
        if (value >= (uint64_t)INT64_MAX / 2) { /* version 1 says "none" like this */
            value = MP_UNKNOWN;
        }
    }
    free(text);
    return value;
}

/* The lowest limit from the group up to the root. */
static uint64_t lowest_limit(const char *mount, char *group, const char *file)
{
    uint64_t lowest = MP_UNKNOWN;

    for (;;) {
        char path[CGROUP_NAME * 2];
        char *slash = strrchr(group, '/');
        uint64_t limit;

        snprintf(path, sizeof(path), "%s%s/%s", mount, group, file);
        limit = read_limit(path);
        lowest = limit < lowest ? limit : lowest;
        if (slash == NULL || group[0] == '\0') {
            return lowest;
        }
        *slash = '\0';
    }
}

static uint64_t cgroup_limit(uint64_t pid)
{
    char *text = NULL;
    uint64_t lowest = MP_UNKNOWN;
    char *line;
    char *rest = NULL;

    if (proc_read_file(pid, "cgroup", &text) < 0) {
        return MP_UNKNOWN;
    }
    for (line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        uint64_t limit = MP_UNKNOWN;

        if (group == NULL || strlen(group) >= CGROUP_NAME) {
            continue;
        }
        *group++ = '\0';
        if (controllers[1] == '\0') {
            limit = lowest_limit("/sys/fs/cgroup", group, "memory.max");
        } else if (strcmp(controllers + 1, "memory") == 0) {
            limit =
                lowest_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
        }
        lowest = limit < lowest ? limit : lowest;
    }
    free(text);
    return lowest;
}

/* ---- files that stay open ---- */

struct mp_proc_files {
    int stat; /* -1: not open */
    int status;
};

static void close_files(struct mp_proc_files *files)
{
    if (files->stat >= 0) {
        close(files->stat);
    }
    if (files->status >= 0) {
        close(files->status);
    }
}

mp_proc_files_t *mp_proc_files_create(void)
{
    struct mp_proc_files *files = malloc(sizeof(*files));

    if (files != NULL) {
        *files = (struct mp_proc_files){-1, -1};
    }
    return files;
}

void mp_proc_files_free(mp_proc_files_t *files)
{
    if (files != NULL) {
        close_files(files);
        free(files);
    }
}

/* The text of one that is small, terminated; bytes, or a negative errno. */
static ssize_t read_small(
    int *fd, uint64_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t n;

    if (*fd < 0) {
        snprintf(path, sizeof(path), "/proc/%llu/%s", (unsigned long long)pid, name);
        *fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (*fd < 0) {
        return errno == ENOENT ? -ESRCH : -errno;
    }
    do {
        n = pread(*fd, text, size - 1, 0);
    } while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    text[n > 0 ? n : 0] = '\0';
    return n;
}

void proc_set_unknown(struct mp_proc *ret)
{
    memset(ret, 0xff, sizeof(*ret));
}

static void set_usage(const struct proc_stat *stat, struct mp_proc *ret)
{
    long hz = sysconf(_SC_CLK_TCK);

    ret->minor_faults_total = stat->minor_faults;
    ret->major_faults_total = stat->major_faults;
    if (hz > 0) {
        ret->cpu_ns_total = (stat->user_ticks + stat->kernel_ticks)
                            * (1000000000ul / (unsigned long)hz);
    }
}

/* A line of status begins with the name of a field and a colon. */
struct status_field {
    const char *name;
    size_t offset;
    bool is_added;  /* to what was found before */
    bool is_second; /* of several values: of user numbers, the effective one */
};

static const struct status_field status_fields[] = {
    {"Uid", offsetof(struct mp_proc, uid), false, true},
    {"VmSize", offsetof(struct mp_proc, virtual_bytes), false, false},
    {"VmHWM", offsetof(struct mp_proc, resident_peak_bytes), false, false},
    {"VmRSS", offsetof(struct mp_proc, resident_bytes), false, false},
    {"RssAnon", offsetof(struct mp_proc, resident_anon_bytes), false, false},
    {"RssFile", offsetof(struct mp_proc, resident_file_bytes), false, false},
    {"RssShmem", offsetof(struct mp_proc, resident_shmem_bytes), false, false},
    {"VmData", offsetof(struct mp_proc, data_bytes), false, false},
    {"VmStk", offsetof(struct mp_proc, stack_bytes), false, false},
    {"VmExe", offsetof(struct mp_proc, text_bytes), false, false},
    {"VmLib", offsetof(struct mp_proc, text_bytes), true, false},
    {"VmSwap", offsetof(struct mp_proc, swap_bytes), false, false},
    {"Threads", offsetof(struct mp_proc, threads), false, false},
};

static void set_field(
    const struct status_field *f, const char *text, struct mp_proc *ret)
{
    char *field = (char *)ret + f->offset;
    uint64_t before;
    uint64_t value;
    char *end;

    value = strtoull(text, &end, 10);
    if (f->is_second) {
        value = strtoull(end, &end, 10);
    }
    value *= strncmp(end, " kB", 3) == 0 ? 1024 : 1;
    memcpy(&before, field, sizeof(before));
    value = f->is_added && before != MP_UNKNOWN ? before + value : value;
    memcpy(field, &value, sizeof(value));
}

static void set_status(const char *text, struct mp_proc *ret)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t length = strcspn(line, ":\n");

        for (size_t i = 0; i < sizeof(status_fields) / sizeof(status_fields[0]); i++) {
            const struct status_field *f = &status_fields[i];

            if (line[length] == ':' && strncmp(line, f->name, length) == 0
                && f->name[length] == '\0') {
                set_field(f, line + length + 1, ret);
                break;
            }
        }
        line = strchr(line, '\n');
        line += line != NULL;
    }
}

int proc_read_both(mp_proc_files_t *files, uint64_t pid, const struct mp_proc *before,
    struct proc_stat *ret_stat, struct mp_proc *ret)
{
    struct mp_proc_files own = {-1, -1};
    char text[SMALL_BYTES];
    char *whole = NULL;
    ssize_t n;
    int code;

    proc_set_unknown(ret);
    if (before != NULL) {
        ret->proportional_bytes = before->proportional_bytes;
        ret->huge_page_bytes = before->huge_page_bytes;
        ret->limit_cgroup_bytes = before->limit_cgroup_bytes;
        ret->mappings = before->mappings;
    }
    files = files != NULL ? files : &own;
    n = read_small(&files->stat, pid, "stat", text, sizeof(text));
    code = n < 0 ? (int)n : parse_stat(text, ret_stat);
    if (code == 0) {
        set_usage(ret_stat, ret);
        n = read_small(&files->status, pid, "status", text, sizeof(text));
        if (n == (ssize_t)sizeof(text) - 1) { /* of one in very many groups */
            n = proc_read_file(pid, "status", &whole);
        }
        code = n < 0 ? (int)n : 0;
        set_status(whole != NULL ? whole : text, ret);
    }
    free(whole);
    close_files(&own);
    return code;
}

int mp_proc_read_again(uint64_t pid, const struct mp_proc *before, struct mp_proc *ret)
{
    struct proc_stat stat;

    return proc_read_both(NULL, pid, before, &stat, ret);
}

int mp_proc_read(uint64_t pid, struct mp_proc *ret)
{
    char *rollup = NULL;
    int code = mp_proc_read_again(pid, NULL, ret);

    if (code != 0) {
        return code;
    }
    if (proc_read_file(pid, "smaps_rollup", &rollup) > 0) {
        ret->proportional_bytes = field(rollup, "Pss");
        ret->huge_page_bytes = field(rollup, "AnonHugePages");
    }
    free(rollup);
    ret->limit_cgroup_bytes = cgroup_limit(pid);
    ret->mappings = count_mappings(pid);
    return 0;
}

uint64_t mp_proc_resident(uint64_t pid)
{
    char *status = NULL;
    uint64_t bytes = MP_UNKNOWN;

    if (proc_read_file(pid, "status", &status) > 0) {
        bytes = field(status, "VmRSS");
    }
    free(status);
    return bytes;
}
