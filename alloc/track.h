/*
 * track - slabs that know, for each block, whether it is allocated
 *
 * Owns: a state for each block, out of band; which block of a hard slab is next.
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
 *     T1  used == states that are not 0 + remote frees not folded
 *     T2  the state of a block at or behind `carved` is 0
 */
#ifndef TRACK_H
#define TRACK_H

#include "sizeclass.h"
#include "span.h"

enum { TRACK_LIGHT = 128 }; /* blocks in a light slab, at most */

struct track {
    struct track *next_unused; /* track_lock */
    char *start;               /* of the slab */
    uint64_t *ready; /* hard, owner: bits of free blocks whose turn is still to come */
    uint32_t words;  /* of ready */
    uint32_t cursor; /* owner: the word that blocks are taken from */
    uint16_t limit;  /* blocks that the slab has, carved or not */
    bool is_hard;
    uint16_t
        state[]; /* atomic: 0: free; light: 1; hard: block bytes less the request */
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
 * Hard: one block, and where its state is, to be set by the caller before the program has
 * it. Only where track_has_block. Owner, who counts it.
 */
void *track_take_one(struct span *s, unsigned random, uint16_t **ret_state);

/* A list that track_take gave and nobody used. They are not handed out again. */
void track_give_back(struct span *s, struct block *list);

/*
 * Light: looks at the fences around block p, and clears the block. Returns what was found:
 * "overflow", "underflow" or NULL. Whoever frees the block.
 */
const char *track_before_free(const struct span *s, void *p);

/* The state of the block that starts at p. Any thread. */
static inline uint16_t *track_state(const struct span *s, const void *p)
{
    struct track *t = s->track;
    const struct sizeclass *c = &sizeclass_table[load_relaxed(&s->cls)];
    uint32_t offset = (uint32_t)((const char *)p - t->start);

    return &t->state[((uint64_t)offset * c->reciprocal) >> 32];
}

/* Free the block with this state. False: it is free already. Any thread. */
static inline bool track_clear(uint16_t *state)
{
    /* release: the next user of the block sees our writes. Pairs with look_for_free. */
    return swap_acq_rel(state, 0) != 0;
}

void track_check(const struct span *s, unsigned used);

#endif
