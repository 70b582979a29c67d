#include "track.h"

#include "arena.h"
#include "check.h"
#include "os.h"

#include <string.h>

enum {
    WORD_BITS = 64,
    LIGHT_BYTES = 2 * 1024, /* what lies idle in a light slab, at most */
    LIGHT_LEAST = 3,        /* blocks of one, at least */
    FENCE = 0xb1,           /* what a fence is full of */
    FENCE_BYTES = 32,       /* of each of its edges */
    FRONT_MIN = 8,          /* blocks in a hard slab whose first one is left free */
    CARVE_LEAST = 4,        /* blocks that a hard slab cuts at once, at least */
    CARVE_BYTES = 4 * 1024, /* and for so much */
};

struct lock track_lock = LOCK_INIT(RANK_TRACK);
unsigned track_light_blocks = TRACK_LIGHT;
bool track_all;
void (*track_on_end)(const struct span *s);
static struct track *unused[2][CLASS_SLAB_COUNT]; /* light, hard */

static unsigned light_limit(unsigned cls)
{
    size_t blocks = bits_max(LIGHT_BYTES / sizeclass_bytes(cls), LIGHT_LEAST);

    blocks = bits_min(blocks, TRACK_LIGHT);
    return (unsigned)bits_min(blocks, (sizeclass_table[cls].capacity - 1u) / 2);
}

/* Blocks of a slab: of a light one, the fences too. */
static unsigned block_count(const struct track *t)
{
    return t->is_hard ? t->limit : 2u * t->limit + 1;
}

/* How many of them have a state: hardened blocks say it themselves, but for those of no size. */
static unsigned state_count(const struct track *t, unsigned cls)
{
    return t->is_hard && cls != 0 ? 0 : block_count(t);
}

static struct track *create(unsigned cls, bool is_hard)
{
    unsigned limit = is_hard ? sizeclass_table[cls].capacity : light_limit(cls);
    struct track like = {.limit = (uint16_t)limit, .is_hard = is_hard};
    size_t state_bytes =
        bits_round_up(state_count(&like, cls) * sizeof(uint16_t), sizeof(uint64_t));
    uint32_t words = is_hard ? (limit + WORD_BITS - 1) / WORD_BITS : 0;
    size_t start = bits_round_up(sizeof(like), sizeof(uint64_t));
    struct track *t = arena_alloc(start + state_bytes + 3 * words * sizeof(uint64_t));

    if (t != NULL) {
        *t = like;
        t->words = words;
        t->ready = (uint64_t *)((char *)t + start + state_bytes);
        t->freed = t->ready + words;
        t->freed_remote = t->freed + words;
    }
    return t;
}

static void recycle(struct track *t, unsigned cls)
{
    struct track **list = &unused[t->is_hard][cls];

    lock_lock(&track_lock);
    t->next_unused = *list;
    *list = t;
    lock_unlock(&track_lock);
}

bool track_begin(struct span *s, bool is_hard)
{
    unsigned cls = s->cls;
    struct track *t;

    lock_lock(&track_lock);
    t = unused[is_hard][cls];
    if (t != NULL) {
        unused[is_hard][cls] = t->next_unused;
    }
    lock_unlock(&track_lock);
    if (t == NULL) {
        t = create(cls, is_hard);
    }
    if (t == NULL) {
        return false;
    }
    t->start = span_address(s);
    if (is_hard && cls == 0 && !os_protect(t->start, SPAN_BYTES, false)) {
        recycle(t, cls);
        return false;
    }
    for (unsigned i = 0; i < state_count(t, cls); i++) {
        store_relaxed(&t->state[i], 0);
    }
    memset(t->ready, 0, 3 * t->words * sizeof(t->ready[0]));
    t->cursor = 0;
    store_relaxed(&s->track, t);
    store_release(&s->kind, (uint8_t)SPAN_TRACKED); /* pairs with the sweep */
    return true;
}

bool track_end(struct span *s)
{
    struct track *t = s->track;

    if (t->is_hard && s->cls == 0 && !os_protect(t->start, SPAN_BYTES, true)) {
        return false;
    }
    if (t->is_hard && s->cls != 0) {
        track_on_end(s);
    }
    recycle(t, s->cls);
    return true;
}

/*
 * The first block to hand out: block 0 stays free where there are enough, so that every
 * block has a left neighbour in which an underflow is seen.
 */
static unsigned first_block(const struct track *t)
{
    return t->is_hard && t->limit >= FRONT_MIN ? 1 : 0;
}

/* Blocks that were cut and are free, of those that are handed out at all. */
static unsigned count_free(const struct span *s, unsigned used)
{
    unsigned cut = s->carved - (unsigned)bits_min(s->carved, first_block(s->track));

    return cut - (unsigned)bits_min(cut, used);
}

static void *block_at(const struct span *s, unsigned index)
{
    return s->track->start + (size_t)index * sizeclass_bytes(s->cls);
}

static void set_ready(struct track *t, unsigned index)
{
    t->ready[index / WORD_BITS] |= (uint64_t)1 << (index % WORD_BITS);
}

static void carve(struct span *s)
{
    struct track *t = s->track;
    size_t bytes = sizeclass_bytes(s->cls);
    unsigned first = s->carved;
    size_t more = bits_max(CARVE_BYTES / bytes, CARVE_LEAST);

    store_relaxed(&s->carved, (uint16_t)bits_min(first + more, t->limit));
    if (!slab_is_clean(s) && s->cls != 0) { /* free blocks are zero */
        memset(block_at(s, first), 0, (s->carved - first) * bytes);
    } else if (s->cls != 0) {
        /*
         * malloc looks at both ends. To read a fresh page first would be a fault more: the
         * kernel shows the page of zeros, and replaces it at the first write.
         */
        for (unsigned i = first; i < s->carved; i++) {
            char *p = block_at(s, i);

            store_relaxed((uint64_t *)p, 0);
            store_relaxed((uint64_t *)(p + bytes) - 1, 0);
        }
    }
    for (unsigned i = (unsigned)bits_max(first, first_block(t)); i < s->carved; i++) {
        set_ready(t, i);
    }
}

/* Hard: what is free now gets its turn; the next look comes when all had it. */
static void look_for_free(struct span *s)
{
    struct track *t = s->track;

    for (unsigned i = 0; i < t->words; i++) {
        t->ready[i] |= t->freed[i];
        t->freed[i] = 0;
        if (load_relaxed(&t->freed_remote[i]) != 0) {
            /* acquire: pairs with track_set_freed_remote */
            t->ready[i] |= swap_acquire(&t->freed_remote[i], 0);
        }
    }
}

/* Whether some block is ready; leaves the cursor at its word. */
static bool find_ready(struct track *t)
{
    if (t->ready[t->cursor] != 0) {
        return true;
    }
    for (unsigned i = 1; i < t->words; i++) {
        unsigned at = (t->cursor + i) % t->words;

        if (t->ready[at] != 0) {
            t->cursor = at;
            return true;
        }
    }
    return false;
}

bool track_is_kept_back(const struct track *t, unsigned i)
{
    return i < first_block(t);
}

bool track_is_free(const struct track *t, unsigned i)
{
    uint64_t bits = load_relaxed(&t->ready[i / WORD_BITS])
                    | load_relaxed(&t->freed[i / WORD_BITS])
                    | load_relaxed(&t->freed_remote[i / WORD_BITS]);

    return (bits >> (i % WORD_BITS) & 1) != 0;
}

bool track_is_avail(const struct span *s, unsigned used)
{
    const struct track *t = s->track;

    return s->carved < block_count(t)
           || (t->is_hard && count_free(s, used) >= sizeclass_table[s->cls].batch);
}

bool track_has_block(struct span *s, unsigned used)
{
    struct track *t = s->track;

    if (!t->is_hard) {
        return s->carved < block_count(t);
    }
    if (find_ready(t)) {
        return true;
    }
    if (s->carved < t->limit && count_free(s, used) <= s->carved / 4u) {
        carve(s);
    } else if (used + sizeclass_table[s->cls].batch <= s->carved
               || s->carved < t->limit) {
        look_for_free(s);
    } /* else a block would be used again at once */
    return find_ready(t);
}

bool track_has_any(struct span *s, unsigned used)
{
    if (track_has_block(s, used)) {
        return true;
    }
    if (!s->track->is_hard) {
        return false;
    }
    look_for_free(s);
    return find_ready(s->track);
}

static void set_fence(const struct span *s, unsigned index)
{
    size_t bytes = sizeclass_bytes(s->cls);
    size_t n = bits_min(bytes, FENCE_BYTES);
    char *fence = block_at(s, index);

    memset(fence, FENCE, n);
    memset(fence + bytes - n, FENCE, n);
}

static bool is_fence(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)p[i] != FENCE) {
            return false;
        }
    }
    return true;
}

/* Block k of a light slab is number 2 k + 1; even numbers are fences. */
struct block *track_take(struct span *s, unsigned most, unsigned *ret_n)
{
    struct track *t = s->track;
    unsigned first = s->carved / 2u;
    unsigned n = (unsigned)bits_min(most, t->limit - first);

    ASSERT(n > 0 && !t->is_hard);
    if (first == 0) {
        set_fence(s, 0);
    }
    for (unsigned k = first; k < first + n; k++) {
        struct block *b = block_at(s, 2 * k + 1);

        b->next = k + 1 < first + n ? block_at(s, 2 * k + 3) : NULL;
        set_fence(s, 2 * k + 2);
        store_relaxed(
            &t->state[2 * k + 1], 1); /* who frees it got it from us, and this */
    }
    store_relaxed(&s->carved, (uint16_t)(2 * (first + n) + 1));
    *ret_n = n;
    return block_at(s, 2 * first + 1);
}

const char *track_before_free(const struct span *s, void *p)
{
    size_t bytes = sizeclass_bytes(s->cls);
    size_t n = bits_min(bytes, FENCE_BYTES);
    const char *found = NULL;

    if (UNLIKELY(!is_fence((char *)p + bytes, n))) {
        found = "overflow";
    } else if (UNLIKELY(!is_fence((char *)p - n, n))) {
        found = "underflow";
    }
    memset(p, 0, bytes);
    return found;
}

unsigned track_take_hand(
    struct span *s, struct track_hand *hand, unsigned most, uint64_t *random)
{
    struct track *t = s->track;
    unsigned first = t->cursor * WORD_BITS;
    uint64_t word = t->ready[t->cursor];
    unsigned n = bits_count(word);

    if (n > most) { /* some of them, wherever */
        uint64_t taken = 0;

        for (n = 0; n < most; n++) {
            taken |= (uint64_t)1 << track_bit_from(word & ~taken, track_random(random));
        }
        word = taken;
    }
    t->ready[t->cursor] &= ~word;
    hand->start = block_at(s, first);
    hand->word = t->cursor;
    hand->next = track_bit_from(word, track_random(random));
    store_relaxed(&hand->ready, word);
    return n;
}

unsigned track_give_back_hand(struct span *s, struct track_hand *hand)
{
    struct track *t = s->track;
    uint64_t word = hand->ready;

    t->ready[hand->word] |= word;
    store_relaxed(&hand->ready, 0);
    return bits_count(word);
}

void track_give_back(struct span *s, struct block *list)
{
    for (; list != NULL; list = list->next) {
        store_relaxed(track_state(s, list), 0);
    }
}

static void check_hard(const struct span *s, unsigned used, unsigned remote)
{
    const struct track *t = s->track;
    unsigned free_blocks = 0;

    for (unsigned i = 0; i < t->words; i++) {
        CHECK((t->ready[i] & t->freed[i]) == 0); /* T3 */
        free_blocks += bits_count(t->ready[i] | t->freed[i]);
    }
    /* T3. Of a remote free whose bit was taken the count may be still to be folded. */
    CHECK(free_blocks + used <= s->carved + remote);
}

void track_check(const struct span *s, unsigned used, unsigned remote)
{
    const struct track *t = s->track;
    unsigned live = 0;

    CHECK(s->carved <= block_count(t));
    if (t->is_hard) {
        check_hard(s, used, remote);
        return;
    }
    CHECK(used <= s->carved);
    for (unsigned i = 0; i < block_count(t); i++) {
        bool is_live = load_relaxed(&t->state[i]) != 0;

        live += is_live;
        CHECK(!is_live || i < s->carved); /* T2 */
    }
    CHECK(live <= used); /* T1, while others may be between the two */
}
