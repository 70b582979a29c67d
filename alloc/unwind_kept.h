/*
 * unwind_kept - the last stack of a thread, for the next walk to meet
 *
 * Owns: the frames of that stack with the rules by which they were left, the modules they lie
 * in, and the numbers that they have in the tree of stacks (stacks.h).
 *
 * Where a walk goes on from a frame depends on the rule of its pc, on its sp (its fp, where a
 * rule says so) and on words of the stack, and on nothing else. So once a walk is at a frame
 * that is kept, all that was kept behind it follows as long as those words are what they were:
 * they are compared at once, one load does not wait for the other, and no rule is looked for.
 * At the first that differs the walk goes on by rules, and may meet kept frames once more.
 *
 * Kept are frames that were left by plain rules, through words of the thread's own stack,
 * which stays readable; frames that a signal interrupted, or that were guessed, and all inside
 * of them, are not; of walks that got to the end. Nothing is kept beyond a generation of the
 * table of modules.
 *
 * One thread's alone. A handler of a signal that comes while it is in use finds it busy, and
 * does without.
 */
#ifndef UNWIND_KEPT_H
#define UNWIND_KEPT_H

#include "unwind_table.h"

#include "arch.h"
#include "atomic.h"
#include "bits.h"
#include "unwind_arch.h"

#include <string.h>

enum {
    UNWIND_KEPT_MOST = 128,
    UNWIND_KEPT_MODULES = 16,
    UNWIND_FP_ANY = 1, /* where nothing comes of fp; what matters points to the stack */
};

struct unwind_frame {
    uintptr_t pc;
    uintptr_t sp;
    uintptr_t fp;
};

struct unwind_kept_frame {
    struct unwind_frame at;
    uint64_t rule; /* by which it was left; RULE_END is the last one */
};

/*
 * Between two walks:
 *
 *     K1  frames[first] to frames[MOST - 1] are kept, the innermost first; the last one, and
 *         only that, has RULE_END. first is MOST when there is none.
 *     K2  sp rises, and each slot lies in the thread's own stack.
 *     K3  numbers[i] is 0, or that of the stack from frame i on, in this generation
 *     K4  modules_of[i] has the bit of each module, but for those that stay for ever, that
 *         frame i or one behind it lies in
 */
struct unwind_kept {
    uint64_t generation;
    uint32_t is_busy;
    uint32_t first;
    uint32_t serial; /* of the walk; never 0 */
    struct unwind_kept_frame frames[UNWIND_KEPT_MOST];
    uint32_t numbers[UNWIND_KEPT_MOST];
    uint16_t modules_of[UNWIND_KEPT_MOST];
    struct {
        uintptr_t start;
        uintptr_t bytes;
        uintptr_t pc; /* in it */
    } modules[UNWIND_KEPT_MODULES];
};

/*
 * What a walk has of it. New frames are gathered in frames[0] on, and overwrite what was kept
 * of the innermost, which the walk has passed by then: fresh <= first <= next.
 */
struct unwind_keeper {
    struct unwind_kept *kept;
    size_t first;
    size_t fresh;
    size_t next; /* to be met: none before has an sp that is not passed */
};

/* None is kept: of memory that is zero, or of a thread that ended. */
void unwind_kept_init(struct unwind_kept *k);

/* False: it is busy. */
static inline bool unwind_kept_try_enter(struct unwind_kept *k)
{
    if (load_relaxed(&k->is_busy) != 0) {
        return false;
    }
    store_relaxed(&k->is_busy, 1);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return true;
}

static inline void unwind_kept_leave(struct unwind_kept *k)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    store_relaxed(&k->is_busy, 0);
}

/* Reads what may be anything, on purpose: sanitizers have nothing to say here. */
__attribute__((no_sanitize("address", "thread"))) static inline uintptr_t
unwind_word_at(uintptr_t address)
{
    uintptr_t word;

#if defined(__SANITIZE_ADDRESS__)
    __asm__ volatile("" ::: "memory");
    word = *(const volatile uintptr_t *)address;
#else
    memcpy(&word, (const void *)address, sizeof(word));
#endif
    return word;
}

/* ---- during a walk ---- */

struct unwind_keeper unwind_keeper_begin(struct unwind_kept *k, uint64_t generation);

/* Where the return address of a frame is, and fp, by its rule. */
static ALWAYS_INLINE uintptr_t unwind_slot(uintptr_t cfa, intptr_t words)
{
    return cfa + (uintptr_t)words * sizeof(uintptr_t);
}

/* Whether that frame, where nothing was interrupted, is a kept one: that at `next`. */
static ALWAYS_INLINE bool unwind_keeper_meets(
    struct unwind_keeper *w, const struct unwind_frame *f)
{
    const struct unwind_kept_frame *frames = w->kept->frames;

    while (w->next < UNWIND_KEPT_MOST && frames[w->next].at.sp < f->sp) {
        w->next++;
    }
    return w->next < UNWIND_KEPT_MOST && frames[w->next].at.sp == f->sp
           && frames[w->next].at.pc == f->pc
           && (frames[w->next].at.fp == f->fp
               || frames[w->next].at.fp == UNWIND_FP_ANY);
}

/*
 * The last of the kept frames that follow for sure after that at `next`, itself perhaps:
 * UNWIND_KEPT_MOST - 1 is the end of the stack.
 */
size_t unwind_keeper_verify(const struct unwind_keeper *w);

/*
 * The walk is at frame `to` of those that follow, and goes on from there by rules. f is it, now,
 * from what it was where it met them.
 */
void unwind_keeper_pass(struct unwind_keeper *w, size_t to, struct unwind_frame *f);

/* What was gathered so far is not kept. */
static ALWAYS_INLINE void unwind_keeper_drop(struct unwind_keeper *w)
{
    w->fresh = 0;
}

static ALWAYS_INLINE void unwind_keeper_add(
    struct unwind_keeper *w, const struct unwind_frame *f, uint64_t rule)
{
    if (UNLIKELY(w->fresh == UNWIND_KEPT_MOST)) {
        w->fresh = 0;
    }
    w->kept->frames[w->fresh++] = (struct unwind_kept_frame){*f, rule};
    if (UNLIKELY(w->fresh > w->first)) {
        w->first = w->fresh;
        w->next = bits_max(w->next, w->first);
        w->kept->first = (uint32_t)w->first; /* also if the walk gets nowhere */
    }
}

/*
 * Frame f was left by a plain rule; the own stack can be read from low on, `room` is from there
 * to its last word.
 */
static ALWAYS_INLINE void unwind_keeper_push(struct unwind_keeper *w,
    const struct unwind_frame *f, uint64_t rule, uintptr_t cfa, uintptr_t low,
    uintptr_t room)
{
    intptr_t ra = unwind_rule_ra(rule);
    intptr_t fp = unwind_rule_fp(rule);

    if (UNLIKELY(low == 0 || cfa <= f->sp || cfa - low > room
                 || unwind_slot(cfa, ra) - low > room
                 || (fp != RULE_SAME && unwind_slot(cfa, fp) - low > room)
                 || (!UNWIND_PC_IS_REGISTER && ra == RULE_SAME_RA)
                 || (unwind_rule_kind(rule) == RULE_LOAD_FP
                     && f->fp + (uintptr_t)unwind_rule_cfa(rule) - low > room))) {
        unwind_keeper_drop(w);
        return;
    }
    unwind_keeper_add(w, f, rule);
}

/*
 * The walk got to the end: by the kept frames from `tail` on, or where that is UNWIND_KEPT_MOST,
 * by the frame that was added last.
 */
void unwind_keeper_finish(struct unwind_keeper *w, size_t tail, uint64_t generation);

/*
 * unwind_table_note for each module that kept frames lie in; those from `tail` on were kept
 * before. There may be too many: then nothing is kept any more, and some are not noted.
 */
bool unwind_kept_try_note(struct unwind_kept *k, size_t tail);

/* ---- the numbers of its frames ---- */

/* How a walk and what was kept went together. */
struct unwind_meeting {
    struct unwind_kept *kept; /* NULL: the stack was not kept */
    uint32_t serial;
    uint32_t from; /* this frame and all behind it were kept before */
};

/*
 * The innermost of `count` frames that has a number, as that of its stack; else count and 0.
 */
size_t unwind_meeting_find(
    const struct unwind_meeting *m, size_t count, uint32_t *ret_number);

/* Frame i has that number now. It is forgotten if another walk was kept since. */
void unwind_meeting_set(
    const struct unwind_meeting *m, size_t count, size_t i, uint32_t number);

#endif
