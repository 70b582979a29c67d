#include "pool.h"

#include "check.h"
#include "os.h"
#include "own_memory.h"

#include <string.h>

enum {
    SMALLEST = 4,      /* 16 bytes: log2 */
    BINS = POOL_BINS,  /* up to 32 KiB */
    IDLE = UINT16_MAX, /* class of a block that a thread keeps */
};
static_assert(SLAB_MAX == (size_t)1 << (SMALLEST + BINS - 1), "the last bin holds all");

/*
 * What is known of each block of a span; as many as there are. Blocks themselves are not touched:
 * what a program writes to a freed one harms nobody, and one line less comes from memory.
 */
struct pool_tag {
    uint64_t word; /* atomic: as below */
};

struct tag {
    uint32_t record; /* 0: free */
    uint16_t row;
    uint16_t cls; /* free: number of the next free one and 1; 0: none */
};
static_assert(sizeof(struct tag) == sizeof(struct pool_tag), "it changes as one");

static struct tag read_tag(const struct pool_tag *t)
{
    uint64_t word = load_relaxed(&t->word);
    struct tag tag;

    memcpy(&tag, &word, sizeof(tag));
    return tag;
}

static void write_tag(struct pool_tag *t, struct tag tag)
{
    uint64_t word;

    memcpy(&word, &tag, sizeof(word));
    store_relaxed(
        &t->word, word); /* a block goes from thread to thread by other means */
}

static struct span *open_spans[BINS]; /* with free blocks, linked by next and prev */
/*
 * Without live blocks, for the next that are wanted: if they went and came each time, all that
 * lies beside them would come to other places, and touch other pages.
 */
static struct {
    struct span *first;
    size_t count;
    size_t least; /* since the last trim: so many were not needed */
} empty[BINS];
static struct pool_tag *unused_tags[BINS];         /* linked through their first word */
static struct pool_counts *counts[COMPONENT_ROWS]; /* each made once; atomic */

static unsigned bin_of(size_t bytes)
{
    return bytes <= 16 ? 0 : bits_log2(bytes - 1) + 1 - SMALLEST;
}

static size_t block_bytes(unsigned bin)
{
    return (size_t)1 << (bin + SMALLEST);
}

static unsigned capacity(unsigned bin)
{
    return (unsigned)(SPAN_BYTES >> (bin + SMALLEST));
}

/*
 * ---- spans of a bin: s->cls is the bin, s->left_base how many blocks are live, s->row the
 * first free one's number and 1, s->state the parts that blocks of several may have touched ----
 */

static void open_span(struct span *s)
{
    struct span *first = open_spans[s->cls];

    s->prev = NULL;
    s->next = first;
    if (first != NULL) {
        first->prev = s;
    }
    open_spans[s->cls] = s;
}

static void close_span(struct span *s)
{
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        open_spans[s->cls] = s->next;
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
}

static struct pool_tag *obtain_tags(unsigned bin)
{
    struct pool_tag *tags = unused_tags[bin];

    if (tags != NULL) {
        unused_tags[bin] = (struct pool_tag *)(uintptr_t)load_relaxed(&tags->word);
        store_relaxed(&tags->word, 0);
        return tags;
    }
    return own_alloc_locked(bits_max(capacity(bin) * sizeof(*tags), sizeof(tags)));
}

static void recycle_tags(struct pool_tag *tags, unsigned bin)
{
    store_relaxed(&tags->word, (uintptr_t)unused_tags[bin]);
    unused_tags[bin] = tags;
}

static struct span *take_empty(unsigned bin)
{
    struct span *s = empty[bin].first;

    if (s != NULL) {
        empty[bin].first = s->next;
        empty[bin].count--;
        empty[bin].least = bits_min(empty[bin].least, empty[bin].count);
    }
    return s;
}

static struct span *make_span(unsigned bin)
{
    struct pool_tag *tags = obtain_tags(bin);
    struct span *s;
    bool is_clean;

    if (tags == NULL) {
        return NULL;
    }
    s = span_acquire(1, 1, &is_clean);
    if (s == NULL) {
        recycle_tags(tags, bin);
        return NULL;
    }
    s->owner = 0;
    s->row = 0;
    s->touched_before = (uint8_t)bits_min(s->touched, SLAB_TOUCHED);
    s->left_base = 0;
    s->carved = 0;
    store_relaxed(&s->state, 0);
    s->cls = (uint8_t)bin;
    s->tags = tags;
    store_release(&s->kind, (uint8_t)SPAN_SAMPLED); /* pairs with the sweep */
    open_span(s);
    return s;
}

size_t pool_touched_bytes(const struct span *s)
{
    unsigned shift = load_relaxed(&s->cls) + SMALLEST;
    size_t carved = shift > SPAN_PART_SHIFT
                        ? (size_t)load_relaxed(&s->state) << SPAN_PART_SHIFT
                        : (size_t)load_relaxed(&s->carved) << shift;

    return bits_min(
        bits_max(carved, slab_touched_before(s) << SPAN_PART_SHIFT), SPAN_BYTES);
}

/* ---- blocks ---- */

static size_t index_of(const struct span *s, const void *p)
{
    return ((uintptr_t)p & (SPAN_BYTES - 1)) >> (s->cls + SMALLEST);
}

struct pool_counts *pool_counts_for_locked(uint32_t row, const void *owner)
{
    struct pool_counts **slot = &counts[row];

    if (owner != NULL && pool_counts_for_locked(row, NULL) == NULL) {
        return NULL; /* that comes first: frees under the lock need it */
    }
    while (*slot != NULL && (*slot)->owner != owner) {
        slot = &(*slot)->next;
    }
    if (*slot == NULL) {
        struct pool_counts *n = own_alloc_locked(sizeof(*n));

        if (n != NULL) {
            n->owner = owner;
            store_release(slot, n); /* pairs with pool_counts_of, pool_next_counts */
        }
    }
    return *slot;
}

const struct pool_counts *pool_counts_of(const struct mp_component *c)
{
    return load_acquire(&counts[c->row]); /* pairs with pool_counts_for_locked */
}

struct pool_counts *pool_next_counts(const struct pool_counts *n)
{
    return load_acquire(&n->next); /* pairs with pool_counts_for_locked */
}

/* bytes: of the class; what a block has beyond them stays untouched. */
static size_t take_block(struct span *s, size_t bytes)
{
    size_t index = s->carved;

    if (s->row != 0) {
        index = s->row - 1u;
        s->row = read_tag(&s->tags[index]).cls;
    } else {
        store_relaxed(&s->carved, (uint16_t)(s->carved + 1));
        store_relaxed(&s->state, (uint8_t)(s->state + span_parts_of(bytes)));
    }
    if (++s->left_base == capacity(s->cls)) {
        close_span(s);
    }
    return index;
}

/* One with a free block. NULL: no memory. */
static struct span *obtain_span(unsigned bin)
{
    struct span *s = open_spans[bin];

    if (s == NULL) {
        s = take_empty(bin);
        if (s != NULL) {
            open_span(s);
        } else {
            s = make_span(bin);
        }
    }
    return s;
}

void *pool_alloc_locked(struct mp_component *c, unsigned cls, uint32_t record)
{
    unsigned bin = bin_of(sizeclass_bytes(cls));
    struct pool_counts *n = pool_counts_for_locked(c->row, NULL);
    struct span *s = n != NULL ? obtain_span(bin) : NULL;
    size_t index;

    if (s == NULL) {
        return NULL;
    }
    index = take_block(s, sizeclass_bytes(cls));
    write_tag(&s->tags[index],
        (struct tag){.record = record, .row = c->row, .cls = (uint16_t)cls});
    /* release: a sweep that sees it freed sees it allocated. */
    store_release(&n->allocated[cls], n->allocated[cls] + 1);
    return span_address(s) + index * block_bytes(bin);
}

uint32_t pool_find_locked(const struct span *s, const void *p, unsigned *ret_cls)
{
    size_t index = index_of(s, p);
    struct tag tag = read_tag(&s->tags[index]);

    if (((uintptr_t)p & (block_bytes(s->cls) - 1)) != 0 || index >= s->carved
        || tag.cls == IDLE) {
        return 0;
    }
    *ret_cls = tag.cls;
    return tag.record;
}

unsigned pool_row(const struct span *s, const void *p, unsigned *ret_cls)
{
    struct tag tag = read_tag(&s->tags[index_of(s, p)]);

    *ret_cls = tag.cls;
    return tag.row;
}

void pool_expect(const struct span *s, const void *p)
{
    prefetch_for_write(&s->tags[index_of(s, p)]);
}

static void put_block(struct span *s, size_t index)
{
    write_tag(&s->tags[index], (struct tag){.cls = s->row});
    s->row = (uint16_t)(index + 1);
    if (s->left_base-- == capacity(s->cls)) {
        open_span(s);
    }
    if (s->left_base == 0) {
        unsigned bin = s->cls;

        close_span(s);
        s->next = empty[bin].first;
        empty[bin].first = s;
        empty[bin].count++;
    }
}

void pool_free_locked(struct span *s, void *p)
{
    size_t index = index_of(s, p);
    struct tag tag = read_tag(&s->tags[index]);
    struct pool_counts *n = counts[tag.row];

    store_release(&n->freed[tag.cls], n->freed[tag.cls] + 1);
    put_block(s, index);
}

/* ---- idle blocks ---- */

unsigned pool_bin(size_t bytes)
{
    return bin_of(bytes);
}

size_t pool_bin_bytes(unsigned bin)
{
    return block_bytes(bin);
}

bool pool_take_locked(unsigned bin, uint32_t record, struct pool_block *ret)
{
    struct span *s = obtain_span(bin);
    size_t index;

    if (s == NULL) {
        return false;
    }
    index = take_block(s, block_bytes(bin));
    write_tag(&s->tags[index], (struct tag){.record = record, .cls = IDLE});
    *ret = (struct pool_block){.p = span_address(s) + index * block_bytes(bin),
        .span = s,
        .tag = &s->tags[index],
        .record = record,
        .bin = bin};
    return true;
}

void pool_put_locked(const struct pool_block *b)
{
    put_block(b->span, (size_t)(b->tag - b->span->tags));
}

void pool_begin(const struct pool_block *b, uint32_t row, unsigned cls)
{
    write_tag(b->tag, (struct tag){b->record, (uint16_t)row, (uint16_t)cls});
}

uint32_t pool_find(
    struct span *s, const void *p, struct pool_block *ret, unsigned *ret_cls)
{
    size_t index = index_of(s, p);
    struct pool_tag *t = &s->tags[index];
    struct tag tag = read_tag(t);

    if (((uintptr_t)p & (block_bytes(s->cls) - 1)) != 0
        || index >= load_relaxed(&s->carved) || tag.record == 0 || tag.cls == IDLE) {
        return 0;
    }
    *ret_cls = tag.cls;
    *ret = (struct pool_block){(void *)(uintptr_t)p, s, t, tag.record, s->cls};
    return tag.record;
}

bool pool_try_end(const struct pool_block *b)
{
    struct tag idle = {.record = b->record, .cls = IDLE};
    uint64_t word = load_relaxed(&b->tag->word);
    struct tag now;
    uint64_t then;

    memcpy(&now, &word, sizeof(now));
    memcpy(&then, &idle, sizeof(then));
    if (now.record != b->record || now.cls == IDLE) {
        return false;
    }
    if (os_is_single_threaded()) { /* nobody can come between */
        store_relaxed(&b->tag->word, then);
        return true;
    }
    return cas_acquire(
        &b->tag->word, &word, then); /* whoever is second finds it idle */
}

void pool_trim_locked(bool is_all)
{
    for (unsigned bin = 0; bin < BINS; bin++) {
        size_t n = is_all ? empty[bin].count : empty[bin].least;

        for (; n > 0; n--) {
            struct span *s = take_empty(bin);

            recycle_tags(s->tags, bin);
            span_release(s, 1, span_parts_of(pool_touched_bytes(s)));
        }
        empty[bin].least = empty[bin].count;
    }
}

unsigned pool_block_shift(const struct span *s)
{
    return s->cls + SMALLEST;
}

bool pool_look_locked(const struct span *s, unsigned index, struct pool_view *ret)
{
    struct tag tag;

    if (index >= load_relaxed(&s->carved)) {
        return false;
    }
    tag = read_tag(&s->tags[index]);
    if (tag.record == 0 || tag.cls == IDLE) {
        return false;
    }
    *ret = (struct pool_view){tag.record, tag.row, tag.cls};
    return true;
}
