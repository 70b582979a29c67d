/*
 * outfile - a document in a file: the whole of it, or nothing
 *
 * It is written to a file without a name, which takes the one that is wanted at the end: what
 * is there stays until then, and for ever when something fails; a command that is killed
 * leaves nothing. Where the file system knows no such files it has a name beside the other.
 * A device, a pipe or a terminal is written to as it is, and never replaced.
 */
#ifndef OUTFILE_H
#define OUTFILE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct outfile {
    FILE *out;
    uint64_t bytes;      /* after outfile_close: how long it became */
    char path[PATH_MAX]; /* what symbolic links lead to */
    char name[PATH_MAX]; /* until it is whole; "": it has none */
    bool is_direct;      /* no regular file: it is the path itself */
};

/* 0, or -errno. */
int outfile_open(struct outfile *f, const char *path);

/* code: 0, or -errno of whoever wrote; then nothing is left. Returns that, or its own. */
int outfile_close(struct outfile *f, int code);

/* Why what was written to a stream did not arrive: 0 if it did, or -errno. Flushes it. */
int outfile_flush(FILE *out);

/* Whether a document can be written there later; leaves nothing. 0, or -errno. */
int outfile_check(const char *path);

#endif
