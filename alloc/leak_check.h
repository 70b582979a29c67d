/*
 * leak_check - leak checks by reachability, from the parent's side
 *
 * Owns: the check under way, of which there is one at most: its rounds, its child, its results
 * in the region.
 *
 * A round: all locks of the allocator are taken, the threads stand still (leak_park.h), the
 * process is forked without any handler, and all goes on. The child looks at what it has a copy
 * of (leak_child.h) and leaves its figures in shared memory. A second round some time later tells
 * what was lost in both.
 *
 * Rungs above: publish.c calls the steps of checks that tools ask for, from ticks.
 */
#ifndef LEAK_CHECK_H
#define LEAK_CHECK_H

#include "leak_child.h"
#include "unwind.h"

#include <mpalloc.h>

/*
 * As mp_leak_check. No lock held. here: the registers in a function with a small frame: what lies
 * below, as what earlier calls left in our own frames, is no root.
 */
NOINLINE int leak_check(const struct unwind_context *here, struct mp_leak_summary *s);

/*
 * Begin a check of which leak_check_step does the rest: with a second round after wait_ms, or
 * one round (0). Its number, or a negative errno. No lock held, as for the next.
 */
int64_t leak_check_begin(uint64_t wait_ms);

/* From ticks: nearly always nothing is to be done. */
void leak_check_step_slow(void);
extern HIDDEN bool leak_check_is_stepping; /* relaxed atomic */
static inline void leak_check_step(void)
{
    if (UNLIKELY(__atomic_load_n(&leak_check_is_stepping, __ATOMIC_RELAXED))) {
        leak_check_step_slow();
    }
}

/*
 * One round now, for whoever looks at the figures itself; NULL: *ret_error says why. Give it
 * back with leak_check_done, the same thread.
 */
NOINLINE struct leak_area *leak_check_once(
    const struct unwind_context *here, int *ret_error);
void leak_check_done(void);

/* The process ends: what runs is ended. */
void leak_check_end(void);
void leak_check_after_fork_in_child(void);

#endif
