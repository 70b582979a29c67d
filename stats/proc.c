#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FIRST_BYTES = 16 * 1024,
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

int proc_read_stat(uint64_t pid, char *ret_state, uint64_t *ret_start_ticks)
{
    char *text = NULL;
    ssize_t n = proc_read_file(pid, "stat", &text);
    const char *at;
    int code = -ESRCH;

    if (n < 0) {
        return (int)n;
    }
    at = strrchr(text, ')'); /* the name may hold blanks and brackets */
    if (at != NULL
        && sscanf(at + 1,
               " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
               "%*s %*s %lu",
               ret_state, (unsigned long *)ret_start_ticks)
               == 2) {
        code = 0;
    }
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

static uint64_t effective_uid(const char *status)
{
    const char *at = strstr(status, "\nUid:");
    unsigned long real;
    unsigned long effective;

    return at != NULL && sscanf(at, "\nUid: %lu %lu", &real, &effective) == 2
               ? effective
               : MP_UNKNOWN;
}

static uint64_t add_known(uint64_t a, uint64_t b)
{
    return a == MP_UNKNOWN || b == MP_UNKNOWN ? MP_UNKNOWN : a + b;
}

/* Of /proc/PID/stat. */
static void read_usage(uint64_t pid, struct mp_proc *ret)
{
    char *text = NULL;
    const char *at;
    unsigned long minor;
    unsigned long major;
    unsigned long user;
    unsigned long kernel;
    long hz = sysconf(_SC_CLK_TCK);

    if (proc_read_file(pid, "stat", &text) > 0) {
        at = strrchr(text, ')'); /* the name may hold blanks and brackets */
        if (at != NULL && hz > 0
            && sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %lu %*s %lu %*s %lu %lu",
                   &minor, &major, &user, &kernel)
                   == 4) {
            ret->minor_faults_total = minor;
            ret->major_faults_total = major;
            ret->cpu_ns_total = (user + kernel) * (1000000000ul / (unsigned long)hz);
        }
    }
    free(text);
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

static int read_status(uint64_t pid, struct mp_proc *ret)
{
    char *status = NULL;
    ssize_t n = proc_read_file(pid, "status", &status);

    memset(ret, 0xff, sizeof(*ret)); /* every field is MP_UNKNOWN */
    if (n < 0) {
        return (int)n;
    }
    ret->resident_bytes = field(status, "VmRSS");
    ret->resident_anon_bytes = field(status, "RssAnon");
    ret->resident_file_bytes = field(status, "RssFile");
    ret->resident_shmem_bytes = field(status, "RssShmem");
    ret->resident_peak_bytes = field(status, "VmHWM");
    ret->virtual_bytes = field(status, "VmSize");
    ret->text_bytes = add_known(field(status, "VmExe"), field(status, "VmLib"));
    ret->data_bytes = field(status, "VmData");
    ret->stack_bytes = field(status, "VmStk");
    ret->swap_bytes = field(status, "VmSwap");
    ret->threads = field(status, "Threads");
    ret->uid = effective_uid(status);
    free(status);
    read_usage(pid, ret);
    return 0;
}

int mp_proc_read_again(uint64_t pid, const struct mp_proc *before, struct mp_proc *ret)
{
    int code = read_status(pid, ret);

    if (code == 0 && before != NULL) {
        ret->proportional_bytes = before->proportional_bytes;
        ret->huge_page_bytes = before->huge_page_bytes;
        ret->limit_cgroup_bytes = before->limit_cgroup_bytes;
        ret->mappings = before->mappings;
    }
    return code;
}

int mp_proc_read(uint64_t pid, struct mp_proc *ret)
{
    char *rollup = NULL;
    int code = read_status(pid, ret);

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
