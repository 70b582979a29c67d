/*
 * harden - hardened mode: what surrounds and fills blocks, and what is checked when
 *
 * Owns: which class a request gets; what is done at malloc and free that takes longer than
 * malloc_hard.h, and what is said there; guard pages and the confinement of large blocks
 * (harden_large.c). Does not own: what surrounds a block (canary.h), which is next (track.h).
 *
 * MPALLOC_HARDEN=1, or -Dhardened=true. Small blocks are fenced by canaries; free ones are
 * zero, and malloc finds what was written after free. Blocks of zero size lie in memory
 * without access. Large blocks have an inaccessible page behind them, and after free nobody
 * can touch them until 64 others were freed.
 *
 * Any thread, no locks but those of the modules below.
 */
#ifndef HARDEN_H
#define HARDEN_H

#include "heap.h"

/* From here on every new block is hardened. Once, by init.c, one thread. */
void harden_start(void);

static inline bool harden_is_on(void)
{
    return track_all;
}

/* For a heap of this thread or, h NULL, the component's shared one. NULL: no memory. */
void *harden_alloc_block(
    struct mp_component *c, struct heap *h, unsigned cls, size_t size);
/* The class for a request; CLASS_COUNT: it becomes a large block. */
unsigned harden_class(size_t size, size_t alignment);
void *harden_alloc_large(struct mp_component *c, size_t size, size_t alignment);

/* Whether p lies in a slab of hardened blocks. */
static inline bool harden_is_slab(const struct span *s)
{
    return slab_is_tracked(s) && s->track->is_hard;
}

/*
 * The request that block p was made for; the most that it can have been where somebody wrote
 * behind its end. False: it is not in use.
 */
bool harden_find_size(const struct span *s, const void *p, size_t *ret_size);

/*
 * Checks p, the start of a block of a hard slab, and frees it; says what is wrong with it.
 * size: what the caller says it asked for, or SIZE_MAX.
 */
void harden_free_block(struct span *s, void *p, size_t size);
void harden_free_large(struct span *s, void *p, size_t size);

/* The same block for a request of `size`. False: it does not fit. */
bool harden_try_resize(struct span *s, void *p, size_t size);

/* Dies when a size was said at free that is not what was asked for. */
void harden_check_size(const void *p, size_t asked, size_t size);

/* Block p, free until now, is not zero. Dies, or clears it. */
void harden_say_used_after_free(void *p, size_t bytes) COLD;

extern struct lock confined_lock;

#endif
