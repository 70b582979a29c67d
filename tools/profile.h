/*
 * profile - who holds memory, as stacks: what all export formats are made from
 *
 * Owns: frames, samples, and the texts of both. Does not own: formats (export.h).
 *
 * Made from an image: a sample is one component and one size class, its frames the parts of the
 * component's name and, as the leaf, the class. Its counts are exact.
 */
#ifndef PROFILE_H
#define PROFILE_H

#include <mpstats.h>

/* What is counted of each sample, in the order in which pprof expects heaps. */
enum profile_value {
    PROFILE_ALLOCATED_BLOCKS,
    PROFILE_ALLOCATED_BYTES,
    PROFILE_LIVE_BLOCKS,
    PROFILE_LIVE_BYTES,
    PROFILE_VALUES
};

struct profile_sample {
    size_t depth;
    uint32_t *frames;     /* numbers, the root first */
    char *component;      /* its whole name, fit to print */
    uint64_t block_bytes; /* of the class; of a large one, the mean of its blocks */
    uint64_t value[PROFILE_VALUES];
};

struct profile {
    const mp_image_t *image; /* outlives it */
    size_t frame_count;
    char **frames; /* names, fit to print */
    size_t sample_count;
    struct profile_sample *samples;
};

/* Of an image. Ends the process with a line when there is no memory. */
struct profile *profile_create(const mp_image_t *image);
void profile_destroy(struct profile *p);

#endif
