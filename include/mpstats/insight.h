/*
 * mpstats/insight.h - what figures mean: verdicts on leaks, advice, differences, forecasts
 *
 * A part of mpstats.h, which includes it; what that says of errors and threads holds here.
 */
#ifndef MPSTATS_INSIGHT_H
#define MPSTATS_INSIGHT_H

#include <mpstats.h>

#ifdef __cplusplus
extern "C" {
#endif

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
    const char *line[MP_VERDICT_LINES]; /* the evidence in words and numbers */
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
 * may allocate, and may call mps_stop_watch, which then only asks. One watch per process, which
 * mps_on_alert shares. 0; -EBUSY: there is one; -EINVAL; -EAGAIN: no thread; or why the region is not there.
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
    MP_FINDING_HOT,     /* one component has most of what is live */
    MP_FINDING_RESERVE, /* realloc moves and copies blocks that grow, again and again */
    MP_FINDING_ALIGN,   /* an alignment makes blocks twice what is asked for, or more */
    MP_FINDINGS
};

enum mp_gain_unit {
    MP_GAIN_BYTES,             /* of resident memory, now */
    MP_GAIN_PEAK_BYTES,        /* of what was live at the peak */
    MP_GAIN_BYTES_PER_HOUR,    /* of growth */
    MP_GAIN_CALLS_PER_SECOND,  /* of malloc and free */
    MP_GAIN_COPIED_PER_SECOND, /* bytes that realloc copies */
    MP_GAIN_NONE               /* it says where to look */
};

enum { MP_FINDING_LINES = 4 };

struct mp_finding {
    enum mp_finding_code code;
    enum mp_gain_unit unit;
    struct mp_estimate gain; /* what is won at most, if the advice is followed */
    /*
     * The gain as a share, by which findings are in order: of the resident heap; of the peak; of the
     * resident heap in a day; of the time of a processor, at 20 ns for a malloc and its free, and
     * 10 GB copied in a second.
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

/* "POOL"; a sentence; "bytes", "peak_bytes", "bytes_per_hour", "calls_per_second",
 * "copied_bytes_per_second", "none". */
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

/*
 * The same of the timeline from `from_ns` (CLOCK_REALTIME; 0: the start) on: of up to 48 stretches of
 * equal time, in which a process that does not allocate has what it had. Where the timeline goes
 * back to the start its first quarter is left out, which is warm-up.
 */
MPS_EXPORT int mp_timeline_forecast(const mp_image_t *image, uint64_t from_ns,
    double room_bytes, struct mp_forecast *ret);

/* ---- what grew last ---- */

struct mp_grown {
    uint32_t component;
    uint32_t
        frame; /* the innermost of a stack; 0: a component, or no stack could be taken */
    double live_bytes;             /* estimated from samples */
    struct mp_estimate grew_bytes; /* what it holds less what it held; 95 % */
};

struct mp_last_growth {
    double seconds; /* so long until the end */
    bool is_whole;  /* that is since the start: there were less than 4 epochs */
    size_t component_count;
    const struct mp_grown *components; /* those with samples, the most grown first */
    size_t stack_count;
    const struct mp_grown *stacks; /* the same */
};

/*
 * By what stacks and components grew in the last quarter of the epochs, which are even in what the
 * process allocated: of a process that died, what it died of. -ENOMEM. Free it.
 */
MPS_EXPORT int mp_last_growth_make(const mp_image_t *image, struct mp_last_growth *ret);
MPS_EXPORT void mp_last_growth_free(struct mp_last_growth *last);

#ifdef __cplusplus
}
#endif

#include <mpstats/alerts.h>
#include <mpstats/pressure.h>

#endif
