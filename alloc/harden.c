#include "harden.h"

#include "check.h"
#include "counters.h"
#include "large.h"
#include "misuse.h"
#include "os.h"

#include <string.h>

enum {
    TAIL = 8,           /* bytes behind each block that no program owns */
    ZERO_CHECKED = 256, /* bytes of a free block that malloc looks at */
    CONFINED_BLOCKS = 64,
};
#define CONFINED_BYTES (64 * MIB)

static uint64_t secret;

/* The blocks of an empty slab: malloc will not look at those that it never used again. */
static void check_slab(const struct span *s)
{
    const uint64_t *word = (const uint64_t *)s->track->start;
    size_t words = s->carved * sizeclass_bytes(s->cls) / sizeof(*word);
    uint64_t all = 0;
    size_t i;

    for (i = 0; i < words; i++) {
        all |= word[i];
    }
    if (LIKELY(all == 0)) {
        return;
    }
    for (i = 0; word[i] == 0; i++) {
    }
    misuse_of_block(s, &word[i], "use after free", "written to while it was free");
}

void harden_start(void)
{
    if (track_all) {
        return;
    }
    os_random(&secret, sizeof(secret));
    track_on_end = check_slab;
    track_all = true;
    lock_lock(&counters_lock);
    for (struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        heap_harden_locked(h);
    }
    lock_unlock(&counters_lock);
}

/*
 * The canary of a block: eight bytes, repeated by address, so that what stands in eight
 * bytes at any address is a rotation. Differs from block to block and process to process,
 * and has no zero byte: an overflow by '\0' is seen.
 */
static uint64_t canary_of(const void *p)
{
    uint64_t x = ((uintptr_t)p ^ secret) * 0x9e3779b97f4a7c15u;

    return (x ^ x >> 29) | 0x0101010101010101u;
}

static uint64_t canary_at(uint64_t canary, uintptr_t at)
{
    unsigned turn = at % 8 * 8;

    return canary >> turn | canary << (64 - turn) % 64;
}

static uint64_t *tail_of(const void *p, size_t bytes)
{
    return (uint64_t *)((uintptr_t)p + bytes - TAIL);
}

/* Up to 16 bytes behind the request, and the last 8: words that may overlap. */
static void fence_block(void *p, size_t size, size_t bytes)
{
    uint64_t canary = canary_of(p);
    uintptr_t tail = (uintptr_t)p + bytes - TAIL;
    uintptr_t at = (uintptr_t)p + size;
    uintptr_t next = bits_min(at + sizeof(uint64_t), tail);
    uint64_t word = canary_at(canary, at);

    memcpy((void *)at, &word, sizeof(word));
    word = canary_at(canary, next);
    memcpy((void *)next, &word, sizeof(word));
    store_relaxed((uint64_t *)tail, canary);
}

static bool is_fenced(const void *p, size_t size, size_t bytes)
{
    uint64_t canary = canary_of(p);
    uintptr_t tail = (uintptr_t)p + bytes - TAIL;
    uintptr_t at = (uintptr_t)p + size;
    uintptr_t next = bits_min(at + sizeof(uint64_t), tail);
    uint64_t words[2];

    memcpy(&words[0], (const void *)at, sizeof(words[0]));
    memcpy(&words[1], (const void *)next, sizeof(words[1]));
    return words[0] == canary_at(canary, at) && words[1] == canary_at(canary, next)
           && load_relaxed((const uint64_t *)tail) == canary;
}

/* ---- small ---- */

unsigned harden_class(size_t size, size_t alignment)
{
    if (size > SLAB_MAX - TAIL) {
        return CLASS_COUNT;
    }
    if (alignment > BLOCK_ALIGN) {
        unsigned cls = sizeclass_of_aligned(size + TAIL, alignment);

        return cls < CLASS_SLAB_COUNT ? cls : CLASS_COUNT;
    }
    return size == 0 ? 0 : sizeclass_of(size + TAIL);
}

/* Free blocks are zero; what is not was written after free. */
static void check_zero(void *p, size_t bytes)
{
    const uint64_t *word = p;
    size_t words = bits_min(bytes, ZERO_CHECKED) / sizeof(*word);
    uint64_t all = *tail_of(p, bytes);

    for (size_t i = 0; i < words; i++) {
        all |= word[i];
    }
    if (UNLIKELY(all != 0)) {
        misuse_of_block(
            span_find(p), p, "use after free", "written to while it was free");
        memset(p, 0, bytes);
    }
}

void *harden_alloc_block(
    struct mp_component *c, struct heap *h, unsigned cls, size_t size)
{
    size_t bytes = sizeclass_bytes(cls);
    uint16_t *state;
    void *p =
        h != NULL ? heap_alloc_hard(h, cls, &state) : heap_alloc_shared(c, cls, &state);

    if (p == NULL) {
        return NULL;
    }
    if (cls != 0) {
        check_zero(p, bytes);
        fence_block(p, size, bytes);
    }
    store_relaxed(state, (uint16_t)(bytes - size));
    return p;
}

size_t harden_size(const struct span *s, const void *p)
{
    return sizeclass_bytes(s->cls) - *track_state(s, p);
}

/* The block before p ends with its canary, or with zero when it is free. */
static bool is_left_intact(const struct span *s, const char *p, size_t bytes)
{
    uint64_t tail;

    if (p == s->track->start) {
        return true;
    }
    tail = load_relaxed(tail_of(p - bytes, bytes));
    return tail == 0 || tail == canary_of(p - bytes);
}

static void check_size(const void *p, size_t asked, size_t size)
{
    char why[96];

    if (size != SIZE_MAX && size != asked) {
        check_format(
            why, sizeof(why), "%zu bytes said at free, %zu at malloc", size, asked);
        misuse_found(p, "wrong size", why);
    }
}

void harden_before_free(struct span *s, void *p, unsigned slack, size_t size)
{
    size_t bytes = sizeclass_bytes(s->cls);

    check_size(p, bytes - slack, size);
    if (s->cls == 0) {
        return;
    }
    if (UNLIKELY(!is_fenced(p, bytes - slack, bytes))) {
        misuse_of_block(s, p, "overflow", "written to behind its end");
    }
    if (UNLIKELY(!is_left_intact(s, p, bytes))) {
        misuse_of_block(s, p, "underflow", "written to before its start");
    }
    memset(p, 0, bytes - TAIL);
    store_relaxed(tail_of(p, bytes), 0);
}

bool harden_try_resize(struct span *s, void *p, size_t size)
{
    size_t bytes = sizeclass_bytes(s->cls);
    uint16_t *state;

    if (!harden_is_slab(s) || size == 0 || harden_class(size, BLOCK_ALIGN) != s->cls) {
        return false;
    }
    state = track_state(s, p);
    if (!is_fenced(p, bytes - *state, bytes)) {
        misuse_of_block(s, p, "overflow", "written to behind its end");
    }
    fence_block(p, size, bytes);
    store_relaxed(state, (uint16_t)(bytes - size));
    return true;
}

/* ---- large ---- */

/* Freed large blocks, oldest first, which nobody can touch. span_lock is not held. */
struct lock confined_lock = LOCK_INIT(RANK_CONFINED);
static struct span *confined[CONFINED_BLOCKS];
static unsigned confined_at;
static size_t confined_bytes;

/* Out of confinement: clean when the kernel took the pages. */
static void release(struct span *s)
{
    size_t bytes = (size_t)s->run << SPAN_SHIFT;
    bool is_clean = os_purge(span_address(s), bytes);

    if (!os_protect(span_address(s), bytes, true)) {
        return; /* lost to the program, as it must stay inaccessible */
    }
    large_release(s, is_clean ? 0 : (size_t)s->run * SPAN_PARTS);
}

static void confine(struct span *s)
{
    struct span *old[CONFINED_BLOCKS];
    unsigned n = 0;

    lock_lock(&confined_lock);
    confined_bytes += (size_t)s->run << SPAN_SHIFT;
    for (unsigned i = 0; i < CONFINED_BLOCKS; i++) {
        unsigned at = (confined_at + i) % CONFINED_BLOCKS;

        if (confined[at] != NULL && (i == 0 || confined_bytes > CONFINED_BYTES)) {
            confined_bytes -= (size_t)confined[at]->run << SPAN_SHIFT;
            old[n++] = confined[at];
            confined[at] = NULL;
        }
    }
    confined[confined_at] = s;
    confined_at = (confined_at + 1) % CONFINED_BLOCKS;
    lock_unlock(&confined_lock);
    for (unsigned i = 0; i < n; i++) {
        release(old[i]);
    }
}

/* When memory is short, everything. False: nothing was confined. */
static bool release_all(void)
{
    struct span *old[CONFINED_BLOCKS];
    unsigned n = 0;

    lock_lock(&confined_lock);
    for (unsigned i = 0; i < CONFINED_BLOCKS; i++) {
        if (confined[i] != NULL) {
            old[n++] = confined[i];
            confined[i] = NULL;
        }
    }
    confined_bytes = 0;
    lock_unlock(&confined_lock);
    for (unsigned i = 0; i < n; i++) {
        release(old[i]);
    }
    return n > 0;
}

void *harden_alloc_large(struct mp_component *c, size_t size, size_t alignment)
{
    size_t page = os_page_bytes();
    bool zeroed;
    char *p;
    struct span *s;

    if (size > PTRDIFF_MAX - 2 * MIB) {
        return NULL;
    }
    size = bits_max(size, 1); /* asked is not 0 */
    p = large_alloc(c, size + TAIL, page, alignment, &zeroed);
    if (p == NULL && release_all()) {
        p = large_alloc(c, size + TAIL, page, alignment, &zeroed);
    }
    s = p != NULL ? span_find(p) : NULL;
    if (s == NULL) {
        return p; /* huge: a mapping of its own, gone with its block */
    }
    if (!zeroed) {
        memset(p, 0, size);
    }
    s->asked = size;
    fence_block(p, size, s->large_bytes);
    /* To the end of its last span: whoever stands behind is safe from both sides. */
    os_protect(
        p + s->large_bytes, ((size_t)s->run << SPAN_SHIFT) - s->large_bytes, false);
    return p;
}

void harden_free_large(struct span *s, void *p, size_t size)
{
    size_t bytes = s->large_bytes;

    if (s->asked == 0) { /* of the time before */
        large_free(s, p);
        return;
    }
    check_size(p, s->asked, bits_max(size, 1));
    if (!is_fenced(p, s->asked, bytes)) {
        misuse_found(p, "overflow", "large block, written to behind its end");
    }
    large_confine(s, p);
    os_purge(p, bytes);
    os_protect(p, (size_t)s->run << SPAN_SHIFT, false);
    confine(s);
}
