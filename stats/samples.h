/*
 * samples - the part of an image that is about sampled call stacks
 *
 * Owns: how sampling goes, frames, sites, live samples, names of operations and threads.
 * After reading, every frame has a lower parent and a module that is there or none, every
 * site a frame, a component, a class and names that are there, and sums that are finite, not
 * negative, and not less when freed than when allocated; every sample is live and of a site.
 * Does not own: what the sums mean (estimates.h), names of functions (tools/).
 */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "source.h"

struct mp_image;

struct samples {
    struct mp_region_sampling sampling;
    size_t frame_count;
    struct mp_region_frame *frames;
    size_t site_count;
    struct mp_region_site *sites;
    size_t number_count; /* sites of the file, */
    uint32_t *numbers;   /* and which of `sites` each of them is part of */
    size_t sample_count;
    struct mp_region_sample *samples;
    size_t name_count;
    struct mp_region_name *names;
};

/* After all else of the image was read: classes, components and modules are looked up. */
int samples_read(
    struct mp_image *image, const struct source *s, struct mp_error *error);

/* Only how sampling goes: as if no stack had been sampled. */
int samples_read_none(
    struct mp_image *image, const struct source *s, struct mp_error *error);
void samples_free(struct samples *samples);

#endif
