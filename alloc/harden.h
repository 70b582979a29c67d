/*
 * harden - hardened mode: what surrounds and fills blocks, and what is checked when
 *
 * Owns: the layout of a hardened block; the checks at malloc and free; guard pages and the
 * confinement of large blocks. Does not own: which block is next (track.h).
 *
 * MPALLOC_HARDEN=1, or -Dhardened=true. A small block of `bytes` for a request of `size`:
 *
 *     | size bytes | slack: canary bytes, checked up to 16 | tail: 8 bytes |
 *
 * The tail is the canary word in a block in use and zero in a free one, so whoever frees a
 * block can look at the tail of its left neighbour too, whoever has that. Free blocks are
 * zero; malloc finds what was written after free. Blocks of zero size lie in memory without
 * access. Large blocks have an inaccessible page behind them, and after free nobody can
 * touch them until 64 others were freed.
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

/* The request that block p, in use, was made for. */
size_t harden_size(const struct span *s, const void *p);

/*
 * Checks p, whose state is `slack`, and clears it before it is free.
 * size: what the caller says it asked for, or SIZE_MAX.
 */
void harden_before_free(struct span *s, void *p, unsigned slack, size_t size);
void harden_free_large(struct span *s, void *p, size_t size);

/* The same block for a request of `size`. False: it does not fit. */
bool harden_try_resize(struct span *s, void *p, size_t size);

extern struct lock confined_lock;

#endif
