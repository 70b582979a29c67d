/*
 * large - blocks above 32 KiB: whole spans, or a mapping of their own
 *
 * Owns: the entries of spans in large blocks; the table of huge blocks (from 32 MiB on),
 * which are mapped and unmapped one by one and lie outside every range.
 *
 * Block bytes are the request rounded up to pages: what lies behind them in the last span
 * is never touched, so it costs address space only.
 */
#ifndef LARGE_H
#define LARGE_H

#include "component.h"
#include "span.h"

#define HUGE_MIN (32 * MIB)

/*
 * A block of `size` bytes at least, aligned to `align` (a power of two), with address
 * space for `spare` bytes more kept behind it if it is not huge. NULL: no memory.
 * ret_zeroed: all of it reads as zeros. NULL: nobody asks, for it will be filled.
 */
void *large_alloc(
    struct mp_component *c, size_t size, size_t spare, size_t align, bool *ret_zeroed);

/* s: the entry that pagemap_find gave for p, of kind SPAN_LARGE. */
void large_free(struct span *s, void *p);
bool large_is_block(const struct span *s, const void *p);

/* The two halves of it: free, but nobody gets the memory; the memory to the free spans. */
void large_confine(struct span *s, void *p);
void large_release(struct span *s, size_t touched); /* in parts */

/* Resize in place. True: done, the block has at least `size` bytes now. */
bool large_try_resize(struct span *s, size_t size);

/* The huge block that starts at p. False: there is none. */
bool huge_find(const void *p, size_t *ret_bytes);
bool huge_try_free(void *p);
/*
 * Resize, moving pages rather than bytes; a block that moves belongs to c from then on.
 * NULL: not possible, nothing changed.
 */
void *huge_try_resize(struct mp_component *c, void *p, size_t size);
/* p was the start of a huge block not long ago. */
bool huge_was_freed(const void *p);

size_t large_live_bytes(void);
size_t huge_live_bytes(void);

extern struct lock huge_lock;

#endif
