#include "unwind.h"

#include "lock.h"
#include "own_memory.h"
#include "region.h"
#include "stacks.h"

#include <criterion/criterion.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ucontext.h>

/* What a thread of ours has. */
struct walker {
    struct unwind_kept kept;
    uint64_t random;
    unsigned depth;
    unsigned left; /* steps */
    size_t walks;
    size_t kept_walks;
    size_t met; /* frames of them that were kept before */
    jmp_buf *back;
    unsigned back_depth;
    bool is_interned;
};
static __thread struct walker *self;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static struct walker *new_walker(uint64_t seed)
{
    struct walker *w = calloc(1, sizeof(*w));

    unwind_kept_init(&w->kept);
    w->random = 88172645463325252u ^ seed * 0x9e3779b97f4a7c15u;
    return w;
}

static void begin_stacks(void)
{
    lock_lock(&profile_lock);
    own_set_most_locked(1 << 30);
    lock_unlock(&profile_lock);
}

static uint32_t intern(const struct stack *s)
{
    uint32_t number;

    lock_lock(&profile_lock);
    number = stacks_intern_locked(s);
    lock_unlock(&profile_lock);
    return number;
}

/* K1 to K4 */
static void check_kept(const struct unwind_kept *k)
{
    for (size_t i = k->first; i < UNWIND_KEPT_MOST; i++) {
        const struct unwind_kept_frame *e = &k->frames[i];

        cr_assert_eq(unwind_rule_kind(e->rule) == RULE_END, i == UNWIND_KEPT_MOST - 1);
        if (i + 1 < UNWIND_KEPT_MOST) {
            cr_assert_lt(e->at.sp, e[1].at.sp);
            cr_assert_eq(k->modules_of[i] | k->modules_of[i + 1], k->modules_of[i]);
        }
    }
    cr_assert_eq(k->is_busy, 0);
}

/* A walk from there is the same with what is kept, and without. */
static void check_from(struct walker *w, const struct unwind_context *c)
{
    struct stack kept, plain;

    kept.meeting.kept = &w->kept;
    kept.count =
        unwind_walk_surely(c, 0, kept.pcs, UNWIND_MOST, &kept.info, &kept.meeting);
    plain.meeting.kept = NULL;
    plain.count = unwind_walk(c, 0, plain.pcs, UNWIND_MOST, &plain.info);
    cr_assert_eq(kept.count, plain.count);
    cr_assert_eq(kept.info.end, plain.info.end);
    cr_assert_arr_eq(kept.pcs, plain.pcs, plain.count * sizeof(plain.pcs[0]));
    cr_assert_arr_eq(
        kept.info.is_exact, plain.info.is_exact, sizeof(plain.info.is_exact));
    w->walks++;
    if (kept.meeting.kept != NULL) {
        w->kept_walks++;
        w->met += kept.count - kept.meeting.from;
        check_kept(&w->kept);
    }
    if (w->is_interned) {
        cr_assert_eq(intern(&kept), intern(&plain));
    }
}

static NOINLINE void check_here(void)
{
    struct unwind_context c;

    unwind_capture(&c);
    check_from(self, &c);
}

/* The C library's sees the same frames: all but the first, which is in two functions. */
static NOINLINE void check_by_backtrace(void)
{
    void *theirs[UNWIND_MOST];
    uintptr_t ours[UNWIND_MOST];
    struct unwind_context c;
    struct unwind_info info;
    struct unwind_meeting m = {.kept = &self->kept};
    int n = backtrace(theirs, UNWIND_MOST);
    size_t count;

    unwind_capture(&c);
    count = unwind_walk_surely(&c, 0, ours, UNWIND_MOST, &info, &m);
    cr_assert_eq(count, (size_t)n);
    cr_assert_arr_eq(ours + 1, (uintptr_t *)theirs + 1, (count - 1) * sizeof(ours[0]));
}

/* ---- trees of calls ---- */

static unsigned branch(void);

#define KEEP_CALL(result) __asm__ volatile("" : "+r"(result)) /* no tail call */

static NOINLINE unsigned plain_frame(void)
{
    unsigned r = branch();

    KEEP_CALL(r);
    return r + 1;
}

static NOINLINE unsigned two_calls(void)
{
    unsigned r = branch();

    KEEP_CALL(r);
    r += branch();
    KEEP_CALL(r);
    return r;
}

static NOINLINE unsigned large_frame(void)
{
    volatile char room[1000];
    unsigned r;

    room[0] = 1;
    r = branch();
    return r + (unsigned)room[0];
}

static NOINLINE unsigned alloca_frame(void)
{
    volatile char *room = __builtin_alloca(next_random(&self->random) % 300 + 1);
    unsigned r;

    room[0] = 1;
    r = branch();
    return r + (unsigned)room[0];
}

/* Aligned, with arguments on the stack: this needs all registers. */
static NOINLINE unsigned align(unsigned (*f)(void), unsigned b, unsigned c, unsigned d,
    unsigned e, unsigned g, unsigned h, unsigned i)
{
    _Alignas(64) volatile char room[64];
    volatile char *more = __builtin_alloca(b % 100 + 1);
    unsigned r;

    room[0] = more[0] = 1;
    r = f();
    return r + (unsigned)room[0] + (unsigned)more[0] + c + d + e + g + h + i;
}

static NOINLINE unsigned aligned_frame(void)
{
    unsigned r = align(branch, (unsigned)next_random(&self->random), 3, 4, 5, 6, 7, 8);

    KEEP_CALL(r);
    return r;
}

static NOINLINE unsigned many_registers(void)
{
    unsigned a = (unsigned)next_random(&self->random), b = a * 3, c = a * 5, d = a * 7;
    unsigned e = a * 11;

    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
    a += branch();
    return a + b + c + d + e;
}

static int compare_by_branch(const void *a, const void *b)
{
    (void)a;
    (void)b;
    branch();
    return 0;
}

/* Through the C library. */
static NOINLINE unsigned through_qsort(void)
{
    int two[2] = {1, 2};

    qsort(two, 2, sizeof(two[0]), compare_by_branch);
    return (unsigned)two[0];
}

static NOINLINE unsigned jumping_frame(void)
{
    jmp_buf here;
    jmp_buf *volatile saved = self->back;
    volatile unsigned saved_depth = self->back_depth;
    volatile unsigned depth = self->depth;
    volatile unsigned r = 0;

    if (setjmp(here) == 0) {
        self->back = &here;
        r = branch();
    }
    self->depth = depth;
    self->back = saved;
    self->back_depth = saved_depth;
    return r + 1;
}

static unsigned (*const frames[])(void) = {plain_frame, two_calls, large_frame,
    alloca_frame, aligned_frame, many_registers, through_qsort, jumping_frame};

static void step(void)
{
    if (self->left > 0) {
        self->left--;
        check_here();
        if (next_random(&self->random) % 64 == 0) {
            check_by_backtrace();
        }
        if (next_random(&self->random) % 4096 == 0) {
            unwind_forget();
        }
    }
}

static NOINLINE unsigned branch(void)
{
    unsigned r = 0;
    unsigned n = (unsigned)(next_random(&self->random) % 4);

    self->depth++;
    for (unsigned i = 0; i < n && self->left > 0; i++) {
        step();
        if (self->depth < 4 + next_random(&self->random) % 24) {
            r += frames[next_random(&self->random)
                        % (sizeof(frames) / sizeof(frames[0]))]();
            KEEP_CALL(r);
        }
    }
    self->depth--;
    if (self->back != NULL && next_random(&self->random) % 128 == 0) {
        longjmp(*self->back, 1);
    }
    return r;
}

static void walk_trees(struct walker *w, unsigned steps)
{
    self = w;
    w->left = steps;
    while (w->left > 0) {
        w->depth = 0;
        branch();
        step();
    }
}

Test(unwind, trees_of_calls_are_the_same_with_what_is_kept)
{
    struct walker *w = new_walker(1);

    begin_stacks();
    w->is_interned = true;
    walk_trees(w, 60000);
    cr_assert_gt(w->met, w->walks); /* or this has tested nothing */
    free(w);
}

/* ---- threads ---- */

static void *in_thread(void *arg)
{
    struct walker *w = new_walker((uintptr_t)arg);

    w->is_interned = true;
    walk_trees(w, 4000);
    cr_assert_gt(w->met, w->walks);
    free(w);
    return NULL;
}

Test(unwind, threads_keep_each_its_own)
{
    pthread_t threads[4];

    begin_stacks();
    for (uintptr_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, in_thread, (void *)(i + 2)), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
}

/* ---- handlers ---- */

static volatile sig_atomic_t handled, found_busy;

/* Interrupts walks, too; and walks with what is kept by whom it interrupted. */
static void on_timer(int number, siginfo_t *i, void *context)
{
    struct unwind_context c, here;

    (void)number;
    (void)i;
    if (self == NULL) {
        return;
    }
    found_busy += self->kept.is_busy != 0;
    if (self->kept.is_busy == 0) {
        unwind_capture_signal(&c, context);
        check_from(self, &c);
        unwind_capture(&here);
        check_from(self, &here);
    } else {
        uintptr_t pcs[2][UNWIND_MOST];
        struct unwind_info info;
        struct unwind_meeting m = {.kept = &self->kept};
        size_t n;

        unwind_capture(&here);
        n = unwind_walk_surely(&here, 0, pcs[0], UNWIND_MOST, &info, &m);
        cr_assert_null(m.kept);
        cr_assert_eq(n, unwind_walk(&here, 0, pcs[1], UNWIND_MOST, &info));
        cr_assert_arr_eq(pcs[0], pcs[1], n * sizeof(pcs[0][0]));
    }
    handled++;
}

Test(unwind, handlers_may_interrupt_a_walk_and_walk)
{
    struct sigaction act = {
        .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct itimerval often = {{0, 200}, {0, 200}};
    struct itimerval never = {{0, 0}, {0, 0}};
    struct walker *w = new_walker(9);

    sigaction(SIGALRM, &act, NULL);
    self = w;
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 200 && (handled < 500 || found_busy < 5); i++) {
        walk_trees(w, 2000);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    cr_assert_gt(handled, 50);
    cr_assert_gt(found_busy, 0);
    free(w);
}

/* ---- coroutines ---- */

static ucontext_t main_context, other_context;

static void coroutine(void)
{
    for (;;) {
        self->left += 20;
        self->depth = 40;
        branch();
        check_here();
        swapcontext(&other_context, &main_context);
    }
}

Test(unwind, coroutines_have_their_own_frames)
{
    struct walker *w = new_walker(12);
    size_t bytes = 512 << 10;

    self = w;
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = malloc(bytes);
    other_context.uc_stack.ss_size = bytes;
    other_context.uc_link = NULL;
    makecontext(&other_context, coroutine, 0);
    for (int i = 0; i < 300; i++) {
        w->back = NULL;
        swapcontext(&main_context, &other_context);
        w->back = NULL;
        walk_trees(w, 20);
    }
    cr_assert_gt(w->met, 0);
    free(w);
}

/* ---- made-up stacks ---- */

enum { WORDS = 2048, CHANGED = 512, POOL = 64 };

struct pool {
    uintptr_t pcs[POOL];
    size_t count;
};

static void gather(struct pool *p, const uintptr_t *pcs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < p->count && p->pcs[k] != pcs[i]) {
            k++;
        }
        if (k == p->count && k < POOL) {
            p->pcs[p->count++] = pcs[i];
        }
    }
}

static struct pool *pool_now;

static NOINLINE void gather_here(void)
{
    uintptr_t pcs[UNWIND_MOST];
    struct unwind_info info;

    gather(pool_now, pcs, unwind_here(pcs, UNWIND_MOST, &info));
}

static NOINLINE unsigned gather_deep(unsigned n)
{
    unsigned r = 0;

    if (n == 0) {
        gather_here();
    } else {
        volatile char *room = __builtin_alloca(n);

        room[0] = 1;
        r = gather_deep(n - 1) + (unsigned)room[0];
    }
    return r;
}

static unsigned gather_more(void)
{
    gather_here();
    return gather_deep(3);
}

static NOINLINE unsigned gather_aligned(void)
{
    unsigned r = align(gather_more, 2, 3, 4, 5, 6, 7, 8);

    KEEP_CALL(r);
    return r;
}

#if defined(__x86_64__)
/*
 * Frames as compilers make them seldom, which only say how they are left: CFA = sp + 16 and fp as
 * it was; CFA = the word at fp - 8.
 */
__asm__(".text\n"
        "made_plain: .cfi_startproc\n.cfi_def_cfa_offset 16\nnop\nnop\n.cfi_endproc\n"
        "made_aligned: .cfi_startproc\n.cfi_escape 0x0f, 3, 0x76, 0x78, 6\n"
        "nop\nnop\n.cfi_endproc\n");
extern const char made_plain[], made_aligned[];

static void gather_rare(struct pool *p)
{
    uintptr_t pcs[] = {(uintptr_t)made_plain + 1, (uintptr_t)made_aligned + 1};

    gather(p, pcs, 2);
}
#else
static void gather_rare(struct pool *p)
{
    (void)p;
}
#endif

/*
 * What could be word i: return addresses lie in odd ones, as frames are of an even number; in
 * others pointers that frame pointers could be; seldom it is the other way, or anything.
 */
static uintptr_t random_word(
    uint64_t *state, const struct pool *p, const uintptr_t *words, size_t i)
{
    uint64_t r = next_random(state) % 1024;

    if (r == 0) {
        return next_random(state);
    }
    if (r < 4) {
        return next_random(state) % 3;
    }
    if (i % 2 != 0 ? r < 200 : r >= 50) {
        return (uintptr_t)&words[(i / 2 + next_random(state) % 40) * 2 % WORDS];
    }
    return p->pcs[next_random(state) % p->count];
}

static void change_word(
    uint64_t *state, const struct pool *p, uintptr_t *words, size_t i)
{
    words[i] = random_word(state, p, words, i);
}

/* Where a frame that is kept reads: one of the three, as far as it does. */
static uintptr_t find_slot(const struct unwind_kept_frame *e, uint64_t which)
{
    uintptr_t cfa = e[1].at.sp;

    if (which % 3 == 0 && unwind_rule_kind(e->rule) == RULE_LOAD_FP) {
        return e->at.fp + (uintptr_t)unwind_rule_cfa(e->rule);
    }
    return unwind_slot(
        cfa, which % 3 == 1 ? unwind_rule_ra(e->rule) : unwind_rule_fp(e->rule));
}

/* Of those that are made up. */
static void change_kept(struct walker *w, const struct pool *p, uintptr_t *words)
{
    size_t count = UNWIND_KEPT_MOST - 1 - w->kept.first;
    size_t at;

    if (w->kept.first < UNWIND_KEPT_MOST - 1) {
        const struct unwind_kept_frame *e =
            &w->kept.frames[w->kept.first + next_random(&w->random) % count];

        at =
            (find_slot(e, next_random(&w->random)) - (uintptr_t)words) / sizeof(*words);
        if (at < WORDS) {
            change_word(&w->random, p, words, at);
        }
    }
}

static uintptr_t find_pc(const struct pool *p, unsigned kind)
{
    uintptr_t found = 0;

    for (size_t i = 0; i < p->count; i++) {
        uint64_t rule = unwind_table_rule(p->pcs[i] - 1);

        if (unwind_rule_kind(rule) == kind
            && (kind != RULE_SP || unwind_rule_fp(rule) == RULE_SAME)) {
            found = p->pcs[i];
        }
    }
    return found;
}

/* A pc with that kind of rule is not as rare. */
static void weigh(struct pool *p, unsigned kind, size_t more)
{
    uintptr_t rare = find_pc(p, kind);

    for (; rare != 0 && more > 0 && p->count < POOL; more--) {
        p->pcs[p->count++] = rare;
    }
}

/*
 * Some words change, and walks begin at a few places: frames are met, frames of the same pc and
 * sp lead elsewhere, and frame pointers to any place.
 */
Test(unwind, made_up_stacks_are_the_same_with_what_is_kept)
{
    uintptr_t words[WORDS];
    struct pool pool = {.count = 0};
    struct walker *w = new_walker(5);

    begin_stacks();
    self = w;
    w->is_interned = true;
    pool_now = &pool;
    gather_more();
    gather_aligned();
    gather_rare(&pool);
    cr_assert_geq(pool.count, 6);
    weigh(&pool, RULE_LOAD_FP, 8);
    weigh(&pool, RULE_END, 6);
    for (size_t i = 0; i < WORDS; i++) {
        change_word(&w->random, &pool, words, i);
    }
    for (unsigned n = 0; n < 300000; n++) {
        uint64_t r = next_random(&w->random);
        struct unwind_context c = {{0}};

        for (uint64_t i = 0; i < r % 8 / 4; i++) {
            change_word(&w->random, &pool, words, next_random(&w->random) % CHANGED);
        }
        if ((r >> 6) % 2 == 0) {
            change_kept(w, &pool, words);
        }
        c.reg[UNWIND_PC] = pool.pcs[(r >> 8) % 4] - 1;
        c.reg[UNWIND_SP] = (uintptr_t)&words[(r >> 16) % 4 * 40];
        c.reg[UNWIND_FP] = (uintptr_t)&words[(r >> 26) % 2 * 40];
        check_from(w, &c);
        if (r >> 30 == 0) {
            unwind_forget();
        }
    }
    cr_assert_gt(w->kept_walks, 20000);
    cr_assert_gt(w->met, 10000);
    free(w);
}

#if defined(__x86_64__)
/* Return addresses stay, and a frame leads past the one that it led to. */
Test(unwind, a_cfa_in_memory_may_change_alone)
{
    uintptr_t words[WORDS] = {0};
    struct pool pool = {.count = 0};
    struct walker *w = new_walker(6);
    uintptr_t plain, aligned, end;
    struct unwind_context c = {{0}};
    uint64_t rule;

    self = w;
    pool_now = &pool;
    gather_more();
    gather_rare(&pool);
    plain = find_pc(&pool, RULE_SP);
    aligned = find_pc(&pool, RULE_LOAD_FP);
    end = find_pc(&pool, RULE_END);
    cr_assert(plain != 0 && aligned != 0 && end != 0);
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = end;
    }
    c.reg[UNWIND_PC] = plain - 1;
    c.reg[UNWIND_SP] = (uintptr_t)words;
    c.reg[UNWIND_FP] = (uintptr_t)&words[1000];
    rule = unwind_table_rule(plain - 1);
    words[unwind_rule_cfa(rule) / 8 + unwind_rule_ra(rule)] = aligned;
    rule = unwind_table_rule(aligned - 1);
    for (unsigned i = 0; i < 8; i++) {
        uintptr_t *cfa = &words[1100 + i % 4 * 100];

        words[1000 + unwind_rule_cfa(rule) / 8] = (uintptr_t)cfa;
        cfa[unwind_rule_ra(rule)] = i % 2 == 0 ? end : plain;
        check_from(w, &c);
        cr_assert_eq(w->kept_walks, i + 1);
    }
    free(w);
}
#endif

/* ---- a handler that never comes back ---- */

Test(unwind, what_stays_busy_is_not_used)
{
    struct walker *w = new_walker(7);
    uintptr_t pcs[UNWIND_MOST];
    struct unwind_context c;
    struct unwind_info info;
    struct unwind_meeting m = {.kept = &w->kept};

    cr_assert(unwind_kept_try_enter(&w->kept));
    unwind_capture(&c);
    cr_assert_gt(unwind_walk_surely(&c, 0, pcs, UNWIND_MOST, &info, &m), 1);
    cr_assert_null(m.kept);
    unwind_kept_init(&w->kept); /* the structure serves another thread */
    m.kept = &w->kept;
    unwind_walk_surely(&c, 0, pcs, UNWIND_MOST, &info, &m);
    cr_assert_eq(m.kept, &w->kept);
    free(w);
}
