/*
 * image_limits - the part of an image that is about limits of components
 *
 * Owns: the limits that are set. After reading, each is of a component that the image has.
 */
#ifndef IMAGE_LIMITS_H
#define IMAGE_LIMITS_H

#include "source.h"

struct mp_image;

struct limits {
    size_t count;
    struct mp_region_limit *all;
};

/* After the components were read. */
int limits_read(struct mp_image *image, const struct source *s, struct mp_error *error);
void limits_free(struct limits *limits);

#endif
