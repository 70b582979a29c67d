/*
 * exact - samples without the lock, where all is sampled
 *
 * Owns: the way of a small sampled block through what its thread keeps (share.h): it begins and
 * ends without profile_lock, and writes nothing that other threads write, but for the sum of
 * live bytes. What a thread does not keep yet it gets with the lock; what it cannot get is
 * done as any sample is (sample.c).
 */
#ifndef EXACT_H
#define EXACT_H

#include "sample_note.h"

/* A block of that class for the sample that was taken. NULL: not so. */
void *exact_try_alloc(const struct sample_capture *here, struct mp_component *c,
    unsigned cls, size_t size);

/* The block of a sample that starts at p is freed. False: not so, or there is none. */
bool exact_try_free(struct span *s, void *p);

/* This thread's idle blocks go back. */
void exact_flush(void);

#endif
