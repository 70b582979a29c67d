#include "harden.h"

#include "canary.h"
#include "check.h"
#include "counters.h"
#include "misuse.h"
#include "os.h"

#include <string.h>

uint64_t canary_secret;

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
    os_random(&canary_secret, sizeof(canary_secret));
    track_on_end = check_slab;
    track_all = true;
    lock_lock(&counters_lock);
    for (struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        heap_harden_locked(h);
    }
    lock_unlock(&counters_lock);
}

unsigned harden_class(size_t size, size_t alignment)
{
    unsigned cls;

    if (size > SLAB_MAX - CANARY_BYTES) {
        return CLASS_COUNT;
    }
    if (alignment <= BLOCK_ALIGN) {
        return size == 0 ? 0 : sizeclass_of(size + CANARY_BYTES);
    }
    cls = sizeclass_of_aligned(size + CANARY_BYTES, alignment);
    return cls < CLASS_SLAB_COUNT && sizeclass_bytes(cls) - size <= CANARY_SLACK_MAX
               ? cls
               : CLASS_COUNT;
}

void harden_say_used_after_free(void *p, size_t bytes)
{
    misuse_of_block(span_find(p), p, "use after free", "written to while it was free");
    memset(p, 0, bytes);
}

void *harden_alloc_block(
    struct mp_component *c, struct heap *h, unsigned cls, size_t size)
{
    size_t bytes = sizeclass_bytes(cls);
    void *p = h != NULL ? heap_alloc_hard(h, cls) : heap_alloc_shared(c, cls);

    if (p == NULL) {
        return NULL;
    }
    if (cls == 0) {
        store_relaxed(track_state(span_find(p), p), 1);
        return p;
    }
    if (UNLIKELY(!canary_is_zero(p, bytes))) {
        harden_say_used_after_free(p, bytes);
    }
    canary_set(p, size, bytes);
    return p;
}

bool harden_find_size(const struct span *s, const void *p, size_t *ret_size)
{
    size_t bytes = sizeclass_bytes(s->cls);
    uint32_t tail;
    size_t slack;

    if (s->cls == 0) {
        *ret_size = 0;
        return load_relaxed(track_state(s, p)) != 0;
    }
    tail = load_relaxed(canary_tail(p, bytes));
    slack = canary_slack(p, tail);
    if (slack - CANARY_BYTES > bytes - CANARY_BYTES) {
        slack = CANARY_BYTES; /* written to: whoever frees it hears of it */
    }
    *ret_size = bytes - slack;
    return tail != 0;
}

void harden_check_size(const void *p, size_t asked, size_t size)
{
    char why[96];

    if (size != SIZE_MAX && size != asked) {
        check_format(
            why, sizeof(why), "%zu bytes said at free, %zu at malloc", size, asked);
        misuse_found(p, "wrong size", why);
    }
}

static void free_of_no_size(struct span *s, void *p, size_t size)
{
    harden_check_size(p, 0, size);
    if (track_clear(track_state(s, p))) {
        heap_free_tracked(s, track_index(s, p), true);
    } else {
        misuse_in_span(s, p, "invalid free");
    }
}

void harden_free_block(struct span *s, void *p, size_t size)
{
    size_t bytes = sizeclass_bytes(s->cls);
    uint32_t tail;
    size_t slack;

    if (s->cls == 0) {
        free_of_no_size(s, p, size);
        return;
    }
    tail = load_relaxed(canary_tail(p, bytes));
    slack = canary_slack(p, tail);
    if (tail == 0
        && (track_is_free(s->track, track_index(s, p)) || canary_is_zero(p, bytes))) {
        misuse_in_span(s, p, "invalid free");
        return;
    }
    if (slack - CANARY_BYTES
        > bytes
              - CANARY_BYTES) { /* nobody knows whether it is in use: it stays what it is */
        misuse_of_block(s, p, "overflow", "written to behind its end");
        return;
    }
    harden_check_size(p, bytes - slack, size);
    if (!canary_is_fenced(p, bytes - slack, tail)) {
        misuse_of_block(s, p, "overflow", "written to behind its end");
    }
    if (!canary_is_left_intact(s->track->start, p, bytes)) {
        misuse_of_block(s, p, "underflow", "written to before its start");
    }
    if (!canary_take(p, bytes, tail)) { /* another thread was faster */
        misuse_in_span(s, p, "invalid free");
        return;
    }
    canary_clear(p, bytes);
    heap_free_tracked(s, track_index(s, p), true);
}

bool harden_try_resize(struct span *s, void *p, size_t size)
{
    size_t bytes = sizeclass_bytes(s->cls);
    size_t asked;

    if (!harden_is_slab(s) || size == 0 || harden_class(size, BLOCK_ALIGN) != s->cls) {
        return false;
    }
    if (harden_find_size(s, p, &asked) && !canary_is_set(p, asked, bytes)) {
        misuse_of_block(s, p, "overflow", "written to behind its end");
    }
    if (asked
        < size) { /* where the canary stood: free blocks are zero, this one is not */
        memset((char *)p + asked, 0, bits_min(size - asked, CANARY_BYTES));
    }
    canary_set(p, size, bytes);
    return true;
}
