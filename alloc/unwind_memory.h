/*
 * unwind_memory - words of stacks, as far as they can be read
 *
 * Owns: what is known of this thread's own stack; testing pages of all others.
 */
#ifndef UNWIND_MEMORY_H
#define UNWIND_MEMORY_H

#include "unwind_kept.h"

#include <stdbool.h>

/*
 * The stack of this thread from low to end can be read: every page was tested once, and
 * nobody takes pages out of the stack of a living thread. low is 0 until then, and is
 * written last: a signal between the two finds nothing known.
 */
struct unwind_own_stack {
    uintptr_t low;
    uintptr_t end;
};
extern HIDDEN __thread struct unwind_own_stack unwind_own_stack INITIAL_EXEC;

/*
 * Words at lo to lo + room may be read. The window is the thread's own stack as far as it is
 * known to be mapped, or what was tested in this walk.
 */
struct unwind_window {
    uintptr_t lo;
    uintptr_t room;
};

/* Make the window hold the word at an address. False: it cannot be read. */
NOINLINE bool unwind_window_move(struct unwind_window *w, uintptr_t address);

/* The thread's own stack, if it is known and this is on it; else any word of ours. */
static ALWAYS_INLINE struct unwind_window unwind_window_begin(const void *here)
{
    uintptr_t low = load_relaxed(&unwind_own_stack.low);
    uintptr_t bytes = unwind_own_stack.end - low;

    return LIKELY(low != 0 && (uintptr_t)here - low < bytes - sizeof(uintptr_t))
               ? (struct unwind_window){low, bytes - sizeof(uintptr_t)}
               : (struct unwind_window){(uintptr_t)here, 0};
}

/* Whether all pages from there to there can be read; the kernel is asked. */
bool unwind_are_readable(uintptr_t from, uintptr_t to);

static ALWAYS_INLINE bool unwind_load(
    struct unwind_window *w, uintptr_t address, uintptr_t *ret)
{
    if (UNLIKELY(address - w->lo > w->room) && !unwind_window_move(w, address)) {
        return false;
    }
    *ret = unwind_word_at(address);
    return true;
}

#endif
