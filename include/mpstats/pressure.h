/*
 * mpstats/pressure.h - how near a process is to having no more memory
 *
 * A part of mpstats.h, which includes it; what that says of errors and threads holds here.
 */
#ifndef MPSTATS_PRESSURE_H
#define MPSTATS_PRESSURE_H

#include <mpstats.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Each part is 0 to 1, and memory is as short as the worst of them says: pressure is the highest
 * part. A mean would hide a limit that is reached behind a machine that does not stall yet.
 *
 * limit  What is used, divided by the limit that is nearest: of the process's cgroup and those
 *        above it (memory.max and memory.high; version 1: memory.limit_in_bytes) what the group
 *        uses without file pages that it can drop at once (inactive_file); of RLIMIT_AS its
 *        addresses (VmSize); of RLIMIT_DATA what is resident, or live in blocks if that is
 *        more; and the same of the machine's memory where there is no limit. Of a process that
 *        runs no more: of the limits it had at its start, and what mpalloc held at its end.
 * stall  Pressure stall information of the kernel: the share of time in which some task waited for
 *        memory, of the last 10 or 60 seconds, whichever is more, and that in which all did once
 *        more, of the last 10: max(some avg10, some avg60) + full avg10, at most 1. Of the cgroup
 *        (memory.pressure), or of the machine where the group does not tell.
 * time   3600 / (3600 + t): t seconds to that limit, if live bytes go on to grow as they surely
 *        do, by the lower end of the interval (mp_forecast_make) over the last 10 minutes. 0.5:
 *        an hour is left; 0.8: 15 minutes. 0 when it does not surely grow.
 */
enum mp_pressure_kind {
    MP_PRESSURE_LIMIT,
    MP_PRESSURE_STALL,
    MP_PRESSURE_TIME,
    MP_PRESSURE_PARTS
};

struct mp_pressure_part {
    double value;   /* 0 to 1; NAN: not known */
    char text[160]; /* the evidence in words, or why it is not known */
};

struct mp_pressure {
    double value; /* the highest part that is known; NAN: none is */
    struct mp_pressure_part part[MP_PRESSURE_PARTS];
    double used_bytes;  /* of the limit; NAN: there is none */
    double limit_bytes; /* NAN: there is none */
    double some_10;     /* shares of time; NAN: the kernel does not say */
    double some_60;
    double full_10;
    double
        limit_s; /* until the limit is reached; INFINITY: not surely; NAN: not known */
};

/*
 * Of a process that runs it reads its cgroup's files and /proc/pressure/memory. kernel may be
 * NULL: then what is resident is as the allocator counts it. Does not fail: what is not known says
 * so.
 */
MPS_EXPORT void mp_pressure_make(
    const mp_image_t *image, const struct mp_proc *kernel, struct mp_pressure *ret);

/*
 * For who looks at many processes, round after round: of each control group, and each above it,
 * files are read once a round, however many processes are in it; limits every 10 s. One thread at
 * a time. NULL: no memory.
 */
typedef struct mp_pressure_groups mp_pressure_groups_t;

MPS_EXPORT mp_pressure_groups_t *mp_pressure_groups_create(void);
MPS_EXPORT void mp_pressure_groups_free(mp_pressure_groups_t *groups);

/* A new round. What nobody asked for in the last minute is forgotten. */
MPS_EXPORT void mp_pressure_groups_next(mp_pressure_groups_t *groups);

/*
 * As mp_pressure_make. life: as mp_image_life says. *group: 0 for a process that was not asked
 * which group it is in, or not lately; set to what saves asking it next time.
 */
MPS_EXPORT void mp_pressure_make_in(mp_pressure_groups_t *groups,
    const mp_image_t *image, enum mp_life life, const struct mp_proc *kernel,
    uint64_t *group, struct mp_pressure *ret);

/* "limit", "stall", "time" */
MPS_EXPORT const char *mp_pressure_part_name(enum mp_pressure_kind part);

#ifdef __cplusplus
}
#endif

#endif
