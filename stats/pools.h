/*
 * pools - the part of an image that is about pools of objects, and the program's own counters
 *
 * Owns: the records of pools that there are, and of counters with a name. After reading, rows are
 * some that the image has, and figures of a pool fit together.
 */
#ifndef POOLS_H
#define POOLS_H

#include "source.h"

struct mp_image;

struct pools {
    size_t pool_count;
    struct mp_region_pool *pools;
    size_t counter_count;
    struct mp_region_user_counter *counters;
};

/* After the components were read. */
int pools_read(struct mp_image *image, const struct source *s, struct mp_error *error);
void pools_free(struct pools *pools);

#endif
