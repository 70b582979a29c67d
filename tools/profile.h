/*
 * profile - who holds memory, as stacks: what all export formats are made from
 *
 * Owns: frames, samples, and the texts of both. Does not own: formats (export.h), names of
 * functions (symbols.h), estimates (stats/).
 *
 * Made from an image. A sample is what one call stack holds of one size class in one
 * component. Its values are estimates from sampled stacks, calibrated so that all samples of a
 * component and class add up to its exact counters; what no sample explains is a sample of its
 * own without a stack: "(not sampled)", or "(overflow)" when some stacks found no room in the
 * region. Without sampling there are only such samples, and their frames are the parts of the
 * component's name and the class.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <mpstats.h>

/* What is counted of each sample; the first four in the order that pprof expects of heaps. */
enum profile_value {
    PROFILE_ALLOCATED_BLOCKS,
    PROFILE_ALLOCATED_BYTES,
    PROFILE_LIVE_BLOCKS,
    PROFILE_LIVE_BYTES,
    PROFILE_PEAK_BLOCKS,
    PROFILE_PEAK_BYTES,
    PROFILE_SHORT_BLOCKS, /* freed within PROFILE_SHORT_US of their allocation */
    PROFILE_SHORT_BYTES,
    PROFILE_VALUES
};

enum { PROFILE_SHORT_BUCKET = 13, PROFILE_SHORT_US = 1 << PROFILE_SHORT_BUCKET };

/*
 * A line of code on a stack. Equal ones are one: compare numbers. Where the code was not
 * found, function is "module+0x1234", and file is NULL.
 */
struct profile_frame {
    char
        *function; /* fit to print; for a part of a component's name or a class, that */
    char *file;    /* source file; NULL: not known */
    uint32_t line; /* 0: not known */
    uint32_t module; /* number in the image; UINT32_MAX: none */
    uint64_t
        offset; /* of the call, from the module's lowest address; 0 without module */
    bool is_inlined; /* into its caller's code: the same module and offset */
};

struct site_names;

struct profile_sample {
    size_t depth;
    uint32_t *frames;       /* numbers, the root first */
    const char *component;  /* its whole name, fit to print */
    uint32_t component_row; /* UINT32_MAX: (overflow) of sites */
    const char *operation;  /* "": none */
    const char *thread;     /* name; "": not known */
    uint64_t block_bytes;   /* of the class; of a large one, the mean of its blocks */
    uint64_t
        requested; /* bytes asked for, of PROFILE_ALLOCATED_BYTES; samples 0: not known */
    uint64_t live_requested; /* the same of PROFILE_LIVE_BYTES, PROFILE_PEAK_BYTES */
    uint64_t peak_requested;
    uint64_t samples; /* how many were taken; 0: none, the values are exact */
    uint64_t live_samples;
    uint64_t first_ns; /* CLOCK_REALTIME of the first and the last; 0: not known */
    uint64_t last_ns;
    uint64_t value[PROFILE_VALUES];
    /* 95 % interval of value; of a difference, how far its change may be below and above. */
    uint64_t low[PROFILE_VALUES];
    uint64_t high[PROFILE_VALUES];
    uint32_t cut;      /* see struct mp_figures */
    double lifetime_s; /* of its freed blocks, all together; 0: none or not known */
    uint16_t class_number;
    bool is_large; /* its class is one of whole pages, not of slabs */
    /* Estimates: of its blocks, those that realloc moved elsewhere, and the bytes that it copied. */
    double moved_blocks;
    double moved_bytes;
    double heaviest_blocks; /* one sample stands for so many, at most */
    double heaviest_bytes;
    bool is_cut;                     /* the first frames of the stack are missing */
    uint64_t before[PROFILE_VALUES]; /* of a difference; else 0 */
};

struct profile {
    const mp_image_t *image; /* outlives it */
    const mp_image_t
        *before; /* of a difference (profile_difference.h); NULL: it is none */
    const char
        *before_label;  /* of one with intervals (comparison_profile.h); else NULL */
    uint64_t before_ns; /* CLOCK_REALTIME, of a difference: from then */
    uint64_t after_ns;  /* to then */
    uint64_t interval;  /* R in force, MP_SAMPLING_EXACT or MP_SAMPLING_OFF */
    bool has_stacks;    /* some sample comes from a call stack */
    size_t frame_count;
    struct profile_frame *frames;
    size_t sample_count;
    struct profile_sample *samples;
    size_t text_count; /* what component, operation and thread point to */
    char **texts;
};

/* Of an image. Ends the process with a line when there is no memory. */
struct profile *profile_create(const mp_image_t *image);
void profile_destroy(struct profile *p);

/* The same with names that were kept, for which no file is looked at; NULL: none were. */
struct profile *profile_create_named(const mp_image_t *image, struct site_names *names);

/* Whether every allocation was recorded, from the start on, and nothing is an estimate. */
bool profile_is_exact(const struct profile *p);

/* "sampled, one in 512 KiB", "every allocation", "components and size classes, exact": for captions. */
const char *profile_describe(const struct profile *p, char *ret, size_t size);

#endif
