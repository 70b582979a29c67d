/*
 * clock - CLOCK_MONOTONIC, read in a fraction of the time
 *
 * Owns: how the processor's counter goes with the kernel's clock, which is compared now and then.
 * Where all is sampled the clock is read for each block: by the kernel's way (30 to 60 ns on
 * virtual machines) it would be a fifth of the cost.
 *
 * What it says rises evenly, apart from the clock by less than some microseconds; where the
 * counter is not to be trusted, or was not compared for long enough yet, it is the clock.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "arch.h"
#include "atomic.h"
#include "os.h"

/* From `ticks` on, which is `ns`, so many ns << CLOCK_SHIFT a tick. */
struct clock_line {
    uint64_t ticks;
    uint64_t ns;
    uint64_t slope;
};
enum { CLOCK_SHIFT = 32 };

extern HIDDEN const struct clock_line *clock_line; /* atomic; NULL: ask the kernel */

/* Any thread, as os_monotonic_ns. */
static ALWAYS_INLINE uint64_t clock_ns(void)
{
    const struct clock_line *l =
        load_acquire(&clock_line); /* pairs with clock_compare */
    int64_t ticks;

    if (UNLIKELY(l == NULL)) {
        return os_monotonic_ns();
    }
    ticks = (int64_t)(arch_ticks() - l->ticks);
    if (UNLIKELY(ticks < 0)) { /* another processor's, or the line came this moment */
        return l->ns;
    }
    return l->ns
           + (uint64_t)(((unsigned __int128)(uint64_t)ticks * l->slope) >> CLOCK_SHIFT);
}

/* Whether to use it at all. Opens a file. One thread at a time, as the next. */
void clock_start(void);

/* Every 10 ms or later, with the clock as it is now. */
void clock_compare(void);

#endif
