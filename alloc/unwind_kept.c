#include "unwind_kept.h"

enum { WORD = sizeof(uintptr_t), LAST = UNWIND_KEPT_MOST - 1 };

void unwind_kept_init(struct unwind_kept *k)
{
    k->first = UNWIND_KEPT_MOST;
    store_relaxed(&k->is_busy, 0); /* a thread may have ended in a handler */
}

/* ---- during a walk ---- */

struct unwind_keeper unwind_keeper_begin(struct unwind_kept *k, uint64_t generation)
{
    if (k->generation != generation) {
        k->first = UNWIND_KEPT_MOST;
    }
    k->serial += k->serial == UINT32_MAX ? 2 : 1;
    return (struct unwind_keeper){.kept = k, .first = k->first, .next = k->first};
}

/* What fp is when a frame was left, from what it is in the frame. */
static uintptr_t fp_behind(const struct unwind_kept_frame *e, uintptr_t fp)
{
    intptr_t words = unwind_rule_fp(e->rule);

    return words == RULE_SAME ? fp : unwind_word_at(unwind_slot(e[1].at.sp, words));
}

/*
 * The CFA is what it was: it comes from sp, or from an fp that matters and so was compared; but
 * where it is a word of memory.
 */
static inline bool is_as_it_was(const struct unwind_kept_frame *e)
{
    uintptr_t cfa = e[1].at.sp;
    intptr_t fp = unwind_rule_fp(e->rule);

    if (unwind_strip(unwind_word_at(unwind_slot(cfa, unwind_rule_ra(e->rule))))
        != e[1].at.pc) {
        return false;
    }
    if (fp != RULE_SAME && e[1].at.fp != UNWIND_FP_ANY
        && unwind_word_at(unwind_slot(cfa, fp)) != e[1].at.fp) {
        return false;
    }
    return LIKELY(unwind_rule_kind(e->rule) != RULE_LOAD_FP)
           || unwind_word_at(e->at.fp + (uintptr_t)unwind_rule_cfa(e->rule)) == cfa;
}

size_t unwind_keeper_verify(const struct unwind_keeper *w)
{
    const struct unwind_kept_frame *e = &w->kept->frames[w->next];

    while (e < &w->kept->frames[LAST] && is_as_it_was(e)) {
        e++;
    }
    return (size_t)(e - w->kept->frames);
}

/* Frames whose fp did not matter may have another now. */
void unwind_keeper_pass(struct unwind_keeper *w, size_t to, struct unwind_frame *f)
{
    const struct unwind_kept_frame *frames = w->kept->frames;
    uintptr_t fp = f->fp;

    for (size_t i = w->next; i < to; i++) {
        struct unwind_frame passed = {frames[i].at.pc, frames[i].at.sp, fp};

        fp = fp_behind(&frames[i], fp);
        w->next = i + 1; /* none of those that are overwritten here is met again */
        unwind_keeper_add(w, &passed, frames[i].rule);
    }
    *f = (struct unwind_frame){frames[to].at.pc, frames[to].at.sp, fp};
}

/* Of the frames from first to tail: whether fp matters depends on those behind. */
static void find_what_matters(struct unwind_kept *k, size_t tail)
{
    bool matters = tail < UNWIND_KEPT_MOST && k->frames[tail].at.fp != UNWIND_FP_ANY;

    for (size_t i = tail; i-- > k->first;) {
        uint64_t rule = k->frames[i].rule;
        unsigned kind = unwind_rule_kind(rule);

        matters = kind == RULE_FP || kind == RULE_LOAD_FP
                  || (kind == RULE_SP && matters && unwind_rule_fp(rule) == RULE_SAME);
        if (!matters) {
            k->frames[i].at.fp = UNWIND_FP_ANY;
        }
        k->numbers[i] = 0;
    }
}

void unwind_keeper_finish(struct unwind_keeper *w, size_t tail, uint64_t generation)
{
    struct unwind_kept *k = w->kept;

    k->generation = generation;
    k->first = (uint32_t)(tail - w->fresh);
    memmove(&k->frames[k->first], k->frames, w->fresh * sizeof(k->frames[0]));
    find_what_matters(k, tail);
}

/* ---- modules ---- */

/* The number of a module that is in the set, or free to be; MODULES: there is no more room. */
static unsigned find_module(
    const struct unwind_kept *k, uintptr_t pc, unsigned set, bool *ret_is_new)
{
    unsigned unused = UNWIND_KEPT_MODULES;

    for (unsigned i = 0; i < UNWIND_KEPT_MODULES; i++) {
        if ((set >> i & 1) == 0) {
            unused = i;
        } else if (pc - k->modules[i].start < k->modules[i].bytes) {
            *ret_is_new = false;
            return i;
        }
    }
    *ret_is_new = true;
    return unused;
}

bool unwind_kept_try_note(struct unwind_kept *k, size_t tail)
{
    unsigned set = tail < UNWIND_KEPT_MOST ? k->modules_of[tail] : 0;
    struct unwind_module m;

    for (unsigned rest = set, i = 0; rest != 0; rest >>= 1, i++) {
        if ((rest & 1) != 0) {
            unwind_table_note(k->modules[i].pc, &m);
        }
    }
    for (size_t i = tail; i-- > k->first;) {
        uintptr_t pc = k->frames[i].at.pc;

        if (!unwind_table_is_fixed(pc)) {
            bool is_new;
            unsigned at = find_module(k, pc, set, &is_new);

            if (is_new && unwind_table_note(pc, &m)) {
                if (at == UNWIND_KEPT_MODULES) {
                    k->first = UNWIND_KEPT_MOST;
                    return false;
                }
                k->modules[at].start = m.start;
                k->modules[at].bytes = m.end - m.start;
                k->modules[at].pc = pc;
                set |= 1u << at;
            }
        }
        k->modules_of[i] = (uint16_t)set;
    }
    return true;
}

/* ---- numbers ---- */

static bool is_current(const struct unwind_meeting *m)
{
    return m->kept != NULL && m->kept->serial == m->serial
           && m->kept->generation == unwind_table_generation();
}

size_t unwind_meeting_find(
    const struct unwind_meeting *m, size_t count, uint32_t *ret_number)
{
    const uint32_t *numbers;

    *ret_number = 0;
    if (!is_current(m)) {
        return count;
    }
    numbers = m->kept->numbers + UNWIND_KEPT_MOST - count;
    for (size_t i = m->from; i < count; i++) {
        if (numbers[i] != 0) {
            *ret_number = numbers[i];
            return i;
        }
    }
    return count;
}

void unwind_meeting_set(
    const struct unwind_meeting *m, size_t count, size_t i, uint32_t number)
{
    size_t at = UNWIND_KEPT_MOST - count + i;

    if (is_current(m) && at >= m->kept->first && at < UNWIND_KEPT_MOST
        && unwind_kept_try_enter(m->kept)) {
        m->kept->numbers[at] = number;
        unwind_kept_leave(m->kept);
    }
}
