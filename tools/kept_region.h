/*
 * kept_region - regions as bytes that can be kept in a table: what is in use of the file, packed
 *
 * Owns: how they are packed. Does not own: the tables (baselines.h, moments.h). What comes out of a
 * table is as little trusted as a region. Ends the process without memory.
 */
#ifndef KEPT_REGION_H
#define KEPT_REGION_H

#include <mpstats.h>
#include <stdbool.h>
#include <stddef.h>

struct kept_bytes {
    unsigned char *data; /* for free() */
    size_t count;
    size_t room;
};

/*
 * The region at `path` now, and its image: a copy in which nothing was just being written, if that
 * can be had. 0, or -errno.
 */
int kept_capture(const char *path, struct kept_bytes *ret, mp_image_t **ret_image,
    struct mp_error *error);

/* 0; -EBADMSG: it is no region. The name is for errors. */
int kept_image(const struct kept_bytes *b, const char *name, mp_image_t **ret,
    struct mp_error *error);

/* Any bytes, smaller. */
struct kept_bytes kept_pack(const struct kept_bytes *plain);

/* False: it is no such thing. The data have a NUL more than count. */
bool kept_unpack(const void *packed, size_t bytes, struct kept_bytes *ret);

#endif
