/*
 * epochs - the past of sites, in few epochs of equal work
 *
 * Owns: the clock, which is the bytes that were allocated; when each epoch ended; a row for
 * each site that changed since the first one, of what it held at their ends and at marks
 * (region.h says what each is). In private memory, and as a copy in the region.
 * Does not own: what sites have now (sites.h).
 *
 * A sweep over all sites at the end of an epoch would be felt. So a row is written when its
 * site changes next: up to then it held what it holds. When all epochs are full pairs of them
 * become one, and the same holds for that.
 *
 * With profile_lock held.
 */
#ifndef EPOCHS_H
#define EPOCHS_H

#include "attr.h"

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern HIDDEN struct epochs_clock {
    double work;   /* bytes allocated */
    double end;    /* of the epoch now */
    uint32_t turn; /* differs from that of a site: it has to be reached first */
} epochs_clock;

/* A site that has no row, and gets none. */
#define EPOCHS_NO_ROW UINT32_MAX

/*
 * One block is one block: what is in it makes no more work from here on. Else a buffer of a
 * gigabyte at the start would make all epochs so long that the rest is one.
 */
enum { EPOCHS_BLOCK_MOST = 1 << 20 };

/* So many blocks of so many bytes are allocated. True: the epoch ends before them. */
static ALWAYS_INLINE bool epochs_count_locked(uint64_t bytes, double blocks)
{
    uint64_t work = bytes < EPOCHS_BLOCK_MOST ? bytes : EPOCHS_BLOCK_MOST;

    epochs_clock.work += blocks * (double)work;
    return epochs_clock.work >= epochs_clock.end;
}

/* What all sites hold then, and when that is: CLOCK_REALTIME, CLOCK_MONOTONIC. */
void epochs_begin_locked(double live_bytes, uint64_t time_ns, uint64_t mono_ns);

/* The program is back at the same state. */
void epochs_mark_locked(
    const char *name, double live_bytes, uint64_t time_ns, uint64_t mono_ns);

/* Before a site changes whose turn is not that of the clock. */
void epochs_reach_locked(uint32_t number, struct mp_region_site *s);

/* Readers hear how far the clock is. */
void epochs_describe_locked(void);

/* To a region that is new. */
void epochs_write_all_locked(void);

#endif
