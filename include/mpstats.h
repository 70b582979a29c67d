/*
 * mpstats.h - reading regions: the library behind the mpalloc command
 *
 * A process on mpalloc leaves its figures in a region, a file that outlives it
 * (mpalloc/region.h). This library finds regions, takes a private checked copy of one (an
 * image), says what became of the process, and explains its resident memory.
 *
 * A region is written by somebody else and may be damaged or hostile: nothing in it makes
 * these functions crash, loop or allocate without bound. Strings of an image are
 * terminated but otherwise as the program wrote them: print them through mp_text_escape.
 *
 * Errors: functions return 0 or a negative errno, and where they take a struct mp_error
 * (may be NULL) leave one line there that says what failed and why.
 *     -ENOENT, -ESRCH   no such file, no such process, or a process without mpalloc
 *     -EACCES, -EPERM   not permitted
 *     -EBADMSG          the file is damaged, unfinished, or of another version
 *
 * Structs that the caller provides, and those in arrays, keep their size until the soname changes,
 * but for those with a member `size` that the caller sets. What is handed out one by one, by pointer,
 * may grow at its end: its size is not to be relied on.
 *
 * Threads: an image does not change after it was made and may be read by many threads;
 * everything else keeps no state, but for the one watch of a process (mps_on_leak). Bytes are
 * bytes, times nanoseconds, unless a name says otherwise.
 */
#ifndef MPSTATS_H
#define MPSTATS_H

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#    define MPS_EXPORT __attribute__((visibility("default")))
#else
#    define MPS_EXPORT
#endif

struct mp_error {
    char text[320]; /* one line, escaped, without the name of the program */
};

/* ---- finding ---- */

struct mp_paths {
    size_t count;
    char **path; /* sorted */
};

/*
 * Where the regions of user `uid` are by default: $MPALLOC_DIR, else
 * /dev/shm/mpalloc-UID. Returns 0, or -ENAMETOOLONG.
 */
MPS_EXPORT int mp_find_directory(uint64_t uid, char *ret_path, size_t size);

/*
 * All regions in `directory` (NULL: that of this user), and with `running` set also those
 * of this user's running processes that are elsewhere: in another directory, or in a
 * memfd. A directory that does not exist is an empty one. Free the result with
 * mp_paths_free, also after an error.
 */
MPS_EXPORT int mp_find_all(
    const char *directory, bool running, struct mp_paths *ret, struct mp_error *error);
MPS_EXPORT void mp_paths_free(struct mp_paths *paths);

/*
 * The region of process `pid`, dead or alive; the youngest when the number was used
 * twice. A live process is asked through /proc where its region is, so that it is found
 * whatever its MPALLOC_DIR was.
 * -ESRCH: no such process, and none left a region. -ENOENT: it runs, but not on mpalloc.
 */
MPS_EXPORT int mp_find_pid(
    uint64_t pid, char *ret_path, size_t size, struct mp_error *error);

/*
 * The region of the process with service name `name` (mp_region_process.service): the
 * only running one, else the only one. -ENOTUNIQ when several would do.
 */
MPS_EXPORT int mp_find_name(
    const char *name, char *ret_path, size_t size, struct mp_error *error);

/*
 * What people write for a process: its PID, "4711"; the path of a region or of a dump (mp_dump),
 * which is whatever has a "/" in it, ends in ".mp" or is a region here; or else a service name. Of a
 * path nothing is looked at but its length; a file here that no process is named after is one, too. Errors of the three above; -ENAMETOOLONG; -EINVAL: "".
 */
MPS_EXPORT int mp_find_target(
    const char *target, char *ret_path, size_t size, struct mp_error *error);

/* ---- images ---- */

typedef struct mp_image mp_image_t;

/*
 * mp_find_target and mp_image_open: the figures of a process, dead or alive, or of a file. Free it
 * with mp_image_free; *ret is NULL after an error. An image does not change: for newer figures of the
 * same process open mp_image_path anew.
 */
MPS_EXPORT int mp_attach(const char *target, mp_image_t **ret, struct mp_error *error);

enum mp_image_flag {
    MP_IMAGE_TORN_TOTALS = 1,  /* the totals were being written at every attempt */
    MP_IMAGE_TORN_MOMENTS = 2, /* the same of points of the timeline: left out */
    MP_IMAGE_MIXED = 4,        /* totals and components are not of one instant */
    MP_IMAGE_BAD_PARENTS = 8, /* components with an impossible parent: taken as roots */
    MP_IMAGE_CUT_STRINGS = 16, /* strings without an end: cut */
    MP_IMAGE_BAD_FRAMES = 32,  /* frames with an impossible caller: taken as first */
    MP_IMAGE_TORN_SAMPLES =
        64,                    /* sums of stacks, or live samples, were being written */
    MP_IMAGE_TORN_LEAKS = 128, /* figures of a leak check were being written */
    MP_IMAGE_TORN_POOLS = 256, /* the same of pools */
};

/*
 * A checked private copy of the region at `path`. The file must be regular and belong to
 * the caller, unless the caller is root; links are not followed. Reads only what is in
 * use, about 100 KiB for a small program and at most 104 MiB. Takes no lock: the process
 * does not notice.
 */
MPS_EXPORT int mp_image_open(
    const char *path, mp_image_t **ret, struct mp_error *error);

/*
 * The same without call stacks, their past, and leak checks: counters, components, classes,
 * timeline, pools. Of samples only mp_image_sampling. Its time does not grow with stacks.
 */
MPS_EXPORT int mp_image_open_counters(
    const char *path, mp_image_t **ret, struct mp_error *error);

/* All of it from an open descriptor, which stays open; `name` is for messages. */
MPS_EXPORT int mp_image_read(
    int fd, const char *name, mp_image_t **ret, struct mp_error *error);
MPS_EXPORT void mp_image_free(mp_image_t *image);

MPS_EXPORT const char *mp_image_path(const mp_image_t *image);
MPS_EXPORT unsigned mp_image_flags(const mp_image_t *image); /* enum mp_image_flag */
MPS_EXPORT uint64_t mp_image_file_bytes(const mp_image_t *image); /* backed by memory */
MPS_EXPORT const struct mp_region_process *mp_image_process(const mp_image_t *image);
MPS_EXPORT const struct mp_region_totals *mp_image_totals(const mp_image_t *image);

/*
 * Records by number; NULL past the end. They live as long as the image. There is always a
 * component MP_REGION_UNTAGGED, also in a region that counts none.
 */
MPS_EXPORT size_t mp_image_component_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_component *mp_image_component(
    const mp_image_t *image, size_t row);
MPS_EXPORT size_t mp_image_class_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_class *mp_image_class(
    const mp_image_t *image, size_t number);
MPS_EXPORT size_t mp_image_module_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_module *mp_image_module(
    const mp_image_t *image, size_t number);
MPS_EXPORT size_t mp_image_option_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_option *mp_image_option(
    const mp_image_t *image, size_t number);

/*
 * Pools of objects that there are now, in no order; and the program's own counters, in the order
 * in which it made them.
 */
MPS_EXPORT size_t mp_image_pool_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_pool *mp_image_pool(
    const mp_image_t *image, size_t i);
MPS_EXPORT size_t mp_image_user_counter_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_user_counter *mp_image_user_counter(
    const mp_image_t *image, size_t i);

enum mp_limit_source {
    MP_LIMIT_NONE,
    MP_LIMIT_CGROUP,
    MP_LIMIT_AS, /* RLIMIT_AS */
    MP_LIMIT_DATA,
    MP_LIMIT_MACHINE /* its memory: the last one, which others use as well */
};

/*
 * How much the process may have, in bytes: the least of the limits of its control group, RLIMIT_AS
 * and RLIMIT_DATA, or the machine's memory where there is none. MP_UNKNOWN: not known.
 * cgroup_bytes: that of its group now (mp_proc.limit_cgroup_bytes), or MP_UNKNOWN: as it was when the
 * process started. ret_source may be NULL.
 */
MPS_EXPORT uint64_t mp_process_limit(
    const mp_image_t *image, uint64_t cgroup_bytes, enum mp_limit_source *ret_source);

/*
 * Limits of components (mp_component_limit), in the order in which they were set; that of one
 * component itself, NULL: it has none; and whether what is live of it and all below it is more
 * than a limit, soft or hard.
 */
MPS_EXPORT size_t mp_image_limit_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_limit *mp_image_limit(
    const mp_image_t *image, size_t i);
MPS_EXPORT const struct mp_region_limit *mp_image_limit_of(
    const mp_image_t *image, size_t row);
MPS_EXPORT bool mp_limit_is_exceeded(
    const mp_image_t *image, const struct mp_region_limit *l);

/*
 * Allocations that failed for want of memory: those that a limit of a component refused are no such,
 * for that is what the limit is for. Both are in allocation_failures_total.
 */
MPS_EXPORT uint64_t mp_image_memory_failures(const mp_image_t *image);

/* Counters of one class in one component; NULL when they are not in the region. */
MPS_EXPORT const struct mp_region_cell *mp_image_cell(
    const mp_image_t *image, size_t row, size_t number);

/* The sum of a class over all components. Its live_peak_bytes is 0: peaks do not add. */
MPS_EXPORT void mp_image_class_sum(
    const mp_image_t *image, size_t number, struct mp_region_cell *ret);

/*
 * The five sizes that people ask for, each the sum of the classes whose blocks are at most 1 KiB,
 * 64 KiB, 1 MiB, 16 MiB, or larger. Exact.
 */
enum mp_size {
    MP_SIZE_TINY,
    MP_SIZE_SMALL,
    MP_SIZE_MEDIUM,
    MP_SIZE_LARGE,
    MP_SIZE_HUGE,
    MP_SIZES
};

struct mp_size_sums {
    uint64_t live_blocks[MP_SIZES];
    uint64_t live_bytes[MP_SIZES];
    uint64_t allocated_blocks_total[MP_SIZES];
    uint64_t allocated_bytes_total[MP_SIZES];
};

MPS_EXPORT void mp_size_sums_make(const mp_image_t *image, struct mp_size_sums *ret);
MPS_EXPORT const char *mp_size_name(enum mp_size size); /* "tiny" */
MPS_EXPORT const char *mp_size_text(enum mp_size size); /* "up to 1 KiB" */

/* With 95 % probability the true value is between low and high. */
struct mp_estimate {
    double value;
    double low;
    double high;
};

/*
 * Free bytes between the live blocks of a cell's slabs, as far as they were ever handed out. Sampled
 * blocks are live, and in no slab: it is by so much too small.
 */
MPS_EXPORT uint64_t mp_cell_free_bytes(const struct mp_region_cell *cell);

/* Points of a tier (0: seconds, 1: minutes, 2: ten minutes), the oldest first. */
MPS_EXPORT size_t mp_image_moment_count(const mp_image_t *image, unsigned tier);
MPS_EXPORT const struct mp_region_moment *mp_image_moment(
    const mp_image_t *image, unsigned tier, size_t number);

/*
 * What the timeline says of the time from `from_ns` (CLOCK_REALTIME; 0: the start) on, by the tier
 * that reaches back to it, or furthest.
 */
struct mp_timeline {
    size_t points;    /* 0: there are none, and nothing is known */
    uint64_t from_ns; /* of the first and the last point */
    uint64_t to_ns;
    double mean_live_bytes; /* by time */
    uint64_t high_bytes;    /* the most, and when the point of it ended */
    uint64_t high_ns;
    /* That of mp_timeline_forecast; without limits where it knows none. */
    struct mp_estimate bytes_per_hour;
};

MPS_EXPORT void mp_timeline_make(
    const mp_image_t *image, uint64_t from_ns, struct mp_timeline *ret);

/*
 * Sampled call stacks. Without sampling interval_bytes is MP_SAMPLING_OFF, and all counts
 * are 0. Frames, sites and names have the numbers of the region. Frame 0 is no frame, site 0
 * is (overflow); a site that means nothing has no samples. Sums are finite and at least 0,
 * and what was freed is not more than what was allocated.
 */
MPS_EXPORT const struct mp_region_sampling *mp_image_sampling(const mp_image_t *image);
/*
 * What was live when estimated live bytes were at their highest: that estimate, but no more than
 * counters ever saw, unless it is newer than they are. 0: nothing was sampled.
 */
MPS_EXPORT double mp_image_peak_bytes(const mp_image_t *image);
MPS_EXPORT size_t mp_image_frame_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_frame *mp_image_frame(
    const mp_image_t *image, size_t number);
MPS_EXPORT size_t mp_image_site_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_site *mp_image_site(
    const mp_image_t *image, size_t number);

/*
 * Stacks are told of a sample at once; counters are published about every 0.4 s, and by
 * allocations: those of a process that sleeps, or was killed, may be of a moment before. What
 * stacks know more than the counters of this image, by their samples.
 */
struct mp_since {
    uint64_t allocated_samples;
    uint64_t freed_samples;
    uint64_t allocated_bytes; /* estimated, as those of samples are */
    uint64_t freed_bytes;
};

MPS_EXPORT void mp_image_since(const mp_image_t *image, struct mp_since *ret);

/* Samples that are live, in no order: as many as are listed one by one. */
MPS_EXPORT size_t mp_image_sample_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_sample *mp_image_sample(
    const mp_image_t *image, size_t number);

/*
 * The past of sites (mpalloc/region.h). Epochs: `current` of them ended, at most 31, at times
 * that do not fall; without sampling, or before the first ended, 0. The row of a site: NULL when
 * it has not changed since the first epoch, or when there was no room, which
 * mp_image_has_history tells apart. Marks: the last 16 at most, the oldest first.
 */
MPS_EXPORT const struct mp_region_epochs *mp_image_epochs(const mp_image_t *image);
MPS_EXPORT const struct mp_region_site_epochs *mp_image_site_epochs(
    const mp_image_t *image, size_t site);
MPS_EXPORT bool mp_image_has_history(const mp_image_t *image, size_t site);
MPS_EXPORT size_t mp_image_mark_count(const mp_image_t *image);
MPS_EXPORT const struct mp_region_mark *mp_image_mark(
    const mp_image_t *image, size_t number);

/* The name of an operation or a thread; "" for number 0 and past the end. */
MPS_EXPORT const char *mp_image_name(const mp_image_t *image, size_t number);

/*
 * The last leak check that ended (mp_leak_check, mp_leak_request); NULL: there was none. Its
 * figures are those of its moment: blocks were allocated and freed since. Cells and sites are NULL
 * where it has none: past the end, after a check that failed (error in mp_region_leaks), and of
 * components and sites that are younger. A site's sums are weighted as those of mp_region_site; of
 * sites with is_exact they are no estimates.
 */
MPS_EXPORT const struct mp_region_leaks *mp_image_leaks(const mp_image_t *image);
MPS_EXPORT const struct mp_region_leak_cell *mp_image_leak_cell(
    const mp_image_t *image, size_t row, size_t number);
MPS_EXPORT const struct mp_region_leak_site *mp_image_leak_site(
    const mp_image_t *image, size_t number);

/* Checks that began, ever; more than the number of the last one: another is under way. */
MPS_EXPORT uint64_t mp_image_leaks_started(const mp_image_t *image);

/* ---- what stacks hold ---- */

enum mp_figure {
    MP_ALLOCATED_BLOCKS, /* ever; what is live and what was freed */
    MP_ALLOCATED_BYTES,
    MP_LIVE_BLOCKS,
    MP_LIVE_BYTES,
    MP_PEAK_BLOCKS, /* live when all estimated live bytes were at their highest */
    MP_PEAK_BYTES,
    MP_SHORT_BLOCKS, /* freed within 2^MP_SHORT_BUCKET microseconds, 8 ms */
    MP_SHORT_BYTES,
    MP_FIGURES
};

enum { MP_SHORT_BUCKET = 13 }; /* of mp_region_site.lifetimes */

/* With 95 % probability the true value is between low and high. */
struct mp_figures {
    uint64_t samples; /* that were taken; 0: what is known is known from counters */
    uint64_t live_samples;
    uint64_t value[MP_FIGURES];
    uint64_t low[MP_FIGURES];
    uint64_t high[MP_FIGURES];
    uint64_t requested; /* bytes asked for, of MP_ALLOCATED_BYTES; 0: not known */
    uint64_t first_ns;  /* CLOCK_REALTIME of the first and the last sample */
    uint64_t last_ns;
    double lifetime_s;       /* of its freed blocks, all together */
    uint64_t live_requested; /* of MP_LIVE_BYTES and MP_PEAK_BYTES */
    uint64_t peak_requested;
    /*
     * Bit 1 << i: the samples alone would allow more than high[i], which is all that was counted. Few
     * samples leave such figures too low, all of them: sums of them add what is missing as it is, and
     * not as errors that go either way (mp_figures_spread).
     */
    uint32_t cut;
};

/* How far above their sum two figures may be, of which each may be so far above its value. */
MPS_EXPORT double mp_figures_spread(double a, double b, bool is_cut);

typedef struct mp_estimates mp_estimates_t;

/*
 * What groups of sites hold, now. group[site] is a number below group_count; sites of a group are
 * taken together, and must be of one component and class. NULL: each site by itself.
 *
 * Live and allocated figures of a component and class, with the rest of it that no group
 * explains (mp_estimates_rest), add up to its counters, to the byte, and what came after them
 * (mp_image_since) is added by the samples alone. (overflow), site 0, is of all classes: of it
 * these figures are what came after the counters, and what it held before is in the rests. Peaks
 * have no counter of their moment, and are plain estimates, cut to the highest that counters saw:
 * of each component and class, and of all (mp_image_peak_bytes). When every allocation was recorded nothing is
 * estimated, and low and high are the value. -ENOMEM.
 */
MPS_EXPORT int mp_estimates_make(const mp_image_t *image, const uint32_t *group,
    size_t group_count, mp_estimates_t **ret);
MPS_EXPORT void mp_estimates_free(mp_estimates_t *estimates);

/* NULL past the end. */
MPS_EXPORT const struct mp_figures *mp_estimates_group(
    const mp_estimates_t *estimates, size_t number);

/* What samples do not explain of a class in a component; peaks of it are not known: 0. */
MPS_EXPORT void mp_estimates_rest(
    const mp_estimates_t *estimates, size_t row, size_t number, struct mp_figures *ret);

/* ---- what became of the process ---- */

enum mp_life {
    MP_LIFE_RUNNING,
    MP_LIFE_EXITED,    /* in order: its destructors ran */
    MP_LIFE_DIED,      /* killed, crashed, _exit, or the machine was restarted */
    MP_LIFE_REPLACED,  /* it runs another program now, by exec */
    MP_LIFE_ELSEWHERE, /* in another pid namespace: cannot be told from here */
    MP_LIFE_COPY, /* it runs on; this is a dump or a copy of its region, and moves no more */
};

MPS_EXPORT enum mp_life mp_image_life(const mp_image_t *image);

/* "running", "exited", "died", "replaced", "elsewhere", "copy" */
MPS_EXPORT const char *mp_life_name(enum mp_life life);

/* ---- what the kernel says ---- */

#define MP_UNKNOWN UINT64_MAX

/* Of /proc/PID; each is MP_UNKNOWN where the kernel does not say or not to us. */
struct mp_proc {
    uint64_t resident_bytes; /* VmRSS, the sum of the next three */
    uint64_t resident_anon_bytes;
    uint64_t resident_file_bytes;
    uint64_t resident_shmem_bytes;
    uint64_t resident_peak_bytes; /* VmHWM */
    uint64_t virtual_bytes;       /* VmSize */
    uint64_t text_bytes;          /* VmExe + VmLib: mapped code, not what is resident */
    uint64_t data_bytes;          /* VmData: private writable mappings */
    uint64_t stack_bytes;         /* VmStk: of the main thread */
    uint64_t swap_bytes;          /* VmSwap */
    uint64_t threads;
    uint64_t proportional_bytes; /* Pss of smaps_rollup: shared pages in shares */
    uint64_t huge_page_bytes;    /* AnonHugePages of smaps_rollup */
    uint64_t limit_cgroup_bytes; /* memory.max or limit_in_bytes, lowest of the path */
    uint64_t uid;                /* effective */
    uint64_t mappings;           /* number of them, against vm.max_map_count */
    uint64_t minor_faults_total;
    uint64_t major_faults_total; /* those that had to wait for a device */
    uint64_t cpu_ns_total;       /* of all its threads, user and system */
};

/* -ESRCH when there is no such process. What is not permitted is left MP_UNKNOWN. */
MPS_EXPORT int mp_proc_read(uint64_t pid, struct mp_proc *ret);

/*
 * The same, for those who look often: what the kernel has to walk through the memory of the process
 * for, or seldom changes, is that of `before`: proportional_bytes, huge_page_bytes,
 * limit_cgroup_bytes and mappings; NULL: these are MP_UNKNOWN.
 */
MPS_EXPORT int mp_proc_read_again(
    uint64_t pid, const struct mp_proc *before, struct mp_proc *ret);

/*
 * For those who look at one process round after round: two of its files stay open. A file that was
 * opened tells of that process for ever, never of another with its number. One thread at a time.
 * NULL: no memory.
 */
typedef struct mp_proc_files mp_proc_files_t;

MPS_EXPORT mp_proc_files_t *mp_proc_files_create(void);
MPS_EXPORT void mp_proc_files_free(mp_proc_files_t *files);

/*
 * mp_image_life and mp_proc_read_again in one, of a process that ran a moment ago: it takes a tenth of
 * the time, but does not notice that the process runs the same program anew. files: of this process
 * and no other before; NULL: nothing stays open. *ret: MP_UNKNOWN in each where it does not run.
 */
MPS_EXPORT enum mp_life mp_proc_look_again(mp_proc_files_t *files,
    const mp_image_t *image, const struct mp_proc *before, struct mp_proc *ret);

/*
 * Only resident_bytes; MP_UNKNOWN without such a process. The kernel knows it at once: for the rest
 * it looks at every page, 40 ms for each GiB, and meanwhile the process cannot map any.
 */
MPS_EXPORT uint64_t mp_proc_resident(uint64_t pid);

/* ---- why resident memory is what it is ---- */

enum { MP_LEDGER_PARTS = 24 };

struct mp_ledger_part {
    const char *name;   /* a key: "requested", "cached", … */
    const char *label;  /* for people */
    int64_t bytes;      /* below zero: counted above, but not resident */
    const char *source; /* "allocator", its "samples", "kernel", "difference" */
};

/*
 * The parts add up to total_bytes exactly. For a running process that we may look into,
 * total_bytes is resident_bytes, the kernel's figure; what mpalloc counted but never was
 * touched is a part below zero, and what nobody explains is the part "unexplained".
 * "requested" and "slack" are together the exact live bytes; without live samples they are one
 * part, "live".
 * Otherwise total_bytes is what mpalloc had in memory at most, and resident_bytes is
 * MP_UNKNOWN.
 *
 * A process goes on while its mappings are read, one after the other. moved_bytes is by how much
 * its resident memory had changed when all were read: by so much the total may be off.
 */
struct mp_ledger {
    size_t count;
    struct mp_ledger_part part[MP_LEDGER_PARTS];
    int64_t total_bytes;
    uint64_t resident_bytes;
    bool is_measured;     /* the mappings of the process were read, one by one */
    uint64_t moved_bytes; /* MP_UNKNOWN: it was not measured */
    uint64_t read_ns;     /* that reading them took */
};

/*
 * Reads /proc/PID/smaps when the process runs: about 1 ms for each 1,000 mappings; up to four times,
 * where memory moved by more than 0.25 % meanwhile, and takes what moved least.
 */
MPS_EXPORT void mp_ledger_make(const mp_image_t *image, struct mp_ledger *ret);

/*
 * The same of sums that the kernel has at hand, /proc/PID/status: it looks at no page, and the
 * process waits for nothing. is_measured is false. Where memory that mpalloc counted was never
 * touched, or is in swap, so much less than there is may be of others ("other_anon").
 */
MPS_EXPORT void mp_ledger_make_quick(const mp_image_t *image, struct mp_ledger *ret);

/* ---- the mailbox ---- */

/*
 * Ask the process behind the region to give free memory back to the kernel, and wait for
 * its answer for up to timeout_ms. *ret_bytes is what it gave back.
 * -ETIMEDOUT: it did not enter its slow path meanwhile; it will serve the request when it
 * does. -ESRCH: it runs no more.
 */
MPS_EXPORT int mp_trim_request(
    const char *path, unsigned timeout_ms, uint64_t *ret_bytes, struct mp_error *error);

/*
 * The same for the interval of sampling: bytes up to 1 TiB, MP_SAMPLING_EXACT or
 * MP_SAMPLING_OFF. *ret_interval is what is in force then: another one where the process
 * cannot sample, as in hardened mode.
 */
MPS_EXPORT int mp_sample_request(const char *path, uint64_t interval,
    unsigned timeout_ms, uint64_t *ret_interval, struct mp_error *error);

/*
 * Ask the process for a leak check, with wait_ms between its two rounds (0: one round), and wait
 * until it ended, for up to timeout_ms in all. Steps of it are done in the process's slow path:
 * one that does not allocate does not answer. *ret_number is mp_region_leaks.number of the check;
 * what it found is in an image that is read then.
 * Errors are those of mp_leak_check, that the process met, and -ETIMEDOUT: it did not begin, or is
 * not done; it goes on with it when it allocates. -ESRCH: it runs no more.
 */
MPS_EXPORT int mp_leak_request(const char *path, uint64_t wait_ms, unsigned timeout_ms,
    uint64_t *ret_number, struct mp_error *error);

/*
 * The same. When 2 s passed and the process did not begin, and when 10 s passed since and it is not
 * done, `tell` is called with what is waited for: a line for people, without its end. Once each.
 */
MPS_EXPORT int mp_leak_request_and_tell(const char *path, uint64_t wait_ms,
    unsigned timeout_ms, void (*tell)(const char *text, void *arg), void *arg,
    uint64_t *ret_number, struct mp_error *error);

/* ---- text from programs ---- */

/*
 * Copy at most from_bytes of `from`, up to its NUL, so that it can be printed: control
 * characters, invalid UTF-8, and characters that reorder or hide text become \xNN.
 * Always terminated; returns the length. size must be at least 1; what does not fit is
 * left out.
 */
MPS_EXPORT size_t mp_text_escape(
    char *to, size_t size, const char *from, size_t from_bytes);

#ifdef __cplusplus
}
#endif

#include <mpstats/insight.h>
#include <mpstats/tops.h>

#endif
