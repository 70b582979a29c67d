#include "heap.h"

#include "arch.h"
#include "arena.h"
#include "carve.h"
#include "huge.h"
#include "os.h"
#include "probe.h"

#include <string.h>

enum {
    BUSY_MS = 2,        /* between the refills of a busy class */
    FRESH_MS = 250,     /* a list should not last longer: figures stay fresh */
    UNCLOCKED_MAX = 16, /* blocks of a list for which the clock is too dear */
    DRAIN_EVERY = 16,   /* refills, though there are slabs to take from */
    ABSORB_MOST = 4,    /* orphans looked at in one refill */
    LIT_HEAPS = 2,      /* heaps that begin with light slabs: bounds what they cost */
};

struct track_hand heap_no_hands[CLASS_SLAB_COUNT];
struct heap heap_empty = {.hands = heap_no_hands};
static struct heap *all_heaps; /* atomic: push only */
static size_t heap_total;
static struct heap *unused_heaps; /* component_lock */

struct heap *heap_first(void)
{
    return load_acquire(&all_heaps); /* pairs with heap_create */
}

size_t heap_count(void)
{
    return load_relaxed(&heap_total);
}

/* ---- local frees ---- */

void heap_on_left_zero(struct span *s)
{
    if (s->state == SLAB_CURRENT) { /* refill looks at it */
        uint8_t *unclocked = &s->heap->unclocked[s->cls];

        slab_set_used(s, slab_used(s), SLAB_FRESH);
        if (*unclocked > 0) { /* refill was here a moment ago */
            --*unclocked;
            return;
        }
    } else {
        shelf_move(&s->heap->shelf, s);
    }
    probe_tick(os_coarse_ms());
}

/* ---- heaps come and go ---- */

static struct heap *heap_create(void)
{
    size_t hands_bytes = track_all ? sizeof(heap_no_hands) : 0;
    struct heap *h = arena_alloc(sizeof(*h) + hands_bytes);
    struct heap *first;

    if (h == NULL) {
        return NULL;
    }
    if (track_all) {
        h->hands = (struct track_hand *)(h + 1);
        os_random(&h->random, sizeof(h->random));
    }
    lock_init(&h->lock, RANK_HEAP);
    h->pending = HEAP_ORPHAN;
    first = load_relaxed(&all_heaps);
    do {
        h->next_all = first;
        /* release: pairs with heap_first */
    } while (!cas_weak_release(&all_heaps, &first, h));
    if (add_relaxed(&heap_total, 1) >= LIT_HEAPS) {
        memset(h->lit, true, sizeof(h->lit));
    }
    return h;
}

static void list_in_component_locked(struct heap *h, struct mp_component *c)
{
    h->next_of_component = c->heaps;
    h->previous_of_component = NULL;
    if (c->heaps != NULL) {
        c->heaps->previous_of_component = h;
    }
    c->heaps = h;
}

static void unlist_in_component_locked(struct heap *h)
{
    struct heap *next = h->next_of_component;
    struct heap *previous = h->previous_of_component;

    if (next != NULL) {
        next->previous_of_component = previous;
    }
    if (previous != NULL) {
        previous->next_of_component = next;
    } else {
        h->component->heaps = next;
    }
}

/* A heap without slabs, orphan, for component c. */
static struct heap *heap_obtain(struct mp_component *c)
{
    struct heap *h;

    lock_lock(&component_lock);
    h = unused_heaps;
    if (h != NULL) {
        unused_heaps = h->next_free;
    }
    lock_unlock(&component_lock);
    if (h == NULL) {
        h = heap_create();
    }
    if (h != NULL) {
        store_relaxed(&c->has_heap, true);
        store_release(&h->component, c); /* pairs with counters.c */
        lock_lock(&component_lock);
        list_in_component_locked(h, c);
        lock_unlock(&component_lock);
    }
    return h;
}

struct heap *heap_attach(struct mp_component *c)
{
    struct heap *h = heap_obtain(c);
    struct span *others;

    if (h == NULL) {
        return NULL;
    }
    lock_lock(&h->lock);
    store_relaxed(&h->owner, thread_pointer());
    and_acq_rel(&h->pending, ~HEAP_ORPHAN);
    others = heap_drain(h);
    lock_unlock(&h->lock);
    heap_notify_all(others);
    return h;
}

static void heap_recycle(struct heap *h)
{
    lock_lock(&component_lock);
    unlist_in_component_locked(h);
    h->next_free = unused_heaps;
    unused_heaps = h;
    lock_unlock(&component_lock);
}

static void slab_adopt(struct heap *h, struct span *s)
{
    store_relaxed(&s->owner, slab_is_tracked(s) ? 0 : h->owner);
    store_release(&s->heap, h); /* pairs with drain and heap_notify */
}

/* Take every slab of an orphan. Holds its lock; we own h. */
static void adopt_slabs(struct heap *h, struct heap *orphan)
{
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s;

        while ((s = orphan->shelf.avail[cls]) != NULL) {
            shelf_remove(&orphan->shelf, s);
            slab_adopt(h, s);
            shelf_put(&h->shelf, s);
        }
        while ((s = orphan->shelf.holed[cls]) != NULL) {
            slab_adopt(h, s);
            shelf_pass_holed(&orphan->shelf, &h->shelf, s);
        }
    }
    while (orphan->shelf.full != NULL) {
        struct span *s = orphan->shelf.full;

        shelf_remove(&orphan->shelf, s);
        slab_adopt(h, s);
        shelf_put(&h->shelf, s);
    }
}

/* Take over what an exited thread left of this component. False: there is nothing. */
static bool heap_absorb(struct heap *h)
{
    struct mp_component *c = h->component;
    struct heap *orphan;
    struct span *others;

    if (load_relaxed(&c->orphans) == NULL) {
        return false; /* relaxed: to miss one is no harm */
    }
    lock_lock(&component_lock);
    orphan = c->orphans;
    if (orphan != NULL) {
        store_relaxed(&c->orphans, orphan->next_free);
    }
    lock_unlock(&component_lock);
    if (orphan == NULL) {
        return false;
    }
    lock_lock(&orphan->lock);
    others = heap_drain(orphan);
    adopt_slabs(h, orphan);
    lock_unlock(&orphan->lock);
    heap_notify_all(others);
    heap_recycle(orphan);
    return true;
}

/* Nobody will pop it. Publish lock held. */
void heap_return_waiting(struct heap *h, unsigned cls)
{
    struct block *list = h->head[cls];
    struct span *s = h->shelf.current[cls];
    unsigned n = 0;

    if (h->hands != NULL && h->hands[cls].ready != 0) {
        n = slab_give_back_hand(s, &h->hands[cls]);
    }
    if (list != NULL) {
        unsigned listed = 0;

        for (const struct block *b = list; b != NULL; b = b->next) {
            listed++;
        }
        store_relaxed(&h->head[cls], NULL);
        slab_give_back(s, list, listed);
        n += listed;
    }
    if (n == 0) {
        return;
    }
    /* They were no allocations: those that were not to be sampled are still to come. */
    if (h->gap[cls] != 0) {
        bool is_old = h->gap_interval[cls] != h->sample_interval;

        h->gap[cls] = is_old ? 0 : (h->gap[cls] & ~HEAP_GAP_PROMISED) + n;
    }
    /* release: a sweep that sees them returned sees the list empty. */
    store_release(&h->returned[cls], h->returned[cls] + n);
}

/* Filed, or released when empty. */
void heap_retire_current(struct heap *h, unsigned cls)
{
    struct span *s = h->shelf.current[cls];

    if (s == NULL) {
        return;
    }
    h->shelf.current[cls] = NULL;
    if (slab_used(s) == 0 && shelf_try_release(s)) {
        return;
    }
    shelf_put(&h->shelf, s);
}

static void disown_ring(struct span *ring)
{
    struct span *s = ring;

    if (s != NULL) {
        do {
            store_relaxed(&s->owner, 0);
            s = s->next;
        } while (s != ring);
    }
}

void heap_detach_locked(struct heap *h)
{
    struct mp_component *c = h->component;
    struct span *others;
    bool empty = true;

    lock_lock(&h->lock);
    or_acq_rel(&h->pending, HEAP_ORPHAN); /* from here on pushers come for the lock */
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s = h->shelf.current[cls];

        heap_return_waiting(h, cls);
        if (s != NULL) {
            slab_fold_remote(s, false);
            heap_retire_current(h, cls);
        }
        h->zeroed[cls] = false;
    }
    others = heap_drain(h);
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        shelf_release_kept(&h->shelf, cls);
    }
    store_relaxed(&h->owner, 0);
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        disown_ring(h->shelf.avail[cls]);
        disown_ring(h->shelf.holed[cls]);
        empty &= h->shelf.avail[cls] == NULL && h->shelf.holed[cls] == NULL;
        c->handed_gone[cls] += h->handed[cls];
        c->returned_gone[cls] += h->returned[cls];
        store_relaxed(&h->handed[cls], 0);
        store_relaxed(&h->returned[cls], 0);
        h->stamp_ms[cls] = 0;
        h->given[cls] = 0;
    }
    large_take_counts(c, h->large, LARGE_CACHE_CLASSES);
    disown_ring(h->shelf.full);
    empty &= h->shelf.full == NULL;
    lock_unlock(&h->lock);
    heap_notify_all(others);
    if (empty) {
        heap_recycle(h);
        return;
    }
    lock_lock(&component_lock);
    h->next_free = c->orphans;
    store_relaxed(&c->orphans, h);
    lock_unlock(&component_lock);
}

/*
 * All of them at once, which rank checks do not allow otherwise. Heaps that come about
 * meanwhile have no slabs yet. After component_lock, before huge_lock.
 */
static struct heap *forking; /* those up to here are locked */

void heap_lock_all(void)
{
    forking = heap_first();
    for (struct heap *h = forking; h != NULL; h = h->next_all) {
        lock_lock_one_of_many(&h->lock);
    }
}

void heap_unlock_all(void)
{
    for (struct heap *h = forking; h != NULL; h = h->next_all) {
        lock_unlock_one_of_many(&h->lock);
    }
}

void heap_reset_all(void)
{
    for (struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        lock_init(&h->lock, RANK_HEAP);
    }
}

/* ---- refill ---- */

/*
 * How many blocks a list may have. At most as many as the class used up in 250 ms lately:
 * counting happens at refill, so a slow class must come back often enough for its figures
 * to be fresh. A fast one is not held up: the quota doubles with each refill, from 1.
 */
unsigned heap_quota(struct heap *h, unsigned cls, uint32_t now_ms)
{
    uint32_t elapsed_ms = now_ms - h->stamp_ms[cls];
    uint64_t given = h->given[cls];

    h->stamp_ms[cls] = now_ms;
    if (elapsed_ms > FRESH_MS / 2) {
        given = bits_min(given, given * FRESH_MS / elapsed_ms / 2);
    }
    return (unsigned)bits_max(2 * given, 1);
}

/* False: all slabs must be tracked, and there is no memory for it. */
static bool track_new_slab(struct heap *h, struct span *s)
{
    if (UNLIKELY(track_all)) {
        return track_begin(s, true);
    }
    if (!h->lit[s->cls] && track_light_blocks > 0) {
        h->lit[s->cls] = true;
        track_begin(s, false);
    }
    return true;
}

static struct span *start_slab(struct heap *h, unsigned cls)
{
    bool clean;
    struct span *s = span_acquire(sizeclass_table[cls].spans, 1, &clean);

    if (UNLIKELY(s == NULL)
        && (huge_purge(0, 0, SIZE_MAX) > 0 || large_cache_reclaim())) {
        s = span_acquire(sizeclass_table[cls].spans, 1, &clean);
    }
    if (s != NULL) {
        slab_init(s, cls, h->component->row, clean);
        if (!track_new_slab(h, s)) {
            shelf_try_release(s);
            return NULL;
        }
        slab_adopt(h, s);
        add_relaxed(&probe_passes.slab_starts, 1);
    }
    return s;
}

static bool has_batch(struct span *s)
{
    if (UNLIKELY(s != NULL && slab_is_tracked(s))) {
        return track_has_block(s, slab_used(s));
    }
    return s != NULL && slab_free_count(s) >= sizeclass_table[s->cls].batch;
}

/* What others freed is left to them while there is enough: to join two lists walks one. */
static void fold_current(struct span *s)
{
    if (s != NULL && slab_remote_count(s) > 0
        && (slab_is_tracked(s) || !has_batch(s))) {
        slab_fold_remote(s, false);
    }
}

/* Has room for blocks that were never cut, and no remote frees that would do. */
static bool can_cut(const struct span *s)
{
    return s != NULL && !slab_is_carved(s) && slab_remote_count(s) == 0
           && !slab_is_tracked(s);
}

static bool has_any(struct span *s)
{
    return slab_is_tracked(s) ? track_has_any(s, slab_used(s)) : slab_free_count(s) > 0;
}

/* Make the oldest available slab the current one; or one with holes, if that will do. */
static bool switch_to_avail(struct heap *h, unsigned cls, bool holed)
{
    struct span *s = holed ? h->shelf.holed[cls] : h->shelf.avail[cls];

    if (s == NULL) {
        return false;
    }
    shelf_remove(&h->shelf, s);
    heap_retire_current(h, cls);
    h->shelf.current[cls] = s;
    fold_current(s);
    return true;
}

struct span *heap_find_slab(struct heap *h, unsigned cls)
{
    struct span *s = h->shelf.current[cls];
    struct span *others;

    fold_current(s);
    if (has_batch(s)) {
        return s;
    }
    if ((h->shelf.avail[cls] == NULL || h->refills % DRAIN_EVERY == 0)
        && (load_relaxed(&h->pending) & ~HEAP_ORPHAN) != 0) {
        others = heap_drain(h);
        if (h->owner != 0) {
            heap_notify_all(others);
        } else if (others != NULL) { /* under a heap's lock: back to our own queue */
            while (others != NULL) {
                struct span *next = others->pending_next;

                heap_push_pending(h, others);
                others = next;
            }
        }
        if (has_batch(s)) {
            return s;
        }
    }
    if (switch_to_avail(h, cls, false)) {
        return h->shelf.current[cls];
    }
    if (s != NULL && !slab_is_tracked(s) && !slab_is_carved(s)) {
        return s;
    }
    for (unsigned i = 0; h->owner != 0 && i < ABSORB_MOST && heap_absorb(h); i++) {
        if (switch_to_avail(h, cls, false)) {
            return h->shelf.current[cls];
        }
    }
    if (switch_to_avail(h, cls, true)) {
        return h->shelf.current[cls];
    }
    s = start_slab(h, cls);
    if (s == NULL) { /* no memory: what little there is */
        s = h->shelf.current[cls];
        return s != NULL && has_any(s) ? s : NULL;
    }
    heap_retire_current(h, cls);
    h->shelf.current[cls] = s;
    return s;
}

void heap_count_handed(struct heap *h, unsigned cls, unsigned n)
{
    /* release: a sweep that sees these blocks handed out sees them waiting too. */
    store_release(&h->handed[cls], h->handed[cls] + n); /* H3 */
    add_owned(&h->refills, 1);
    h->unreported_bytes += (size_t)n * sizeclass_bytes(cls);
    if (h->unreported_bytes
        >= PROBE_REPORT_BYTES) { /* a shared counter: not every time */
        add_relaxed(&probe_handed_bytes, h->unreported_bytes);
        h->unreported_bytes = 0;
    }
}

/* n blocks at list: the first to the caller, the rest is the list. */
static ALWAYS_INLINE void *hand_list(
    struct heap *h, unsigned cls, struct block *list, unsigned n)
{
    store_relaxed(&h->head[cls], list->next);
    heap_count_handed(h, cls, n);
    return list;
}

/*
 * The list ends before the next sample. That it is short for this does not tell how busy the
 * class is. Where nobody samples, as in heaps without a thread, a gap that is used up stays so.
 */
static NOINLINE void *hand_out_cut(
    struct heap *h, unsigned cls, struct span *s, unsigned most)
{
    uint32_t gap = heap_gap_left(h->gap[cls]);
    unsigned given = 0;
    bool is_cut = false;
    struct block *list;
    unsigned n;

    if (gap < most && gap != 0) {
        /* Where the slab would have had no more, no block was passed over for the sample. */
        is_cut = (h->gap[cls] & HEAP_GAP_CUT) == 0
                 && (slab_is_tracked(s) || gap < slab_free_count(s));
        given = (unsigned)bits_min(h->given[cls], most / 2);
        most = gap;
    }
    list = slab_take(s, most, &n);
    if (gap != 0) {
        h->gap[cls] -= n;
        h->gap[cls] |= is_cut && n == gap ? HEAP_GAP_PROMISED : 0;
    }
    h->given[cls] = (uint16_t)bits_max(n, given);
    return hand_list(h, cls, list, n);
}

/* Hand out from s, which has a free block: its first to the caller, the rest as list. */
static void *hand_out(struct heap *h, unsigned cls, struct span *s, unsigned most)
{
    struct block *list;
    unsigned n;

    if (CONFIG_PROFILE && UNLIKELY(heap_gap_is_within(h->gap[cls], most))) {
        return hand_out_cut(h, cls, s, most);
    }
    list = slab_take(s, most, &n);
    if (CONFIG_PROFILE) {
        h->gap[cls] -= n;
    }
    h->given[cls] = (uint16_t)n;
    return hand_list(h, cls, list, n);
}

static NOINLINE void *refill_slow(struct heap *h, unsigned cls)
{
    uint32_t now_ms = os_coarse_ms();
    uint32_t elapsed_ms = now_ms - h->stamp_ms[cls];
    bool is_busy = elapsed_ms < BUSY_MS;
    unsigned most = heap_quota(h, cls, now_ms);
    struct span *s = h->shelf.current[cls];
    bool is_shared = s != NULL && slab_remote_count(s) > 0;
    void *p;

    s = heap_find_slab(h, cls);

    if (s == NULL) {
        return NULL;
    }
    if (slab_remote_count(s) > 0 && (!has_batch(s) || carve_wants(s, is_busy))) {
        slab_fold_remote(s, false); /* before more is cut */
    }
    h->zeroed[cls] = false;
    if (is_shared) { /* the fewer there are, the more often they change threads */
        h->made_do[cls] = CARVE_MADE_DO;
    } else if (elapsed_ms > 0) {
        h->made_do[cls] = 0;
    }
    if (UNLIKELY(slab_is_tracked(s))) {
        h->zeroed[cls] = slab_is_clean(s); /* each block once */
    } else if (carve_wants(s, is_busy) && !carve_makes_do(s, &h->made_do[cls])) {
        h->zeroed[cls] = slab_is_clean(s) && slab_free_count(s) == 0;
        carve_more(s, &h->made_do[cls]);
    }
    h->trust[cls] = probe_trust(h->trust[cls], elapsed_ms);
    h->unclocked[cls] = h->trust[cls];
    p = hand_out(h, cls, s, most);
    if (h->owner != 0) { /* else under the heap's lock */
        bool is_zeroed = h->zeroed[cls];

        probe_tick_and_tell(now_ms);
        h->zeroed[cls] &= is_zeroed; /* who was told may have allocated */
    }
    return p;
}

/*
 * A busy class whose current slab has blocks, or room to cut some, takes them without a look
 * at the clock, several times in a row.
 */
void *heap_refill(struct heap *h, unsigned cls)
{
    struct span *s = h->shelf.current[cls];

    if (h->unclocked[cls] == 0 || h->given[cls] > UNCLOCKED_MAX) {
        return refill_slow(h, cls);
    }
    if (has_batch(s)) {
        h->zeroed[cls] = false;
    } else if (can_cut(s)) {
        h->zeroed[cls] = false;
        if (!carve_makes_do(s, &h->made_do[cls])) {
            h->zeroed[cls] = slab_is_clean(s) && slab_free_count(s) == 0;
            carve_more(s, &h->made_do[cls]);
        }
    } else {
        return refill_slow(h, cls);
    }
    h->unclocked[cls]--;
    return hand_out(h, cls, s, 2u * bits_max(h->given[cls], 1));
}

void *heap_alloc_shared(struct mp_component *c, unsigned cls)
{
    struct heap *h;
    void *p = NULL;

    lock_lock(&component_lock);
    h = c->shared;
    lock_unlock(&component_lock);
    if (h == NULL) {
        struct heap *mine = heap_obtain(c);

        lock_lock(&component_lock);
        h = c->shared;
        if (h == NULL) {
            h = c->shared = mine;
            mine = NULL;
        }
        lock_unlock(&component_lock);
        if (mine != NULL) {
            heap_recycle(mine);
        }
    }
    if (h != NULL) {
        lock_lock(&h->lock);
        p = track_all ? heap_alloc_hard(h, cls) : heap_alloc(h, cls);
        lock_unlock(&h->lock);
    }
    return p;
}

/* ---- giving back what idles ---- */

void heap_flush_locked(struct heap *h, uint32_t now_ms, uint32_t idle_ms)
{
    struct span *others = heap_drain(h);

    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s = h->shelf.current[cls];

        shelf_release_kept(&h->shelf, cls);
        if (s == NULL || (idle_ms != 0 && now_ms - h->stamp_ms[cls] < idle_ms)) {
            continue;
        }
        heap_return_waiting(h, cls);
        slab_fold_remote(s, false);
        if (slab_used(s) == 0 && shelf_try_release(s)) {
            h->shelf.current[cls] = NULL;
        }
    }
    heap_notify_all(others);
}

bool heap_dig_locked(struct heap *h, bool is_flush, unsigned most)
{
    return shelf_dig(&h->shelf, most, is_flush);
}
