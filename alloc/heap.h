/*
 * heap - the slabs that one thread uses for one component
 *
 * Owns: the lists that malloc pops from; which slab each class takes from next; slabs
 * coming and going between heaps, threads and the free spans.
 *
 * A heap is driven by one thread, or by nobody: then (HEAP_ORPHAN set in `pending`)
 * whoever holds its lock acts as the owner. That holds for heaps left behind by threads
 * that exited, for heaps waiting to be used again, and for the shared heap of a component.
 * Heaps are never unmapped, so that a late remote free can always reach `pending`.
 *
 * The way of a remote free: push to the slab's `remote`; if it was not queued, push the
 * slab to the `pending` of its heap. The owner drains `pending` in its slow path; a slab
 * that meanwhile moved to another heap is passed on to that one. If the heap is an orphan,
 * the freeing thread drains it, under the lock.
 *
 * Invariants (heap_check):
 *
 *     H1  a slab of this heap is current, in avail[class] or in full, as its state says
 *     H2  the blocks of head[class] come from shelf.current[class]
 *     H3  handed[class] counts every block that a slab of this heap gave to head, ever
 */
#ifndef HEAP_H
#define HEAP_H

#include "arch.h"
#include "large_cache.h"
#include "shelf.h"

struct heap {
    struct block *head[CLASS_SLAB_COUNT]; /* owner: what malloc pops from */
    uint64_t handed[CLASS_SLAB_COUNT];    /* owner; sweeps read */
    uint64_t
        returned[CLASS_SLAB_COUNT]; /* owner; of these, put back unused; sweeps read */
    struct shelf shelf;             /* owner */
    uint32_t stamp_ms[CLASS_SLAB_COUNT]; /* owner: last refill */
    uint16_t given[CLASS_SLAB_COUNT];    /* owner: blocks in the last refill */
    bool zeroed[CLASS_SLAB_COUNT];   /* owner: head's blocks are zero but for next */
    uint8_t trust[CLASS_SLAB_COUNT]; /* owner: what unclocked began with */
    bool lit[CLASS_SLAB_COUNT];      /* owner: had its light slab, or gets none */
    uint8_t unclocked[CLASS_SLAB_COUNT]; /* owner: slow paths until the clock is due */
    uint8_t made_do[CLASS_SLAB_COUNT]; /* owner: refills that cut nothing, but wanted */
    uint32_t
        gap[CLASS_SLAB_COUNT]; /* owner: blocks to the next sample, heap_gap_left */
    struct large_count
        large[LARGE_CACHE_CLASSES]; /* owner: by its cache; sweeps read */
    uint64_t refills;               /* owner; sweeps read */
    uint64_t random;                /* owner: which block of a hand is next; gaps */
    uint32_t sample_epoch;          /* owner: of the gaps, sample.h */
    uint64_t sample_interval;       /* owner: that they are drawn with */
    size_t unreported_bytes;        /* owner: handed out, not yet in probe_handed */
    uintptr_t owner;                /* thread pointer, 0: orphan; owner */
    uintptr_t pending;              /* atomic: slabs with remote frees, HEAP_ORPHAN */
    struct track_hand *hands;       /* hardened: of each class, owner; sweeps read */
    struct mp_component *component; /* set while attached */
    struct heap *next_all;          /* const once visible: registry */
    struct heap *next_free;         /* component_lock: orphans, unused heaps */
    struct heap *next_of_component; /* component_lock, as the one before */
    struct heap *previous_of_component;
    uint64_t gap_interval[CLASS_SLAB_COUNT]; /* owner: that each gap was drawn with */
    struct lock lock;
};

#define HEAP_ORPHAN ((uintptr_t)1)

/*
 * A gap is the number of blocks before the next sample and one more; 0 is one that was not
 * drawn yet. Too long ones are cut: then it is not a sample that comes, but another draw. One
 * that is promised made a list shorter: its sample is for all blocks that the list would have
 * had, and is not to be drawn anew, though the interval may change.
 */
enum { HEAP_GAP_MOST = INT32_MAX / 2 };
#define HEAP_GAP_CUT      (UINT32_C(1) << 31)
#define HEAP_GAP_PROMISED (UINT32_C(1) << 30)

/* How many blocks the heap may hand out before somebody must look at the gap. */
static inline uint32_t heap_gap_left(uint32_t gap)
{
    gap &= ~(HEAP_GAP_CUT | HEAP_GAP_PROMISED);
    return gap != 0 ? gap - 1 : 0;
}

/* Whether so many blocks could be more than that. */
static inline bool heap_gap_is_within(uint32_t gap, unsigned most)
{
    return (gap & ~(HEAP_GAP_CUT | HEAP_GAP_PROMISED)) <= most;
}

/* Has no blocks: what every thread starts with, so that malloc needs no check. */
extern HIDDEN struct heap heap_empty;

/* Hands without blocks: of heap_empty. */
extern HIDDEN struct track_hand heap_no_hands[CLASS_SLAB_COUNT];

/* All heaps that ever were; walk next_all. */
struct heap *heap_first(void);
size_t heap_count(void);

/* A heap for this thread and component; NULL: no memory. */
struct heap *heap_attach(struct mp_component *c);

/*
 * The thread is done with it: empty slabs go back, others stay for the next thread that
 * wants memory of this component. Call with the publish lock held.
 */
void heap_detach_locked(struct heap *h);

/* malloc's slow path for classes: a block, NULL when there is no memory. Owner. */
HIDDEN void *heap_refill(struct heap *h, unsigned cls);

/* Pop, or refill. Owner. */
static inline void *heap_alloc(struct heap *h, unsigned cls)
{
    struct block *b = h->head[cls];

    if (UNLIKELY(b == NULL)) {
        return heap_refill(h, cls);
    }
    store_relaxed(&h->head[cls], b->next);
    return b;
}

/* One block for a thread that can have no heap any more; a hard one in hardened mode. */
void *heap_alloc_shared(struct mp_component *c, unsigned cls);

/* free's slow path for a local free that made left zero. Owner of s. */
HIDDEN void heap_on_left_zero(struct span *s);

/*
 * For heap.c. Queue a slab, whose QUEUED is set, at h: true when h is an orphan, and the
 * caller must drain it under its lock.
 */
bool heap_push_pending(struct heap *h, struct span *s);

/*
 * Fold the remote frees of all queued slabs. Owner. Returns those that belong to other
 * heaps by now, linked by pending_next: pass them on when no heap's lock is held.
 */
struct span *heap_drain(struct heap *h);

/* Queue a slab, whose QUEUED this thread set, at its heap. No heap's lock held. */
HIDDEN void heap_notify(struct span *s);

/* Pass on what heap_drain returned; nearly always nothing. No heap's lock held. */
void heap_notify_all(struct span *list);

/* For heap_free_tracked: by another thread, or such that the slab may have to move. */
void heap_free_tracked_remote(struct span *s);
void heap_free_tracked_slow(struct heap *h, struct span *s, unsigned used);

/*
 * A free into a tracked slab, of block number i, whose state is cleared already. Any thread:
 * the owner counts by itself and files the slab where it belongs now, others leave a number.
 * The owner is that of the heap: the slab's own field must match nobody.
 */
static ALWAYS_INLINE void heap_free_tracked(struct span *s, unsigned i, bool is_hard)
{
    struct heap *h = load_acquire(&s->heap); /* pairs with slab_adopt */
    unsigned used;

    if (load_relaxed(&h->owner) != thread_pointer()) {
        if (is_hard) {
            track_set_freed_remote(s->track, i);
        }
        heap_free_tracked_remote(s);
        return;
    }
    if (is_hard) {
        track_set_freed(s->track, i);
    }
    used = slab_count_free(s);
    if (UNLIKELY(s->state != SLAB_CURRENT && (used == 0 || s->state == SLAB_FULL))) {
        heap_free_tracked_slow(h, s, used);
    }
}

/*
 * For heap_hard.c. A current slab with at least one free block, or NULL: no memory; how many
 * blocks may be handed out now; and the count of those that were (H3). Owner.
 */
struct span *heap_find_slab(struct heap *h, unsigned cls);
unsigned heap_quota(struct heap *h, unsigned cls, uint32_t now_ms);
void heap_count_handed(struct heap *h, unsigned cls, unsigned n);

/* ... and: put back what waits to be popped; the current slab leaves its place. */
void heap_return_waiting(struct heap *h, unsigned cls);
void heap_retire_current(struct heap *h, unsigned cls);

/* heap_alloc_hard when the hand is empty: NULL when there is no memory. */
void *heap_refill_hard(struct heap *h, unsigned cls);

/* A block of a hard slab, clear. Owner. */
static ALWAYS_INLINE void *heap_alloc_hard(struct heap *h, unsigned cls)
{
    struct track_hand *hand = &h->hands[cls];

    if (UNLIKELY(hand->ready == 0)) {
        return heap_refill_hard(h, cls);
    }
    return track_pop(hand, sizeclass_bytes(cls), &h->random);
}

/* From now on h takes from hard slabs only; track_all is set. Owner, publish lock held. */
void heap_harden_locked(struct heap *h);

/*
 * Hand back what is free: lists not popped from since `before_ms`, and slabs without live
 * blocks. Owner, publish lock held.
 */
void heap_flush_locked(struct heap *h, uint32_t now_ms, uint32_t idle_ms);

/*
 * Give back free pages inside slabs that lay idle since the flush before; looks at
 * `most` of them, false: there are more. Owner, publish lock held.
 */
bool heap_dig_locked(struct heap *h, bool is_flush, unsigned most);

/* Around fork: nobody may be in the middle of a heap. In the child all are free again. */
void heap_lock_all(void);
void heap_unlock_all(void);
void heap_reset_all(void);

/* Walk the invariants; owner. */
void heap_check(struct heap *h);

#endif
