/*
 * pressure - how near a process is to having no more memory
 *
 * Owns: the files of the memory cgroup that say what it uses, those of stalls, and the formula;
 * public mp_pressure_make.
 */
#ifndef PRESSURE_H
#define PRESSURE_H

#include <mpstats.h>

#include <stdbool.h>

/* What the kernel says. NAN: it does not. */
struct pressure_read {
    double used_bytes;  /* of the group whose limit is nearest */
    double limit_bytes; /* of it */
    double some_10;     /* shares of time, 0 to 1 */
    double some_60;
    double full_10;
    bool is_machine;  /* the stalls are of the machine */
    double oom_kills; /* of the group of the process and those below it */
};

/*
 * groups: /proc/PID/cgroup; mount: where control groups are ("/sys/fs/cgroup"); machine:
 * "/proc/pressure/memory".
 */
void pressure_read(const char *groups, const char *mount, const char *machine,
    struct pressure_read *ret);

/* kernel may be NULL. */
void pressure_combine(const mp_image_t *image, const struct mp_proc *kernel,
    const struct pressure_read *read, struct mp_pressure *ret);

#endif
