/*
 * pagemap - which addresses are ours, and where their metadata is
 *
 * Owns: the ranges. A range is address space cut into spans of 64 KiB and, apart from it,
 * a table with one 64-byte entry (struct span) for each. From an address to its entry it
 * is subtract, shift, compare, add; an address outside every range is never followed.
 *
 * The first range is a window of 1 TiB at a random lonely address. It is mapped piece by
 * piece as it is needed, so that the address space in use stays near the memory in use:
 * RLIMIT_AS then works as programs expect, also when it is set while running, and the
 * process does not look larger than it is. When something else sits in the way, or the
 * window is full, further ranges of fixed size are chained; only the slow path of free
 * looks for those.
 *
 * Growing needs the lock of span.c; looking up needs nothing.
 */
#ifndef PAGEMAP_H
#define PAGEMAP_H

#include "atomic.h"
#include "sizeclass.h"

struct span; /* span.h; a table entry */

enum {
    SPAN_ENTRY_SHIFT = 6, /* log2 sizeof(struct span) */
    RANGES_MAX = 256,
};

struct range {
    uintptr_t origin; /* const once the range is visible, as are table and spans_max */
    char *table;
    size_t spans_max;
    size_t frontier;     /* writer: the spans' lock; readers: anyone */
    size_t mapped;       /* the spans' lock: spans that are mapped, >= frontier */
    size_t table_mapped; /* the spans' lock: bytes of the table that are mapped */
    bool grows;          /* more can be mapped behind what is */
};

/*
 * What the fast path of free needs of the first range: variables of
 * their own, for a structure would cost an instruction to find its address.
 */
extern HIDDEN uintptr_t pagemap_origin; /* address of span 0 */
extern HIDDEN uintptr_t
    pagemap_frontier; /* spans ever handed out; grows, under the spans' lock */
extern HIDDEN char *pagemap_table;

extern struct range pagemap_ranges[RANGES_MAX];

/* The number of the span that an address of the first range lies in. */
static ALWAYS_INLINE uintptr_t pagemap_index_fast(const void *p)
{
    return ((uintptr_t)p - pagemap_origin) >> SPAN_SHIFT;
}

/*
 * Whether it was ever handed out. Whoever gave p to this thread made the frontier visible
 * with it: no order is needed.
 */
static ALWAYS_INLINE bool pagemap_has_fast(uintptr_t index)
{
    return index < load_fast(&pagemap_frontier);
}

static ALWAYS_INLINE struct span *pagemap_entry_fast(uintptr_t index)
{
    return (struct span *)(pagemap_table + (index << SPAN_ENTRY_SHIFT));
}

/* The entry for an address in any range, or NULL: not ours. */
struct span *pagemap_find(const void *p);

/* The range that holds an entry, and the address of an entry's span. */
const struct range *pagemap_range_of(const struct span *s);
char *pagemap_address(const struct span *s);

size_t pagemap_range_count(void);

/*
 * `count` spans that were never handed out, side by side, zeroed; NULL when no more
 * address space may be had. Call with the spans' lock held.
 */
struct span *pagemap_extend_locked(size_t count);

/* Bytes of address space mapped for spans, and for tables. */
size_t pagemap_mapped_bytes(void);
size_t pagemap_table_bytes(void);

#endif
