#include "large.h"

#include "arena.h"
#include "check.h"
#include "os.h"
#include "probe.h"
#include "thp.h"

enum {
    BUCKETS = 256,
    RECENT = 64, /* freed huge blocks that are remembered */
};

/* The state of a large block's entry. */
enum { LARGE_PLAIN, LARGE_ADVISED /* it may have huge pages */ };

struct huge {
    uintptr_t start;
    size_t bytes;
    char *map; /* start and size of the mapping; differ from the block's when aligned */
    size_t map_bytes;
    struct mp_component *component;
    struct huge *next;
    bool is_zeroed; /* while it is stuck: reads as zeros */
};

struct lock huge_lock = LOCK_INIT(RANK_HUGE);
static struct huge *buckets[BUCKETS];
static struct huge *unused;
static struct huge *stuck; /* purged, and the kernel refused to unmap it */
static uintptr_t recent[RECENT];
static unsigned recent_at;
static size_t huge_bytes;  /* relaxed atomic */
static size_t large_bytes; /* span_lock; read without */

/* The counters of large and huge blocks have one lock: that of the spans. */
static void count(struct mp_component *c, size_t bytes, bool is_free)
{
    lock_lock(&span_lock);
    component_count_large_locked(c, bytes, is_free);
    if (!is_free) {
        add_owned(&probe_large_bytes, bytes);
    }
    lock_unlock(&span_lock);
}

static struct huge **bucket_of(uintptr_t start)
{
    return &buckets[(start >> 12) * 0x9e3779b97f4a7c15u >> 56];
}

static struct huge *find_locked(uintptr_t start)
{
    struct huge *h = *bucket_of(start);

    while (h != NULL && h->start != start) {
        h = h->next;
    }
    return h;
}

static void insert_locked(struct huge *h)
{
    struct huge **bucket = bucket_of(h->start);

    h->next = *bucket;
    *bucket = h;
}

static void remove_locked(struct huge *h)
{
    struct huge **at = bucket_of(h->start);

    while (*at != h) {
        at = &(*at)->next;
    }
    *at = h->next;
}

static struct huge *obtain_entry(void)
{
    struct huge *h;

    lock_lock(&huge_lock);
    h = unused;
    if (h != NULL) {
        unused = h->next;
    }
    lock_unlock(&huge_lock);
    return h != NULL ? h : arena_alloc(sizeof(*h));
}

static void recycle_locked(struct huge *h)
{
    h->next = unused;
    unused = h;
}

/* ---- huge ---- */

/*
 * Unmap a block that is in no table any more. The kernel may have no room to split a
 * mapping: then at least the pages go back, and it is tried again when there is room.
 */
static void huge_unmap(struct huge *h)
{
    while (h != NULL) {
        bool done = os_unmap(h->map, h->map_bytes);

        if (!done) {
            h->is_zeroed = os_purge(h->map, h->map_bytes);
        }
        lock_lock(&huge_lock);
        if (done) {
            recycle_locked(h);
            h = stuck;
            store_relaxed(&stuck, h != NULL ? h->next : NULL);
        } else {
            h->next = stuck;
            store_relaxed(&stuck, h);
            h = NULL;
        }
        lock_unlock(&huge_lock);
    }
}

/* A mapping that could not be given back and is not much too long; nearly always none. */
static struct huge *take_stuck(size_t map_bytes)
{
    struct huge **at = &stuck;
    struct huge *h;

    if (load_relaxed(&stuck) == NULL) {
        return NULL;
    }
    lock_lock(&huge_lock);
    while (*at != NULL
           && ((*at)->map_bytes < map_bytes || (*at)->map_bytes / 2 > map_bytes)) {
        at = &(*at)->next;
    }
    h = *at;
    if (h != NULL) {
        store_relaxed(at, h->next);
    }
    lock_unlock(&huge_lock);
    return h;
}

/* A mapping of at least this size, and its entry; NULL: no memory. */
static struct huge *obtain_mapping(size_t map_bytes)
{
    struct huge *h = take_stuck(map_bytes);

    if (h != NULL) {
        return h;
    }
    h = obtain_entry();
    if (h == NULL) {
        return NULL;
    }
    h->map = os_map(map_bytes);
    h->map_bytes = map_bytes;
    h->is_zeroed = true;
    if (h->map == NULL) {
        lock_lock(&huge_lock);
        recycle_locked(h);
        lock_unlock(&huge_lock);
        return NULL;
    }
    return h;
}

static void *huge_alloc(
    struct mp_component *c, size_t bytes, size_t align, bool *ret_zeroed)
{
    size_t page = os_page_bytes();
    size_t map_bytes = align > page ? bytes + align - page : bytes;
    struct huge *h = map_bytes >= bytes ? obtain_mapping(map_bytes) : NULL;
    void *block;

    if (h == NULL) {
        return NULL;
    }
    if (ret_zeroed != NULL) {
        *ret_zeroed = h->is_zeroed;
    } else {
        thp_advise_mapping(h->map, h->map_bytes);
    }
    lock_lock(&huge_lock);
    h->start = bits_round_up((uintptr_t)h->map, align);
    h->bytes = bytes;
    h->component = c;
    insert_locked(h);
    block = (void *)h->start;
    lock_unlock(&huge_lock);
    add_relaxed(&huge_bytes, bytes);
    count(c, bytes, false);
    probe_tick(os_coarse_ms());
    return block;
}

bool huge_find(const void *p, size_t *ret_bytes)
{
    struct huge *h;

    lock_lock(&huge_lock);
    h = find_locked((uintptr_t)p);
    if (h != NULL) {
        *ret_bytes = h->bytes;
    }
    lock_unlock(&huge_lock);
    return h != NULL;
}

bool huge_try_free(void *p)
{
    struct huge *h;
    struct huge gone;

    lock_lock(&huge_lock);
    h = find_locked((uintptr_t)p);
    if (h != NULL) {
        gone = *h;
        remove_locked(h);
        recent[recent_at++ % RECENT] = gone.start;
    }
    lock_unlock(&huge_lock);
    if (h == NULL) {
        return false;
    }
    sub_relaxed(&huge_bytes, gone.bytes);
    count(gone.component, gone.bytes, true);
    huge_unmap(h);
    probe_tick(os_coarse_ms());
    return true;
}

bool huge_was_freed(const void *p)
{
    bool found = false;

    lock_lock(&huge_lock);
    for (unsigned i = 0; i < RECENT; i++) {
        found |= recent[i] == (uintptr_t)p && p != NULL;
    }
    lock_unlock(&huge_lock);
    return found;
}

void *huge_try_resize(struct mp_component *c, void *p, size_t size)
{
    size_t bytes = bits_round_up(size, os_page_bytes());
    size_t old_bytes = 0;
    struct mp_component *old = NULL;
    char *moved = NULL;
    struct huge *h;

    if (size < HUGE_MIN) {
        return NULL;
    }
    /* Out of the table while it moves: its old place may be mapped by others at once. */
    lock_lock(&huge_lock);
    h = find_locked((uintptr_t)p);
    if (h != NULL && h->start == (uintptr_t)h->map) {
        old_bytes = h->bytes;
        old = h->component;
        moved = h->map_bytes == bytes ? h->map
                                      : os_remap(h->map, h->map_bytes, bytes, true);
        if (moved != NULL) {
            remove_locked(h);
            c = moved == p ? old : c; /* a block that moves belongs to who moved it */
            h->component = c;
            h->map = moved;
            h->start = (uintptr_t)moved;
            h->bytes = h->map_bytes = bytes;
            insert_locked(h);
        }
    }
    lock_unlock(&huge_lock);
    if (moved != NULL && bytes != old_bytes) {
        add_relaxed(&huge_bytes, bytes - old_bytes);
        count(old, old_bytes, true);
        count(c, bytes, false);
        probe_tick(os_coarse_ms());
    }
    return moved;
}

/* ---- large ---- */

static size_t spans_for(size_t bytes)
{
    return (bytes + SPAN_BYTES - 1) >> SPAN_SHIFT;
}

static void set_large_bytes(size_t bytes)
{
    store_relaxed(&large_bytes, bytes);
}

void *large_alloc(
    struct mp_component *c, size_t size, size_t spare, size_t align, bool *ret_zeroed)
{
    size_t bytes;
    size_t align_spans = align > SPAN_BYTES ? align >> SPAN_SHIFT : 1;
    size_t spans;
    struct span *s;
    bool is_clean;
    bool is_advised;

    if (size > PTRDIFF_MAX - 2 * MIB || align > PTRDIFF_MAX / 2) {
        return NULL;
    }
    bytes = bits_round_up(bits_max(size, 1), os_page_bytes());
    if (bytes >= HUGE_MIN || align >= HUGE_MIN) {
        return huge_alloc(c, bytes, bits_max(align, os_page_bytes()), ret_zeroed);
    }
    spans = spans_for(bytes + bits_min(spare, HUGE_MIN));
    lock_lock(&span_lock);
    s = span_acquire_locked(spans, align_spans, &is_clean);
    if (s == NULL) {
        lock_unlock(&span_lock);
        return NULL;
    }
    s->owner = 0;
    s->asked = 0;
    is_advised = ret_zeroed == NULL && is_clean && thp_is_wanted(bytes, span_used());
    s->state = is_advised ? LARGE_ADVISED : LARGE_PLAIN;
    s->large_bytes = bytes;
    s->row = c->row;
    s->component = c;
    s->run = (uint32_t)spans;
    store_release(
        &s->kind, (uint8_t)SPAN_LARGE); /* pairs with the sweep in counters.c */
    set_large_bytes(large_bytes + bytes);
    add_owned(&probe_large_bytes, bytes);
    component_count_large_locked(c, bytes, false);
    lock_unlock(&span_lock);
    if (is_advised) {
        thp_advise(span_address(s), bytes, true);
    }
    if (ret_zeroed != NULL) {
        *ret_zeroed = is_clean;
    }
    if (is_clean) { /* reused memory was freed: free looked at the clock */
        probe_tick(os_coarse_ms());
    }
    return span_address(s);
}

bool large_is_block(const struct span *s, const void *p)
{
    return ((uintptr_t)p & (SPAN_BYTES - 1)) == 0
           && load_relaxed(&s->kind) == SPAN_LARGE;
}

/* The block is one no more; of two threads that free it, one finds it gone. */
static bool retire_locked(struct span *s, enum span_kind kind)
{
    if (load_relaxed(&s->kind) != SPAN_LARGE) {
        return false;
    }
    store_relaxed(&s->kind, (uint8_t)kind);
    set_large_bytes(large_bytes - s->large_bytes);
    component_count_large_locked(s->component, s->large_bytes, true);
    return true;
}

static COLD NOINLINE void die_of_two(const void *p)
{
    check_die("double free of %p (large block)", (void *)(uintptr_t)p);
}

void large_free(struct span *s, void *p)
{
    uint32_t now_ms = os_coarse_ms();
    bool is_block;

    if (s->state == LARGE_ADVISED) { /* by us: a huge page never comes back into less */
        large_confine(s, p);
        thp_advise(p, s->large_bytes, false);
        large_release(s, s->touched + span_parts_of(s->large_bytes));
        return;
    }
    lock_lock(&span_lock);
    is_block = retire_locked(s, SPAN_NONE);
    if (is_block) {
        span_release_locked(
            s, s->run, s->touched + span_parts_of(s->large_bytes), now_ms);
    }
    lock_unlock(&span_lock);
    if (!is_block) {
        die_of_two(p);
    }
    probe_tick(now_ms);
}

void large_confine(struct span *s, void *p)
{
    bool is_block;

    lock_lock(&span_lock);
    is_block = retire_locked(s, SPAN_CONFINED);
    lock_unlock(&span_lock);
    if (!is_block) {
        die_of_two(p);
    }
    probe_tick(os_coarse_ms());
}

void large_release(struct span *s, size_t touched)
{
    lock_lock(&span_lock);
    store_relaxed(&s->kind, SPAN_NONE);
    span_release_locked(s, s->run, touched, os_coarse_ms());
    lock_unlock(&span_lock);
}

bool large_try_resize(struct span *s, size_t size)
{
    struct mp_component *c = s->component;
    size_t bytes = bits_round_up(size, os_page_bytes());
    size_t old_bytes = s->large_bytes;
    size_t old_spans = s->run;
    size_t spans = spans_for(bytes);
    uint32_t now_ms = os_coarse_ms();
    bool clean;

    if (size <= SLAB_MAX || bytes >= HUGE_MIN || s->asked != 0) {
        return false;
    }
    if (bytes == old_bytes) {
        return true;
    }
    if (spans > old_spans && !span_extend(s, old_spans, spans, &clean)) {
        return false;
    }
    s->run = (uint32_t)bits_max(spans, old_spans);
    lock_lock(&span_lock);
    if (bytes < old_bytes && s->state == LARGE_ADVISED) {
        thp_advise(span_address(s), old_bytes, false);
        s->state = LARGE_PLAIN;
    }
    if (bytes < old_bytes && spans < old_spans) { /* growing keeps its spare room */
        s->run = (uint32_t)spans;
        span_release_locked(
            s + spans, old_spans - spans, (old_spans - spans) * SPAN_PARTS, now_ms);
    }
    if (bytes < old_bytes) { /* it stays touched */
        store_relaxed(
            &s->touched, (uint32_t)(s->touched + span_parts_of(old_bytes - bytes)));
    }
    s->large_bytes = bytes;
    set_large_bytes(large_bytes + bytes - old_bytes);
    component_count_large_locked(c, old_bytes, true);
    component_count_large_locked(c, bytes, false);
    lock_unlock(&span_lock);
    return true;
}

size_t large_live_bytes(void)
{
    return load_relaxed(&large_bytes);
}

size_t huge_live_bytes(void)
{
    return load_relaxed(&huge_bytes);
}
