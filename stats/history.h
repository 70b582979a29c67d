/*
 * history - the part of an image that is about what sites held before
 *
 * Owns: epochs, rows of sites, marks. After reading, epochs that ended are fewer than there may
 * be and ended one after another; a row is that of its site, its epochs are not shorter nor more
 * than those of the image, and its figures are finite and not negative.
 * Does not own: what is made of it (series.h).
 */
#ifndef HISTORY_H
#define HISTORY_H

#include "source.h"

#include <stdint.h>

struct mp_image;

struct history {
    struct mp_region_epochs epochs;
    size_t row_count;
    struct mp_region_site_epochs
        *rows; /* by number; site 0 of a row that means nothing */
    size_t mark_count;
    struct mp_region_mark marks[MP_REGION_MARKS]; /* the oldest first */
};

/* After the samples of the image. */
int history_read(
    struct mp_image *image, const struct source *s, struct mp_error *error);
void history_free(struct history *history);

#endif
