/*
 * stacks - call stacks, each a number
 *
 * Owns: the tree of frames. A frame is known by its caller's number and the place of its
 * call, as module and offset; a stack is the number of its innermost frame, so that stacks
 * which begin alike share what they have in common. Frames stay for ever.
 *
 * A stack that was seen a moment ago is found by a hash of its addresses: so long as no
 * module came, for then the same addresses may be other code.
 */
#ifndef STACKS_H
#define STACKS_H

#include "unwind.h"

struct stack {
    uintptr_t pcs[UNWIND_MOST]; /* the innermost first */
    size_t count;
    struct unwind_info info;
    struct unwind_meeting meeting; /* knows the numbers of its outer frames, perhaps */
};

/*
 * Its number, 0 for a stack without frames. When there is no room for its frames: as much of
 * it, from the root, as there is; that is counted. profile_lock held.
 */
uint32_t stacks_intern_locked(const struct stack *s);

/*
 * Of the `fresh` frames inside of those whose stack is number `base`; equal ones are the same
 * stack. And where it was found so: those frames that are kept get their numbers. No lock.
 */
uint64_t stacks_hash(const struct stack *s, size_t fresh, uint32_t base);
void stacks_number_kept(
    const struct stack *s, size_t fresh, uint32_t base, uint32_t number);

/* A frame by its number, which is not 0. */
const struct mp_region_frame *stacks_frame_locked(uint32_t number);

size_t stacks_count_locked(void);     /* frames; number 0 included */
uint64_t stacks_refused_locked(void); /* stacks that found no room, each time */

/* To a region that is new. */
void stacks_write_all_locked(void);

#endif
