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
    MP_REGION_SECTIONS_MAX = 24,
    MP_REGION_COMPONENTS_MAX = 4096, /* without (untagged) and (overflow) */
    MP_REGION_COMPONENT_ROWS = MP_REGION_COMPONENTS_MAX + 2,
    MP_REGION_CLASSES = 128,
    MP_REGION_NAME_BYTES = 96,
    MP_REGION_TIMELINE_TIERS = 3,
    MP_REGION_MODULES_MAX = 512,
    MP_REGION_MODULE_SEGMENTS = 4,
    MP_REGION_BUILD_ID_BYTES = 32,
    MP_REGION_OPTIONS_MAX = 32,
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
    uint64_t mailbox_result; /* bytes that it gave back */
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
    uint64_t reserved;
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
};

struct mp_region_mailbox {
    uint64_t request;
    uint64_t argument;
    uint64_t check;
};

#endif
