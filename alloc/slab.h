/*
 * slab - one span cut into equal blocks of one size class
 *
 * Owns: the blocks of its span and the lists that thread through the free ones.
 * Does not own: the span (span.h), nor the choice of slab to take from (heap.h).
 *
 * A slab has at most one owner: a thread, or whoever holds the lock of its heap when no
 * thread does. Only the owner touches plain fields; any thread may push to `remote`.
 *
 * A tracked slab (track.h) has no lists: its remote frees are a number, `left` is 0.
 *
 * Invariants, true whenever the owner is outside this module (slab_check walks them):
 *
 *     S1  |local| + used == carved <= capacity, used == base + left; where pages were
 *         given back (hole.h), the blocks that touch them are missing in local
 *     S2  |remote| <= used             a remote free still counts as used
 *     S3  blocks handed out to a heap's list count as used
 *     S4  base > 0 only in a full slab: free then takes the slow path after `left` frees,
 *         with base blocks still in use
 */
#ifndef SLAB_H
#define SLAB_H

#include "check.h"
#include "track.h"

enum slab_state {
    SLAB_CURRENT, /* its heap hands out from it */
    SLAB_AVAIL,   /* in its heap's list of slabs worth taking from */
    SLAB_IDLE,    /* there, too, and was so at the last flush */
    SLAB_HOLED,   /* in its heap's list of slabs with pages given back: hole.h */
    SLAB_FULL,    /* in its heap's list of full slabs */
    /*
     * As SLAB_IDLE, but there were no pages to give back; plus a number that says how many
     * of its blocks were in use then.
     */
    SLAB_LOOKED_AT = 16,
};

/*
 * The word of remote frees: index of the first block (in units of 16 bytes), number of
 * blocks, and whether the slab is on its way to, or in, a pending list (heap.h).
 */
#define SLAB_REMOTE_INDEX  0x00000fffu
#define SLAB_REMOTE_SHIFT  12
#define SLAB_REMOTE_COUNT  0x01fff000u
#define SLAB_REMOTE_QUEUED 0x80000000u

static inline bool slab_is_tracked(const struct span *s)
{
    return load_relaxed(&s->kind) == SPAN_TRACKED;
}

/* Owner. Two loads: one of both at once would wait for free's store to `left` to retire. */
static inline unsigned slab_used(const struct span *s)
{
    return (unsigned)load_relaxed(&s->base) + load_relaxed(&s->left);
}

/* Any thread: a value that was true at some moment. */
static inline unsigned slab_used_at_once(const struct span *s)
{
    struct span both;

    both.left_base = load_acquire(&s->left_base); /* before the remote count */
    return (unsigned)both.base + both.left;
}

static inline unsigned slab_free_count(const struct span *s)
{
    return (unsigned)s->carved - slab_used(s);
}

static inline unsigned slab_capacity(const struct span *s)
{
    return sizeclass_table[s->cls].capacity;
}

static inline bool slab_is_carved(const struct span *s)
{
    return s->carved == slab_capacity(s);
}

/*
 * Frees in a current slab after which free looks at the clock, if no refill did a moment ago:
 * figures stay fresh.
 */
enum { SLAB_FRESH = 128 };

/*
 * Both at once, so that a sweep never sees half of it. release: with it, the fold before it.
 * In a register: halves that are put together in memory would not be forwarded to the load.
 */
static inline void slab_set_left_base(struct span *s, unsigned left, unsigned base)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
        "left is the lower half of the word");
    store_release(&s->left_base, left | base << 16);
}

/* Set used, and after how many frees the owner wants to hear of it (0: when all are). */
static inline void slab_set_used(struct span *s, unsigned used, unsigned wait)
{
    wait = wait == 0 || wait > used ? used : wait;
    slab_set_left_base(s, wait, used - wait);
}

/* `left` stays 0: nothing counts it down. */
static inline void slab_set_used_tracked(struct span *s, unsigned used)
{
    slab_set_left_base(s, 0, used);
}

/* Remote frees not yet folded. Any thread. */
static inline unsigned slab_remote_count(const struct span *s)
{
    return (load_relaxed(&s->remote) & SLAB_REMOTE_COUNT) >> SLAB_REMOTE_SHIFT;
}

static inline bool slab_is_queued(const struct span *s)
{
    return (load_relaxed(&s->remote) & SLAB_REMOTE_QUEUED) != 0;
}

/* Make a slab of a span that was just acquired. */
void slab_init(struct span *s, unsigned cls, unsigned row, bool clean);

/* Cut blocks for about `bytes` more from the uncarved rest, one at least. Owner. */
void slab_carve(struct span *s, size_t bytes);

/*
 * Take all remote frees to the local list; returns how many. Owner.
 * clear_queued: the caller took the slab out of a pending list.
 */
unsigned slab_fold_remote(struct span *s, bool clear_queued);

/*
 * Take up to `most` free blocks, counted as used from now on. Owner.
 * Returns the list, NULL only when there is no free block.
 */
struct block *slab_take(struct span *s, unsigned most, unsigned *ret_n);

/* Blocks of a hard slab into an empty hand, as track_take_hand; and back. Owner. */
unsigned slab_take_hand(
    struct span *s, struct track_hand *hand, unsigned most, uint64_t *random);
unsigned slab_give_back_hand(struct span *s, struct track_hand *hand);

/* Put back a list of n blocks that slab_take gave and nobody used. Owner. */
void slab_give_back(struct span *s, struct block *list, unsigned n);

/*
 * The same for a tracked slab, where the block's state is cleared already: counts only.
 * slab_count_free is for the owner; returns the blocks in use that are left.
 */
bool slab_count_remote_free(struct span *s);
static inline unsigned slab_count_free(struct span *s)
{
    unsigned used = slab_used(s) - 1;

    slab_set_used_tracked(s, used);
    return used;
}

/* Where the slab begins that p lies in: most often its span. */
static inline uintptr_t slab_start(const struct span *s, const void *p)
{
    if (sizeclass_table[load_relaxed(&s->cls)].spans == 1) {
        return (uintptr_t)p & ~(uintptr_t)(SPAN_BYTES - 1);
    }
    return (uintptr_t)span_address(s);
}

/* How far from there p lies. */
static inline uint32_t slab_offset(const struct span *s, const void *p)
{
    return (uint32_t)((uintptr_t)p - slab_start(s, p));
}

/* Whether a block begins so far in a slab that was handed out at some time. Any thread. */
static ALWAYS_INLINE bool slab_has_block_at(const struct span *s, uint32_t offset)
{
    const struct sizeclass *c = &sizeclass_table[load_relaxed(&s->cls)];
    uint32_t index = (uint32_t)(((uint64_t)offset * c->reciprocal) >> 32);

    return index * c->bytes == offset && index < load_relaxed(&s->carved);
}

/* Whether p is the start of a block that was handed out at some time. Any thread. */
static inline bool slab_is_block(const struct span *s, const void *p)
{
    return slab_has_block_at(s, slab_offset(s, p));
}

COLD NORETURN void slab_die_of_double_free(const struct span *s, const void *p);

/*
 * Free the block p, which begins so far in the slab, from a thread that does not own it.
 * True: the caller must now queue the slab at its heap (heap_notify).
 */
static ALWAYS_INLINE bool slab_push_remote_at(struct span *s, void *p, uint32_t offset)
{
    struct block *b = p;
    unsigned shift = sizeclass_table[load_relaxed(&s->cls)].unit_shift;
    char *start = (char *)p - offset;
    uint32_t word = load_relaxed(&s->remote);
    uint32_t count;

    /*
     * release: the owner must see b->next, and this thread's last writes to the block,
     * before it sees b. acquire: if the slab was not queued, whoever dequeued it is done
     * with pending_next, which we write next. Both pair with and_acq_rel in
     * slab_fold_remote. No ABA: nobody pops one block, the owner takes the whole list.
     */
    do {
        count = word & SLAB_REMOTE_COUNT;
        if (UNLIKELY(count >> SLAB_REMOTE_SHIFT >= load_relaxed(&s->carved))) {
            slab_die_of_double_free(s, p);
        }
        b->next =
            count == 0
                ? NULL
                : (struct block *)(start
                                   + ((size_t)(word & SLAB_REMOTE_INDEX) << shift));
    } while (!cas_weak_acq_rel(&s->remote, &word,
        (offset >> shift | count | SLAB_REMOTE_QUEUED) + (1u << SLAB_REMOTE_SHIFT)));
    return (word & SLAB_REMOTE_QUEUED) == 0;
}

/* Walk the invariants; aborts when one does not hold. Owner. */
void slab_check(const struct span *s);

#endif
