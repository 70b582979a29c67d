/*
 * leak_heap - which blocks live, and two bits for each
 *
 * Owns: a map from any address to the block that it points to or into, and a state for each
 * block. Made of the allocator's structures as they stand, by whoever is alone in them: the
 * child that marks (leak_child.h), or a test.
 * Does not own: what the states mean while blocks are marked (leak_mark.h).
 *
 * A block lives that was handed out to the program and not freed. Those on lists that wait to be
 * handed out, in hands, among remote frees, in pages that went back, or that were never cut, are
 * free, and their state is LEAK_FREE for ever.
 *
 * Needs 16 bytes for each span and two bits for each block: 1.6 % of a heap of blocks of 16
 * bytes, 0.4 % of one of 64. Marking needs half as much once more.
 */
#ifndef LEAK_HEAP_H
#define LEAK_HEAP_H

#include "attr.h"
#include "bits.h"
#include "pagemap.h"

enum leak_state {
    LEAK_FREE = 0,
    LEAK_UNSEEN = 1,
    LEAK_POSSIBLE = 2, /* and, of lost ones, the first of those that it leads to */
    LEAK_REACHED = 3,  /* and, of lost ones, one that another leads to */
    LEAK_LEADER = LEAK_POSSIBLE,
    LEAK_INDIRECT = LEAK_REACHED,
};

/* Of a span: its blocks lie `stride` bytes apart, from where it, or the run, begins. */
struct leak_span {
    uint32_t base;       /* of the first block's state: its number / 32 */
    uint32_t reciprocal; /* of stride; 0: one block of so many bytes */
    uint32_t stride;
    uint16_t part;  /* which one of its run this span is; LEAK_SPAN_ flags */
    uint16_t limit; /* blocks; 0: none */
};

enum {
    LEAK_SPAN_PART = 0x0fff,
    LEAK_SPAN_POOL = 0x8000,   /* blocks are shorter than their stride */
    LEAK_SPAN_EMPTY = 0x4000,  /* they have no bytes */
    LEAK_SPAN_QUEUED = 0x2000, /* of the first of a run: leak_mark.c */
    LEAK_BLOCKS = 32,          /* states in a word */
};

/*
 * Look at all there is; -ENOMEM, or 0. The allocator's locks are held, or nobody else runs.
 * leak_heap_close gives its memory back.
 */
int leak_heap_open(void);
void leak_heap_close(void);

/* What was found at the start. */
struct leak_heap_sums {
    uint64_t blocks; /* live ones */
    size_t
        unsure_slabs; /* whose owner was just at them: their blocks count as reached */
};
struct leak_heap_sums leak_heap_sums(void);

/* ---- blocks by address ---- */

struct leak_found {
    size_t number; /* of its state */
    uintptr_t start;
    size_t bytes; /* from start; of the pool, up to the next block */
    unsigned flags;
    struct leak_span *span; /* the first of its run; NULL: a huge or guarded block */
};

extern HIDDEN struct leak_window {
    uintptr_t origin;
    size_t bytes;
    struct leak_span *spans;
    uintptr_t low; /* all blocks that are elsewhere lie between */
    size_t more_bytes;
    uint64_t *states;
} leak_window;

bool leak_find_outside(uintptr_t address, struct leak_found *ret);

/* In the span that an address is so far in; false: no block. It may be a free one. */
static ALWAYS_INLINE bool leak_find_in(
    struct leak_span *s, uintptr_t address, struct leak_found *ret)
{
    uint32_t offset = ((uint32_t)(s->part & LEAK_SPAN_PART) << SPAN_SHIFT)
                      + (uint32_t)(address & (SPAN_BYTES - 1));
    uint32_t i = (uint32_t)(((uint64_t)offset * s->reciprocal) >> 32);

    if (s->reciprocal == 0 && offset >= s->stride) {
        return false;
    }
    if (i * s->stride > offset) { /* of a wide slab: the reciprocal is rounded up */
        i--;
    }
    if (i >= s->limit) {
        return false;
    }
    *ret = (struct leak_found){(size_t)s->base * LEAK_BLOCKS + i,
        address - offset + (size_t)i * s->stride, s->stride, s->part,
        s - (s->part & LEAK_SPAN_PART)};
    return true;
}

static ALWAYS_INLINE bool leak_find(uintptr_t address, struct leak_found *ret)
{
    uintptr_t offset = address - leak_window.origin;

    if (LIKELY(offset < leak_window.bytes)) {
        return leak_find_in(&leak_window.spans[offset >> SPAN_SHIFT], address, ret);
    }
    return UNLIKELY(address - leak_window.low < leak_window.more_bytes)
           && leak_find_outside(address, ret);
}

static ALWAYS_INLINE enum leak_state leak_state(size_t number)
{
    return (enum leak_state)(
        leak_window.states[number / LEAK_BLOCKS] >> number % LEAK_BLOCKS * 2 & 3);
}

static ALWAYS_INLINE void leak_set_state(size_t number, enum leak_state state)
{
    uint64_t *word = &leak_window.states[number / LEAK_BLOCKS];
    unsigned shift = (unsigned)(number % LEAK_BLOCKS * 2);

    *word = (*word & ~((uint64_t)3 << shift)) | (uint64_t)state << shift;
}

/* The bytes that belong to the program. */
size_t leak_block_bytes(const struct leak_found *found);

/* Where a span lies. */
uintptr_t leak_span_start(const struct leak_span *s);

/* ---- for leak_walk.c and leak_mark.c ---- */

#define LEAK_LOW_BITS                                                                  \
    UINT64_C(0x5555555555555555) /* the lower bit of each state in a word */

/* A huge block. */
struct leak_far {
    uintptr_t start;
    size_t bytes;
    uint16_t row;
    uint32_t record;
};

extern HIDDEN struct leak_all {
    struct leak_span *spans[RANGES_MAX];
    size_t frontier[RANGES_MAX];
    size_t ranges;
    struct leak_far *far; /* by address */
    size_t far_count;
    size_t far_room;
    size_t far_base;   /* state of the first */
    size_t guard_base; /* the same of guarded blocks, by slot */
    size_t words;      /* of states */
    struct leak_heap_sums sums;
} leak_all;

static inline const struct span *leak_entry(size_t range, size_t index)
{
    return (
        const struct span *)(pagemap_ranges[range].table + (index << SPAN_ENTRY_SHIFT));
}

/* ---- all blocks: leak_walk.c ---- */

/* A block, or all of a slab that are in one state. */
struct leak_block {
    uintptr_t start; /* of a block */
    size_t number;
    size_t bytes;
    uint32_t record; /* of its sample; 0: none */
    uint16_t row;
    uint16_t cls;
};

/* False: it is none that lives. */
bool leak_heap_describe(const struct leak_found *found, struct leak_block *ret);

/*
 * Each block in that state; the states may be changed from within. False from `each` ends it.
 * The same order each time, or backwards.
 */
bool leak_heap_each(enum leak_state state,
    bool (*each)(const struct leak_block *b, void *arg), void *arg);
bool leak_heap_each_backwards(enum leak_state state,
    bool (*each)(const struct leak_block *b, void *arg), void *arg);

/* How many are in each state, by slab where they have no samples: `start` is 0 then. */
void leak_heap_count(
    void (*each)(const struct leak_block *b, const uint64_t count[4], void *arg),
    void *arg);

/* All that are not LEAK_UNSEEN are LEAK_FREE from now on. */
void leak_heap_keep_unseen(void);

#endif
