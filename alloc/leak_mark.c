#include "leak_mark.h"

#include "arch.h"
#include "leak_own.h"
#include "leak_present.h"
#include "os.h"

#include <setjmp.h>

enum {
    CHUNK = 2048,      /* bytes of a block that are looked at in one go */
    LARGE = 64 * 1024, /* blocks from here on may have pages that were never touched */
    RING = 32,         /* blocks on their way from memory */
    LIST_PART = 256,   /* of the heap, for the work list */
    LIST_LEAST = 512 * 1024, /* bytes */
    LOOK_EVERY = 4096,       /* chunks between two looks at the clock */
};

/* What becomes of a block that a word leads to. */
enum mode {
    MODE_REACH,    /* by its start: reached, and looked into */
    MODE_POSSIBLE, /* if unseen: possible, and looked into */
    MODE_LOST,     /* if unseen: indirect, and looked into */
    MODE_OWN,      /* if indirect, or another leader: told, and looked into */
};

static struct {
    struct leak_pointers pointers;
    uint64_t deadline_ns;
    uintptr_t word_mask;
    uintptr_t low_mask; /* what may be set in the distance of a start */
    uintptr_t *list;    /* addresses: of blocks, or of where to go on in one */
    size_t list_count;
    size_t list_room;
    uintptr_t ring[RING];
    unsigned ring_first;
    unsigned ring_count;
    bool has_overflown;
    size_t leader; /* MODE_OWN: the number of where we come from */
    void (*each_owned)(const struct leak_block *b);
    unsigned chunks;
    bool may_jump;
    sigjmp_buf jump;
    struct leak_mark_sums sums;
} mark;

bool leak_mark_begin(const struct leak_pointers *pointers, uint64_t deadline_ns)
{
    size_t bytes = bits_max(leak_window.bytes / LIST_PART, LIST_LEAST);

    mark.sums = (struct leak_mark_sums){0};
    mark.pointers = *pointers;
    mark.word_mask = pointers->high ? ((uintptr_t)1 << 48) - 1 : UINTPTR_MAX;
    mark.low_mask = pointers->low ? 7 : 0;
    mark.deadline_ns = deadline_ns;
    mark.list_count = mark.ring_count = mark.ring_first = 0;
    mark.list_room = bytes / sizeof(*mark.list);
    mark.list = leak_own_map(bytes);
    mark.has_overflown = false;
    mark.may_jump = false;
    mark.chunks = 0;
    return mark.list != NULL;
}

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

/* ---- the work list ---- */

static ALWAYS_INLINE void push(uintptr_t address)
{
    if (UNLIKELY(mark.list_count == mark.list_room)) {
        mark.has_overflown = true;
        return;
    }
    mark.list[mark.list_count++] = address;
}

/* The next; 0: none. It was asked for from memory some steps ago. */
static ALWAYS_INLINE uintptr_t pop(void)
{
    uintptr_t address;

    while (mark.ring_count < RING && mark.list_count > 0) {
        address = mark.list[--mark.list_count];
        __builtin_prefetch((const void *)address);
        __builtin_prefetch((const char *)address + CACHE_LINE);
        mark.ring[(mark.ring_first + mark.ring_count++) % RING] = address;
    }
    if (mark.ring_count == 0) {
        return 0;
    }
    address = mark.ring[mark.ring_first];
    mark.ring_first = (mark.ring_first + 1) % RING;
    mark.ring_count--;
    return address;
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
            push(f.start);
        } else {
            leak_set_state(f.number, LEAK_POSSIBLE);
        }
        break;
    case MODE_POSSIBLE:
        if (state == LEAK_UNSEEN) {
            leak_set_state(f.number, LEAK_POSSIBLE);
            push(f.start);
        }
        break;
    case MODE_LOST:
        if (state == LEAK_UNSEEN) {
            leak_set_state(f.number, LEAK_INDIRECT);
            push(f.start);
        }
        break;
    case MODE_OWN:
        if (state == LEAK_INDIRECT
            || (state == LEAK_LEADER && f.number != mark.leader)) {
            leak_set_state(f.number, LEAK_FREE);
            tell(&f);
            push(f.start);
        }
        break;
    }
}

/* ---- from a block to its words ---- */

/* Words are read as they are: none of it need be what anybody wrote there as a word. */
typedef uintptr_t __attribute__((may_alias)) any_word;

static ALWAYS_INLINE __attribute__((no_sanitize("address", "thread"))) void look_at(
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

/* A block, or the rest of one from an address on. */
static ALWAYS_INLINE void look_into(uintptr_t address, enum mode mode)
{
    struct leak_found f;
    uintptr_t end;
    uintptr_t to;

    if (!leak_find(address, &f)) {
        return;
    }
    end = f.start + leak_block_bytes(&f);
    to = bits_min(end, bits_round_down(address, CHUNK) + CHUNK);
    if (UNLIKELY(f.bytes >= LARGE)) {
        address = leak_present_next(address, end);
        to = bits_min(end, bits_round_down(address, CHUNK) + CHUNK);
    }
    if (to < end) {
        push(to); /* first: what it leads to comes before the rest of it */
    }
    mark.sums.heap_bytes += to - address;
    look_at(address, bits_round_down(to, sizeof(uintptr_t)), mode);
}

static ALWAYS_INLINE void loop(enum mode mode)
{
    uintptr_t address;

    while ((address = pop()) != 0 && !is_late()) {
        look_into(address, mode);
    }
}

static NOINLINE void loop_reach(void)
{
    loop(MODE_REACH);
}

static NOINLINE void loop_possible(void)
{
    loop(MODE_POSSIBLE);
}

static NOINLINE void loop_lost(void)
{
    loop(MODE_LOST);
}

static NOINLINE void loop_owned(void)
{
    loop(MODE_OWN);
}

/*
 * Until the list is empty. After a fault it goes on with the next: the rest of the block that the
 * fault was in is on the list.
 */
static NOINLINE void drain(void (*loop_of_mode)(void))
{
    if (sigsetjmp(mark.jump, 0) != 0) {
        mark.sums.faults++;
    }
    mark.may_jump = true;
    loop_of_mode();
    mark.may_jump = false;
    if (mark.sums.is_late) {
        mark.list_count = mark.ring_count = 0;
    }
}

/* ---- the order of it ---- */

void leak_mark_word(uintptr_t word, bool is_loose)
{
    struct leak_found f;

    if (is_loose && leak_find(word & mark.word_mask, &f)) {
        word = f.start;
    }
    follow(word, MODE_REACH);
}

/* A part that is present; false: there is a fault in it. */
static NOINLINE bool mark_part(uintptr_t from, uintptr_t to)
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
        if (mark.list_count > mark.list_room / 2) {
            drain(loop_reach);
        }
    }
}

static bool push_again(const struct leak_block *b, void *arg)
{
    void (*const *loop_of_mode)(void) = arg;

    push(b->start);
    if (mark.list_count > mark.list_room / 2) {
        drain(*loop_of_mode);
    }
    return !mark.sums.is_late;
}

/* All blocks in the state are looked into. */
static void look_into_all(enum leak_state state, void (*loop_of_mode)(void))
{
    leak_heap_each(state, push_again, &loop_of_mode);
    drain(loop_of_mode);
}

/* The same once more, until the list was never full. */
static void resume(enum leak_state state, void (*loop_of_mode)(void))
{
    while (mark.has_overflown && !mark.sums.is_late) {
        mark.has_overflown = false;
        mark.sums.overflows++;
        look_into_all(state, loop_of_mode);
    }
}

void leak_mark_reached(void)
{
    drain(loop_reach);
    if (leak_heap_sums().unsure_slabs != 0) { /* their blocks have the state already */
        look_into_all(LEAK_REACHED, loop_reach);
    }
    resume(LEAK_REACHED, loop_reach);
}

void leak_mark_possible(void)
{
    look_into_all(LEAK_POSSIBLE, loop_possible);
    resume(LEAK_POSSIBLE, loop_possible);
}

static bool lead(const struct leak_block *b, void *arg)
{
    (void)arg;
    leak_set_state(b->number, LEAK_LEADER);
    push(b->start);
    drain(loop_lost);
    resume(LEAK_INDIRECT, loop_lost);
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
    push(leader->start);
    drain(loop_owned);
}
