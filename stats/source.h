/*
 * source - the bytes of a region file, read with care
 *
 * Owns: opening (no links, ours, regular), reads that are whole or an error, and records
 * that a process may be writing at the same moment.
 * Does not own: what the bytes mean (layout.h, image.h).
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <mpstats.h>

#include <sys/types.h>

struct source {
    int fd;
    const char *name; /* for messages */
    uint64_t bytes;   /* logical size when it was opened */
    uint64_t backed_bytes;
    dev_t device;
    ino_t inode;
};

/* -ENOENT, -EACCES, -ELOOP (a link) or -EBADMSG (no regular file). */
int source_open(const char *path, bool writable, int *ret_fd, struct mp_error *error);

/* Check what fd is; it stays the caller's. */
int source_init(struct source *s, int fd, const char *name, struct mp_error *error);

/* Exactly `bytes` at `offset`; -EBADMSG when the file ends before. */
int source_read(const struct source *s, void *to, size_t bytes, uint64_t offset,
    struct mp_error *error);

/*
 * A record that starts with a sequence number, once it stood still: the number even and
 * two reads the same. Bounded: 0, or 1 when it was torn at every attempt and `to` holds
 * the last of them, or an error.
 */
int source_read_stable(const struct source *s, void *to, size_t bytes, uint64_t offset,
    struct mp_error *error);

#endif
