/*
 * span - spans of 64 KiB: what each is, and which are free
 *
 * Owns: the table entries (struct span) as far as they say what a span is; free runs of
 * spans; giving free memory back to the kernel.
 * Does not own: what slabs and large blocks keep in their entries (slab.h, large.h).
 *
 * All metadata is out of band: entries lie in tables of their own (pagemap.h), so that an
 * overflow of a block reaches no metadata. Free runs are dirty (may hold pages) or clean
 * (read as zeros); only runs alike are merged. The run of each length that was released last
 * is in the pocket: the next request of that length gets it without a look at the free runs.
 */
#ifndef SPAN_H
#define SPAN_H

#include "config.h"
#include "lock.h"
#include "os.h"
#include "pagemap.h"

#include <assert.h>

/*
 * Memory that was touched is measured in parts of a page (of build option page_size; 4 KiB
 * most often): a dirty run is rarely all dirty. Where the kernel's pages are larger, whole
 * pages of parts count.
 */
enum {
    SPAN_PART_SHIFT = CONFIG_PAGE_SHIFT,
    SPAN_PARTS = 1 << (SPAN_SHIFT - SPAN_PART_SHIFT)
};
static_assert(
    CONFIG_PAGE_SHIFT >= 12 && CONFIG_PAGE_SHIFT <= SPAN_SHIFT, "a span has parts");

struct block { /* a free block */
    struct block *next;
};

struct heap;
struct mp_component;
struct pool_tag;
struct track;

enum span_kind {
    SPAN_NONE = 0,   /* never used, or inside a run */
    SPAN_SLAB,       /* slab.h */
    SPAN_LARGE,      /* first span of a large block, large.h */
    SPAN_FREE_DIRTY, /* first span of a free run */
    SPAN_FREE_CLEAN,
    SPAN_FREE_TAIL, /* last span of a free run of two or more */
    SPAN_PURGING,   /* first span of a run that is on its way to the kernel */
    SPAN_SLAB_PART, /* a wide slab's span but the first: run = spans from that */
    SPAN_TRACKED,   /* a slab with a bit for each block, track.h */
    SPAN_CONFINED,  /* a freed large block that nobody may touch yet, harden.h */
    SPAN_POCKETED, /* first span of a run that was released and waits to be wanted again */
    SPAN_KEPT,     /* a large block that its thread keeps for its next, large_cache.h */
    SPAN_SAMPLED, /* small blocks that are sampled, pool.h */
};

/*
 * One entry of the table, one cache line. Who touches what is said where it is used; the
 * first line of comments is for slabs.
 */
struct span {
    uintptr_t
        owner; /* slab: thread pointer of the owner; 0 otherwise, matches nobody */
    union {
        struct block *local;   /* slab, owner: free blocks */
        struct track *track;   /* tracked slab */
        size_t large_bytes;    /* large: block bytes */
        struct span *age_next; /* dirty run: the run freed after this one */
    };
    union {
        struct {
            uint16_t left; /* slab, owner: local frees until free takes the slow path */
            uint16_t base; /* slab, owner: used == base + left */
        };
        uint32_t left_base; /* both at once, for writers and sweeps */
        uint32_t touched;   /* free run, large: about how many parts hold pages */
    };
    uint16_t carved;        /* slab, owner: blocks that were ever handed out */
    uint8_t kind;           /* enum span_kind */
    uint8_t cls;            /* slab */
    uint32_t remote;        /* slab: word of remote frees, slab.h; atomic, any thread */
    uint16_t row;           /* slab: component */
    uint8_t state;          /* slab, owner: enum slab_state; large: large.c */
    uint8_t touched_before; /* slab, owner: parts that were touched before it */
    union {
        struct heap *heap;              /* slab: atomic, changes only by its owner */
        struct mp_component *component; /* large */
        struct pool_tag *tags;          /* of sampled blocks: pool.c */
        struct span *age_prev;          /* dirty run */
    };
    union {
        struct span *next; /* slab: list of its heap; free run: list of its length */
        size_t asked;      /* large, hardened: the request; else 0 */
    };
    union {
        struct span *prev;
        uint64_t sample; /* large: where it is sampled, as in sample_large.c; else 0 */
    };
    union {
        struct span *pending_next; /* slab: whoever queued it */
        struct {
            uint32_t run;      /* free run, large: spans; free tail: spans too */
            uint32_t stamp_ms; /* dirty run: when it became free */
        };
    };
};
static_assert(
    sizeof(struct span) == 1 << SPAN_ENTRY_SHIFT, "pagemap.h computes with it");

/* Of `touched_before`: the number, and whether those parts read as zeros nevertheless. */
enum { SLAB_TOUCHED = 0x7f, SLAB_CLEAN = 0x80 };

/* What was not cut yet reads as zeros. */
static inline bool slab_is_clean(const struct span *s)
{
    return s->touched_before == 0 || (s->touched_before & SLAB_CLEAN) != 0;
}

static inline size_t slab_touched_before(const struct span *s)
{
    return load_relaxed(&s->touched_before) & SLAB_TOUCHED;
}

/* The entry that says what is at p, which for a wide slab is its first; NULL: not ours. */
static inline struct span *span_find(const void *p)
{
    struct span *s = pagemap_find(p);

    /* Relaxed: whoever has a pointer to a block got it after the slab was made. */
    if (s != NULL && load_relaxed(&s->kind) == SPAN_SLAB_PART) {
        s -=
            load_relaxed(&s->run) % WIDE_SPANS; /* of a wild p, anything may be there */
    }
    return s;
}

/* The parts that `bytes` from the start of a run touch. */
static inline size_t span_parts_of(size_t bytes)
{
    size_t unit = bits_max((size_t)1 << SPAN_PART_SHIFT, os_page_bytes());

    return bits_round_up(bytes, unit) >> SPAN_PART_SHIFT;
}

static inline char *span_address(const struct span *s)
{
    return pagemap_address(s);
}

/*
 * A run of `count` spans, aligned to `align` spans (a power of two), or NULL. The entries
 * are left for the caller to fill: kind is SPAN_NONE in all of them, and `touched` of the
 * first says how much of the run may hold pages.
 * ret_clean: all of the memory reads as zeros.
 */
struct span *span_acquire(size_t count, size_t align, bool *ret_clean);
struct span *span_acquire_locked(size_t count, size_t align, bool *ret_clean);

/*
 * Back to the free runs; the memory may hold anything. Entry 0 must still say what it was.
 * touched: how many of its parts were touched, at most.
 */
void span_release(struct span *s, size_t count, size_t touched);
void span_release_locked(struct span *s, size_t count, size_t touched, uint32_t now_ms);

/*
 * Extend a run of `count` spans to `wanted` where the spans behind it are free. True: done.
 * ret_clean: the new part reads as zeros. `touched` of the first entry grows by its parts.
 */
bool span_extend(struct span *s, size_t count, size_t wanted, bool *ret_clean);

/*
 * Give runs back to the kernel that were free for longer than `age_ms`, up to `most`
 * bytes. Returns the bytes. Takes the lock only between the system calls.
 */
size_t span_purge(uint32_t now_ms, uint32_t age_ms, size_t most);

/* In a forked child, which has no other thread. */
void span_after_fork_in_child(void);

struct span_totals {
    size_t dirty_bytes;    /* of free runs, what may hold pages */
    size_t retained_bytes; /* clean free runs that were used once */
    size_t used_spans;     /* in slabs and large blocks, kept ones too */
    size_t purged_bytes;   /* ever */
    size_t purges;         /* ever */
};
struct span_totals span_totals(void);

/* The same number, without the lock. */
size_t span_used(void);

extern struct lock span_lock;

#endif
