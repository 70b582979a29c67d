/*
 * groups - what the kernel says of memory: of control groups, and of the machine
 *
 * Owns: the files of control groups of both versions and of stalls, and what was read of them last,
 * so that who looks at many processes reads each group once a round; public mp_pressure_groups.
 * Does not own: what it means for a process (pressure.h).
 *
 * Threads: one at a time for each object.
 */
#ifndef GROUPS_H
#define GROUPS_H

#include <mpstats.h>

#include <stdbool.h>

#define GROUPS_MOUNT   "/sys/fs/cgroup"
#define GROUPS_MACHINE "/proc/pressure/memory"

/* NAN: the kernel does not say. */
struct pressure_read {
    double used_bytes;  /* of the group whose limit is nearest */
    double limit_bytes; /* of it */
    double some_10;     /* shares of time, 0 to 1 */
    double some_60;
    double full_10;
    bool is_machine; /* the stalls are of the machine */
};

extern const struct pressure_read groups_nothing; /* nothing is known */

struct groups_place;

struct mp_pressure_groups {
    const char *mount;   /* where control groups are */
    const char *machine; /* the file of the machine's stalls */
    uint64_t round;      /* figures of an earlier one are read again */
    uint64_t now_ms;     /* CLOCK_MONOTONIC at its begin, and past_ms */
    uint64_t past_ms;    /* of tests: so much later */
    uint64_t reads;      /* files that were opened, so far */
    size_t count;
    size_t room;
    struct groups_place **at; /* by key */
};

/* Texts are not copied. */
void groups_init(struct mp_pressure_groups *g, const char *mount, const char *machine);
void groups_fini(struct mp_pressure_groups *g);

/* text: of /proc/PID/cgroup. Returns what groups_read_process knows it by; 0: no memory. */
uint64_t groups_read(
    struct mp_pressure_groups *g, const char *text, struct pressure_read *ret);

/* Of a process; *group: what was returned for it last, so that it is not asked, or 0. */
void groups_read_process(struct mp_pressure_groups *g, uint64_t pid, uint64_t *group,
    struct pressure_read *ret);

#endif
