/*
 * unwind - the call stack of this thread, or of what a signal interrupted
 *
 * Owns: the cache of rules, the walk.
 *
 * Takes no lock, allocates nothing, keeps errno; may be called in any state: in handlers,
 * inside dlopen and malloc, on alternate stacks and coroutines, before any constructor.
 * Memory of the stack is read where it is known to be the thread's own stack; elsewhere a
 * page is tested first, by the kernel. So a walk over garbage stops, and does not crash.
 *
 * A module that was closed leaves rules behind, which are wrong for what is loaded in its
 * place. They go when something in that is met that is not cached yet, or when a walk leaves
 * all code; so that a wrong one takes a module with the same return addresses that leads
 * astray plausibly. unwind_walk_surely looks for that, too; unwind_forget is for whoever
 * notices that modules went.
 *
 * Walking needs the stack pointer, the frame pointer and a rule of 64 bits for each return
 * address (unwind_table.h), kept in a hash table that all threads share: some nanoseconds a
 * frame. Rare code keeps its frame in other registers: then the walk begins anew, and
 * slowly, with all of them. Where a module says nothing about its code, the frame pointer is
 * followed if it leads to what looks like a call.
 */
#ifndef UNWIND_H
#define UNWIND_H

#include "unwind_kept.h"

#include <stddef.h>

enum { UNWIND_MOST = 128 };

struct unwind_context {
    uintptr_t reg[UNWIND_REGS];
};

enum unwind_end {
    UNWIND_COMPLETE,  /* to the thread's first function */
    UNWIND_TRUNCATED, /* there are more frames than were asked for */
    UNWIND_LOST,      /* nothing is known about the last one, or the stack is damaged */
};

struct unwind_info {
    enum unwind_end end;
    /*
     * Bit per frame: the pc was interrupted there. Others are return addresses: the call
     * lies before them.
     */
    uint64_t is_exact[UNWIND_MOST / 64];
};

/* The registers right here: a function that calls this must be on the stack later on. */
static ALWAYS_INLINE void unwind_capture(struct unwind_context *c)
{
    unwind_read_registers(c->reg);
}

/* Those that a handler of a signal was given: its third argument. */
void unwind_capture_signal(struct unwind_context *c, const void *ucontext);

/*
 * The pcs from the context outwards, `most` (at most UNWIND_MOST) after the first `skip`.
 * Returns how many.
 */
size_t unwind_walk(const struct unwind_context *c, size_t skip, uintptr_t *pcs,
    size_t most, struct unwind_info *ret);

/* The same from the caller of this. */
NOINLINE size_t unwind_here(uintptr_t *pcs, size_t most, struct unwind_info *ret);

/*
 * As unwind_walk, also where one module after the other lay at the same place with the same
 * return addresses: looks at the build id of each module on the way. unwind_table_generation tells
 * from then on what is cached of the one from the other.
 *
 * ret_meeting->kept says before what is kept by this thread, or NULL. It makes the walk fast, and
 * makes no difference to what it finds.
 */
size_t unwind_walk_surely(const struct unwind_context *c, size_t skip, uintptr_t *pcs,
    size_t most, struct unwind_info *ret, struct unwind_meeting *ret_meeting);

/* Modules were closed: what is cached may be wrong. Any thread, any time. */
void unwind_forget(void);

static inline bool unwind_is_exact(const struct unwind_info *i, size_t frame)
{
    return (i->is_exact[frame / 64] >> frame % 64 & 1) != 0;
}

/* Walks that ended so, ever; relaxed atomics. Complete ones are not counted. */
struct unwind_counts {
    uint64_t truncated;
    uint64_t lost;
};
extern struct unwind_counts unwind_counts;

#endif
