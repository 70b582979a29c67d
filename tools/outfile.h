/*
 * outfile - a document in a file: the whole of it, or nothing
 *
 * It is written beside the file that is wanted, and takes its name at the end: what is there
 * stays until then, and for ever when something fails.
 */
#ifndef OUTFILE_H
#define OUTFILE_H

#include <limits.h>
#include <stdint.h>
#include <stdio.h>

struct outfile {
    FILE *out;
    uint64_t bytes;      /* after outfile_close: how long it became */
    const char *path;    /* the caller's */
    char name[PATH_MAX]; /* until it is whole */
};

/* 0, or -errno. */
int outfile_open(struct outfile *f, const char *path);

/* code: 0, or -errno of whoever wrote; then nothing is left. Returns that, or its own. */
int outfile_close(struct outfile *f, int code);

/* Whether a document can be written there later; leaves nothing. 0, or -errno. */
int outfile_check(const char *path);

#endif
