/*
 * thp - transparent huge pages: asked for where memory is about to be filled, and only there
 *
 * Owns: which part of the window the kernel may back by huge pages.
 *
 * A page fault costs as much as hundreds of allocations, and a huge page saves 511 of them;
 * but one byte in it makes 2 MiB resident. So they are asked for
 *
 *     - at the frontier of a heap of 16 MiB and more, if the last 2 MiB that got none turned
 *       out to be resident for the most part: then what comes next will be, too. That look
 *       is trusted for the next quarter of the heap, 12 MiB at most. Threads that sit on a
 *       few blocks each, and buffers that are used in part, make no such heap;
 *     - for blocks of 4 MiB and more of malloc, not of calloc, in a process of that size.
 *
 * The kernel is told no again once the frontier has moved on, or the block is freed: it must
 * not fill up by itself (khugepaged) what was given back to it page by page. Where it gives
 * huge pages to all, or to none, it is told nothing, and where one took two milliseconds it is
 * left alone for a while.
 */
#ifndef THP_H
#define THP_H

#include "pagemap.h"

enum {
    THP_SHIFT = 21,
    THP_BYTES = 1 << THP_SHIFT,
    THP_SPANS = THP_BYTES / SPAN_BYTES,
    THP_HEAP_SPANS = 8 * THP_SPANS, /* a smaller heap gets none */
};

/*
 * New spans [s, s + count) begin where the frontier was. How many of their bytes may be backed
 * by huge pages. The spans' lock is held.
 */
size_t thp_extend_locked(const struct span *s, size_t count);

/*
 * Whether a fresh block so long should have huge pages in a process with so many spans in use;
 * ask for them, or for no more of them, in [start, start + bytes). Any thread.
 */
bool thp_is_wanted(size_t bytes, size_t used_spans);
void thp_advise(void *start, size_t bytes, bool is_wanted);

/* The same for the whole of a mapping, which stays one for the kernel and can be resized. */
void thp_advise_mapping(void *start, size_t bytes, bool is_wanted);

#endif
