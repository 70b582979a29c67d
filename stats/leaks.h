/*
 * leaks - the part of an image that is about leak checks
 *
 * Owns: the last check, its cells and what it found of sites. After reading, rows and sites are
 * some that the image has, and sums are finite and not negative.
 */
#ifndef LEAKS_H
#define LEAKS_H

#include "source.h"

struct mp_image;

struct leaks {
    struct mp_region_leaks check; /* number 0: there was none */
    size_t row_count;
    struct mp_region_leak_cell *cells; /* rows of MP_REGION_CLASSES */
    size_t site_count;
    struct mp_region_leak_site *sites;
};

/* After the samples were read. */
int leaks_read(struct mp_image *image, const struct source *s, struct mp_error *error);
void leaks_free(struct leaks *leaks);

#endif
