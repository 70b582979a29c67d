/*
 * layout - where the parts of a region are, once that was checked
 *
 * Owns: the header and the section table. After layout_read every section that is
 * present lies inside the file, overlaps no other, and has records at least as long as
 * this reader's; sums and products of its numbers do not overflow.
 * Does not own: the records (image.h).
 */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "source.h"

enum { LAYOUT_SECTIONS = MP_SECTION_LIMITS + 1 };

struct layout {
    struct mp_region_section section[LAYOUT_SECTIONS]; /* by id; count 0: not there */
};

/* -EBADMSG with a line that names the first thing found wrong. */
int layout_read(const struct source *s, struct layout *ret, struct mp_error *error);

#endif
