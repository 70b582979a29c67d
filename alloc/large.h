/*
 * large - blocks above 32 KiB: whole spans
 *
 * Owns: the entries of spans in large blocks. From 32 MiB on they are huge (huge.h).
 *
 * Block bytes are the request rounded up to pages: what lies behind them in the last span
 * is never touched, so it costs address space only.
 */
#ifndef LARGE_H
#define LARGE_H

#include "component.h"
#include "os.h"
#include "span.h"

/*
 * A block of `size` bytes at least, aligned to `align` (a power of two), with address
 * space for `spare` bytes more kept behind it if it is not huge. NULL: no memory.
 * ret_zeroed: all of it reads as zeros. NULL: nobody asks, for it will be filled.
 */
void *large_alloc(
    struct mp_component *c, size_t size, size_t spare, size_t align, bool *ret_zeroed);

/*
 * The block is one no more, and its span of another kind; false: it was none, for another
 * thread freed it.
 */
static inline bool large_retire(struct span *s, enum span_kind kind)
{
    uint8_t is = SPAN_LARGE;

    if (os_is_single_threaded()) {
        if (load_relaxed(&s->kind) != is) {
            return false;
        }
        store_relaxed(&s->kind, (uint8_t)kind);
        return true;
    }
    return cas_acquire(&s->kind, &is, (uint8_t)kind);
}

/* s: the entry that pagemap_find gave for p, of kind SPAN_LARGE. */
void large_free(struct span *s, void *p);
bool large_is_block(const struct span *s, const void *p);

/* The two halves of it: free, but nobody gets the memory; the memory to the free spans. */
void large_confine(struct span *s, void *p);
void large_release(struct span *s, size_t touched, uint32_t freed_ms); /* in parts */

/* Resize in place. True: done, the block has at least `size` bytes now. */
bool large_try_resize(struct span *s, size_t size);

/*
 * Add to a component what a heap counted in its `most` first classes of large blocks, and
 * clear that. Publish lock held, for no sweep may see it twice or not at all.
 */
void large_take_counts(struct mp_component *c, struct large_count *from, unsigned most);

#endif
