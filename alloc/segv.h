/*
 * segv - a handler of SIGSEGV that explains, then makes way
 *
 * Installed only when somebody wants to explain faults. For faults of others, and after an
 * explanation, what the program has set for SIGSEGV happens: its handler is called as the
 * kernel would, or the process dies of the same signal at the same instruction.
 *
 * A program that sets its own handler later takes our place. segv_arm, called again,
 * notices that and puts us before it, by another function: so that a handler which restores,
 * or hands on to, what it found gets the one of us that was there then, and what was there
 * before that. No chain of handlers becomes a ring.
 */
#ifndef SEGV_H
#define SEGV_H

#include <stdbool.h>
#include <stdint.h>

struct segv {
    uintptr_t address;    /* that was accessed */
    const void *ucontext; /* what unwind_capture_signal takes */
    const char *access;   /* "read", "write", or "access" where that is not known */
};

/* Called in the handler, for faults that the kernel found: explain it, or do nothing. */
typedef void segv_explainer(const struct segv *f);

/* Be the first handler of SIGSEGV, now or again. Any thread. */
void segv_arm(segv_explainer *explain);

#endif
