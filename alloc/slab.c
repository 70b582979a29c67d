#include "slab.h"

static_assert(SLAB_BLOCKS_MAX <= SLAB_REMOTE_COUNT >> SLAB_REMOTE_SHIFT, "count fits");
static_assert(SPAN_BYTES / BLOCK_ALIGN - 1 == SLAB_REMOTE_INDEX, "index fits");
static_assert(WIDE_SPANS * SPAN_BYTES / WIDE_UNIT - 1 == SLAB_REMOTE_INDEX, "here too");
static_assert(WIDE_MIN / 8 % WIDE_UNIT == 0, "wide classes are multiples of the unit");

/* More frees than allocations: the one corruption that counting cannot miss. */
static void check_used(const struct span *s)
{
    if (UNLIKELY(slab_used(s) > s->carved)) {
        check_die("double free found in slab %p (class %u)", (void *)span_address(s),
            sizeclass_table[s->cls].bytes);
    }
}

void slab_init(struct span *s, unsigned cls, unsigned row, bool clean)
{
    uint32_t touched = s->touched;

    s->local = NULL;
    store_relaxed(&s->carved, 0);
    slab_set_used(s, 0, 0);
    store_relaxed(&s->remote, 0);
    store_relaxed(&s->cls, (uint8_t)cls);
    store_relaxed(&s->row, (uint16_t)row);
    s->state = SLAB_CURRENT;
    touched = (uint32_t)bits_min(touched, SLAB_TOUCHED);
    store_relaxed(&s->touched_before, /* sweeps read it */
        (uint8_t)(!clean         ? bits_max(touched, 1)
                  : touched != 0 ? touched | SLAB_CLEAN
                                 : 0));
    s->next = s->prev = s->pending_next = NULL;
    for (unsigned i = 1; i < sizeclass_table[cls].spans; i++) {
        store_relaxed(
            &s[i].owner, 0); /* frees in it find the first entry in the slow path */
        store_relaxed(&s[i].run, i);
        store_relaxed(&s[i].kind, (uint8_t)SPAN_SLAB_PART);
    }
    store_release(
        &s->kind, (uint8_t)SPAN_SLAB); /* pairs with the sweep in counters.c */
}

void slab_carve(struct span *s, size_t bytes)
{
    const struct sizeclass *c = &sizeclass_table[s->cls];
    unsigned n = (unsigned)bits_max(bytes / c->bytes, 1);
    char *first;
    char *last;

    n = (unsigned)bits_min(n, c->capacity - s->carved);
    ASSERT(n > 0);
    first = span_address(s) + (size_t)s->carved * c->bytes;
    last = first + (size_t)(n - 1) * c->bytes;
    /* In order of address: fresh blocks are handed out as the prefetcher likes it. */
    for (char *p = first; p != last; p += c->bytes) {
        ((struct block *)p)->next = (struct block *)(p + c->bytes);
    }
    ((struct block *)last)->next = s->local;
    s->local = (struct block *)first;
    store_relaxed(&s->carved, (uint16_t)(s->carved + n));
}

static struct block *list_last(struct block *b)
{
    while (b->next != NULL) {
        b = b->next;
    }
    return b;
}

/*
 * Hardened builds walk a list before they trust it: every block must be one of this slab,
 * and there must be as many as the counts say. Finds blocks that were freed twice, and
 * links that were overwritten after free.
 */
static void check_list(const struct span *s, const struct block *list, unsigned n)
{
    unsigned found = 0;

    if (!CONFIG_HARDENED) {
        return;
    }
    for (const struct block *b = list; b != NULL; b = b->next) {
        if (span_find(b) != s || !slab_is_block(s, b) || ++found > n) {
            check_die("a free list of slab %p (class %u) is damaged at %p",
                (void *)span_address(s), sizeclass_table[s->cls].bytes, (void *)b);
        }
    }
    if (found != n) {
        check_die("a free list of slab %p (class %u) lost blocks",
            (void *)span_address(s), sizeclass_table[s->cls].bytes);
    }
}

bool slab_count_remote_free(struct span *s)
{
    uint32_t word = load_relaxed(&s->remote);

    /* acq_rel: as slab_push_remote_at */
    while (!cas_weak_acq_rel(
        &s->remote, &word, (word + (1u << SLAB_REMOTE_SHIFT)) | SLAB_REMOTE_QUEUED)) {
    }
    return (word & SLAB_REMOTE_QUEUED) == 0;
}

unsigned slab_fold_remote(struct span *s, bool clear_queued)
{
    /*
     * acquire: we see the links and the last writes of those who pushed. Pairs with
     * cas_weak_acq_rel in slab_push_remote_at. The whole list is taken: no ABA.
     */
    uint32_t word =
        and_acq_rel(&s->remote, clear_queued ? 0 : (uint32_t)SLAB_REMOTE_QUEUED);
    unsigned n = (word & SLAB_REMOTE_COUNT) >> SLAB_REMOTE_SHIFT;
    struct block *list;

    if (n == 0) {
        return 0;
    }
    if (UNLIKELY(slab_is_tracked(s))) {
        slab_set_used_tracked(s, slab_used(s) - n);
        return n;
    }
    list = (struct block *)(span_address(s)
                            + ((size_t)(word & SLAB_REMOTE_INDEX)
                                << sizeclass_table[s->cls].unit_shift));
    check_list(s, list, n);
    if (s->local == NULL) {
        s->local = list;
    } else if (n <= slab_free_count(s)) { /* walk the shorter of the two */
        list_last(list)->next = s->local;
        s->local = list;
    } else {
        list_last(s->local)->next = list;
    }
    if (UNLIKELY(n > slab_used(s))) {
        check_die("double free found in slab %p (class %u)", (void *)span_address(s),
            sizeclass_table[s->cls].bytes);
    }
    slab_set_used(s, slab_used(s) - n, 0);
    return n;
}

struct block *slab_take(struct span *s, unsigned most, unsigned *ret_n)
{
    unsigned n = slab_free_count(s);
    struct block *list = s->local;

    if (UNLIKELY(slab_is_tracked(s))) {
        list = track_take(s, most, ret_n);
        slab_set_used_tracked(s, slab_used(s) + *ret_n);
        return list;
    }
    check_used(s);
    check_list(s, list, n);
    if (n > most) {
        struct block *last = list;

        for (n = 1; n < most; n++) {
            last = last->next;
        }
        s->local = last->next;
        last->next = NULL;
    } else {
        s->local = NULL;
    }
    slab_set_used(s, slab_used(s) + n, SLAB_FRESH);
    *ret_n = n;
    return list;
}

unsigned slab_take_hand(
    struct span *s, struct track_hand *hand, unsigned most, uint64_t *random)
{
    unsigned n = track_take_hand(s, hand, most, random);

    slab_set_used_tracked(s, slab_used(s) + n);
    return n;
}

unsigned slab_give_back_hand(struct span *s, struct track_hand *hand)
{
    unsigned n = track_give_back_hand(s, hand);

    slab_set_used_tracked(s, slab_used(s) - n);
    return n;
}

void slab_give_back(struct span *s, struct block *list, unsigned n)
{
    if (UNLIKELY(slab_is_tracked(s))) {
        track_give_back(s, list);
        slab_set_used_tracked(s, slab_used(s) - n);
        return;
    }
    list_last(list)->next = s->local;
    s->local = list;
    slab_set_used(s, slab_used(s) - n, 0);
}

void slab_die_of_double_free(const struct span *s, const void *p)
{
    check_die("double free of %p (class %u)", (void *)(uintptr_t)p,
        sizeclass_table[s->cls].bytes);
}

void slab_check(const struct span *s)
{
    unsigned free_blocks = 0;

    CHECK(s->cls < CLASS_SLAB_COUNT);
    CHECK(s->carved <= slab_capacity(s));
    if (slab_is_tracked(s)) {
        CHECK(s->left == 0);
        track_check(s, slab_used(s), slab_remote_count(s));
        return;
    }
    CHECK(slab_used(s) <= s->carved);
    CHECK(s->kind == SPAN_SLAB);
    for (const struct block *b = s->local; b != NULL; b = b->next) {
        CHECK(slab_is_block(s, b));
        CHECK(++free_blocks <= s->carved);
    }
    CHECK(s->state == SLAB_HOLED ? free_blocks < slab_free_count(s)
                                 : free_blocks == slab_free_count(s)); /* S1 */
    CHECK(slab_remote_count(s) <= slab_used(s));                       /* S2 */
    CHECK(s->base == 0 || s->state != SLAB_AVAIL);                     /* S4 */
}
