#include "hole.h"

#include "arena.h"
#include "os.h"

enum {
    BUCKETS = 1024,
    PAGE_SHIFT = SPAN_PART_SHIFT,
    PAGE = 1 << PAGE_SHIFT,
};

struct hole {
    const struct span *slab;
    uint64_t pages; /* those given back, by their place in the slab */
    unsigned used;  /* blocks when it was looked at last */
    struct hole *next;
};

static_assert(WIDE_SPANS * SPAN_PARTS <= 64, "the pages of a slab fit one word");

struct lock hole_lock = LOCK_INIT(RANK_HOLES);
static struct hole *buckets[BUCKETS];
static struct hole *unused;

static struct hole **bucket_of(const struct span *s)
{
    return &buckets[((uintptr_t)s >> SPAN_ENTRY_SHIFT) * 0x9e3779b97f4a7c15u >> 54];
}

static struct hole *obtain(void)
{
    struct hole *h;

    lock_lock(&hole_lock);
    h = unused;
    if (h != NULL) {
        unused = h->next;
    }
    lock_unlock(&hole_lock);
    return h != NULL ? h : arena_alloc(sizeof(*h));
}

static void insert(struct hole *h)
{
    struct hole **bucket = bucket_of(h->slab);

    lock_lock(&hole_lock);
    h->next = *bucket;
    *bucket = h;
    lock_unlock(&hole_lock);
}

/* Where the slab's record is linked, which there must be. */
static struct hole **find_locked(const struct span *s)
{
    struct hole **at = bucket_of(s);

    while ((*at)->slab != s) {
        at = &(*at)->next;
    }
    return at;
}

/* The pages of the slab's record, which goes. */
static uint64_t take(const struct span *s)
{
    struct hole **at;
    struct hole *h;
    uint64_t pages;

    lock_lock(&hole_lock);
    at = find_locked(s);
    h = *at;
    *at = h->next;
    pages = h->pages;
    h->next = unused;
    unused = h;
    lock_unlock(&hole_lock);
    return pages;
}

/* ---- blocks and pages ---- */

/* Numbers of the first block that touches a page, and of the one behind the last. */
static void blocks_of_page(
    const struct span *s, unsigned page, unsigned *ret_first, unsigned *ret_end)
{
    uint32_t bytes = sizeclass_table[s->cls].bytes;

    *ret_first = page * PAGE / bytes;
    *ret_end =
        (unsigned)bits_min(((page + 1) * PAGE + bytes - 1) / bytes, slab_capacity(s));
}

static bool has_bit(const uint64_t *map, unsigned i)
{
    return (map[i / 64] >> i % 64 & 1) != 0;
}

static void set_bit(uint64_t *map, unsigned i)
{
    map[i / 64] |= (uint64_t)1 << i % 64;
}

static struct block *block_number(const struct span *s, unsigned i)
{
    return (
        struct block *)(span_address(s) + (size_t)i * sizeclass_table[s->cls].bytes);
}

static void map_free_blocks(const struct span *s, uint64_t *map)
{
    const struct sizeclass *c = &sizeclass_table[s->cls];
    const char *start = span_address(s);

    for (const struct block *b = s->local; b != NULL; b = b->next) {
        uint32_t offset = (uint32_t)((const char *)b - start);

        if (UNLIKELY(!slab_is_block(s, b))) {
            check_die("a free list of slab %p (class %u) is damaged at %p",
                (void *)start, c->bytes, (const void *)b);
        }
        set_bit(map, (unsigned)(((uint64_t)offset * c->reciprocal) >> 32));
    }
}

static uint64_t find_pages(const struct span *s, const uint64_t *free_blocks)
{
    unsigned count = sizeclass_table[s->cls].spans * SPAN_PARTS;
    uint64_t pages = 0;

    for (unsigned page = 0; page < count; page++) {
        unsigned i, end;

        blocks_of_page(s, page, &i, &end);
        while (i < end && has_bit(free_blocks, i)) {
            i++;
        }
        if (i == end && i > page * PAGE / sizeclass_table[s->cls].bytes) {
            pages |= (uint64_t)1 << page;
        }
    }
    return pages;
}

/* Take the blocks that touch these pages out of the map. */
static void unmap_blocks(const struct span *s, uint64_t pages, uint64_t *map)
{
    for (; pages != 0; pages &= pages - 1) {
        unsigned i, end;

        blocks_of_page(s, (unsigned)__builtin_ctzll(pages), &i, &end);
        for (; i < end; i++) {
            map[i / 64] &= ~((uint64_t)1 << i % 64);
        }
    }
}

static void map_blocks(const struct span *s, uint64_t pages, uint64_t *map)
{
    for (; pages != 0; pages &= pages - 1) {
        unsigned i, end;

        blocks_of_page(s, (unsigned)__builtin_ctzll(pages), &i, &end);
        for (; i < end; i++) {
            set_bit(map, i);
        }
    }
}

/* The blocks of the map become the list, in order of address. */
static void relink(struct span *s, const uint64_t *map)
{
    struct block **at = &s->local;

    for (unsigned word = 0; word < SLAB_BLOCKS_MAX / 64; word++) {
        for (uint64_t bits = map[word]; bits != 0; bits &= bits - 1) {
            struct block *b =
                block_number(s, word * 64 + (unsigned)__builtin_ctzll(bits));

            *at = b;
            at = &b->next;
        }
    }
    *at = NULL;
}

static void give_back(const struct span *s, uint64_t pages)
{
    while (pages != 0) {
        unsigned first = (unsigned)__builtin_ctzll(pages);
        uint64_t rest = ~(pages >> first);
        unsigned count = rest != 0 ? (unsigned)__builtin_ctzll(rest) : 64;

        /* Refused: the pages stay, and nothing else is wrong. */
        os_purge(span_address(s) + (size_t)first * PAGE, (size_t)count * PAGE);
        if (first + count >= 64) {
            return;
        }
        pages = pages >> (first + count) << (first + count);
    }
}

bool hole_dig(struct span *s)
{
    uint64_t map[SLAB_BLOCKS_MAX / 64] = {0};
    struct hole *h;
    uint64_t pages;

    if (os_page_bytes() != PAGE) {
        return false;
    }
    map_free_blocks(s, map);
    pages = find_pages(s, map);
    if ((pages & (pages - 1)) == 0) { /* none or one: not worth a call and a fault */
        return false;
    }
    h = obtain();
    if (h == NULL) {
        return false;
    }
    h->slab = s;
    h->pages = pages;
    h->used = slab_used(s);
    insert(h);
    unmap_blocks(s, pages, map);
    relink(s, map);
    give_back(s, pages);
    return true;
}

bool hole_dig_more(struct span *s)
{
    uint64_t map[SLAB_BLOCKS_MAX / 64] = {0};
    struct hole *h;
    uint64_t pages;
    uint64_t before;

    lock_lock(&hole_lock);
    h = *find_locked(s);
    lock_unlock(&hole_lock); /* the record is the owner's, as the slab is */
    if (slab_used(s) > h->used / 4 * 3) {
        return false;
    }
    h->used = slab_used(s);
    before = h->pages;
    map_free_blocks(s, map);
    map_blocks(s, before, map);
    pages = find_pages(s, map);
    if (pages != before) {
        h->pages = pages;
        unmap_blocks(s, pages, map);
        relink(s, map);
        give_back(s, pages & ~before);
    }
    return true;
}

void hole_fill(struct span *s)
{
    unsigned behind = 0; /* a block that touches two of the pages is taken once */

    for (uint64_t pages = take(s); pages != 0; pages &= pages - 1) {
        unsigned i, end;

        blocks_of_page(s, (unsigned)__builtin_ctzll(pages), &i, &end);
        for (i = (unsigned)bits_max(i, behind); i < end; i++) {
            struct block *b = block_number(s, i);

            b->next = s->local;
            s->local = b;
        }
        behind = end;
    }
}

void hole_forget(struct span *s)
{
    take(s);
}

void hole_each_block_locked(
    const struct span *s, void (*each)(unsigned number, void *arg), void *arg)
{
    const struct hole *h = *bucket_of(s);
    unsigned behind = 0;

    while (h != NULL && h->slab != s) {
        h = h->next;
    }
    for (uint64_t pages = h != NULL ? h->pages : 0; pages != 0; pages &= pages - 1) {
        unsigned i, end;

        blocks_of_page(s, (unsigned)__builtin_ctzll(pages), &i, &end);
        for (i = (unsigned)bits_max(i, behind); i < end; i++) {
            each(i, arg);
        }
        behind = end;
    }
}
