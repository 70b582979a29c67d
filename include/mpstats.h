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
 * Threads: an image does not change after it was made and may be read by many threads;
 * everything else keeps no state. Bytes are bytes, times nanoseconds, unless a name says
 * otherwise.
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

/* ---- images ---- */

typedef struct mp_image mp_image_t;

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

/* The same from an open descriptor, which stays open; `name` is for messages. */
MPS_EXPORT int mp_image_read(
    int fd, const char *name, mp_image_t **ret, struct mp_error *error);
MPS_EXPORT void mp_image_free(mp_image_t *image);

MPS_EXPORT const char *mp_image_path(const mp_image_t *image);
MPS_EXPORT unsigned mp_image_flags(const mp_image_t *image); /* enum mp_image_flag */
MPS_EXPORT uint64_t mp_image_file_bytes(const mp_image_t *image); /* backed by memory */
MPS_EXPORT const struct mp_region_process *mp_image_process(const mp_image_t *image);
MPS_EXPORT const struct mp_region_totals *mp_image_totals(const mp_image_t *image);

/* Records by number; NULL past the end. They live as long as the image. */
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
    /*
     * Slope of Theil and Sen through the means of up to 48 stretches after the first quarter,
     * which is warm-up, with Sen's interval; bytes per hour. Without limits for less than 4.
     */
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
};

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

/* ---- leaks ---- */

/* From bad to good. */
enum mp_verdict_kind {
    MP_VERDICT_LOST,       /* nothing points to it any more, twice seen: mp_scanned */
    MP_VERDICT_GROWING,    /* it grows as fast as ever, and what is old is not freed */
    MP_VERDICT_SUSPECT,    /* it grows; whether it will go on is not clear yet */
    MP_VERDICT_CACHE_LIKE, /* it grew and does so no more: it saturates */
    MP_VERDICT_FINE,
    MP_VERDICTS
};

/* Rules that fired, each a bit: what the verdict rests on, and hints that are no leaks. */
enum mp_verdict_rule {
    MP_RULE_GROWTH = 1, /* what is live drifts upwards, surely: false discovery < q */
    MP_RULE_LARGE_SITE = 2,   /* it has a large share of what is live */
    MP_RULE_NEVER_FREED = 4,  /* blocks that got old do not die any more */
    MP_RULE_RISING_FLOOR = 8, /* the least of each epoch rises */
    MP_RULE_SLACK_AFTER_PEAK =
        16,                   /* most of what it held at the peak is freed: no leak */
    MP_RULE_EXPONENTIAL = 32, /* it doubles, again and again */
    MP_RULE_LARGE_CHURN =
        64,             /* many bytes in blocks of whole pages come and go: no leak */
    MP_RULE_LOOP = 128, /* one stack adds block after block and frees nearly none */
    MP_RULE_UNREACHABLE = 256, /* lost, by the scan */
    MP_RULE_MARKS = 512,       /* it grows from mark to mark */
    MP_RULES = 10
};

enum mp_severity { MP_SEVERITY_INFO, MP_SEVERITY_WARNING, MP_SEVERITY_CRITICAL };

enum mp_advice {
    MP_ADVICE_NONE,
    MP_ADVICE_BOUND,   /* a cache without bound: give it one, evict the oldest */
    MP_ADVICE_HANDLER, /* what is registered is never taken back */
    MP_ADVICE_CYCLE,   /* nothing points to it: free it, or break the cycle */
    MP_ADVICE_SHRINK,  /* a buffer that grew once and stayed so */
    MP_ADVICE_THREAD,  /* one thread keeps it: clear it between its jobs */
    MP_ADVICES
};

/*
 * What a scan for reachability said of the live samples of a site, summed by weight. Rounds: in
 * how many scans, at least a second apart, the same blocks were lost; below 2 is not believed.
 * Indirect: only lost blocks lead to it; its site is as lost as that of those.
 */
struct mp_scanned {
    unsigned rounds;
    double definite_bytes;
    double indirect_bytes;
    double possible_bytes;
    double reachable_bytes;
};

/* 0 stands for the default of each. */
struct mp_verdict_options {
    double false_discovery; /* of growing ones: 0.05 */
    double warning_s;       /* the limit is nearer than this: warning; 7 days */
    double critical_s;      /* 4 hours */
    double large_share;     /* of live bytes, for large_site: 0.1 */
    uint64_t
        limit_bytes; /* instead of that of cgroup, RLIMIT_AS, RLIMIT_DATA, machine */
    uint64_t resident_bytes; /* of the process now; what the totals say */
    const struct mp_scanned
        *scanned; /* one for each site; NULL: the image's last leak check, if any */
};

enum { MP_VERDICT_LINES = 8, MP_VERDICT_THREADS = 4 };

struct mp_verdict {
    enum mp_verdict_kind kind;
    unsigned rules; /* enum mp_verdict_rule */
    enum mp_severity severity;
    enum mp_advice advice;
    uint32_t frame; /* the innermost of the stack; 0: none could be taken */
    uint32_t component;
    uint16_t operation; /* that has most of it */
    uint16_t
        threads[MP_VERDICT_THREADS]; /* names that allocated it, most first; 0: none */
    double thread_share;             /* of the first of them */
    size_t site_count;
    const uint32_t *sites; /* numbers in the image */
    uint64_t live_samples;
    uint64_t freed_samples;
    struct mp_estimate live_bytes;
    struct mp_estimate bytes_per_hour;
    struct mp_estimate
        limit_s;       /* until memory is used up, if nothing else grows; or INFINITY */
    uint64_t first_ns; /* CLOCK_REALTIME of its first and last sample */
    uint64_t last_ns;
    double oldest_s;    /* age of its oldest live sample */
    double p;           /* of growth by chance, before the correction for many stacks */
    double slope_bytes; /* Theil and Sen's, per epoch */
    double exponent;    /* of its survivors by time: 1 is as steady as a leak */
    double exponent_low;
    unsigned generations; /* epochs that have survivors, */
    unsigned epochs;      /* of so many */
    double old_died;      /* of blocks that got old */
    double old_all;
    double leak_chance;        /* that an old one is never freed (Laplace) */
    double doubling_s;         /* exponential: so often it doubles; else 0 */
    struct mp_scanned scanned; /* sums; rounds 0: no scan */
    unsigned line_count;
    char line[MP_VERDICT_LINES][160]; /* the evidence in words and numbers */
};

typedef struct mp_verdicts mp_verdicts_t;

/*
 * One verdict for each call stack in a component: the worst first, then the fastest. Needs one
 * image, of a process dead or alive. The image has to outlive the verdicts. -ENOMEM.
 * Cost: about 0.2 ms for each stack, and memory for its live samples.
 */
MPS_EXPORT int mp_verdicts_make(const mp_image_t *image,
    const struct mp_verdict_options *options, mp_verdicts_t **ret);
MPS_EXPORT void mp_verdicts_free(mp_verdicts_t *verdicts);
MPS_EXPORT size_t mp_verdicts_count(const mp_verdicts_t *verdicts);
MPS_EXPORT const struct mp_verdict *mp_verdicts_at(
    const mp_verdicts_t *verdicts, size_t number); /* NULL past the end */

/* Of all: bytes per hour of lost and growing ones, and the limit that counts; 0: none. */
MPS_EXPORT struct mp_estimate mp_verdicts_growth(const mp_verdicts_t *verdicts);
MPS_EXPORT uint64_t mp_verdicts_limit(const mp_verdicts_t *verdicts);

/*
 * False: every allocation is recorded (MP_SAMPLING_EXACT), and of sites that threads wrote without
 * a lock no past is kept: none of those is called growing, or a suspect. The rest holds.
 */
MPS_EXPORT bool mp_verdicts_has_past(const mp_verdicts_t *verdicts);

/* Keys: "growing", "cache-like"; "rising_floor" of one bit; "critical"; "bound". */
MPS_EXPORT const char *mp_verdict_name(enum mp_verdict_kind kind);
MPS_EXPORT const char *mp_rule_name(unsigned rule);
MPS_EXPORT const char *mp_severity_name(enum mp_severity severity);
MPS_EXPORT const char *mp_advice_name(enum mp_advice advice);
MPS_EXPORT const char *mp_advice_text(enum mp_advice advice); /* a sentence */

/*
 * For programs that watch themselves: a thread of this library looks at the region of the
 * calling process every `period_s` (at least 1) and calls fn for each verdict that became
 * growing or lost since it looked last. The verdict and the image live until fn returns. fn
 * may allocate, and may call mps_stop_watch, which then only asks. One watch per process.
 * 0; -EBUSY: there is one; -EINVAL; -EAGAIN: no thread; or why the region is not there.
 */
typedef void mps_leak_fn(
    const struct mp_verdict *verdict, const mp_image_t *image, void *arg);
MPS_EXPORT int mps_on_leak(mps_leak_fn *fn, void *arg, unsigned period_s);
MPS_EXPORT void mps_stop_watch(void); /* waits until the thread has ended */

/* ---- what to do ---- */

/* Rules of advice, each proved on a program that needs it (tests/advice). */
enum mp_finding_code {
    MP_FINDING_POOL,   /* a stack makes many short-lived blocks of one size */
    MP_FINDING_ARENA,  /* all below a frame make short-lived blocks of many sizes */
    MP_FINDING_BATCH,  /* a stack makes many small blocks that stay */
    MP_FINDING_CHUNK,  /* large blocks that live shortly make the peak */
    MP_FINDING_RESIZE, /* blocks are longer than what is asked for */
    MP_FINDING_TRIM,   /* free memory that was not given back */
    MP_FINDING_SPREAD, /* free blocks between live ones */
    MP_FINDING_BOUND,  /* of stacks that grow or are lost: see enum mp_advice */
    MP_FINDING_HANDLER,
    MP_FINDING_CYCLE,
    MP_FINDING_THREAD,
    MP_FINDING_SHRINK,
    MP_FINDING_HOT, /* one component has most of what is live */
    MP_FINDINGS
};

enum mp_gain_unit {
    MP_GAIN_BYTES,            /* of resident memory, now */
    MP_GAIN_PEAK_BYTES,       /* of what was live at the peak */
    MP_GAIN_BYTES_PER_HOUR,   /* of growth */
    MP_GAIN_CALLS_PER_SECOND, /* of malloc and free */
    MP_GAIN_NONE              /* it says where to look */
};

enum { MP_FINDING_LINES = 4 };

struct mp_finding {
    enum mp_finding_code code;
    enum mp_gain_unit unit;
    struct mp_estimate gain; /* what is won at most, if the advice is followed */
    /*
     * The gain as a share, by which findings are in order: of the resident heap; of the peak; of the
     * resident heap in a day; of the time of a processor, at 20 ns for a malloc and its free.
     */
    double share;
    bool has_component; /* else it is about the whole process */
    uint32_t component;
    uint32_t frame; /* of the stack, or of ARENA where it divides; 0: none */
    unsigned line_count;
    char line[MP_FINDING_LINES][160]; /* the evidence in words and numbers */
};

/* 0 stands for the default of each. A finding needs the lower end of its gain above them. */
struct mp_finding_options {
    double least_memory; /* share of the resident heap, or of the peak: 0.02 */
    double least_time;   /* share of the time of one processor: 0.005 */
};

typedef struct mp_findings mp_findings_t;

/*
 * What would make the process smaller or faster, the largest gain first. What is about stacks rests
 * on their estimates (mp_estimates_make), on the whole time since the start. verdicts may be NULL:
 * then there is no advice about leaks. The image has to outlive the findings. -ENOMEM.
 */
MPS_EXPORT int mp_findings_make(const mp_image_t *image, const mp_verdicts_t *verdicts,
    const struct mp_finding_options *options, mp_findings_t **ret);
MPS_EXPORT void mp_findings_free(mp_findings_t *findings);
MPS_EXPORT size_t mp_findings_count(const mp_findings_t *findings);
MPS_EXPORT const struct mp_finding *mp_findings_at(
    const mp_findings_t *findings, size_t number); /* NULL past the end */

/* "POOL"; a sentence; "bytes", "peak_bytes", "bytes_per_hour", "calls_per_second", "none". */
MPS_EXPORT const char *mp_finding_name(enum mp_finding_code code);
MPS_EXPORT const char *mp_finding_text(enum mp_finding_code code);
MPS_EXPORT const char *mp_gain_unit_name(enum mp_gain_unit unit);

/*
 * Efficiency: what was asked for of what is live, of the resident heap. The four parts are the
 * resident heap; requested is an estimate where stacks are sampled, block bytes where not.
 */
struct mp_efficiency {
    double ratio; /* requested.value / resident heap; 1: nothing is wasted */
    struct mp_estimate requested; /* live bytes that were asked for */
    struct mp_estimate slack;     /* live block bytes beyond that */
    uint64_t free_bytes;     /* free blocks in spans with live ones, and dirty spans */
    uint64_t metadata_bytes; /* tables, heaps, region */
    uint64_t heap_bytes;     /* their sum: the resident heap, at most */
};

MPS_EXPORT int mp_efficiency_make(
    const mp_image_t *image, struct mp_efficiency *ret); /* -ENOMEM */
/* ---- what changed ---- */

enum mp_diff_by { MP_DIFF_COMPONENT, MP_DIFF_CLASS, MP_DIFF_SITE, MP_DIFF_BYS };

enum mp_diff_figure {
    MP_DIFF_LIVE_BYTES,
    MP_DIFF_LIVE_BLOCKS,
    MP_DIFF_ALLOCATED_BYTES, /* ever */
    MP_DIFF_ALLOCATED_BLOCKS,
    MP_DIFF_PEAK_BYTES, /* of classes it is not known: 0 */
    MP_DIFF_FIGURES
};

/* What there is to know about two images before a difference is believed. */
enum mp_diff_flag {
    MP_DIFF_SAME_RUN = 1,       /* one process at two moments: what lived through both
                                   cancels, and blurs nothing */
    MP_DIFF_BACKWARDS = 2,      /* the same, and the second is the older one */
    MP_DIFF_OTHER_PROGRAM = 4,  /* executables of other names */
    MP_DIFF_OTHER_BUILD = 8,    /* executables of other build ids */
    MP_DIFF_OTHER_RATE = 16,    /* sampled at other intervals: other noise, no bias */
    MP_DIFF_NO_STACKS = 32,     /* one of them was never sampled: no sites */
    MP_DIFF_EXACT = 64,         /* every allocation of both was recorded */
    MP_DIFF_OTHER_MOMENT = 128, /* one had run to its end, the other had not */
};

/* Bytes or blocks. Where it is known exactly, low and high are the change. */
struct mp_change {
    uint64_t before;
    uint64_t after;
    double change;
    double low; /* 95 % */
    double high;
};

struct mp_difference {
    uint32_t number
        [2]; /* row of the component, class or a site in each image; UINT32_MAX: it is
                      not there. Not in both: what no row explains, so that rows add up. */
    uint64_t samples; /* that tell the two apart; 0: known from counters */
    struct mp_change figure[MP_DIFF_FIGURES];
    double p; /* that the figure judged differs by chance of sampling; exact: 0 or 1 */
    bool is_significant; /* beyond noise, after the correction for many stacks */
};

struct mp_diff_options {
    /*
     * One number for each site of the image before, and after: sites of equal numbers are of
     * one stack. NULL: by build ids and offsets, which differ from build to build.
     */
    const uint64_t *key[2];
    enum mp_diff_figure
        judged;             /* live, allocated or peak bytes: tested, and sorted by */
    double false_discovery; /* of changes called significant; 0: 0.05 */
};

typedef struct mp_diff mp_diff_t;

/*
 * What changed from one image to the other, by component, size class and site (a call stack in a
 * component). Components and classes are exact. Rows of each kind add up to the total. Any two
 * images can be compared: flags say what it means. options may be NULL. The images have to outlive
 * it. -ENOMEM.
 */
MPS_EXPORT int mp_diff_make(const mp_image_t *before, const mp_image_t *after,
    const struct mp_diff_options *options, mp_diff_t **ret);
MPS_EXPORT void mp_diff_free(mp_diff_t *diff);
MPS_EXPORT unsigned mp_diff_flags(const mp_diff_t *diff); /* enum mp_diff_flag */
MPS_EXPORT const struct mp_difference *mp_diff_total(const mp_diff_t *diff);

/* The largest change first, what no row explains last; NULL past the end. */
MPS_EXPORT size_t mp_diff_count(const mp_diff_t *diff, enum mp_diff_by by);
MPS_EXPORT const struct mp_difference *mp_diff_at(
    const mp_diff_t *diff, enum mp_diff_by by, size_t number);

/*
 * By how much of what there was in all the whole grew, or one component, or one stack beyond
 * noise, by its lower limit: the largest of these, 0.2 for 20 %; 0: nothing grew; INFINITY: there
 * was nothing. Of the figure that was judged. *ret_by and *ret_row (may be NULL): which; the row
 * NULL: the whole.
 */
MPS_EXPORT double mp_diff_drift(const mp_diff_t *diff, enum mp_diff_by *ret_by,
    const struct mp_difference **ret_row);

/* ---- where it goes ---- */

struct mp_point {
    double time_s;
    double bytes;
};

/*
 * How fast something grows, and when it reaches a limit if it goes on so. Intervals are of 95 %, and
 * hold for series that keep near a line as for those that wander; they do not foresee what changes.
 */
struct mp_forecast {
    struct mp_estimate bytes_per_hour;
    struct mp_estimate
        limit_s; /* from the last point on; INFINITY: not so, or not surely */
    bool grows;  /* surely: all of the interval is above 0 */
    size_t points;
    double seconds; /* from the first to the last point */
};

/*
 * Points in the order of time; room_bytes: what is left to the limit, INFINITY without one.
 * -EAGAIN: too few points, or of too short a time, to say anything.
 */
MPS_EXPORT int mp_forecast_make(const struct mp_point *points, size_t count,
    double room_bytes, struct mp_forecast *ret);

/* ---- what became of the process ---- */

enum mp_life {
    MP_LIFE_RUNNING,
    MP_LIFE_EXITED,    /* in order: its destructors ran */
    MP_LIFE_DIED,      /* killed, crashed, _exit, or the machine was restarted */
    MP_LIFE_REPLACED,  /* it runs another program now, by exec */
    MP_LIFE_ELSEWHERE, /* in another pid namespace: cannot be told from here */
};

MPS_EXPORT enum mp_life mp_image_life(const mp_image_t *image);

/* "running", "exited", "died", "replaced", "elsewhere" */
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
};

/* -ESRCH when there is no such process. What is not permitted is left MP_UNKNOWN. */
MPS_EXPORT int mp_proc_read(uint64_t pid, struct mp_proc *ret);

/* ---- why resident memory is what it is ---- */

enum { MP_LEDGER_PARTS = 16 };

struct mp_ledger_part {
    const char *name;   /* a key: "live", "cached", … */
    const char *label;  /* for people */
    int64_t bytes;      /* below zero: counted above, but not resident */
    const char *source; /* "allocator", "kernel", or "difference" of the two */
};

/*
 * The parts add up to total_bytes exactly. For a running process that we may look into,
 * total_bytes is resident_bytes, the kernel's figure; what mpalloc counted but never was
 * touched is a part below zero, and what nobody explains is the part "unexplained".
 * Otherwise total_bytes is what mpalloc had in memory at most, and resident_bytes is
 * MP_UNKNOWN.
 */
struct mp_ledger {
    size_t count;
    struct mp_ledger_part part[MP_LEDGER_PARTS];
    int64_t total_bytes;
    uint64_t resident_bytes;
    bool is_measured; /* the mappings of the process were read, one by one */
};

/* Reads /proc/PID/smaps when the process runs: about 1 ms for each 1,000 mappings. */
MPS_EXPORT void mp_ledger_make(const mp_image_t *image, struct mp_ledger *ret);

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

#endif
