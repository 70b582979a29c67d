/*
 * track - slabs that know, for each block, whether it is allocated
 *
 * Owns: which blocks are free, out of band; which block of a hard slab is next.
 * Does not own: which slabs are tracked (heap.h), what a hardened block looks like
 * (harden.h), counts and remote frees, which are as in any slab (slab.h) but without lists.
 *
 * The field `owner` of a tracked slab is 0, which matches no thread, so each free of its
 * blocks comes through free's slow path and looks at the state: a block that is freed
 * twice, by whatever thread and however long after, is found at once, and nothing is
 * written into a free block. There are two sorts:
 *
 *     light   the first slab of a class in a heap. Each of its blocks is handed out once,
 *             then the class goes on in slabs of the fast path. Every second block is a
 *             fence, never handed out, whose edges free looks at. Costs a program at most
 *             128 slow frees per class, and finds the mistakes of small programs and of
 *             start-up.
 *     hard    all slabs of a hardened process. Blocks are used again, in random order,
 *             none before all that were free at one moment had their turn. Those of zero
 *             size lie in memory that nobody can touch.
 *
 * Invariants (track_check):
 *
 *     T1  light: used == states that are not 0 + remote frees not folded
 *     T2  light: the state of a block at or behind `carved` is 0
 *     T3  hard: a block has a bit in one of ready, freed, freed_remote, or it is in use, in
 *         the hand, at or behind `carved`, or the first one that is never handed out
 */
#ifndef TRACK_H
#define TRACK_H

#include "sizeclass.h"
#include "span.h"

enum {
    TRACK_LIGHT = 128, /* blocks in a light slab, at most */
    TRACK_WINDOW = 8, /* free blocks among which the next one of a hard slab is drawn */
};

struct track {
    struct track *next_unused; /* track_lock */
    char *start;               /* of the slab */
    /* Hard: bits of free blocks. Whose turn is to come, and what was freed since. */
    uint64_t *ready;        /* owner */
    uint64_t *freed;        /* owner */
    uint64_t *freed_remote; /* atomic: any thread sets, the owner takes */
    uint32_t words;         /* of each */
    uint32_t cursor;        /* owner: the word that blocks are taken from */
    uint16_t limit;         /* blocks that the slab has, carved or not */
    bool is_hard;
    uint16_t
        state[]; /* atomic: 0: free; light: 1; hard: 1, of blocks of no size only */
};

/*
 * Hard: what malloc takes from without a look at the slab: those of 64 blocks side by side
 * that were free when the heap took them. They count as used.
 */
struct track_hand {
    uint64_t
        ready;     /* atomic: owner writes, sweeps read; bits of blocks that are left */
    char *start;   /* of the first of the 64 */
    uint32_t next; /* the bit to be taken next, if any is left */
    uint32_t word; /* of the slab's bits */
};

extern struct lock track_lock;

/* What light slabs may have; 0: no light slabs. A variable for tests. */
extern HIDDEN unsigned track_light_blocks;

/* All new slabs are hard ones; set once, by harden_start. */
extern HIDDEN bool track_all;

/* Called with each hard slab that is empty before its memory goes; set with track_all. */
extern HIDDEN void (*track_on_end)(const struct span *s);

/* Make the slab that was just made a tracked one. False: no memory, it stays as it is. */
bool track_begin(struct span *s, bool is_hard);

/*
 * The slab, empty, goes back to the free spans. False: the kernel refused to open the
 * memory of zero-size blocks again; the slab must stay what it is.
 */
bool track_end(struct span *s);

/* Whether the slab, with `used` blocks in use, is worth taking from. Owner. */
bool track_is_avail(const struct span *s, unsigned used);

/* Whether track_take would find a block. Owner. */
bool track_has_block(struct span *s, unsigned used);

/* The same when memory is out: also a block that was freed just now. */
bool track_has_any(struct span *s, unsigned used);

/*
 * Light: up to `most` blocks that were never handed out, as a list; n is at least 1.
 * Only where track_has_block. Owner, who counts them.
 */
struct block *track_take(struct span *s, unsigned most, unsigned *ret_n);

/*
 * Hard: fills an empty hand with up to `most` blocks; returns how many, 1 at least. Only
 * where track_has_block. Owner, who counts them.
 */
unsigned track_take_hand(
    struct span *s, struct track_hand *hand, unsigned most, uint64_t *random);

/* What is left in the hand goes back; returns how many. Owner, who counts them. */
unsigned track_give_back_hand(struct span *s, struct track_hand *hand);

/* A list that track_take gave and nobody used. They are not handed out again. */
void track_give_back(struct span *s, struct block *list);

/*
 * Light: looks at the fences around block p, and clears the block. Returns what was found:
 * "overflow", "underflow" or NULL. Whoever frees the block.
 */
const char *track_before_free(const struct span *s, void *p);

/* The number of the block that starts at p. Any thread. */
static inline unsigned track_index(const struct span *s, const void *p)
{
    const struct sizeclass *c = &sizeclass_table[load_relaxed(&s->cls)];
    uint32_t offset = (uint32_t)((const char *)p - s->track->start);

    return (unsigned)(((uint64_t)offset * c->reciprocal) >> 32);
}

/* The state of the block that starts at p. Any thread. */
static inline uint16_t *track_state(const struct span *s, const void *p)
{
    return &s->track->state[track_index(s, p)];
}

/* Free the block with this state. False: it is free already. Any thread. */
static inline bool track_clear(uint16_t *state)
{
    return swap_acq_rel(state, 0) != 0;
}

/* A number below 64 from a state of 64 bits. */
static inline unsigned track_random(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*random >> 58);
}

/* The first bit set at or behind `from`, in a circle. word is not 0. */
static inline unsigned track_bit_from(uint64_t word, unsigned from)
{
    word = word >> from | word << (64 - from) % 64;
    return ((unsigned)__builtin_ctzll(word) + from) % 64;
}

/*
 * The next block of a hand that is not empty. What comes after it is drawn here, from the
 * next few, so that its memory is on the way when it is wanted. Owner.
 */
static ALWAYS_INLINE void *track_pop(
    struct track_hand *hand, size_t bytes, uint64_t *random)
{
    unsigned bit = hand->next;
    uint64_t left = hand->ready & ~((uint64_t)1 << bit);

    store_relaxed(&hand->ready, left);
    if (LIKELY(left != 0)) {
        hand->next = track_bit_from(left,
            ((unsigned)__builtin_ctzll(left) + track_random(random) % TRACK_WINDOW)
                % 64);
        __builtin_prefetch(hand->start + hand->next * bytes, 1);
    }
    return hand->start + bit * bytes;
}

/* Hard: block number i, clear, is free from now on. The slab's owner, or any thread. */
static ALWAYS_INLINE void track_set_freed(struct track *t, unsigned i)
{
    t->freed[i / 64] |= (uint64_t)1 << (i % 64);
}

static ALWAYS_INLINE void track_set_freed_remote(struct track *t, unsigned i)
{
    /* release: its next user sees it clear. Pairs with look_for_free. */
    or_release(&t->freed_remote[i / 64], (uint64_t)1 << (i % 64));
}

/* Hard: whether block i has a bit, so that it is free; those in a hand have none. Racy. */
bool track_is_free(const struct track *t, unsigned i);

/* Hard: block i is none that is ever handed out. */
bool track_is_kept_back(const struct track *t, unsigned i);

/* remote: frees by others that are counted and not yet folded. */
void track_check(const struct span *s, unsigned used, unsigned remote);

#endif
