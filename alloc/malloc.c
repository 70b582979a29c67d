#include "malloc.h"

#include "aside.h"
#include "canary.h"
#include "guard.h"
#include "huge.h"
#include "large.h"
#include "limit.h"
#include "malloc_hard.h"
#include "malloc_large.h"
#include "misuse.h"
#include "os.h"
#include "probe.h"
#include "sample.h"

#include <errno.h>
#include <string.h>

/* ---- malloc ---- */

static NOINLINE void *alloc_without_heap(struct mp_component *c, unsigned cls)
{
    bool is_limited = load_relaxed(&c->budget) != NULL;
    void *p = NULL;

    if (!is_limited || limit_fits(c, sizeclass_bytes(cls), true)) {
        p = heap_alloc_shared(c, cls);
    }
    if (is_limited && p != NULL) {
        limit_charge(c, sizeclass_bytes(cls), p);
    }
    return p != NULL ? p : malloc_fail();
}

/* From a heap whose list of the class is empty. */
static ALWAYS_INLINE void *refill_heap(struct heap *h, size_t cls, size_t size)
{
    void *p = CONFIG_PROFILE ? sample_try_alloc(h, (unsigned)cls, size) : NULL;

    if (LIKELY(p == NULL)) {
        p = heap_alloc(h, (unsigned)cls);
    }
    return p != NULL ? p : malloc_fail();
}

/*
 * The same for a component with a budget: as much as is handed out is taken from the room, and
 * near its end lists are short.
 */
static COLD NOINLINE void *refill_limited(struct heap *h, size_t cls, size_t size)
{
    struct mp_component *c = h->component;
    size_t bytes = sizeclass_bytes((unsigned)cls);
    uint64_t handed = h->handed[cls];
    void *p;

    if (!limit_fits(c, bytes, true)) {
        return malloc_fail();
    }
    h->given[cls] = (uint16_t)bits_min(
        h->given[cls], limit_room(c, SIZE_MAX) / (LIMIT_PARTS * bytes));
    p = guard_try_alloc(c, (unsigned)cls, h->given[cls], size);
    if (p == NULL) {
        p = refill_heap(h, cls, size);
    }
    if (p != NULL) {
        bool is_zeroed = h->zeroed[cls];

        handed = h->handed[cls] - handed;
        limit_charge(c, bits_max(handed, 1) * bytes, p);
        limit_run();
        h->zeroed[cls] &= is_zeroed; /* who was told may have allocated */
    }
    return p;
}

static NOINLINE void *refill(size_t cls, size_t size)
{
    struct heap *h = thread_local_state.heap;
    void *p;

    if (UNLIKELY(h == &heap_empty)) {
        if (aside_is_on()) {
            return aside.malloc(sizeclass_bytes((unsigned)cls));
        }
        h = thread_install_heap();
        if (h == NULL) {
            return alloc_without_heap(thread_component(), (unsigned)cls);
        }
    }
    if (UNLIKELY(load_relaxed(&h->component->budget) != NULL)) {
        return refill_limited(h, cls, size);
    }
    p = guard_try_alloc(h->component, (unsigned)cls, h->given[cls], size);
    if (UNLIKELY(p != NULL)) {
        return p;
    }
    return refill_heap(h, cls, size);
}

void *malloc_slow(size_t size)
{
    if (UNLIKELY(harden_is_on())) {
        return malloc_hard(size);
    }
    return refill(sizeclass_of_fast(size), size);
}

void *malloc_refill(size_t cls)
{
    return refill(cls, sizeclass_bytes((unsigned)cls));
}

static NOINLINE void *medium_slow(size_t size)
{
    if (UNLIKELY(harden_is_on())) {
        return malloc_hard(size);
    }
    if (size > SLAB_MAX) {
        return malloc_large(thread_component(), size, BLOCK_ALIGN);
    }
    return refill(sizeclass_of_medium(size), size);
}

void *malloc_medium(size_t size)
{
    struct block *b =
        LIKELY(size <= SLAB_MAX) ? malloc_try_pop(sizeclass_of_medium(size)) : NULL;

    return LIKELY(b != NULL) ? b : medium_slow(size); /* hardened: always */
}

/* A block of a class, for `size` bytes, for a component that need not be the current one. */
static void *alloc_class(struct mp_component *c, unsigned cls, size_t size)
{
    struct block *b;
    struct heap *h;

    if (c == NULL || c == thread_component()) {
        b = malloc_try_pop(cls);
        return LIKELY(b != NULL) ? b : refill(cls, size);
    }
    if (aside_is_on()) {
        return aside.malloc(sizeclass_bytes(cls));
    }
    h = thread_heap(c);
    if (h == NULL) {
        return alloc_without_heap(c, cls);
    }
    b = h->head[cls];
    if (UNLIKELY(b == NULL && load_relaxed(&c->budget) != NULL)) {
        return refill_limited(h, cls, size);
    }
    return b != NULL ? heap_alloc(h, cls) : refill_heap(h, cls, size);
}

void *malloc_alloc(struct mp_component *c, size_t size)
{
    if (UNLIKELY(harden_is_on())) {
        return c == NULL ? malloc_hard(size)
                         : malloc_hard_aligned(c, size, BLOCK_ALIGN);
    }
    if (size <= SLAB_MAX) {
        return alloc_class(c, sizeclass_of(size), size);
    }
    return malloc_large(c != NULL ? c : thread_component(), size, BLOCK_ALIGN);
}

/* ---- calloc ---- */

/* Whether the list of this class holds blocks that are zero but for their first word. */
static bool list_is_zeroed(struct mp_component *c, unsigned cls)
{
    const struct heap *h = thread_local_state.heap;

    if (c != NULL && c != thread_component()) {
        return false; /* rare: clear it all */
    }
    return h->zeroed[cls];
}

/* is_clean: of the class, the list's blocks are zero but for their first word. */
static void clear(void *p, size_t bytes, bool is_clean)
{
    if (bytes > FAST_MAX && is_clean) {
        ((struct block *)p)->next = NULL; /* fresh pages stay untouched */
    } else {
        memset(p, 0, bytes);
    }
}

void *malloc_calloc(size_t count, size_t size)
{
    const struct heap *h = thread_local_state.heap;
    struct block *b = NULL;
    unsigned cls = 0;
    size_t bytes;

    if (LIKELY(!__builtin_mul_overflow(count, size, &bytes) && bytes <= SLAB_MAX)) {
        cls = sizeclass_of(bytes);
        b = malloc_try_pop(cls);
    }
    if (UNLIKELY(b == NULL)) { /* hardened: always */
        return malloc_zeroed(NULL, count, size);
    }
    clear(b, bytes, h->zeroed[cls]);
    return b;
}

void *malloc_zeroed(struct mp_component *c, size_t count, size_t size)
{
    struct span *s;
    size_t bytes;
    void *p;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        return malloc_fail();
    }
    if (UNLIKELY(harden_is_on())) {
        p = c == NULL ? malloc_hard(bytes) : malloc_hard_aligned(c, bytes, BLOCK_ALIGN);
        s = p != NULL ? span_find(p) : NULL;
        if (bytes > CANARY_ZERO && s != NULL && harden_is_slab(s)) {
            memset(
                p, 0, bytes); /* large ones are cleared, of others malloc saw so much */
        }
        return p;
    }
    if (bytes <= SLAB_MAX) {
        unsigned cls = sizeclass_of(bytes);

        p = alloc_class(c, cls, bytes);
        if (p == NULL) {
            return NULL;
        }
        clear(p, bytes, list_is_zeroed(c, cls));
        return p;
    }
    if (aside_is_on()) {
        return aside.calloc(count, size);
    }
    return malloc_large_zeroed(c != NULL ? c : thread_component(), bytes);
}

/* ---- free ---- */

static NOINLINE void free_outside(void *p)
{
    if (malloc_large_try_free_huge(p)) {
        return;
    }
    if (aside_is_on()) {
        aside.free(p);
    } else {
        misuse_outside(p, "invalid free");
    }
}

/* A slab of ours in a chained range or a wide slab, or the same block once more. */
static void free_local(struct span *s, struct block *b)
{
    if (s->local == b) {
        misuse_of_block(s, b, "double free", "the block that was freed last");
        return;
    }
    b->next = s->local;
    s->local = b;
    if (count_down_owned(&s->left)) {
        heap_on_left_zero(s);
    }
}

/* A block that begins so far in its slab. */
static ALWAYS_INLINE void free_in_slab(struct span *s, void *p, uint32_t offset)
{
    if (UNLIKELY(load_relaxed(&s->owner) == thread_pointer())) {
        free_local(s, p);
    } else if (slab_push_remote_at(s, p, offset)) {
        heap_notify(s);
    }
}

static void light_before_free(struct span *s, void *p, size_t size)
{
    const char *what = track_before_free(s, p);

    if (UNLIKELY(what != NULL)) {
        misuse_of_block(s, p, what, "written to beyond its bounds");
    }
    if (UNLIKELY(size != SIZE_UNKNOWN && size > sizeclass_bytes(s->cls))) {
        misuse_of_block(s, p, "wrong size", "more said at free than it has");
    }
}

static void free_tracked(struct span *s, void *p, size_t size)
{
    uint16_t *state = track_state(s, p);

    if (s->track->is_hard) {
        harden_free_block(s, p, size);
        return;
    }
    if (load_relaxed(state) == 0) {
        misuse_in_span(s, p, "invalid free");
        return;
    }
    light_before_free(s, p, size);
    if (track_clear(state)) {
        heap_free_tracked(s, 0, false);
    } else { /* another thread was faster */
        misuse_in_span(s, p, "invalid free");
    }
}

void malloc_free_careful(void *p, size_t size)
{
    unsigned kind;
    struct span *s;

    if (p == NULL) {
        return;
    }
    if (UNLIKELY(guard_holds(p))) {
        guard_free(p);
        return;
    }
    s = span_find(p);
    if (s == NULL) {
        free_outside(p);
        return;
    }
    kind = load_relaxed(&s->kind);
    if (kind == SPAN_SLAB && slab_is_block(s, p)) {
        free_in_slab(s, p, slab_offset(s, p));
    } else if (kind == SPAN_TRACKED && slab_is_block(s, p)) {
        free_tracked(s, p, size);
    } else if (kind == SPAN_SAMPLED && sample_try_free(s, p)) {
        return;
    } else if (large_is_block(s, p)) {
        harden_is_on() ? harden_free_large(s, p, size) : malloc_large_free(s, p);
    } else {
        misuse_in_span(s, p, "invalid free");
    }
}

/*
 * As most that come here are: a block of another thread's slab, one of a wide slab, whose first
 * span alone says whose it is, or a large one. False: look closer.
 */
static ALWAYS_INLINE bool try_free_in_slab(void *p)
{
    uintptr_t index = pagemap_index_fast(p);
    uint32_t offset = (uint32_t)(uintptr_t)p & (SPAN_BYTES - 1);
    struct span *s;

    if (UNLIKELY(!pagemap_has_fast(index))) {
        return false;
    }
    s = pagemap_entry_fast(index);
    if (load_relaxed(&s->kind) == SPAN_LARGE && offset == 0) {
        malloc_large_free(s, p);
        return true;
    }
    if (load_relaxed(&s->kind) == SPAN_SLAB_PART) {
        unsigned part = load_relaxed(&s->run) % WIDE_SPANS;

        s -= part;
        if (LIKELY(load_relaxed(&s->owner) == thread_pointer())) {
            free_local(s, p); /* trusted, as in the fast path */
            return true;
        }
        offset += part << SPAN_SHIFT;
    }
    if (UNLIKELY(
            load_relaxed(&s->kind) != SPAN_SLAB || !slab_has_block_at(s, offset))) {
        return false;
    }
    free_in_slab(s, p, offset); /* ours: the block that was freed last */
    return true;
}

void malloc_free_slow_sized(void *p, size_t size)
{
    if (UNLIKELY(harden_is_on())) {
        malloc_hard_free(p, size);
    } else if (UNLIKELY(!try_free_in_slab(p))) {
        malloc_free_careful(p, size);
    }
}

void malloc_free_slow(void *p)
{
    malloc_free_slow_sized(p, SIZE_UNKNOWN);
}

void malloc_free(void *p)
{
    free_fast(p);
}

/* ---- sizes and realloc ---- */

#define NO_BLOCK SIZE_MAX

/* Block bytes of p, hardened or guarded what was asked for; NO_BLOCK: not the start of one of ours. */
static size_t block_bytes(const void *p, struct span **ret_span)
{
    struct span *s = span_find(p);
    unsigned kind;
    size_t bytes;

    *ret_span = s;
    if (UNLIKELY(guard_holds(p))) {
        return guard_find(p, &bytes) ? bytes : NO_BLOCK;
    }
    if (s == NULL) {
        return huge_find(p, &bytes) ? bytes : NO_BLOCK;
    }
    kind = load_relaxed(&s->kind);
    if (kind == SPAN_SLAB && slab_is_block(s, p)) {
        return sizeclass_bytes(load_relaxed(&s->cls));
    }
    if (kind == SPAN_TRACKED && slab_is_block(s, p)) {
        if (s->track->is_hard) {
            return harden_find_size(s, p, &bytes) ? bytes : NO_BLOCK;
        }
        return *track_state(s, p) != 0 ? sizeclass_bytes(load_relaxed(&s->cls))
                                       : NO_BLOCK;
    }
    if (kind == SPAN_SAMPLED) {
        return sample_find(s, p, &bytes) ? bytes : NO_BLOCK;
    }
    if (!large_is_block(s, p)) {
        return NO_BLOCK;
    }
    return s->asked != 0 ? s->asked : s->large_bytes;
}

size_t malloc_usable(const void *p)
{
    struct span *s;
    size_t bytes = p != NULL ? block_bytes(p, &s) : NO_BLOCK;

    if (p != NULL && bytes == NO_BLOCK && aside_is_on()) {
        return aside.usable((void *)(uintptr_t)p);
    }
    return bytes != NO_BLOCK ? bytes : 0;
}

/* Whether a block of `bytes` should stay where it is for a request of `size`. */
static bool fits_in_place(size_t bytes, size_t size)
{
    return size <= bytes && (size >= bytes / 2 || bytes <= 64);
}

/*
 * A block that grows once grows again: by an eighth at least, so that a string that gains a
 * few bytes at a time is not copied from class to class.
 */
static size_t room_for(size_t bytes, size_t size)
{
    return size > bytes ? bits_min(bits_max(size, bytes + bytes / 8), SLAB_MAX) : size;
}

/*
 * What shrinks fits where it is: that there was no memory for less is no failure, though
 * the search for it took it for one.
 */
static COLD NOINLINE void *keep_in_place(void *p)
{
    sub_relaxed(&probe_passes.allocation_failures, 1);
    return p;
}

/* sampled: the span of p if it is in the sample, else NULL. */
static void *copy_to(struct mp_component *c, void *p, size_t bytes, size_t size,
    const struct span *sampled)
{
    void *q;

    if (size > SLAB_MAX && size > bytes && !harden_is_on()) {
        q = malloc_large_growing(c != NULL ? c : thread_component(), size);
    } else if (size > SLAB_MAX || harden_is_on()) {
        q = malloc_alloc(c, size);
    } else {
        q = alloc_class(c, sizeclass_of(room_for(bytes, size)), size);
    }
    if (q == NULL) {
        return size <= bytes ? keep_in_place(p) : NULL;
    }
    memcpy(q, p, bits_min(bytes, size));
    if (CONFIG_PROFILE && UNLIKELY(sampled != NULL)) {
        sample_moved(sampled, p, bits_min(bytes, size));
    }
    malloc_free(p);
    return q;
}

/* What is freed at the end makes room for what comes first. */
static COLD NOINLINE void *copy_limited(struct mp_component *c, void *p, size_t bytes,
    size_t size, const struct span *sampled)
{
    void *q;

    limit_lend(p);
    q = copy_to(c, p, bytes, size, sampled);
    limit_lend_nothing();
    return q;
}

static void *resize_by_copy(struct mp_component *c, void *p, size_t bytes, size_t size,
    const struct span *sampled)
{
    const struct mp_component *to = c != NULL ? c : thread_component();

    if (UNLIKELY(load_relaxed(&to->budget) != NULL)) {
        return copy_limited(c, p, bytes, size, sampled);
    }
    return copy_to(c, p, bytes, size, sampled);
}

/* The slab of p when this thread owns it (then p is trusted, as free does), else NULL. */
static struct span *find_own_slab(const void *p)
{
    uintptr_t index = pagemap_index_fast(p);
    struct span *s;

    if (!pagemap_has_fast(index)) {
        return NULL;
    }
    s = pagemap_entry_fast(index);
    return load_fast(&s->owner) == thread_pointer() ? s : NULL;
}

void *malloc_realloc(void *p, size_t size)
{
    struct span *s = find_own_slab(p);

    if (LIKELY(
            s != NULL && size != 0 && fits_in_place(sizeclass_bytes(s->cls), size))) {
        return p;
    }
    return malloc_resize(NULL, p, size);
}

void *malloc_resize(struct mp_component *c, void *p, size_t size)
{
    struct span *s = find_own_slab(p);
    bool is_sampled;
    unsigned cls;
    size_t bytes;
    void *q;

    if (LIKELY(s != NULL && c == NULL && size - 1 < SLAB_MAX)) {
        bytes = sizeclass_bytes(s->cls);
        if (fits_in_place(bytes, size)) {
            return p;
        }
        cls = sizeclass_of(room_for(bytes, size));
        if (UNLIKELY(thread_local_state.heap->head[cls] == NULL)) {
            return resize_by_copy(NULL, p, bytes, size, NULL);
        }
        q = malloc_pop(cls);
        memcpy(q, p, bits_min(bytes, size));
        free_fast(p);
        return q;
    }
    if (p == NULL) {
        return malloc_alloc(c, size);
    }
    if (size == 0) { /* as glibc: free, and no new block */
        malloc_free(p);
        return NULL;
    }
    bytes = block_bytes(p, &s);
    if (UNLIKELY(bytes == NO_BLOCK)) {
        if (aside_is_on()) {
            return aside.realloc(p, size);
        }
        if (s != NULL) {
            misuse_in_span(s, p, "invalid realloc");
        } else {
            misuse_outside(p, "invalid realloc");
        }
        return malloc_fail();
    }
    if (size > PTRDIFF_MAX) {
        return malloc_fail();
    }
    if (UNLIKELY(harden_is_on() && s != NULL)) {
        if (harden_try_resize(s, p, size)) {
            return p;
        }
    } else if (bytes <= SLAB_MAX) {
        if (fits_in_place(bytes, size)) {
            if (s != NULL && load_relaxed(&s->kind) == SPAN_SAMPLED) {
                sample_resized(s, p, size);
            }
            return p;
        }
    } else if (s == NULL) {
        q = malloc_large_try_resize_huge(
            c != NULL ? c : thread_component(), p, bytes, size);
        if (q != NULL) {
            return q;
        }
    } else if (malloc_large_try_resize(s, p, bytes, size)) {
        return p;
    }
    is_sampled = s != NULL
                 && (load_relaxed(&s->kind) == SPAN_SAMPLED
                     || (load_relaxed(&s->kind) == SPAN_LARGE && s->sample != 0));
    return resize_by_copy(c, p, bytes, size, is_sampled ? s : NULL);
}

/* ---- aligned ---- */

void *malloc_try_aligned(size_t alignment, size_t size)
{
    unsigned cls = sizeclass_of_aligned(size, alignment);

    return LIKELY(cls != CLASS_COUNT) ? malloc_try_pop(cls) : NULL; /* hardened: NULL */
}

void *malloc_aligned(struct mp_component *c, size_t alignment, size_t size)
{
    unsigned cls;
    void *p;

    if (alignment <= BLOCK_ALIGN) {
        return malloc_alloc(c, size);
    }
    if (c == NULL) {
        p = malloc_try_aligned(alignment, size);
        if (LIKELY(p != NULL)) {
            return p;
        }
    }
    if (aside_is_on()) {
        return aside.memalign(alignment, size);
    }
    if (UNLIKELY(harden_is_on())) {
        return malloc_hard_aligned(c, size, alignment);
    }
    cls = sizeclass_of_aligned(size, alignment);
    if (cls < CLASS_SLAB_COUNT) {
        return alloc_class(c, cls, size);
    }
    return malloc_large(c != NULL ? c : thread_component(), size, alignment);
}

/* ---- trim ---- */

size_t malloc_trim_all(void)
{
    uint32_t now_ms = os_coarse_ms();
    size_t bytes;

    thread_request_trim();
    lock_lock(&counters_lock);
    thread_take_trim_request(); /* by what follows */
    large_cache_purge_locked(now_ms, 0);
    thread_flush_locked(now_ms, 0);
    lock_unlock(&counters_lock);
    if (CONFIG_PROFILE) {
        sample_trim();
    }
    bytes = span_purge(now_ms, 0, SIZE_MAX) + huge_purge(now_ms, 0, SIZE_MAX);
    add_relaxed(&probe_passes.trims, 1);
    add_relaxed(&probe_passes.trimmed_bytes, bytes);
    return bytes;
}
