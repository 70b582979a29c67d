/*
 * region.h - the byte layout of the region, between the allocator and its readers
 *
 * The region is the file DIR/PID-STARTTIME.mp that a process on mpalloc writes and anybody
 * with the right reads: while it runs, while it hangs, after it was killed. This header is
 * all that the two sides share. stats/README.md explains the layout; a change that an old
 * reader would misread raises MP_REGION_VERSION.
 *
 * Writing is one-way: the allocator never reads back what it wrote (the mailbox section is
 * input, and is checked like any input). Readers trust nothing: copy once, check every
 * offset, count, index and string against the copy.
 *
 * The file is sparse. A section's [count] is its room; how much of it is in use is said in
 * the totals. Parts that were never in use are holes and read as zeros.
 *
 * All integers are little endian and naturally aligned. Counters are stored one by one
 * with relaxed atomic stores; records with a `seq` member are sequence locks: odd while
 * being written, read again when it changed.
 */
#ifndef MPALLOC_REGION_H
#define MPALLOC_REGION_H

#include <stdint.h>

#define MP_REGION_MAGIC   0x31304c4c41504d7fULL /* "\x7fMPALL01" */
#define MP_REGION_VERSION 1

enum {
    MP_REGION_SECTIONS_MAX = 32,
    MP_REGION_COMPONENTS_MAX = 4096, /* without (untagged) and (overflow) */
    MP_REGION_COMPONENT_ROWS = MP_REGION_COMPONENTS_MAX + 2,
    MP_REGION_CLASSES = 128,
    MP_REGION_NAME_BYTES = 96,
    MP_REGION_TIMELINE_TIERS = 3,
    MP_REGION_MODULES_MAX = 512,
    MP_REGION_MODULE_SEGMENTS = 4,
    MP_REGION_BUILD_ID_BYTES = 32,
    MP_REGION_OPTIONS_MAX = 32,
    MP_REGION_FRAMES_MAX = 1024 * 1024, /* with number 0, which stands for no frame */
    MP_REGION_SITES_MAX = 64 * 1024,    /* with number 0, (overflow) */
    MP_REGION_SAMPLES_MAX = 256 * 1024, /* live ones that are listed one by one */
    MP_REGION_NAMES_MAX = 1024,         /* with number 0, no name */
    MP_REGION_LIFETIMES = 40,
    MP_REGION_EPOCHS = 32,
    MP_REGION_MARKS = 16,                  /* that are remembered, the last ones */
    MP_REGION_SITE_EPOCHS_MAX = 32 * 1024, /* with number 0, which is none */
    MP_REGION_POOLS_MAX = 256, /* with number 0, which stands for those without one */
    MP_REGION_USER_COUNTERS_MAX = 256,
    MP_REGION_LIMITS_MAX = 1024,
};

/* Row numbers of the two components that always exist. */
enum {
    MP_REGION_UNTAGGED = 0, /* what no component claimed */
    MP_REGION_OVERFLOW = 1, /* what components beyond the 4,096th hold */
};

enum mp_region_section_id {
    MP_SECTION_PROCESS = 1,      /* 1 x struct mp_region_process */
    MP_SECTION_TOTALS = 2,       /* 1 x struct mp_region_totals */
    MP_SECTION_CLASSES = 3,      /* struct mp_region_class, by class number */
    MP_SECTION_COMPONENTS = 4,   /* struct mp_region_component, by row */
    MP_SECTION_COUNTERS = 5,     /* struct mp_region_cell, [row][class] */
    MP_SECTION_TIMELINE_1S = 6,  /* struct mp_region_moment, a ring, 1 second apart */
    MP_SECTION_TIMELINE_1M = 7,  /* the same, 1 minute apart */
    MP_SECTION_TIMELINE_10M = 8, /* the same, 10 minutes apart */
    MP_SECTION_MODULES = 9,      /* struct mp_region_module */
    MP_SECTION_MAILBOX = 10,     /* 1 x struct mp_region_mailbox, written by tools */
    MP_SECTION_OPTIONS = 11,     /* struct mp_region_option: the options in force */
    MP_SECTION_SAMPLING = 12,    /* 1 x struct mp_region_sampling */
    MP_SECTION_FRAMES = 13,      /* struct mp_region_frame: a tree of call stacks */
    MP_SECTION_SITES = 14,       /* struct mp_region_site */
    MP_SECTION_SAMPLES = 15,     /* struct mp_region_sample */
    MP_SECTION_NAMES = 16,       /* struct mp_region_name: operations, threads */
    MP_SECTION_EPOCHS = 17,      /* 1 x struct mp_region_epochs */
    MP_SECTION_SITE_EPOCHS = 18, /* struct mp_region_site_epochs: what sites held */
    MP_SECTION_MARKS = 19,       /* struct mp_region_mark, a ring */
    MP_SECTION_LEAKS = 20,       /* 1 x struct mp_region_leaks: the last leak check */
    MP_SECTION_LEAK_CELLS = 21,  /* struct mp_region_leak_cell, [row][class] */
    MP_SECTION_LEAK_SITES = 22,  /* struct mp_region_leak_site, by site */
    MP_SECTION_POOLS = 23,       /* struct mp_region_pool */
    MP_SECTION_USER = 24,        /* struct mp_region_user_counter */
    MP_SECTION_LIMITS = 25,      /* struct mp_region_limit */
};

struct mp_region_section {
    uint32_t id; /* enum mp_region_section_id; readers skip those they do not know */
    uint32_t version; /* of the records in it, 1 */
    uint64_t offset;  /* from the start of the file, a multiple of 4,096 */
    uint64_t stride;  /* bytes from record to record; may grow at the end of records */
    uint64_t count;   /* records that the section has room for */
};

struct mp_region_header {
    uint64_t magic;        /* MP_REGION_MAGIC, stored last when the region is made */
    uint32_t version;      /* MP_REGION_VERSION */
    uint32_t header_bytes; /* sizeof(struct mp_region_header) */
    uint64_t region_bytes; /* logical size of the file */
    uint32_t section_count;
    uint32_t reserved;
    struct mp_region_section sections[MP_REGION_SECTIONS_MAX];
};

enum mp_region_state {
    MP_STATE_RUNNING = 1, /* or killed: the reader finds out which */
    MP_STATE_EXITED = 2,  /* ran its destructors */
};

/* Facts about the process, written once, but for state and exit time. */
struct mp_region_process {
    uint64_t pid; /* as the process sees it, in its own pid namespace */
    uint64_t parent_pid;
    uint64_t uid;
    uint64_t pid_namespace;   /* inode of /proc/self/ns/pid, 0 when unknown */
    uint64_t start_ticks;     /* field 22 of /proc/PID/stat */
    uint64_t started_ns;      /* CLOCK_REALTIME when the region was made */
    uint64_t started_mono_ns; /* CLOCK_MONOTONIC of the same moment */
    uint64_t ended_ns;        /* CLOCK_REALTIME of a clean exit, else 0 */
    uint64_t state;           /* enum mp_region_state */
    uint64_t page_bytes;
    uint64_t span_bytes;
    uint64_t limit_cgroup_bytes; /* memory.max of its cgroup; 0: none or unknown */
    uint64_t limit_as_bytes;     /* RLIMIT_AS, 0: none */
    uint64_t limit_data_bytes;   /* RLIMIT_DATA, 0: none */
    uint64_t physical_bytes;     /* memory of the machine */
    uint64_t forked;             /* 1: a forked child that did not exec */
    uint64_t build_id_bytes;     /* in use of build_id */
    uint8_t boot_id[16];
    uint8_t run_id[16];                         /* random, new for each region */
    uint8_t build_id[MP_REGION_BUILD_ID_BYTES]; /* of the executable */
    char version[32];                           /* of the library */
    char service
        [MP_REGION_NAME_BYTES]; /* MPALLOC_SERVICE or file name of the executable */
    char exe[1024];             /* its path */
    char command[1024];         /* argv, joined by blanks, cut */
};

/* The whole process. A sequence lock. */
struct mp_region_totals {
    uint64_t seq;
    uint64_t published_ns;      /* CLOCK_REALTIME */
    uint64_t published_mono_ns; /* CLOCK_MONOTONIC */
    uint64_t published_total;   /* how often */
    uint64_t allocated_blocks_total;
    uint64_t freed_blocks_total;
    uint64_t allocated_bytes_total; /* block bytes, exact */
    uint64_t freed_bytes_total;
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t live_peak_bytes;
    uint64_t live_peak_ns;   /* CLOCK_REALTIME of the peak */
    uint64_t active_bytes;   /* jemalloc's word: spans with live blocks */
    uint64_t cached_bytes;   /* free blocks in active spans */
    uint64_t dirty_bytes;    /* free spans, freed huge blocks, still backed by memory */
    uint64_t retained_bytes; /* free spans given back to the kernel */
    uint64_t metadata_span_bytes; /* span table in use */
    uint64_t metadata_heap_bytes; /* heaps, threads, components */
    uint64_t
        metadata_region_bytes; /* of the region in use: the profiler's own memory */
    uint64_t mapped_bytes;     /* writable address space */
    uint64_t reserved_bytes;   /* all address space */
    uint64_t resident_bytes;   /* upper bound: touched spans + metadata */
    uint64_t resident_peak_bytes;
    uint64_t huge_bytes;    /* part of active: blocks with a mapping of their own */
    uint64_t large_bytes;   /* part of active: blocks of whole spans */
    uint64_t refills_total; /* slow-path passes by kind */
    uint64_t remote_folds_total;
    uint64_t slab_starts_total; /* spans that became slabs */
    uint64_t slab_releases_total;
    uint64_t purges_total;
    uint64_t purged_bytes_total;
    uint64_t trims_total;
    uint64_t trimmed_bytes_total;
    uint64_t allocation_failures_total;
    uint64_t invalid_frees_total;
    uint64_t publish_ns_total; /* own cost: time spent in publishing */
    uint64_t threads;
    uint64_t threads_peak;
    uint64_t threads_total;
    uint64_t heaps;
    uint64_t component_count; /* rows in use, (untagged) and (overflow) included */
    uint64_t components_refused_total;
    uint64_t counter_rows_missing; /* rows not shown: no room for the region to grow */
    uint64_t module_count;
    uint64_t modules_missing;
    uint64_t option_count;
    uint64_t timeline_total[MP_REGION_TIMELINE_TIERS]; /* ever written; ring position */
    uint64_t mailbox_seen;   /* the last request taken from the mailbox */
    uint64_t mailbox_result; /* bytes that it gave back; of others, see the operation */
};

enum mp_region_class_kind {
    MP_CLASS_SLAB = 1,  /* all blocks have block_bytes */
    MP_CLASS_LARGE = 2, /* block sizes up to block_bytes, in whole pages */
    MP_CLASS_UNUSED = 3,
};

struct mp_region_class {
    uint64_t block_bytes;
    uint32_t blocks_per_span;
    uint32_t kind;
};

struct mp_region_component {
    char name[MP_REGION_NAME_BYTES];
    uint64_t parent; /* row of "extraction" for "extraction/html"; 0: none */
    uint64_t allocated_blocks_total; /* its own, not its children's */
    uint64_t freed_blocks_total;
    uint64_t allocated_bytes_total;
    uint64_t freed_bytes_total;
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t live_peak_bytes;
    uint64_t live_peak_ns;
    uint64_t tree_live_bytes; /* its own and all below it */
    uint64_t tree_live_peak_bytes;
    uint64_t tree_live_peak_ns;
};

struct mp_region_cell {
    uint64_t allocated_blocks_total;
    uint64_t freed_blocks_total;
    uint64_t allocated_bytes_total;
    uint64_t freed_bytes_total;
    uint64_t live_peak_bytes;
    uint64_t
        slab_bytes; /* pages of its slabs that were ever handed out; 0: of large blocks */
};

/* A point of the timeline. A sequence lock. */
struct mp_region_moment {
    uint64_t seq;
    uint64_t time_ns;    /* CLOCK_REALTIME; 0: never written */
    uint64_t live_bytes; /* at the moment */
    uint64_t live_blocks;
    uint64_t live_high_bytes; /* highest since the point before */
    uint64_t active_bytes;
    uint64_t dirty_bytes;
    uint64_t retained_bytes;
    uint64_t resident_bytes;
    uint64_t allocated_bytes_total;
    uint64_t allocated_blocks_total;
    uint64_t threads;
    /* With live_bytes and dirty_bytes they are resident_bytes. 0 before there were these. */
    uint64_t cached_bytes;   /* as in the totals */
    uint64_t metadata_bytes; /* span table, heaps, threads, components */
    uint64_t profiler_bytes; /* the region in use */
};

struct mp_region_segment {
    uint64_t start; /* offset from the lowest address of the module */
    uint64_t bytes;
    uint64_t file_offset;
    uint64_t flags; /* PF_R 4, PF_W 2, PF_X 1 */
};

struct mp_region_module {
    uint64_t bytes; /* from its lowest to its highest address */
    uint64_t build_id_bytes;
    uint64_t segment_count;
    uint8_t build_id[MP_REGION_BUILD_ID_BYTES];
    struct mp_region_segment segments[MP_REGION_MODULE_SEGMENTS];
    char path[512];
};

struct mp_region_option {
    char name[32]; /* "PURGE_DELAY" */
    char value[96];
    uint64_t origin; /* 0: default, 1: environment, 2: refused, default used */
};

/*
 * Sampling of call stacks. A block of S bytes (block bytes) is sampled with probability
 * p = 1 - exp(-S / R) when it is allocated, R being the interval in force; in exact mode all
 * are. Each sample stands for 1 / p blocks; sums of such weights are estimates without bias.
 */
#define MP_SAMPLING_EXACT 0          /* intervals: every allocation */
#define MP_SAMPLING_OFF   UINT64_MAX /* none */

/* How sampling goes. A sequence lock. */
struct mp_region_sampling {
    uint64_t seq;
    uint64_t interval_bytes;  /* R in force; MP_SAMPLING_EXACT, MP_SAMPLING_OFF */
    uint64_t wanted_bytes;    /* R that was asked for, last */
    uint64_t doublings_total; /* by the governor, for sampling cost too much */
    uint64_t changes_total;   /* of the interval, for whatever reason */
    uint64_t allocated_total; /* samples taken, ever */
    uint64_t freed_total;     /* of them, freed */
    uint64_t cost_ns_total;   /* time spent in sampling */
    uint64_t memory_bytes; /* own cost: of all that sampling needs, region included */
    uint64_t memory_max_bytes; /* the cap on it */
    uint64_t frame_count;      /* numbers in use, 0 included; so are the next */
    uint64_t site_count;
    uint64_t sample_count; /* rows ever used */
    uint64_t name_count;
    uint64_t frames_refused_total;  /* stacks that found no room: cut at the root end */
    uint64_t sites_refused_total;   /* samples that went to (overflow) */
    uint64_t samples_refused_total; /* samples without memory: missing in the sums */
    uint64_t names_refused_total;
    uint64_t stacks_truncated_total; /* deeper than 128 frames */
    uint64_t stacks_lost_total;      /* the unwinder did not reach the thread's start */
    uint64_t peak_number;            /* see mp_region_site */
    uint64_t peak_ns;                /* CLOCK_REALTIME */
    double peak_bytes; /* live at the peak: counted, and estimated from there on */
    uint64_t samples_unlisted_total; /* in the sums of their site, but not listed */
};

/*
 * A call stack is the number of its last frame; the frame knows its caller's. Number 0 is no
 * frame. A frame is never changed once it is counted in frame_count.
 */
struct mp_region_frame {
    uint32_t parent; /* a lower number: the frame that called; 0: the first */
    uint32_t module; /* number of the module; UINT32_MAX: code of no module */
    uint64_t
        offset; /* of the call (not of where it returns to), from the lowest address */
};

enum mp_region_site_flag {
    MP_SITE_TRUNCATED = 1, /* the stack is deeper: its first frames are missing */
    MP_SITE_LOST = 2,      /* the same, for the unwinder did not find them */
};

/*
 * What one stack holds, by component, class, operation and name of the thread. A sequence
 * lock. Site 0 is (overflow): what found no room for a site of its own, of all classes.
 *
 * Sums over samples, each of weight 1 / p: blocks 1 / p, bytes S / p, requested bytes r / p;
 * the variance of the sums of bytes, S^2 (1 - p) / p^2, and of blocks, (1 - p) / p^2.
 * Live is what was allocated less what was freed.
 *
 * Where all is sampled each thread may have sites of its own, which differ in `share` alone: what
 * the stack did is their sum, and one may have freed what another allocated.
 *
 * The peak: what was live when estimated live bytes of the process were at their highest (to
 * 1 %). The peak_ figures hold if peak_number is that of mp_region_sampling; otherwise nothing
 * was allocated or freed here since the peak, and what is live now was live then.
 *
 * The counters are older than this. If counted_number is the published_total of the totals, or
 * more, the counted_ figures are the sums of when they were published; otherwise nothing was
 * allocated or freed here since.
 */
struct mp_region_site {
    uint64_t seq;
    uint32_t frame; /* the innermost; 0: no stack could be taken */
    uint32_t component;
    uint16_t class_number;
    uint16_t operation;     /* number of its name; 0: none */
    uint16_t thread;        /* the same of the allocating thread */
    uint16_t flags;         /* enum mp_region_site_flag */
    uint64_t first_ns;      /* CLOCK_REALTIME of its first sample */
    double heaviest_bytes;  /* S / p of its heaviest sample, ever */
    double heaviest_blocks; /* 1 / p */
    uint64_t peak_number;
    uint64_t counted_number;
    /* Each kind of change is a line of the processor's cache. Samples allocated: */
    uint64_t last_ns; /* CLOCK_REALTIME of its last one */
    uint64_t allocated_samples;
    double allocated_blocks;
    double allocated_bytes;
    double allocated_requested;
    double allocated_blocks_variance;
    double allocated_bytes_variance;
    uint32_t epochs_row;  /* its row of section 18; 0: none, UINT32_MAX: no room */
    uint32_t epochs_turn; /* of the allocator: when it looked at the epochs last */
    /* Those of them that were freed: */
    uint64_t freed_samples;
    double freed_blocks;
    double freed_bytes;
    double freed_requested;
    double freed_blocks_variance;
    double freed_bytes_variance;
    double freed_lifetime_ns; /* sum of weight times lifetime */
    float floor_bytes;        /* least that was live in the epoch of the last change */
    uint32_t reserved_freed;
    /* At the peak: */
    uint64_t peak_samples;
    double peak_blocks;
    double peak_bytes;
    double peak_bytes_variance;
    double peak_requested;
    /* Blocks of it that realloc moved elsewhere, ever: */
    uint64_t moved_samples;
    double moved_blocks;
    double moved_bytes; /* that were copied */
    /* Freed samples by lifetime: [i] from 2^i microseconds on, [0] also what is less. */
    uint32_t lifetimes[MP_REGION_LIFETIMES];
    /* When the counters were published last: */
    uint64_t counted_allocated_samples;
    uint64_t counted_freed_samples;
    double counted_allocated_blocks;
    double counted_freed_blocks;
    double counted_allocated_bytes;
    double counted_freed_bytes;
    double counted_allocated_blocks_variance;
    double counted_freed_blocks_variance;
    double counted_allocated_bytes_variance;
    double counted_freed_bytes_variance;
    uint64_t share; /* 0, or which thread wrote it, where all is sampled */
    uint64_t reserved_end;
};

/* A live sample. A sequence lock. */
struct mp_region_sample {
    uint64_t seq;
    uint64_t is_live; /* 0: the row is free, and the rest means nothing */
    uint32_t site;
    uint32_t reserved;
    uint64_t bytes;     /* block bytes */
    uint64_t requested; /* what was asked for; block bytes where that is not known */
    uint64_t interval;  /* R when it was taken */
    uint64_t born_ns;   /* CLOCK_MONOTONIC */
    uint64_t thread_id;
};

struct mp_region_name {
    char name[32];
};

/*
 * The past, in at most 32 epochs of equal work. Work is what was allocated, estimated; a block
 * above 1 MiB counts as 1 MiB. When all epochs are full pairs of them become one, and
 * epoch_bytes doubles: the first begins with sampling, the last is now. Epoch i ends at work
 * (i + 1) * epoch_bytes; those before `current` have ended.
 */
struct mp_region_epoch {
    uint64_t time_ns;  /* CLOCK_REALTIME of its end */
    uint64_t mono_ns;  /* CLOCK_MONOTONIC */
    double live_bytes; /* of all sites, estimated */
};

/* A sequence lock. seq 0: the first epoch has not ended yet. */
struct mp_region_epochs {
    uint64_t seq;
    uint64_t written_ns; /* CLOCK_REALTIME of all but the ends, at most 10 ms old */
    uint64_t written_mono_ns;
    double work_bytes; /* up to now */
    double epoch_bytes;
    uint64_t doublings;
    uint64_t current;
    uint64_t mark_count; /* ever */
    uint64_t row_count;  /* of section 18 in use, number 0 included */
    uint64_t rows_refused_total;
    struct mp_region_epoch ends[MP_REGION_EPOCHS];
};

/*
 * What a site held at the ends of epochs, and the least within each. A sequence lock. It is
 * written when the site changes in a later epoch, or after a later mark, than before: from
 * epoch `current` on it held what the site has live, and so at marks from number `marks` on.
 * Its epochs are as long as they were then: 2^(doublings now - its doublings) are one now. A
 * site without a row has not changed since the first epoch, and began with nothing.
 */
struct mp_region_site_epochs {
    uint64_t seq;
    uint32_t site;
    uint32_t doublings;
    uint32_t current;
    uint32_t marks;
    float live_bytes[MP_REGION_EPOCHS];
    float floor_bytes[MP_REGION_EPOCHS]; /* that of `current` is in the site */
    float mark_bytes[MP_REGION_MARKS];   /* mark n is in n modulo 16 */
};

/* "Back at the same state": mark n is in record n modulo 16. A sequence lock. */
struct mp_region_mark {
    uint64_t seq;
    uint64_t number;  /* from 0 on */
    uint64_t time_ns; /* CLOCK_REALTIME */
    uint64_t mono_ns; /* CLOCK_MONOTONIC */
    double work_bytes;
    double live_bytes; /* of all sites, estimated */
    char name[48];
};

/*
 * Leak checks: what of the live blocks the program can still reach (alloc/README.md, "Leak
 * check"). The first four kinds add up to all live blocks of the moment of the last round.
 */
enum mp_region_leak_kind {
    MP_LEAK_DEFINITE = 0,  /* nothing points to it, but for blocks that it leads to */
    MP_LEAK_INDIRECT = 1,  /* only blocks that are lost lead to it */
    MP_LEAK_POSSIBLE = 2,  /* reached, but by a pointer into some block only */
    MP_LEAK_REACHABLE = 3, /* reached by pointers to the starts of blocks */
    MP_LEAK_LOST = 4, /* of the definite: those that were so in the round before, too */
    MP_LEAK_KINDS = 5,
};

/* Why the kinds of a check are not to be relied on. */
enum mp_region_leak_partial {
    MP_LEAK_PARTIAL_THREADS = 1, /* threads did not stop: their registers are missing */
    MP_LEAK_PARTIAL_TIME = 2, /* time was over: what was not seen counts as possible */
    MP_LEAK_PARTIAL_BUSY =
        4, /* slabs were being changed: their blocks count as reached */
    MP_LEAK_PARTIAL_MEMORY =
        8, /* some memory could not be read: what it leads to may be lost */
    MP_LEAK_PARTIAL_ROWS =
        16, /* no room for the cells of some components, or for some sites */
};

/* The last check. A sequence lock for all three sections. */
struct mp_region_leaks {
    uint64_t seq;
    uint64_t number;  /* of checks that ended; 0: none, and the rest means nothing */
    uint64_t started; /* of checks that began */
    uint64_t error;   /* an errno: it failed, and there are no figures; 0 */
    uint64_t partial; /* enum mp_region_leak_partial */
    uint64_t rounds;  /* 2: MP_LEAK_LOST is known */
    uint64_t wait_ns; /* between them */
    uint64_t time_ns; /* CLOCK_REALTIME of the last one */
    uint64_t time_mono_ns; /* CLOCK_MONOTONIC of it */
    uint64_t pause_ns; /* how long the program stood still, the longest of the rounds */
    uint64_t fork_ns;  /* part of it */
    uint64_t mark_ns;  /* how long the last round took, beside the program */
    uint64_t heap_bytes;  /* of blocks that were looked at then, */
    uint64_t root_bytes;  /* and of the program's other memory */
    uint64_t child_bytes; /* what the check needed itself, beside copies of pages */
    uint64_t threads;     /* that stood still, the caller included */
    uint64_t threads_missed;
    uint64_t row_count; /* components, classes and sites that have figures */
    uint64_t site_count;
    uint64_t is_exact; /* every block was sampled: sites are no estimates */
    uint64_t blocks[MP_LEAK_KINDS];
    uint64_t bytes[MP_LEAK_KINDS]; /* block bytes */
    uint64_t checks_failed_total;
    uint64_t mark_cpu_ns; /* of mark_ns, on a processor */
};

/* Exact, as counters are. */
struct mp_region_leak_cell {
    uint64_t blocks[MP_LEAK_KINDS];
    uint64_t bytes[MP_LEAK_KINDS];
    uint64_t
        owned_blocks; /* indirect ones, of any component, that its definite ones lead to */
    uint64_t owned_bytes;
};

/* Sums over the live samples of a site, as in mp_region_site. */
struct mp_region_leak_site {
    uint64_t samples[MP_LEAK_KINDS];
    double blocks[MP_LEAK_KINDS];
    double bytes[MP_LEAK_KINDS];
    double blocks_variance[MP_LEAK_KINDS];
    double bytes_variance[MP_LEAK_KINDS];
    double
        owned_blocks; /* indirect ones that its definite ones lead to, weighted as these are */
    double owned_bytes;
};

/*
 * Pools of objects (mp_pool_create). A sequence lock. Record 0 is the sum of those pools that
 * have no record of their own. When a pool ends its record becomes free, and is another's later.
 */
struct mp_region_pool {
    uint64_t seq;
    uint64_t number;       /* of the pool, from 1 on; in record 0 how many; 0: free */
    uint64_t component;    /* row; in record 0: 0 */
    uint64_t object_bytes; /* that are asked for, for each; in record 0: 0 */
    uint64_t keep;         /* that one thread keeps; UINT64_MAX: all */
    uint64_t gets_total;   /* that got an object */
    uint64_t hits_total;   /* of them, one that was kept */
    uint64_t misses_total; /* of them, one of malloc */
    uint64_t freed_total;  /* objects that were over */
    uint64_t kept;         /* objects that wait for a get */
    uint64_t live;         /* objects in use */
    uint64_t peak;         /* most objects that there were, in use or kept */
};

/* Counters of the program (mp_counter); in use up to the first without a name. */
struct mp_region_user_counter {
    int64_t value;
    uint64_t reserved;
    char name[48];
};

/* A limit of a component and all below it (mp_component_limit). */
struct mp_region_limit {
    uint64_t is_set;     /* 1; 0 from the first row on that is not in use */
    uint64_t component;  /* its row */
    uint64_t soft_bytes; /* most live block bytes that there should be; 0: no limit */
    uint64_t hard_bytes; /* ... that there may be; 0: no limit */
    uint64_t
        is_over; /* 1: the soft limit was crossed, and live is not 1/16 below yet */
    uint64_t hits_total;    /* how often the soft limit was crossed */
    uint64_t hit_ns;        /* CLOCK_REALTIME of the last time; 0: never */
    uint64_t refused_total; /* allocations that failed for the hard limit */
    uint64_t refused_ns;    /* CLOCK_REALTIME of the last one; 0: none */
    uint64_t reserved[3];
};

/*
 * The mailbox: how a tool asks a process for something. The tool writes argument and
 * check, then request; the process looks at it in its slow path, at most every 10 ms.
 *
 *     check = request * 0x9e3779b97f4a7c15 ^ argument ^ (first 8 bytes of run_id)
 *
 * request is a serial number (in the upper 56 bits) and an operation (lower 8). A request
 * whose check is wrong, whose operation is unknown, or that was seen before, is ignored.
 * When it was served, totals.mailbox_seen is the request.
 */
enum mp_region_operation {
    MP_OPERATION_TRIM = 1,
    MP_OPERATION_SAMPLE = 2, /* argument: as of mp_sample_set; result: R in force */
    /*
     * argument: milliseconds between the rounds, 0: one round; result: the number of the check
     * (mp_region_leaks.number is it when it ended), or a negative errno.
     */
    MP_OPERATION_LEAK_SCAN = 3,
};

struct mp_region_mailbox {
    uint64_t request;
    uint64_t argument;
    uint64_t check;
};

#endif
