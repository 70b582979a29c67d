#include "unwind.h"
#include "arch.h"

#include "atomic.h"
#include "bits.h"
#include "cfi_expr.h"
#include "os.h"
#include "unwind_memory.h"

#include <assert.h>
#include <string.h>

enum {
    WORD = sizeof(uintptr_t),
    PAGE = 4096, /* the least that kernels protect: larger pages are tested in parts */
    SLOT_BITS = 12,
    SLOT_BITS_FIRST = 8, /* a page of them: few programs need more */
    SLOTS_CROWDED = 64, /* so many rules took the place of others: four times as many */
    WAYS = 4,
    GUESS_MOST = 1 << 20, /* bytes of a frame that nothing is known of */
};

struct unwind_counts unwind_counts;

void unwind_forget(void)
{
    unwind_table_forget();
}

void unwind_capture_signal(struct unwind_context *c, const void *ucontext)
{
    unwind_read_ucontext(c->reg, ucontext);
}

/* ---- memory ---- */

static bool load_for_expression(void *arg, uintptr_t address, uintptr_t *ret)
{
    return unwind_load(arg, address, ret);
}

/* ---- the cache ---- */

/*
 * Shared by all threads without a lock. An entry that is half of one writer's and half of
 * another's does not fit its own key, as the key is stored with the rule mixed in.
 */
struct slot {
    uint64_t check; /* key ^ rule */
    uint64_t rule;
};
static struct slot slots[1 << SLOT_BITS] __attribute__((aligned(CACHE_LINE)));
static uint32_t slot_bits = SLOT_BITS_FIRST; /* relaxed atomic: of those in use */
static uint32_t crowded;                     /* relaxed atomic; some may be lost */

/* Two addresses never have the same key; entries of earlier generations fit no key. */
static ALWAYS_INLINE uint64_t key_of(uintptr_t at, uint64_t generation)
{
    return (at ^ generation << 48) * 0x9e3779b97f4a7c15u;
}

static ALWAYS_INLINE struct slot *slot_of(uint64_t key)
{
    return &slots[key >> (64 - load_relaxed(&slot_bits))];
}

/* The others in the same line of the processor's cache: 1 to WAYS - 1. */
static ALWAYS_INLINE struct slot *neighbour_of(struct slot *s, unsigned number)
{
    static_assert(WAYS * sizeof(*s) == CACHE_LINE, "a set is a line");
    return (struct slot *)((uintptr_t)s ^ number * sizeof(*s));
}

static ALWAYS_INLINE uint64_t slot_rule(struct slot *s, uint64_t key)
{
    uint64_t rule = load_relaxed(&s->rule);

    return (load_relaxed(&s->check) ^ rule) == key ? rule : RULE_NONE;
}

/* More slots for those in use: what is in them is learned anew. */
static void note_crowded(void)
{
    uint32_t bits = load_relaxed(&slot_bits);

    store_relaxed(&crowded, load_relaxed(&crowded) + 1);
    if (load_relaxed(&crowded) > SLOTS_CROWDED && bits < SLOT_BITS) {
        store_relaxed(&crowded, 0);
        store_relaxed(&slot_bits, bits + 2);
    }
}

/* One of the set that was never used, else that one. */
static struct slot *find_place(struct slot *s, unsigned number)
{
    for (unsigned i = 0; i < WAYS; i++) {
        if (load_relaxed(&neighbour_of(s, i)->rule) == 0) {
            return neighbour_of(s, i);
        }
    }
    note_crowded();
    return neighbour_of(s, number);
}

static NOINLINE uint64_t learn(uintptr_t at, uint64_t generation)
{
    uint64_t key = key_of(at, generation);
    struct slot *s = slot_of(key);
    uint64_t rule;

    for (unsigned i = 2; i < WAYS; i++) {
        rule = slot_rule(neighbour_of(s, i), key);
        if (rule != RULE_NONE) {
            return rule;
        }
    }
    rule = unwind_table_rule(at);
    if (rule == RULE_NONE) {
        return rule; /* no module: code may appear there later */
    }
    s = find_place(s, (unsigned)(key >> 20) % WAYS);
    store_relaxed(&s->rule, rule);
    store_relaxed(&s->check, key ^ rule);
    return rule;
}

static ALWAYS_INLINE uint64_t rule_for(uintptr_t at, uint64_t generation)
{
    uint64_t key = key_of(at, generation);
    struct slot *s = slot_of(key);
    uint64_t rule = slot_rule(s, key);

    if (UNLIKELY(rule == RULE_NONE)) { /* most of what is not there is beside it */
        rule = slot_rule(neighbour_of(s, 1), key);
    }
    return LIKELY(rule != RULE_NONE) ? rule : learn(at, generation);
}

/* ---- where nothing is known ---- */

static bool read_code(uintptr_t from, uint8_t *to, size_t bytes)
{
    if (from < PAGE || from > UINTPTR_MAX - 2 * PAGE
        || !unwind_are_readable(from, from + bytes)) {
        return false;
    }
    memcpy(to, (const void *)from, bytes);
    return true;
}

static bool is_sigreturn(uintptr_t pc)
{
    uint8_t code[UNWIND_SIGRETURN_BYTES];

    return read_code(pc, code, sizeof(code)) && unwind_is_sigreturn(code);
}

/*
 * By the frame pointer, when all of this holds: it points up the stack, not far; the return
 * address there is one, right behind a call; and that is code of a module (which need not
 * keep frame pointers), or what lies there as frame pointer points up again.
 */
static NOINLINE bool guess(struct unwind_window *w, struct unwind_frame *f)
{
    uint8_t code[UNWIND_CALL_BYTES];
    struct unwind_module m;
    struct unwind_frame next;

    if (f->fp < f->sp || f->fp - f->sp > GUESS_MOST || f->fp % WORD != 0
        || !unwind_load(w, f->fp, &next.fp)
        || !unwind_load(w, f->fp + WORD, &next.pc)) {
        return false;
    }
    next.pc = unwind_strip(next.pc);
    next.sp = f->fp + (uintptr_t)2 * WORD;
    if ((next.fp < next.sp && next.fp != 0 && !unwind_find_module(next.pc, &m))
        || !read_code(next.pc - UNWIND_CALL_BYTES, code, sizeof(code))
        || !unwind_is_call(code)) {
        return false;
    }
    *f = next;
    return true;
}

/* ---- the walk with all registers ---- */

struct walk {
    size_t skip_first; /* frames that are not wanted */
    size_t skip;       /* those of them that are to come */
    size_t count;
    size_t most;
    uintptr_t *pcs;
    uintptr_t
        last; /* pc, where the walk ended; 0 is none that a module says to be the end */
    struct unwind_info *info;
    struct unwind_kept *kept; /* NULL: none */
    size_t tail;              /* frames of it that were met, and all that follow */
    bool is_kept;
};

/*
 * As it begins, each time. Field by field: a copy of what was written in parts just now waits for
 * all of them.
 */
static ALWAYS_INLINE void walk_begin(struct walk *k)
{
    k->skip = k->skip_first;
    k->count = 0;
    k->last = UINTPTR_MAX;
    k->is_kept = false;
    memset(k->info->is_exact, 0, sizeof(k->info->is_exact));
}

/* False: no room. */
static ALWAYS_INLINE bool record(struct walk *k, uintptr_t pc, bool is_exact)
{
    if (UNLIKELY(k->skip > 0)) {
        k->skip--;
        return true;
    }
    if (UNLIKELY(k->count == k->most)) {
        return false;
    }
    if (UNLIKELY(is_exact)) {
        k->info->is_exact[k->count / 64] |= (uint64_t)1 << k->count % 64;
    }
    k->pcs[k->count++] = pc;
    return true;
}

static bool compute(const struct cfi_range *range, int32_t place,
    struct unwind_window *w, const uintptr_t *reg, const uintptr_t *cfa, uintptr_t *ret)
{
    struct cfi_machine m = {
        .reg = reg, .pc = reg[UNWIND_PC], .load = load_for_expression, .arg = w};
    struct cfi_value v;

    if (!cfi_evaluate(range, place, &m, cfa, &v)) {
        return false;
    }
    *ret = v.number;
    return true;
}

static bool recover(const struct cfi_range *range, const struct cfi_row *row,
    unsigned number, struct unwind_window *w, const uintptr_t *reg, uintptr_t cfa,
    uintptr_t *ret)
{
    int32_t value = row->value[number];

    switch (row->where[number]) {
    case CFI_AT_CFA:
        return unwind_load(w, cfa + (uintptr_t)(intptr_t)value, ret);
    case CFI_IS_CFA:
        *ret = cfa + (uintptr_t)(intptr_t)value;
        return true;
    case CFI_REGISTER:
        *ret = (unsigned)value < UNWIND_REGS ? reg[value] : 0;
        return (unsigned)value < UNWIND_REGS;
    case CFI_AT_EXPR:
        return compute(range, value, w, reg, &cfa, ret) && unwind_load(w, *ret, ret);
    case CFI_IS_EXPR:
        return compute(range, value, w, reg, &cfa, ret);
    default: /* what is undefined is as good as any */
        *ret = reg[number];
        return true;
    }
}

/* From a frame's registers to its caller's, by the row. */
static bool apply(const struct cfi_range *range, const struct cfi_row *row,
    struct unwind_window *w, uintptr_t *reg)
{
    uintptr_t next[UNWIND_REGS];
    uintptr_t cfa;

    if (row->is_cfa_expr) {
        if (!compute(range, row->cfa, w, reg, NULL, &cfa)) {
            return false;
        }
    } else {
        cfa = reg[row->cfa_reg] + (uintptr_t)(intptr_t)row->cfa;
    }
    for (unsigned i = 0; i < UNWIND_REGS; i++) {
        if (!recover(range, row, i, w, reg, cfa, &next[i])) {
            return false;
        }
    }
    if (row->where[UNWIND_SP] == CFI_SAME) {
        next[UNWIND_SP] = cfa;
    }
    next[UNWIND_PC] = unwind_strip(next[row->ra_reg]);
    if (next[UNWIND_SP] == reg[UNWIND_SP] && next[UNWIND_PC] == reg[UNWIND_PC]) {
        return false; /* for ever */
    }
    memcpy(reg, next, sizeof(next));
    return true;
}

/* Out of a handler by what the kernel left on the stack. */
static bool leave_signal(struct unwind_window *w, uintptr_t *reg)
{
    ucontext_t u;
    uintptr_t from = reg[UNWIND_SP] + UNWIND_SIGNAL_UCONTEXT;
    size_t bytes = offsetof(ucontext_t, uc_mcontext) + sizeof(u.uc_mcontext);

    memset(&u, 0, sizeof(u));
    bytes = bits_min(bytes, 512); /* registers come first everywhere */
    for (size_t at = 0; at < bytes; at += WORD) {
        uintptr_t word;

        if (!unwind_load(w, from + at, &word)) {
            return false;
        }
        memcpy((char *)&u + at, &word, WORD);
    }
    unwind_read_ucontext(reg, &u);
    return true;
}

static bool guess_full(struct unwind_window *w, uintptr_t *reg)
{
    struct unwind_frame f = {reg[UNWIND_PC], reg[UNWIND_SP], reg[UNWIND_FP]};

    if (!guess(w, &f)) {
        return false;
    }
    reg[UNWIND_PC] = f.pc;
    reg[UNWIND_SP] = f.sp;
    reg[UNWIND_FP] = f.fp;
    return true;
}

static NOINLINE enum unwind_end walk_full(
    const struct unwind_context *c, struct walk *k)
{
    struct unwind_window w = {
        (uintptr_t)&w, 0}; /* it always holds a word: any of ours */
    struct unwind_context now = *c;
    bool is_exact = true;

    while (now.reg[UNWIND_PC] != 0) {
        struct cfi_range range;
        struct cfi_row row;
        uintptr_t pc = now.reg[UNWIND_PC];
        bool is_known;

        if (!record(k, pc, is_exact)) {
            return UNWIND_TRUNCATED;
        }
        is_known = unwind_table_row(pc - !is_exact, &range, &row);
        if (!is_known && is_sigreturn(pc)) {
            is_exact = true;
            if (!leave_signal(&w, now.reg)) {
                return UNWIND_LOST;
            }
            continue;
        }
        if (!is_known) {
            if (!guess_full(&w, now.reg)) {
                return UNWIND_LOST;
            }
            is_exact = false;
            continue;
        }
        if (row.where[row.ra_reg] == CFI_UNDEFINED) {
            return UNWIND_COMPLETE;
        }
        if (!apply(&range, &row, &w, now.reg)) {
            return UNWIND_LOST;
        }
        is_exact = row.is_signal;
    }
    return UNWIND_COMPLETE;
}

/* ---- the walk ---- */

enum step { STEP_DONE, STEP_EXACT, STEP_END, STEP_LOST, STEP_FULL };

/* The rarer rules. */
static NOINLINE enum step step_slow(
    struct unwind_window *w, uint64_t rule, struct unwind_frame *f)
{
    uintptr_t base = f->sp + (uintptr_t)unwind_rule_cfa(rule);
    struct unwind_frame next;

    switch (unwind_rule_kind(rule)) {
    case RULE_END:
        return STEP_END;
    case RULE_FULL:
        return STEP_FULL;
    case RULE_SIGNAL:
        if (!unwind_load(w, base, &next.sp)
            || !unwind_load(
                w, f->sp + (uintptr_t)(unwind_rule_fp(rule) * WORD), &next.fp)
            || !unwind_load(
                w, f->sp + (uintptr_t)(unwind_rule_ra(rule) * WORD), &next.pc)) {
            return STEP_LOST;
        }
        *f = next;
        return STEP_EXACT;
    default: /* RULE_NONE, RULE_GUESS */
        if (is_sigreturn(f->pc)) {
            return STEP_FULL;
        }
        return guess(w, f) ? STEP_DONE : STEP_LOST;
    }
}

/*
 * From frame f, which is kept at `next`: past all that follow for sure. False: not to the end; f
 * is where to go on from.
 */
static NOINLINE bool follow(
    struct unwind_keeper *keeper, struct walk *k, struct unwind_frame *f)
{
    const struct unwind_kept_frame *frames = keeper->kept->frames;
    size_t to = unwind_keeper_verify(keeper);
    bool is_end = to == UNWIND_KEPT_MOST - 1;

    size_t end = to + is_end;

    if (LIKELY(k->skip == 0 && end - keeper->next <= k->most - k->count)) {
        uintptr_t *pcs = k->pcs + k->count;

        for (size_t i = keeper->next; i < end; i++) {
            *pcs++ = frames[i].at.pc;
        }
        k->count += end - keeper->next;
    } else {
        for (size_t i = keeper->next; i < end; i++) {
            if (!record(k, frames[i].at.pc, false)) {
                return false; /* and there is no room for f either */
            }
        }
    }
    if (!is_end) {
        unwind_keeper_pass(keeper, to, f);
    }
    return is_end;
}

static void keep(
    struct unwind_keeper *keeper, struct walk *k, size_t tail, uint64_t generation)
{
    k->tail = tail;
    k->is_kept = true;
    unwind_keeper_finish(keeper, tail, generation);
}

static ALWAYS_INLINE enum unwind_end walk(const struct unwind_context *c,
    struct walk *k, uint64_t generation, bool is_keeping)
{
    struct unwind_keeper keeper = {0};
    struct unwind_window w = unwind_window_begin(&w);
    struct unwind_frame f = {c->reg[UNWIND_PC], c->reg[UNWIND_SP], c->reg[UNWIND_FP]};
    uintptr_t link = UNWIND_PC_IS_REGISTER ? 0 : c->reg[UNWIND_RA];
    bool is_exact = true;

    if (is_keeping) {
        keeper = unwind_keeper_begin(k->kept, generation);
    }
    while (f.pc != 0) {
        uint64_t rule;
        uintptr_t cfa;
        intptr_t words;
        unsigned kind;
        bool was_exact = is_exact;
        struct unwind_frame left;

        if (is_keeping && !is_exact && unwind_keeper_meets(&keeper, &f)) {
            struct unwind_keeper met = keeper;

            if (follow(&met, k, &f)) {
                keep(&met, k, met.next, generation);
                return UNWIND_COMPLETE;
            }
            keeper = met;
        }
        if (UNLIKELY(!record(k, f.pc, is_exact))) {
            return UNWIND_TRUNCATED;
        }
        rule = rule_for(f.pc - !is_exact, generation);
        kind = unwind_rule_kind(rule);
        if (UNLIKELY(kind - RULE_SP > RULE_LOAD_FP - RULE_SP)) {
            if (is_keeping && kind == RULE_END && !is_exact) {
                struct unwind_keeper last;

                unwind_keeper_add(&keeper, &f, rule);
                last = keeper;
                keep(&last, k, UNWIND_KEPT_MOST, generation);
                return UNWIND_COMPLETE;
            }
            if (is_keeping) {
                unwind_keeper_drop(&keeper);
            }
            switch (step_slow(&w, rule, &f)) {
            case STEP_END:
                return UNWIND_COMPLETE;
            case STEP_LOST:
                k->last = f.pc;
                return UNWIND_LOST;
            case STEP_FULL:
                walk_begin(k);
                return walk_full(c, k);
            case STEP_EXACT:
                is_exact = true;
                continue;
            case STEP_DONE:
                is_exact = false;
                continue;
            }
        }
        is_exact = false;
        left = f;
        cfa = (kind == RULE_SP ? f.sp : f.fp) + (uintptr_t)unwind_rule_cfa(rule);
        if (UNLIKELY(kind == RULE_LOAD_FP) && !unwind_load(&w, cfa, &cfa)) {
            return UNWIND_LOST;
        }
        words = unwind_rule_ra(rule);
        if (!UNWIND_PC_IS_REGISTER && words == RULE_SAME_RA) {
            f.pc = link; /* of the innermost frame only */
        } else if (!unwind_load(&w, cfa + (uintptr_t)(words * WORD), &f.pc)) {
            return UNWIND_LOST;
        }
        link = 0;
        f.pc = unwind_strip(f.pc);
        words = unwind_rule_fp(rule);
        if (words != RULE_SAME
            && !unwind_load(&w, cfa + (uintptr_t)(words * WORD), &f.fp)) {
            return UNWIND_LOST;
        }
        /* Up, or onto another stack; a frame that leads down or to itself is damaged. */
        if (UNLIKELY(cfa <= f.sp) && UNWIND_PC_IS_REGISTER && f.sp - w.lo <= w.room) {
            return UNWIND_LOST;
        }
        f.sp = cfa;
        if (is_keeping && !was_exact) {
            unwind_keeper_push(&keeper, &left, rule, cfa, unwind_own_stack.low,
                unwind_own_stack.end - unwind_own_stack.low - WORD);
        }
    }
    k->last = 0;
    return UNWIND_COMPLETE;
}

static NOINLINE enum unwind_end walk_keeping(
    const struct unwind_context *c, struct walk *k, uint64_t generation)
{
    return walk(c, k, generation, true);
}

static NOINLINE enum unwind_end walk_plainly(
    const struct unwind_context *c, struct walk *k, uint64_t generation)
{
    return walk(c, k, generation, false);
}

/* Each once, as far as there are few: stacks go to and fro between modules. */
static void note_modules(const uintptr_t *pcs, size_t count)
{
    enum { FEW = 8 };
    struct unwind_module noted[FEW];
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        size_t m = 0;

        if (unwind_table_is_fixed(pcs[i])) {
            continue;
        }
        while (m < bits_min(n, FEW)
               && pcs[i] - noted[m].start >= noted[m].end - noted[m].start) {
            m++;
        }
        if (m == bits_min(n, FEW) && unwind_table_note(pcs[i], &noted[n % FEW])) {
            n++;
        }
    }
}

/*
 * A walk that left all code may have gone by the rule of a module that was closed. What lies
 * in its place, and is new, makes itself known.
 */
static COLD void doubt(const struct walk *k)
{
    struct unwind_module m;

    if (k->last == 0 || !unwind_find_module(k->last, &m)) {
        note_modules(k->pcs, k->count);
    }
}

/* A module that was new on the way may have made what was cached for others wrong. */
enum { TRIES = 3 };

/* `k` has what it begins with, and afterwards how it ended. */
static void walk_stack(const struct unwind_context *c, struct walk *k)
{
    struct unwind_info *info = k->info;
    uint64_t generation;
    unsigned tries = 0;

    do {
        walk_begin(k);
        generation = unwind_table_generation();
        info->end = k->kept != NULL ? walk_keeping(c, k, generation)
                                    : walk_plainly(c, k, generation);
        if (UNLIKELY(info->end == UNWIND_LOST || k->last == 0)) {
            doubt(k);
        }
    } while (UNLIKELY(unwind_table_generation() != generation) && ++tries < TRIES);
    if (UNLIKELY(info->end != UNWIND_COMPLETE)) {
        add_relaxed(
            info->end == UNWIND_LOST ? &unwind_counts.lost : &unwind_counts.truncated,
            1);
    }
}

static struct walk walk_into(
    size_t skip, uintptr_t *pcs, size_t most, struct unwind_info *info)
{
    return (struct walk){.skip_first = skip,
        .most = bits_min(most, UNWIND_MOST),
        .pcs = pcs,
        .info = info};
}

size_t unwind_walk(const struct unwind_context *c, size_t skip, uintptr_t *pcs,
    size_t most, struct unwind_info *ret)
{
    struct walk k = walk_into(skip, pcs, most, ret);

    walk_stack(c, &k);
    return k.count;
}

/* Of a stack that is kept, those of kept frames by what is known of them. */
static void note_modules_of(const struct walk *k)
{
    size_t count = k->count;

    if (k->is_kept && unwind_kept_try_note(k->kept, k->tail)) {
        count -= bits_min(count, UNWIND_KEPT_MOST - k->kept->first);
    }
    note_modules(k->pcs, count);
}

size_t unwind_walk_surely(const struct unwind_context *c, size_t skip, uintptr_t *pcs,
    size_t most, struct unwind_info *ret, struct unwind_meeting *m)
{
    struct walk k = walk_into(skip, pcs, most, ret);
    uint64_t generation;
    unsigned tries = 0;

    k.kept = m->kept != NULL && unwind_kept_try_enter(m->kept) ? m->kept : NULL;
    do {
        generation = unwind_table_generation();
        walk_stack(c, &k);
        note_modules_of(&k);
    } while (UNLIKELY(unwind_table_generation() != generation) && ++tries < TRIES);
    m->kept = k.is_kept ? k.kept : NULL;
    if (k.is_kept) {
        m->serial = k.kept->serial;
        m->from = (uint32_t)(k.count - bits_min(k.count, UNWIND_KEPT_MOST - k.tail));
    }
    if (k.kept != NULL) {
        unwind_kept_leave(k.kept);
    }
    return k.count;
}

size_t unwind_here(uintptr_t *pcs, size_t most, struct unwind_info *ret)
{
    struct unwind_context c;

    unwind_capture(&c);
    return unwind_walk(&c, 1, pcs, most, ret);
}
