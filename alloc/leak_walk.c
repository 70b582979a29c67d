/* All blocks of leak_heap.h, one after the other. */
#include "leak_heap.h"

#include "component.h"
#include "guard.h"
#include "pool.h"

/* Fills what is to be known of block number i in a span. */
static void fill(const struct span *s, const struct leak_span *l, size_t i,
    uintptr_t start, struct leak_block *ret)
{
    struct pool_view b;

    *ret = (struct leak_block){.start = start + i * l->stride,
        .number = (size_t)l->base * LEAK_BLOCKS + i,
        .bytes = l->stride,
        .row = s->row,
        .cls = s->cls};
    if (s->kind == SPAN_SAMPLED && pool_look_locked(s, (unsigned)i, &b)) {
        ret->record = b.record;
        ret->row = b.row;
        ret->cls = b.cls;
        ret->bytes = sizeclass_bytes(b.cls);
    } else if (s->kind == SPAN_LARGE) {
        ret->record = (uint32_t)s->sample;
        ret->row = s->component->row;
        ret->cls = (uint16_t)sizeclass_of_large(s->large_bytes);
    }
}

static void fill_far(size_t i, struct leak_block *ret)
{
    const struct leak_far *f = &leak_all.far[i];

    *ret = (struct leak_block){f->start, leak_all.far_base + i, f->bytes, f->record,
        f->row, (uint16_t)sizeclass_of_large(f->bytes)};
}

static bool fill_guarded(unsigned slot, struct leak_block *ret)
{
    struct guard_block b;

    if (!guard_look(slot, &b)) {
        return false;
    }
    *ret = (struct leak_block){
        b.start, leak_all.guard_base + slot, sizeclass_bytes(b.cls), 0, b.row, b.cls};
    return true;
}

/* The words in which some state is this one: a bit for each, the lower of its two. */
static uint64_t bits_of(uint64_t w, enum leak_state state)
{
    uint64_t low = (state & 1) != 0 ? w : ~w;
    uint64_t high = (state & 2) != 0 ? w >> 1 : ~w >> 1;

    return low & high & LEAK_LOW_BITS;
}

bool leak_heap_describe(const struct leak_found *found, struct leak_block *ret)
{
    const struct span *s = span_find((const void *)found->start);
    const struct leak_span *l;
    size_t range;
    size_t index;

    if (s == NULL) {
        size_t i = found->number - leak_all.far_base;

        if (i < leak_all.far_count) {
            fill_far(i, ret);
            return true;
        }
        return fill_guarded((unsigned)(found->number - leak_all.guard_base), ret);
    }
    range = (size_t)(pagemap_range_of(s) - pagemap_ranges);
    index = (size_t)((const char *)s - pagemap_ranges[range].table) >> SPAN_ENTRY_SHIFT;
    l = &leak_all.spans[range][index];
    fill(s, l, found->number - (size_t)l->base * LEAK_BLOCKS,
        pagemap_ranges[range].origin + (index << SPAN_SHIFT), ret);
    return true;
}

struct walk {
    enum leak_state state;
    bool is_backwards;
    bool (*each)(const struct leak_block *b, void *arg);
    void *arg;
};

/* Those of a word; i: the number of the first in its span. */
static bool walk_word(const struct walk *w, const struct span *s,
    const struct leak_span *l, uintptr_t start, size_t i)
{
    uint64_t bits = bits_of(leak_window.states[l->base + i / LEAK_BLOCKS], w->state);
    struct leak_block b;

    while (bits != 0) {
        unsigned bit = w->is_backwards ? 63u - (unsigned)__builtin_clzll(bits)
                                       : (unsigned)__builtin_ctzll(bits);
        size_t at = i + bit / 2;

        bits &= ~((uint64_t)1 << bit);
        if (at >= l->limit) {
            continue; /* LEAK_FREE: there is none */
        }
        fill(s, l, at, start, &b);
        if (leak_state(b.number) == w->state && !w->each(&b, w->arg)) {
            return false;
        }
    }
    return true;
}

static bool walk_span(const struct walk *w, size_t range, size_t index)
{
    const struct leak_span *l = &leak_all.spans[range][index];
    const struct span *s = leak_entry(range, index);
    uintptr_t start = pagemap_ranges[range].origin + (index << SPAN_SHIFT);
    size_t words = (l->limit + LEAK_BLOCKS - 1u) / LEAK_BLOCKS;

    if ((l->part & LEAK_SPAN_PART) != 0) {
        return true;
    }
    for (size_t n = 0; n < words; n++) {
        size_t word = w->is_backwards ? words - 1 - n : n;

        if (!walk_word(w, s, l, start, word * LEAK_BLOCKS)) {
            return false;
        }
    }
    return true;
}

static bool walk_ranges(const struct walk *w)
{
    for (size_t n = 0; n < leak_all.ranges; n++) {
        size_t r = w->is_backwards ? leak_all.ranges - 1 - n : n;

        for (size_t i = 0; i < leak_all.frontier[r]; i++) {
            size_t index = w->is_backwards ? leak_all.frontier[r] - 1 - i : i;

            if (leak_all.spans[r][index].limit != 0 && !walk_span(w, r, index)) {
                return false;
            }
        }
    }
    return true;
}

static bool walk_far(const struct walk *w)
{
    struct leak_block b;

    for (size_t n = 0; n < leak_all.far_count; n++) {
        fill_far(w->is_backwards ? leak_all.far_count - 1 - n : n, &b);
        if (leak_state(b.number) == w->state && !w->each(&b, w->arg)) {
            return false;
        }
    }
    return true;
}

static bool walk_guarded(const struct walk *w)
{
    struct leak_block b;

    for (unsigned n = 0; guard_pool.bytes != 0 && n < GUARD_SLOTS; n++) {
        unsigned i = w->is_backwards ? GUARD_SLOTS - 1 - n : n;

        if (leak_state(leak_all.guard_base + i) == w->state && fill_guarded(i, &b)
            && !w->each(&b, w->arg)) {
            return false;
        }
    }
    return true;
}

bool leak_heap_each(enum leak_state state,
    bool (*each)(const struct leak_block *b, void *arg), void *arg)
{
    struct walk w = {state, false, each, arg};

    return walk_ranges(&w) && walk_far(&w) && walk_guarded(&w);
}

bool leak_heap_each_backwards(enum leak_state state,
    bool (*each)(const struct leak_block *b, void *arg), void *arg)
{
    struct walk w = {state, true, each, arg};

    return walk_guarded(&w) && walk_far(&w) && walk_ranges(&w);
}

typedef void count_each(const struct leak_block *b, const uint64_t count[4], void *arg);

static void count_one(const struct leak_block *b, count_each *each, void *arg)
{
    uint64_t count[4] = {0};

    count[leak_state(b->number)] = 1;
    each(b, count, arg);
}

static void count_span(size_t range, size_t index, count_each *each, void *arg)
{
    const struct leak_span *l = &leak_all.spans[range][index];
    const struct span *s = leak_entry(range, index);
    uintptr_t start = pagemap_ranges[range].origin + (index << SPAN_SHIFT);
    uint64_t count[4] = {0};
    struct leak_block b;

    if (s->kind != SPAN_SLAB && s->kind != SPAN_TRACKED) {
        for (size_t i = 0; i < l->limit; i++) {
            fill(s, l, i, start, &b);
            if (leak_state(b.number) != LEAK_FREE) {
                count_one(&b, each, arg);
            }
        }
        return;
    }
    for (size_t i = 0; i < l->limit; i += LEAK_BLOCKS) {
        uint64_t w = leak_window.states[l->base + i / LEAK_BLOCKS];

        for (unsigned state = 1; state < 4; state++) {
            count[state] += bits_count(bits_of(w, (enum leak_state)state));
        }
    }
    b = (struct leak_block){.bytes = l->stride, .row = s->row, .cls = s->cls};
    each(&b, count, arg);
}

void leak_heap_count(count_each *each, void *arg)
{
    struct leak_block b;

    for (size_t r = 0; r < leak_all.ranges; r++) {
        for (size_t i = 0; i < leak_all.frontier[r]; i++) {
            const struct leak_span *l = &leak_all.spans[r][i];

            if (l->limit != 0 && (l->part & LEAK_SPAN_PART) == 0) {
                count_span(r, i, each, arg);
            }
        }
    }
    for (size_t i = 0; i < leak_all.far_count; i++) {
        fill_far(i, &b);
        count_one(&b, each, arg);
    }
    for (unsigned i = 0; guard_pool.bytes != 0 && i < GUARD_SLOTS; i++) {
        if (leak_state(leak_all.guard_base + i) != LEAK_FREE && fill_guarded(i, &b)) {
            count_one(&b, each, arg);
        }
    }
}

void leak_heap_keep_unseen(void)
{
    for (size_t i = 0; i < leak_all.words; i++) {
        leak_window.states[i] = bits_of(leak_window.states[i], LEAK_UNSEEN);
    }
}
