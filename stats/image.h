/*
 * image - a private, checked copy of one region
 *
 * Owns: the copy. After image making, every count is the number of records that are
 * there, every parent is a lower row, every string ends.
 * Does not own: the file (source.h), where its parts are (layout.h), what is about
 * sampled stacks (samples.h), what became of the process (life.c).
 */
#ifndef IMAGE_H
#define IMAGE_H

#include "history.h"
#include "image_limits.h"
#include "layout.h"
#include "leaks.h"
#include "pools.h"
#include "samples.h"

struct mp_image {
    char *path;
    unsigned flags; /* enum mp_image_flag */
    uint64_t file_bytes;
    dev_t device; /* of the file: tells its mapping from others */
    ino_t inode;
    struct layout layout;
    struct mp_region_process process;
    struct mp_region_totals totals;
    size_t copied_bytes; /* of the records below, and on the way to them */
    unsigned waits;      /* records that never stood still: records.c */
    size_t class_count;
    struct mp_region_class *classes;
    size_t component_count;
    struct mp_region_component *components;
    size_t cell_rows; /* rows of MP_REGION_CLASSES cells each */
    struct mp_region_cell *cells;
    size_t moment_count[MP_REGION_TIMELINE_TIERS];
    struct mp_region_moment *moments[MP_REGION_TIMELINE_TIERS]; /* oldest first */
    size_t module_count;
    struct mp_region_module *modules;
    size_t option_count;
    struct mp_region_option *options;
    struct samples samples;
    struct history history;
    struct leaks leaks;
    struct pools pools;
    struct limits limits;
};

#endif
