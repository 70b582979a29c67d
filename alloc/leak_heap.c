#include "leak_heap.h"

#include "guard.h"
#include "hole.h"
#include "huge.h"
#include "leak_own.h"
#include "locks.h"
#include "os.h"
#include "pool.h"
#include "sample_large.h"
#include "thread.h"

#include <errno.h>

enum {
    RUN_SPANS_MAX = LEAK_SPAN_PART,
    SURE_BY = 1, /* counts of a slab in which a free was interrupted differ by this */
};
static_assert(HUGE_MIN / SPAN_BYTES <= RUN_SPANS_MAX, "parts of runs have numbers");
static_assert(sizeof(struct leak_span) == 16, "what it costs");

struct leak_window leak_window;

struct leak_all leak_all;

/* ---- spans ---- */

void leak_heap_close(void)
{
    leak_own_unmap_all();
    leak_all.ranges = 0;
    leak_all.far = NULL;
    leak_all.far_count = leak_all.far_room = 0;
    leak_all.words = 0;
    leak_all.sums = (struct leak_heap_sums){0};
    leak_window = (struct leak_window){0};
}

struct leak_heap_sums leak_heap_sums(void)
{
    return leak_all.sums;
}

static void describe(size_t range, size_t index, struct leak_span like, size_t spans)
{
    struct leak_span *s = &leak_all.spans[range][index];

    like.base = (uint32_t)leak_all.words;
    leak_all.words += (like.limit + LEAK_BLOCKS - 1u) / LEAK_BLOCKS;
    for (size_t i = 0; i < spans && index + i < leak_all.frontier[range]; i++) {
        s[i] = like;
        s[i].part |= (uint16_t)i;
    }
}

static unsigned slab_limit(const struct span *s)
{
    return (unsigned)bits_min(s->carved, slab_capacity(s));
}

/* How many spans to go on by. */
static size_t see_span(size_t range, size_t index)
{
    const struct span *s = leak_entry(range, index);
    struct leak_span like = {0};
    unsigned shift;

    switch (s->kind) {
    case SPAN_SLAB:
    case SPAN_TRACKED:
        if (s->cls >= CLASS_SLAB_COUNT) {
            return 1;
        }
        like.stride = sizeclass_table[s->cls].bytes;
        like.reciprocal = sizeclass_table[s->cls].reciprocal;
        like.limit = (uint16_t)slab_limit(s);
        like.part = s->kind == SPAN_TRACKED && s->track->is_hard && s->cls == 0
                        ? LEAK_SPAN_EMPTY
                        : 0;
        describe(range, index, like, sizeclass_table[s->cls].spans);
        return sizeclass_table[s->cls].spans;
    case SPAN_SAMPLED:
        shift = pool_block_shift(s);
        like.stride = 1u << shift;
        like.reciprocal = (uint32_t)(((uint64_t)1 << 32) >> shift);
        like.limit = s->carved;
        like.part = LEAK_SPAN_POOL;
        describe(range, index, like, 1);
        return 1;
    case SPAN_LARGE:
        like.stride = (uint32_t)s->large_bytes;
        like.limit = 1;
        describe(range, index, like, bits_max(s->run, 1));
        return bits_max(s->run, 1);
    case SPAN_CONFINED:
    case SPAN_KEPT:
    case SPAN_POCKETED:
    case SPAN_FREE_DIRTY:
    case SPAN_FREE_CLEAN:
        return bits_max(s->run, 1);
    default:
        return 1;
    }
}

static bool see_ranges(void)
{
    leak_all.ranges = pagemap_range_count();
    for (size_t r = 0; r < leak_all.ranges; r++) {
        leak_all.frontier[r] = pagemap_ranges[r].frontier;
    }
    for (size_t r = 0; r < leak_all.ranges; r++) {
        /* Chained ranges share one mapping: there may be hundreds. */
        size_t spans = leak_all.frontier[r];

        if (r <= 1) {
            for (size_t i = r + 1; r == 1 && i < leak_all.ranges; i++) {
                spans += leak_all.frontier[i];
            }
            leak_all.spans[r] = leak_own_map(spans * sizeof(struct leak_span));
        } else {
            leak_all.spans[r] = leak_all.spans[r - 1] + leak_all.frontier[r - 1];
        }
        if (leak_all.spans[r] == NULL) {
            return false;
        }
    }
    for (size_t r = 0; r < leak_all.ranges; r++) {
        for (size_t i = 0; i < leak_all.frontier[r];) {
            i += see_span(r, i);
        }
    }
    return true;
}

/* ---- blocks with a mapping of their own ---- */

static void count_far(const struct huge_view *h, void *arg)
{
    (void)arg;
    leak_all.far_room += h->start != 0;
}

static void add_far(const struct huge_view *h, void *arg)
{
    size_t i = leak_all.far_count;

    (void)arg;
    if (h->start == 0 || i == leak_all.far_room) {
        return;
    }
    for (; i > 0 && leak_all.far[i - 1].start > h->start; i--) {
        leak_all.far[i] = leak_all.far[i - 1];
    }
    leak_all.far[i] = (struct leak_far){h->start, h->bytes, h->component->row,
        sample_find_huge_locked((const void *)h->start)};
    leak_all.far_count++;
}

static bool see_far(void)
{
    huge_each_locked(count_far, NULL);
    leak_all.far = leak_own_map(leak_all.far_room * sizeof(*leak_all.far));
    if (leak_all.far == NULL) {
        return false;
    }
    huge_each_locked(add_far, NULL);
    leak_all.far_base = leak_all.words * LEAK_BLOCKS;
    leak_all.words += (leak_all.far_count + LEAK_BLOCKS - 1) / LEAK_BLOCKS;
    leak_all.guard_base = leak_all.words * LEAK_BLOCKS;
    leak_all.words += guard_pool.bytes != 0 ? GUARD_SLOTS / LEAK_BLOCKS : 0;
    return true;
}

/* Where blocks lie that are not in the first range. */
static void bound_outside(void)
{
    uintptr_t low = UINTPTR_MAX;
    uintptr_t high = 0;

    for (size_t r = 1; r < leak_all.ranges; r++) {
        uintptr_t origin = pagemap_ranges[r].origin;

        low = bits_min(low, origin);
        high = bits_max(high, origin + (leak_all.frontier[r] << SPAN_SHIFT));
    }
    if (leak_all.far_count > 0) {
        const struct leak_far *last = &leak_all.far[leak_all.far_count - 1];

        low = bits_min(low, leak_all.far[0].start);
        high = bits_max(high, last->start + last->bytes);
    }
    if (guard_pool.bytes != 0) {
        low = bits_min(low, guard_pool.start);
        high = bits_max(high, guard_pool.start + guard_pool.bytes);
    }
    leak_window.low = low;
    leak_window.more_bytes = high > low ? high - low : 0;
}

static bool find_far(uintptr_t address, struct leak_found *ret)
{
    size_t low = 0;
    size_t high = leak_all.far_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (leak_all.far[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0
        || address - leak_all.far[low - 1].start >= leak_all.far[low - 1].bytes) {
        return false;
    }
    *ret = (struct leak_found){leak_all.far_base + low - 1, leak_all.far[low - 1].start,
        leak_all.far[low - 1].bytes, 0, NULL};
    return true;
}

static bool find_guarded(uintptr_t address, struct leak_found *ret)
{
    unsigned slot = guard_slot_number(address);
    struct guard_block b;

    if (slot >= GUARD_SLOTS || !guard_look(slot, &b)
        || address - b.start >= bits_max(b.bytes, 1)) {
        return false;
    }
    *ret = (struct leak_found){leak_all.guard_base + slot, b.start, b.bytes, 0, NULL};
    return true;
}

bool leak_find_outside(uintptr_t address, struct leak_found *ret)
{
    for (size_t r = 1; r < leak_all.ranges; r++) {
        size_t index = (address - pagemap_ranges[r].origin) >> SPAN_SHIFT;

        if (index < leak_all.frontier[r]) {
            return leak_find_in(&leak_all.spans[r][index], address, ret);
        }
    }
    if (guard_holds((const void *)address)) {
        return find_guarded(address, ret);
    }
    return find_far(address, ret);
}

uintptr_t leak_span_start(const struct leak_span *s)
{
    size_t r = 0;

    /* The addresses of two mappings: the second may be the lower. */
    while (
        r + 1 < leak_all.ranges
        && (s < leak_all.spans[r] || s >= leak_all.spans[r] + leak_all.frontier[r])) {
        r++;
    }
    return pagemap_ranges[r].origin
           + ((uintptr_t)(s - leak_all.spans[r]) << SPAN_SHIFT);
}

/* ---- which blocks are free ---- */

static void set_all(size_t base, size_t count, enum leak_state state)
{
    for (size_t i = 0; i < count; i++) {
        leak_set_state(base + i, state);
    }
}

/* A list of free blocks, `most` at most. False: it is not what a list looks like. */
static bool free_list(
    const struct block *b, size_t base, size_t limit, size_t most, size_t *ret_count)
{
    struct leak_found f;

    for (*ret_count = 0; b != NULL; b = b->next) {
        if (!leak_find((uintptr_t)b, &f) || f.start != (uintptr_t)b
            || f.number - base >= limit || ++*ret_count > most) {
            return false;
        }
        leak_set_state(f.number, LEAK_FREE);
    }
    return true;
}

struct holes {
    size_t base;
    size_t limit;
    size_t count;
};

static void free_in_hole(unsigned number, void *arg)
{
    struct holes *h = arg;

    if (number < h->limit) {
        leak_set_state(h->base + number, LEAK_FREE);
        h->count++;
    }
}

/* False: its owner is just changing it, or somebody wrote into a free block. */
static bool look_into_slab(const struct span *s, size_t base, size_t limit)
{
    struct holes holes = {base, limit, 0};
    uint32_t remote = s->remote;
    size_t remotes = (remote & SLAB_REMOTE_COUNT) >> SLAB_REMOTE_SHIFT;
    size_t found = 0;
    size_t free_blocks;

    set_all(base, limit, LEAK_UNSEEN);
    if (!free_list(s->local, base, limit, limit, &free_blocks)) {
        return false;
    }
    hole_each_block_locked(s, free_in_hole, &holes);
    free_blocks += holes.count;
    if (remotes != 0
        && (!free_list(
                (const struct block *)(slab_start(s, span_address(s))
                                       + ((size_t)(remote & SLAB_REMOTE_INDEX)
                                           << sizeclass_table[s->cls].unit_shift)),
                base, limit, limit, &found)
            || found != remotes)) {
        return false;
    }
    return free_blocks + slab_used(s) + SURE_BY >= limit
           && free_blocks + slab_used(s) <= limit + SURE_BY; /* S1 */
}

static void look_into_tracked(const struct span *s, size_t base, size_t limit)
{
    const struct track *t = s->track;

    for (size_t i = 0; i < limit; i++) {
        bool lives = t->is_hard ? !track_is_free(t, (unsigned)i)
                                      && !track_is_kept_back(t, (unsigned)i)
                                : t->state[i] != 0;

        leak_set_state(base + i, lives ? LEAK_UNSEEN : LEAK_FREE);
    }
}

static void look_into_pool(const struct span *s, size_t base, size_t limit)
{
    struct pool_view b;

    for (size_t i = 0; i < limit; i++) {
        if (pool_look_locked(s, (unsigned)i, &b)) {
            leak_set_state(base + i, LEAK_UNSEEN);
        }
    }
}

static void look_into(size_t range, size_t index)
{
    const struct leak_span *l = &leak_all.spans[range][index];
    const struct span *s = leak_entry(range, index);
    size_t base = (size_t)l->base * LEAK_BLOCKS;

    switch (s->kind) {
    case SPAN_SLAB:
        if (!look_into_slab(s, base, l->limit)) {
            leak_all.sums.unsure_slabs++;
            for (size_t i = 0; i < l->limit; i++) {
                if (leak_state(base + i) == LEAK_UNSEEN) {
                    leak_set_state(base + i, LEAK_REACHED);
                }
            }
        }
        break;
    case SPAN_TRACKED:
        look_into_tracked(s, base, l->limit);
        break;
    case SPAN_SAMPLED:
        look_into_pool(s, base, l->limit);
        break;
    case SPAN_LARGE:
        leak_set_state(base, LEAK_UNSEEN);
        break;
    default:
        break;
    }
}

/* What heaps have taken from their slabs and not handed out yet. */
static void free_waiting(const struct heap *h)
{
    struct leak_found f;
    size_t n;

    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        free_list(h->head[cls], 0, leak_all.words * LEAK_BLOCKS, SLAB_BLOCKS_MAX, &n);
        for (uint64_t ready = h->hands != NULL ? h->hands[cls].ready : 0; ready != 0;
             ready &= ready - 1) {
            uintptr_t block = (uintptr_t)h->hands[cls].start
                              + (size_t)__builtin_ctzll(ready) * sizeclass_bytes(cls);

            if (leak_find(block, &f)) {
                leak_set_state(f.number, LEAK_FREE);
            }
        }
    }
}

static void look_for_free(void)
{
    struct guard_block b;

    for (size_t r = 0; r < leak_all.ranges; r++) {
        for (size_t i = 0; i < leak_all.frontier[r]; i++) {
            const struct leak_span *l = &leak_all.spans[r][i];

            if (l->limit != 0 && (l->part & LEAK_SPAN_PART) == 0) {
                look_into(r, i);
            }
        }
    }
    for (const struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        free_waiting(h);
    }
    set_all(leak_all.far_base, leak_all.far_count, LEAK_UNSEEN);
    for (unsigned i = 0; guard_pool.bytes != 0 && i < GUARD_SLOTS; i++) {
        leak_set_state(
            leak_all.guard_base + i, guard_look(i, &b) ? LEAK_UNSEEN : LEAK_FREE);
    }
}

int leak_heap_open(void)
{
    leak_heap_close();
    if (!see_ranges() || !see_far()) {
        return -ENOMEM;
    }
    leak_window.states = leak_own_map(leak_all.words * sizeof(uint64_t));
    if (leak_window.states == NULL) {
        return -ENOMEM;
    }
    if (leak_all.ranges > 0) {
        leak_window.origin = pagemap_ranges[0].origin;
        leak_window.bytes = leak_all.frontier[0] << SPAN_SHIFT;
        leak_window.spans = leak_all.spans[0];
    }
    bound_outside();
    look_for_free();
    for (size_t i = 0; i < leak_all.words; i++) {
        uint64_t w = leak_window.states[i];

        leak_all.sums.blocks += bits_count((w | w >> 1) & LEAK_LOW_BITS);
    }
    return 0;
}

size_t leak_block_bytes(const struct leak_found *found)
{
    struct pool_view b;
    const struct span *s;

    if ((found->flags & (LEAK_SPAN_POOL | LEAK_SPAN_EMPTY)) == 0) {
        return found->bytes;
    }
    s = pagemap_find((const void *)found->start);
    if ((found->flags & LEAK_SPAN_EMPTY) != 0 || s == NULL
        || !pool_look_locked(s,
            (unsigned)((found->start & (SPAN_BYTES - 1)) >> pool_block_shift(s)), &b)) {
        return 0;
    }
    return sizeclass_bytes(b.cls);
}
