/*
 * life - what became of the process that wrote a region
 */
#include "image.h"
#include "proc.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* After a restart of the machine every process number means somebody else. */
static bool is_of_this_boot(const struct mp_region_process *p)
{
    static const uint8_t unknown[sizeof(p->boot_id)];
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    uint8_t now[sizeof(p->boot_id)] = {0};
    unsigned digits = 0;
    int c;

    while (f != NULL && digits < 2 * sizeof(now) && (c = fgetc(f)) != EOF) {
        if (isxdigit(c)) {
            int value = isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;

            now[digits / 2] = (uint8_t)(now[digits / 2] << 4 | value);
            digits++;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return digits < 2 * sizeof(now) || memcmp(p->boot_id, unknown, sizeof(now)) == 0
           || memcmp(p->boot_id, now, sizeof(now)) == 0;
}

/* Whether it is that path: seen from outside of a chroot the path of what runs there is longer. */
static bool is_its_path(const char *now, const struct mp_region_process *p)
{
    size_t length = strnlen(p->exe, sizeof(p->exe) - 1);
    size_t n = strlen(now);

    return strncmp(now, p->exe, sizeof(p->exe) - 1) == 0
           || (p->exe[0] == '/' && n > length && strcmp(now + n - length, p->exe) == 0);
}

/* Whether /proc/PID/exe is another file by now. An update of it on disk is no matter. */
static bool runs_other_program(const struct mp_region_process *p)
{
    static const char deleted[] = " (deleted)";
    char path[64];
    char now[PATH_MAX + sizeof(deleted)];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%llu/exe", (unsigned long long)p->pid);
    n = readlink(path, now, sizeof(now) - 1);
    if (n <= 0 || p->exe[0] == '\0') {
        return false; /* not permitted to know */
    }
    now[n] = '\0';
    if ((size_t)n > sizeof(deleted) - 1
        && strcmp(now + n - (sizeof(deleted) - 1), deleted) == 0) {
        now[n - (ssize_t)(sizeof(deleted) - 1)] = '\0';
    }
    return !is_its_path(now, p);
}

/* Whether the run that the image tells of goes on, in another region: the image is of a copy. */
static bool is_copy(const struct mp_region_process *p)
{
    char path[PATH_MAX];
    mp_image_t *its = NULL;
    bool is_same = mp_find_pid(p->pid, path, sizeof(path), NULL) == 0
                   && mp_image_open_counters(path, &its, NULL) == 0
                   && memcmp(its->process.run_id, p->run_id, sizeof(p->run_id)) == 0
                   && proc_maps_file(p->pid, its->device, its->inode) != 0;

    mp_image_free(its);
    return is_same;
}

static bool is_over(const struct proc_stat *stat)
{
    return stat->state == 'Z' || stat->state == 'X';
}

enum mp_life mp_image_life(const mp_image_t *image)
{
    const struct mp_region_process *p = &image->process;
    uint64_t ours = proc_pid_namespace("self");
    struct proc_stat stat;

    if (p->state == MP_STATE_EXITED) {
        return MP_LIFE_EXITED;
    }
    if (!is_of_this_boot(p)) {
        return MP_LIFE_DIED;
    }
    if (p->pid_namespace != 0 && ours != 0 && p->pid_namespace != ours) {
        return MP_LIFE_ELSEWHERE;
    }
    if (proc_read_stat(p->pid, &stat) != 0 || stat.start_ticks != p->start_ticks
        || is_over(&stat)) {
        return MP_LIFE_DIED;
    }
    if (runs_other_program(p)) {
        return MP_LIFE_REPLACED;
    }
    if (proc_maps_file(p->pid, image->device, image->inode) == 0) {
        return is_copy(p) ? MP_LIFE_COPY : MP_LIFE_REPLACED;
    }
    return MP_LIFE_RUNNING;
}

enum mp_life mp_proc_look_again(mp_proc_files_t *files, const mp_image_t *image,
    const struct mp_proc *before, struct mp_proc *ret)
{
    const struct mp_region_process *p = &image->process;
    struct proc_stat stat;

    if (p->state == MP_STATE_EXITED) {
        proc_set_unknown(ret);
        return MP_LIFE_EXITED;
    }
    if (proc_read_both(files, p->pid, before, &stat, ret) != 0
        || stat.start_ticks != p->start_ticks || is_over(&stat)) {
        proc_set_unknown(ret);
        return MP_LIFE_DIED;
    }
    if (runs_other_program(p)) {
        proc_set_unknown(ret);
        return MP_LIFE_REPLACED;
    }
    return MP_LIFE_RUNNING;
}

const char *mp_life_name(enum mp_life life)
{
    static const char *const names[] = {[MP_LIFE_RUNNING] = "running",
        [MP_LIFE_EXITED] = "exited",
        [MP_LIFE_DIED] = "died",
        [MP_LIFE_REPLACED] = "replaced",
        [MP_LIFE_ELSEWHERE] = "elsewhere",
        [MP_LIFE_COPY] = "copy"};

    return (unsigned)life < sizeof(names) / sizeof(names[0]) ? names[life] : "unknown";
}
