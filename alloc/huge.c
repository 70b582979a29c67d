#include "huge.h"

#include "arena.h"
#include "options.h"
#include "os.h"
#include "probe.h"
#include "span.h"
#include "thp.h"
#include "track.h"

enum {
    BUCKETS = 256,
    RECENT = 64,   /* freed huge blocks that are remembered */
    KEPT_PART = 8, /* of the live bytes, so much may be kept for reuse */
};

#define KEPT_MIN (64 * MIB) /* and so much always */

struct huge {
    uintptr_t start;
    size_t bytes;
    char *map; /* start and size of the mapping; differ from the block's when aligned */
    size_t map_bytes;
    struct mp_component *component;
    struct huge *next;
    uint32_t freed_ms; /* while it is kept */
    bool is_zeroed;    /* while it is stuck: reads as zeros */
    bool is_advised;   /* its mapping may have huge pages */
};

struct lock huge_lock = LOCK_INIT(RANK_HUGE);
static struct huge *buckets[BUCKETS];
static struct huge *unused;
static struct huge *stuck;  /* purged, and the kernel refused to unmap it */
static struct huge *kept;   /* freed a moment ago, for the next that fits */
static size_t kept_bytes;   /* huge_lock, as are the next two */
static size_t purged_bytes; /* of kept ones, ever */
static size_t purges;
static uintptr_t recent[RECENT]; /* inverted: no pointers, to whoever looks for some */
static unsigned recent_at;
static size_t huge_bytes; /* relaxed atomic */

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

/* Huge pages for the mapping, or none: the kernel is told when that changes. */
static void advise(struct huge *h, bool is_wanted)
{
    if (h->is_advised != is_wanted) {
        h->is_advised = is_wanted;
        thp_advise_mapping(h->map, h->map_bytes, is_wanted);
    }
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

/* ---- kept ones ---- */

/*
 * Address space is the program's own where it is limited, and a filter of system calls may
 * refuse to ask; hardened mode wants a fault at each use after free.
 */
static bool may_keep(void)
{
    return !track_all && options.purge_delay_ms != 0 && !os_is_sandboxed()
           && os_limit_as() == 0 && os_limit_data() == 0;
}

static bool has_room_locked(size_t bytes)
{
    size_t live = load_relaxed(&huge_bytes) + (span_used() << SPAN_SHIFT);

    return kept_bytes + bytes <= bits_max(KEPT_MIN, live / KEPT_PART);
}

static void keep_locked(struct huge *h, uint32_t now_ms)
{
    h->freed_ms = now_ms;
    h->is_zeroed = false;
    h->next = kept;
    store_relaxed(&kept, h);
    kept_bytes += h->map_bytes;
}

static struct huge *unkeep_locked(struct huge **at)
{
    struct huge *h = *at;

    store_relaxed(at, h->next);
    kept_bytes -= h->map_bytes;
    return h;
}

/*
 * The one of those kept that is nearest in length, by less than half: what is too long is cut,
 * what is too short gets more.
 */
static struct huge **find_kept_locked(size_t map_bytes, bool may_extend)
{
    struct huge **best = NULL;
    size_t best_by = map_bytes / 2;

    for (struct huge **at = &kept; *at != NULL; at = &(*at)->next) {
        size_t has = (*at)->map_bytes;
        size_t by = has >= map_bytes ? has - map_bytes : map_bytes - has;

        if (by < best_by && (has >= map_bytes || may_extend)) {
            best = at;
            best_by = by;
        }
    }
    return best;
}

/* is_to_be_zeroed: its pages go, for fewer will be touched than clearing would touch. */
static struct huge *take_kept(size_t map_bytes, bool is_to_be_zeroed)
{
    struct huge **found;
    struct huge *h = NULL;

    if (load_relaxed(&kept) == NULL) {
        return NULL;
    }
    lock_lock(&huge_lock);
    /* A filter of system calls may let no mremap pass. */
    found = find_kept_locked(map_bytes, !is_to_be_zeroed && !os_is_sandboxed());
    if (found != NULL) {
        h = unkeep_locked(found);
    }
    lock_unlock(&huge_lock);
    if (h == NULL) {
        return NULL;
    }
    /* What is too long would stay resident with the block. */
    if (h->map_bytes > map_bytes
        && os_unmap(h->map + map_bytes, h->map_bytes - map_bytes)) {
        h->map_bytes = map_bytes;
    }
    if (h->map_bytes < map_bytes) {
        char *moved = os_remap(h->map, h->map_bytes, map_bytes, true);

        if (moved == NULL) {
            huge_unmap(h);
            return NULL;
        }
        h->map = moved;
        h->map_bytes = map_bytes;
    }
    if (is_to_be_zeroed) {
        if (!os_purge(h->map, h->map_bytes)) {
            huge_unmap(h);
            return NULL;
        }
        advise(h, false);
        h->is_zeroed = true;
    }
    return h;
}

/* The last of the list is the oldest. */
static struct huge *take_old(uint32_t now_ms, uint32_t age_ms)
{
    struct huge **at = &kept;
    struct huge *h = NULL;

    lock_lock(&huge_lock);
    while (*at != NULL && (*at)->next != NULL) {
        at = &(*at)->next;
    }
    if (*at != NULL
        && (age_ms == 0 || (int32_t)(now_ms - (*at)->freed_ms) >= (int32_t)age_ms)) {
        h = unkeep_locked(at);
        purged_bytes += h->map_bytes;
        purges++;
    }
    lock_unlock(&huge_lock);
    return h;
}

size_t huge_purge(uint32_t now_ms, uint32_t age_ms, size_t most)
{
    size_t bytes = 0;

    while (load_relaxed(&kept) != NULL && bytes < most) {
        struct huge *h = take_old(now_ms, age_ms);

        if (h == NULL) {
            break;
        }
        bytes += h->map_bytes;
        huge_unmap(h);
    }
    return bytes;
}

struct huge_totals huge_totals(void)
{
    struct huge_totals t;

    lock_lock(&huge_lock);
    t = (struct huge_totals){
        .kept_bytes = kept_bytes,
        .purged_bytes = purged_bytes,
        .purges = purges,
    };
    lock_unlock(&huge_lock);
    return t;
}

/* ---- blocks ---- */

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
static struct huge *obtain_mapping(size_t map_bytes, bool is_to_be_zeroed)
{
    struct huge *h = take_kept(map_bytes, is_to_be_zeroed);

    if (h == NULL) {
        h = take_stuck(map_bytes);
    }
    if (h != NULL) {
        return h;
    }
    h = obtain_entry();
    if (h == NULL) {
        return NULL;
    }
    h->map = os_map(map_bytes);
    if (h->map == NULL && huge_purge(0, 0, SIZE_MAX) > 0) {
        h->map = os_map(map_bytes);
    }
    h->map_bytes = map_bytes;
    h->is_zeroed = true;
    h->is_advised = false;
    if (h->map == NULL) {
        lock_lock(&huge_lock);
        recycle_locked(h);
        lock_unlock(&huge_lock);
        return NULL;
    }
    return h;
}

void *huge_alloc(struct mp_component *c, size_t bytes, size_t align, bool *ret_zeroed)
{
    size_t page = os_page_bytes();
    size_t map_bytes = align > page ? bytes + align - page : bytes;
    struct huge *h =
        map_bytes >= bytes ? obtain_mapping(map_bytes, ret_zeroed != NULL) : NULL;
    void *block;

    if (h == NULL) {
        return NULL;
    }
    if (ret_zeroed != NULL) {
        *ret_zeroed = h->is_zeroed;
    } else {
        advise(h, true);
    }
    lock_lock(&huge_lock);
    h->start = bits_round_up((uintptr_t)h->map, align);
    h->bytes = bytes;
    h->component = c;
    insert_locked(h);
    block = (void *)h->start;
    lock_unlock(&huge_lock);
    count(c, bytes, false); /* first: no more of them huge than there are large */
    add_relaxed(&huge_bytes, bytes);
    probe_tick_later(os_coarse_ms());
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

struct mp_component *huge_component(const void *p)
{
    struct huge *h;
    struct mp_component *c;

    lock_lock(&huge_lock);
    h = find_locked((uintptr_t)p);
    c = h != NULL ? h->component : component_by_row(COMPONENT_UNTAGGED);
    lock_unlock(&huge_lock);
    return c;
}

bool huge_try_free(void *p)
{
    uint32_t now_ms = os_coarse_ms();
    bool is_kept = may_keep();
    struct huge *h;
    struct huge gone;

    lock_lock(&huge_lock);
    h = find_locked((uintptr_t)p);
    if (h != NULL) {
        gone = *h;
        remove_locked(h);
        recent[recent_at++ % RECENT] = ~gone.start;
        is_kept = is_kept && has_room_locked(gone.map_bytes);
        if (is_kept) {
            keep_locked(h, now_ms);
        }
    }
    lock_unlock(&huge_lock);
    if (h == NULL) {
        return false;
    }
    sub_relaxed(&huge_bytes, gone.bytes);
    count(gone.component, gone.bytes, true);
    if (!is_kept) {
        huge_unmap(h);
    }
    probe_tick_later(now_ms);
    return true;
}

bool huge_was_freed(const void *p)
{
    bool found = false;

    lock_lock(&huge_lock);
    for (unsigned i = 0; i < RECENT; i++) {
        found |= recent[i] == ~(uintptr_t)p && p != NULL;
    }
    lock_unlock(&huge_lock);
    return found;
}

/* The mapping with another length, or NULL. A longer one will do where there is no shorter. */
static char *remap_locked(struct huge *h, size_t bytes)
{
    char *moved =
        h->map_bytes == bytes ? h->map : os_remap(h->map, h->map_bytes, bytes, true);

    if (moved != NULL) {
        h->map_bytes = bytes;
    } else if (bytes < h->map_bytes) {
        moved = h->map;
    }
    return moved;
}

static char *try_resize(struct mp_component *c, void *p, size_t bytes)
{
    size_t old_bytes = 0;
    struct mp_component *old = NULL;
    char *moved = NULL;
    struct huge *h;

    /* Out of the table while it moves: its old place may be mapped by others at once. */
    lock_lock(&huge_lock);
    h = find_locked((uintptr_t)p);
    if (h != NULL && h->start == (uintptr_t)h->map) {
        old_bytes = h->bytes;
        old = h->component;
        remove_locked(h);
        moved = remap_locked(h, bytes);
        if (moved != NULL) {
            c = moved == p ? old : c; /* a block that moves belongs to who moved it */
            h->component = c;
            h->map = moved;
            h->start = (uintptr_t)moved;
            h->bytes = bytes;
        }
        insert_locked(h);
    }
    lock_unlock(&huge_lock);
    if (moved != NULL && bytes != old_bytes) {
        add_relaxed(&huge_bytes, bytes - old_bytes);
        count(old, old_bytes, true);
        count(c, bytes, false);
        probe_tick_later(os_coarse_ms());
    }
    return moved;
}

void *huge_try_resize(struct mp_component *c, void *p, size_t size)
{
    size_t bytes = bits_round_up(size, os_page_bytes());
    char *moved;

    if (size < HUGE_MIN) {
        return NULL;
    }
    moved = try_resize(c, p, bytes);
    if (moved == NULL && huge_purge(0, 0, SIZE_MAX) > 0) {
        moved = try_resize(c, p, bytes);
    }
    return moved;
}

void huge_each_locked(void (*each)(const struct huge_view *h, void *arg), void *arg)
{
    const struct huge *others[] = {kept, stuck};

    for (unsigned i = 0; i < BUCKETS; i++) {
        for (const struct huge *h = buckets[i]; h != NULL; h = h->next) {
            struct huge_view v = {
                h->start, h->bytes, h->map, h->map_bytes, h->component};

            each(&v, arg);
        }
    }
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        for (const struct huge *h = others[i]; h != NULL; h = h->next) {
            struct huge_view v = {0, 0, h->map, h->map_bytes, NULL};

            each(&v, arg);
        }
    }
}

size_t huge_live_bytes(void)
{
    return load_relaxed(&huge_bytes);
}
