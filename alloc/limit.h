/*
 * limit - who may not have more: budgets compared with what is live
 *
 * Owns: setting limits; counting what is live of a budget when its room is used up, and what
 * follows from it: the room that there is now, whether the soft limit was crossed, whether
 * the hard one refuses; telling the program.
 *
 * Only slow paths come here: lists that are filled again, and blocks outside of slabs. So a
 * hard limit is passed by no more than a 64th of it and what waited on the lists of threads
 * when live bytes were counted (alloc/README.md has both measured).
 */
#ifndef LIMIT_H
#define LIMIT_H

#include "attr.h"
#include "budget.h"

/* 0, -EINVAL (soft above hard), -ENOSPC (too many limits), -ENOMEM. No lock is held. */
int limit_set(struct mp_component *c, size_t soft, size_t hard);

/* Those of MPALLOC_LIMITS. */
void limit_start(void);

/* Who is told of crossings. */
void limit_tell(void (*fn)(struct mp_component *c, size_t live, void *arg), void *arg);

/* Near the end of the room a list is at most such a part of it. */
enum { LIMIT_PARTS = 4 };

bool limit_look(struct budget *b, size_t need, bool is_last);

/*
 * Whether c, whose budget is not NULL, may have so many bytes more. No lock is held. False:
 * no, and it was counted as refused, if this was the last attempt.
 */
static inline bool limit_fits(const struct mp_component *c, size_t need, bool is_last)
{
    struct budget *b = load_acquire(&c->budget); /* pairs with put_in_tree */

    for (; b != NULL; b = load_acquire(&b->above)) {
        if (load_relaxed(&b->room) < (int64_t)need && !limit_look(b, need, is_last)) {
            return false;
        }
    }
    return true;
}

/* So many bytes were handed out to c; block: one of them, NULL: it lies in no slab. */
void limit_charge(const struct mp_component *c, size_t bytes, const void *block);

/*
 * For a block outside of slabs, which may be long: so that of two threads one alone gets the
 * last room, it is taken before there is the block. False: no, as limit_fits. If it was taken,
 * limit_settle follows, before limit_run, and gives it back where there was no block after all.
 */
struct limit_taken {
    const struct mp_component *component;
    size_t bytes;
    size_t budgets; /* so many there were */
    unsigned forks; /* that this process comes from, as budget_forks */
};
bool limit_take(
    const struct mp_component *c, size_t bytes, bool is_last, struct limit_taken *ret);
void limit_settle(const struct limit_taken *t, bool is_block);

/*
 * Block p, of the caller, is about to be freed by this thread, which asks for another one first:
 * that may have so much more. Until limit_lend_nothing.
 */
void limit_lend(const void *p);
void limit_lend_nothing(void);

/* How many bytes there is room for without counting, less than `most`. */
size_t limit_room(const struct mp_component *c, size_t most);

/* Crossings are told when an allocation is done, with no lock held: here, or by probe_run. */
extern bool limit_is_waiting; /* relaxed atomic */
void limit_tell_slow(void);

static inline void limit_run(void)
{
    if (UNLIKELY(load_relaxed(&limit_is_waiting))) {
        limit_tell_slow();
    }
}

/* To the region; the counters are new. With counters_lock. */
void limit_publish_locked(void);

#endif
