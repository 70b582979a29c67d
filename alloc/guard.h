/*
 * guard - guarded samples: a few small blocks, each between inaccessible pages
 *
 * Owns: the pool of slots, what is known of each block, the messages.
 * Does not own: the handler of SIGSEGV (segv.h).
 *
 * With MPALLOC_GUARD a block is taken from the pool every now and then, at random by bytes,
 * when a list of a heap is empty. It lies at the start or at the end of a page of its own;
 * the pages before and behind it are inaccessible, and so is its own once it is freed. The
 * stacks of its allocation and of its free are kept. An access past it or after its free is
 * explained on stderr, and the program dies as it would have. What an overflow wrote into
 * the rest of the page is found when the block is freed.
 *
 * A freed slot is used again when all others were since: the oldest first.
 */
#ifndef GUARD_H
#define GUARD_H

#include "component.h"

#include <stdbool.h>

enum { GUARD_SLOTS = 1024 };

struct guard_pool {
    uintptr_t start; /* 0 and 0 while there is none */
    size_t bytes;
};
extern HIDDEN struct guard_pool guard_pool;

/* Whether p points into the pool. */
static inline bool guard_holds(const void *p)
{
    return (uintptr_t)p - guard_pool.start < guard_pool.bytes;
}

/* From the options, once. */
void guard_init(void);

/*
 * For a heap whose list of a class is empty, after `given` blocks of it: a guarded block of
 * `size` bytes when it is time for one and there is a slot, else NULL.
 */
void *guard_try_alloc_slow(
    struct mp_component *c, unsigned cls, unsigned given, size_t size);

static inline void *guard_try_alloc(
    struct mp_component *c, unsigned cls, unsigned given, size_t size)
{
    return LIKELY(guard_pool.bytes == 0) ? NULL
                                         : guard_try_alloc_slow(c, cls, given, size);
}

/* Free what lies in the pool; explains what is no block or was freed. */
void guard_free(void *p);

/* The size that the live block at p was asked for with. False: there is none. */
bool guard_find(const void *p, size_t *ret_size);

/* Says and counts that a pointer into the pool is no block. Dies, unless MPALLOC_ABORT=0. */
void guard_refuse(const void *p, const char *what);

/* Allocated ever by component and class. NULL: none was. */
const uint64_t *guard_allocated(const struct mp_component *c);

/* For each live block; any thread, while others come and go. */
void guard_each_live(void (*each)(unsigned row, unsigned cls, void *arg), void *arg);

/* The block of a slot, below GUARD_SLOTS. False: it has none that lives. Racy, or locked. */
struct guard_block {
    uintptr_t start;
    uint32_t bytes; /* that were asked for */
    uint16_t row;
    uint8_t cls;
};
bool guard_look(unsigned i, struct guard_block *ret);

/* The slot that an address of the pool is nearest to; one more than there are, at its end. */
unsigned guard_slot_number(uintptr_t address);

/* What is known of the slots lies here. NULL: there are none. */
const void *guard_memory(size_t *ret_bytes);

extern struct lock guard_lock;

#endif
