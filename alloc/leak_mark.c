#include "leak_mark.h"

#include "arch.h"
#include "guard.h"
#include "leak_own.h"
#include "leak_present.h"
#include "os.h"

#include <setjmp.h>

enum {
    CHUNK = 2048,      /* bytes of a block that are looked at in one go */
    LARGE = 64 * 1024, /* blocks from here on may have pages that were never touched */
    LOOK_EVERY = 4096, /* chunks between two looks at the clock */
};

/* What becomes of a block that a word leads to. */
enum mode {
    MODE_REACH,    /* by its start: reached, and looked into */
    MODE_POSSIBLE, /* if unseen: possible, and looked into */
    MODE_LOST,     /* if unseen: indirect, and looked into */
    MODE_OWN,      /* if indirect, or another leader: told, and looked into */
};

/*
 * A fault may come at any word that is looked at: what is there to be done is all in here, and in
 * the bits.
 */
static struct {
    struct leak_pointers pointers;
    uint64_t deadline_ns;
    uintptr_t word_mask;
    uintptr_t low_mask; /* what may be set in the distance of a start */

    uint32_t
        *bits; /* of blocks to be looked into; as many words as there are of states */
    struct leak_span **queue; /* a ring: spans that have bits, each once */
    size_t queue_room;
    size_t queue_first;
    size_t queue_count;
    uintptr_t *outside; /* blocks that are in no span */
    size_t outside_count;
    size_t outside_room;

    struct leak_span *span; /* that we are in; NULL: none */
    uintptr_t span_start;
    size_t word; /* the number, in the span, of the word that the next bits are of */
    size_t words;
    uint32_t left;  /* bits of the word before */
    uintptr_t from; /* what is left of the block that we are in */
    uintptr_t to;
    bool may_be_sparse; /* it is LARGE */

    size_t leader; /* MODE_OWN: the number of where we come from */
    void (*each_owned)(const struct leak_block *b);
    unsigned chunks;
    bool may_jump;
    sigjmp_buf jump;
    struct leak_mark_sums sums;
} mark;

void leak_mark_on_fault(int number)
{
    if (!mark.may_jump) {
        os_exit(128 + number);
    }
    siglongjmp(mark.jump, 1);
}

struct leak_mark_sums leak_mark_sums(void)
{
    return mark.sums;
}

/* ---- what is to be looked into ---- */

static ALWAYS_INLINE void push(const struct leak_found *f)
{
    size_t at;

    if (UNLIKELY(f->span == NULL)) {
        if (mark.outside_count
            < mark.outside_room) { /* each once in a phase: there is */
            mark.outside[mark.outside_count++] = f->start;
        }
        return;
    }
    mark.bits[f->number / LEAK_BLOCKS] |= UINT32_C(1) << f->number % LEAK_BLOCKS;
    if ((f->span->part & LEAK_SPAN_QUEUED) == 0) {
        f->span->part |= LEAK_SPAN_QUEUED;
        at = mark.queue_first + mark.queue_count++;
        mark.queue[at < mark.queue_room ? at : at - mark.queue_room] = f->span;
    }
}

static void push_at(uintptr_t start)
{
    struct leak_found f;

    if (leak_find(start, &f)) {
        push(&f);
    }
}

/* Those of the next word that has any, of this span or the next. False: there is none. */
static NOINLINE bool fetch(void)
{
    for (;;) {
        while (mark.word < mark.words) {
            uint32_t *word = &mark.bits[mark.span->base + mark.word++];
            uint32_t stride = mark.span->stride;
            uintptr_t first = mark.span_start + (mark.word - 1) * LEAK_BLOCKS * stride;

            if (*word == 0) {
                continue;
            }
            mark.left = *word;
            *word = 0;
            for (uint32_t bits = mark.left; bits != 0; bits &= bits - 1) {
                const char *p =
                    (const char *)first + (size_t)__builtin_ctz(bits) * stride;

                __builtin_prefetch(p);
                __builtin_prefetch(p + CACHE_LINE);
            }
            return true;
        }
        if (mark.queue_count == 0) {
            return false;
        }
        mark.span = mark.queue[mark.queue_first];
        mark.queue_first =
            mark.queue_first + 1 < mark.queue_room ? mark.queue_first + 1 : 0;
        mark.queue_count--;
        mark.span->part &= (uint16_t)~LEAK_SPAN_QUEUED;
        mark.span_start = leak_span_start(mark.span);
        mark.word = 0;
        mark.words = (mark.span->limit + LEAK_BLOCKS - 1u) / LEAK_BLOCKS;
    }
}

static NOINLINE bool begin_outside(void)
{
    struct leak_found f;

    while (mark.outside_count > 0) {
        if (leak_find(mark.outside[--mark.outside_count], &f)) {
            mark.from = f.start;
            mark.to = f.start + leak_block_bytes(&f);
            mark.may_be_sparse = f.bytes >= LARGE;
            return true;
        }
    }
    return false;
}

/* Of a block that may be shorter than its place. */
static NOINLINE size_t bytes_of(uintptr_t start)
{
    struct leak_found f;

    return leak_find(start, &f) ? leak_block_bytes(&f) : 0;
}

/* The next block is the one that we are in. False: there is none. */
static ALWAYS_INLINE bool begin_block(void)
{
    const struct leak_span *s;
    size_t i;

    if (mark.left == 0 && !fetch()) {
        return begin_outside();
    }
    s = mark.span;
    i = (mark.word - 1) * LEAK_BLOCKS + (unsigned)__builtin_ctz(mark.left);
    mark.left &= mark.left - 1;
    mark.from = mark.span_start + i * s->stride;
    mark.to = mark.from
              + (LIKELY((s->part & (LEAK_SPAN_POOL | LEAK_SPAN_EMPTY)) == 0)
                      ? s->stride
                      : bytes_of(mark.from));
    mark.may_be_sparse = s->stride >= LARGE;
    return true;
}

static void forget_rest(void)
{
    mark.queue_count = mark.outside_count = 0;
    mark.span = NULL;
    mark.word = mark.words = 0;
    mark.left = 0;
    mark.from = mark.to = 0;
}

/* ---- from a word to a block ---- */

/* A read-only word of code or constants, as tables of virtual functions are. */
static bool is_table(uintptr_t address)
{
    return (address & (sizeof(uintptr_t) - 1)) == 0
           && leak_present_is_constant(address);
}

/*
 * Pointers into a block that are as good as one to its start: behind the number of elements
 * that new[] keeps before objects with destructors; to a second base class, that has a table of
 * virtual functions as the start has one.
 */
static NOINLINE bool is_usual_interior(
    const struct leak_found *f, uintptr_t distance, bool is_large)
{
    const uintptr_t *start = (const uintptr_t *)f->start;
    size_t bytes = f->bytes;

    if (is_large || (distance & (sizeof(uintptr_t) - 1)) != 0
        || (f->flags & LEAK_SPAN_EMPTY) != 0) {
        return false;
    }
    if (distance == sizeof(uintptr_t) || distance == 2 * sizeof(uintptr_t)) {
        uintptr_t count = start[distance / sizeof(uintptr_t) - 1];

        if (count != 0 && count <= bytes - distance) {
            return true;
        }
    }
    return is_table(start[0]) && is_table(start[distance / sizeof(uintptr_t)]);
}

static ALWAYS_INLINE bool is_start(const struct leak_found *f, uintptr_t word)
{
    uintptr_t distance = word - f->start;

    if (LIKELY((distance & ~mark.low_mask) == 0)) {
        return true;
    }
    return mark.pointers.interior || distance == mark.pointers.offset
           || is_usual_interior(f, distance, f->bytes >= LARGE);
}

static NOINLINE void tell(const struct leak_found *f)
{
    struct leak_block b;

    if (leak_heap_describe(f, &b)) {
        mark.each_owned(&b);
    }
}

static ALWAYS_INLINE void follow(uintptr_t word, enum mode mode)
{
    enum leak_state state;
    struct leak_found f;

    word &= mark.word_mask;
    if (LIKELY(!leak_find(word, &f))) {
        return;
    }
    state = leak_state(f.number);
    switch (mode) {
    case MODE_REACH:
        if (state == LEAK_FREE || state == LEAK_REACHED) {
            return;
        }
        if (is_start(&f, word)) {
            leak_set_state(f.number, LEAK_REACHED);
            push(&f);
        } else {
            leak_set_state(f.number, LEAK_POSSIBLE);
        }
        break;
    case MODE_POSSIBLE:
        if (state == LEAK_UNSEEN) {
            leak_set_state(f.number, LEAK_POSSIBLE);
            push(&f);
        }
        break;
    case MODE_LOST:
        if (state == LEAK_UNSEEN) {
            leak_set_state(f.number, LEAK_INDIRECT);
            push(&f);
        }
        break;
    case MODE_OWN:
        if (state == LEAK_INDIRECT
            || (state == LEAK_LEADER && f.number != mark.leader)) {
            leak_set_state(f.number, LEAK_FREE);
            tell(&f);
            push(&f);
        }
        break;
    }
}

/* ---- from a block to its words ---- */

/* Words are read as they are: none of it need be what anybody wrote there as a word. */
typedef uintptr_t __attribute__((may_alias)) any_word;

/* For what reads them, and for what that becomes a part of. */
#define WORD_READER __attribute__((no_sanitize("address", "thread")))

static ALWAYS_INLINE WORD_READER void look_at(
    uintptr_t from, uintptr_t to, enum mode mode)
{
    for (const any_word *at = (const any_word *)from; at < (const any_word *)to; at++) {
        follow(*at, mode);
    }
}

static bool is_late(void)
{
    if (++mark.chunks % LOOK_EVERY == 0 && mark.deadline_ns != 0
        && os_monotonic_ns() > mark.deadline_ns) {
        mark.sums.is_late = true;
    }
    return mark.sums.is_late;
}

/* The block that we are in, or the rest of it. */
static ALWAYS_INLINE WORD_READER void look_into(enum mode mode)
{
    while (mark.from < mark.to && !is_late()) {
        uintptr_t from = mark.from;
        uintptr_t to;

        if (UNLIKELY(mark.may_be_sparse)) {
            from = leak_present_next(from, mark.to);
        }
        to = bits_min(mark.to, bits_round_down(from, CHUNK) + CHUNK);
        mark.from = to;
        mark.sums.heap_bytes += to - from;
        __atomic_signal_fence(__ATOMIC_SEQ_CST); /* it may end in drain */
        look_at(from, bits_round_down(to, sizeof(uintptr_t)), mode);
    }
}

static ALWAYS_INLINE WORD_READER void loop(enum mode mode)
{
    do {
        look_into(mode);
    } while (!mark.sums.is_late && begin_block());
}

static NOINLINE WORD_READER void loop_reach(void)
{
    loop(MODE_REACH);
}

static NOINLINE WORD_READER void loop_possible(void)
{
    loop(MODE_POSSIBLE);
}

static NOINLINE WORD_READER void loop_lost(void)
{
    loop(MODE_LOST);
}

static NOINLINE WORD_READER void loop_owned(void)
{
    loop(MODE_OWN);
}

/* Until nothing is left. After a fault it goes on with the rest of the block. */
static NOINLINE void drain(void (*loop_of_mode)(void))
{
    if (sigsetjmp(mark.jump, 0) != 0) {
        mark.sums.faults++;
    }
    mark.may_jump = true;
    loop_of_mode();
    mark.may_jump = false;
    if (mark.sums.is_late) {
        forget_rest();
    }
}

/* ---- the order of it ---- */

static bool obtain_memory(void)
{
    size_t spans = 0;

    for (size_t r = 0; r < leak_all.ranges; r++) {
        spans += leak_all.frontier[r];
    }
    mark.queue_room = spans;
    mark.outside_room =
        leak_all.far_count + (guard_pool.bytes != 0 ? GUARD_SLOTS : 0) + 1;
    mark.bits = leak_own_map(leak_all.words * sizeof(*mark.bits));
    mark.queue = leak_own_map(spans * sizeof(struct leak_span *));
    mark.outside = leak_own_map(mark.outside_room * sizeof(*mark.outside));
    return mark.bits != NULL && mark.queue != NULL && mark.outside != NULL;
}

static bool push_block(const struct leak_block *b, void *arg)
{
    (void)arg;
    push_at(b->start);
    return true;
}

bool leak_mark_begin(const struct leak_pointers *pointers, uint64_t deadline_ns)
{
    mark.sums = (struct leak_mark_sums){0};
    mark.pointers = *pointers;
    mark.word_mask = pointers->high ? ((uintptr_t)1 << 48) - 1 : UINTPTR_MAX;
    mark.low_mask = pointers->low ? 7 : 0;
    mark.deadline_ns = deadline_ns;
    mark.may_jump = false;
    mark.chunks = 0;
    mark.queue_first = 0;
    forget_rest();
    if (!obtain_memory()) {
        return false;
    }
    if (leak_heap_sums().unsure_slabs != 0) { /* their blocks have the state already */
        leak_heap_each(LEAK_REACHED, push_block, NULL);
    }
    return true;
}

void leak_mark_word(uintptr_t word, bool is_loose)
{
    struct leak_found f;

    if (is_loose && leak_find(word & mark.word_mask, &f)) {
        word = f.start;
    }
    follow(word, MODE_REACH);
}

/* A part that is present; false: there is a fault in it. */
static NOINLINE WORD_READER bool mark_part(uintptr_t from, uintptr_t to)
{
    if (sigsetjmp(mark.jump, 0) != 0) {
        mark.may_jump = false;
        return false;
    }
    mark.may_jump = true;
    look_at(from, to, MODE_REACH);
    mark.may_jump = false;
    return true;
}

void leak_mark_memory(uintptr_t start, uintptr_t end)
{
    start = bits_round_up(start, sizeof(uintptr_t));
    end = bits_round_down(end, sizeof(uintptr_t));
    while (start < end && !is_late()) {
        uintptr_t to;

        start = leak_present_next(start, end);
        to = bits_min(end, bits_round_down(start, CHUNK) + CHUNK);
        if (start < to) {
            mark.sums.root_bytes += to - start;
            mark.sums.faults += !mark_part(start, to);
        }
        start = to;
    }
}

void leak_mark_reached(void)
{
    drain(loop_reach);
}

void leak_mark_possible(void)
{
    leak_heap_each(LEAK_POSSIBLE, push_block, NULL);
    drain(loop_possible);
}

static bool lead(const struct leak_block *b, void *arg)
{
    (void)arg;
    leak_set_state(b->number, LEAK_LEADER);
    push_at(b->start);
    drain(loop_lost);
    return !mark.sums.is_late;
}

void leak_mark_lost(void)
{
    leak_heap_each(LEAK_UNSEEN, lead, NULL);
}

void leak_mark_owned(
    const struct leak_block *leader, void (*each)(const struct leak_block *b))
{
    mark.each_owned = each;
    mark.leader = leader->number;
    push_at(leader->start);
    drain(loop_owned);
}
