#include "large_cache.h"

#include "os.h"
#include "probe.h"

static struct large_cache *all; /* atomic */
static uint32_t looked_ms;      /* counters_lock: the last purge that looked at them */

void large_cache_enlist(struct large_cache *cache)
{
    struct large_cache *first = load_relaxed(&all);

    if (cache->is_listed) {
        return;
    }
    cache->is_listed = true;
    do {
        cache->next_all = first;
        /* release: pairs with first_of_all */
    } while (!cas_weak_release(&all, &first, cache));
}

static struct large_cache *first_of_all(void)
{
    return load_acquire(&all);
}

/* Of a full slot, one of two that come at a time gets it. */
static struct span *take(struct span **slot)
{
    struct span *s = load_relaxed(slot);

    if (s == NULL) {
        return NULL;
    }
    if (os_is_single_threaded()) {
        store_relaxed(slot, NULL);
        return s;
    }
    return swap_acquire(slot, NULL); /* pairs with large_cache_try_free */
}

/*
 * Ticks are for slow paths, and this is one; but a thread that calls often asks for the time
 * every now and then only.
 */
static void tick(struct large_cache *cache)
{
    uint32_t now_ms;

    if (LIKELY(cache->unclocked > 0)) {
        cache->unclocked--;
        return;
    }
    now_ms = os_coarse_ms();
    cache->trust = probe_trust(cache->trust, now_ms - cache->stamp_ms);
    cache->stamp_ms = now_ms;
    cache->unclocked = cache->trust;
    probe_tick_later(now_ms);
}

/* That of sizeclass_of_large, for those that may be here. */
static struct large_count *count_of(struct large_count *n, size_t bytes)
{
    return n + (bytes > 64 * KIB) + (bytes > 128 * KIB);
}

/* release: a sweep that sees a block freed sees it allocated. */
static void count(uint64_t *blocks, uint64_t *all_bytes, size_t bytes)
{
    store_release(blocks, *blocks + 1);
    store_release(all_bytes, *all_bytes + bytes);
}

void *large_cache_try_alloc(struct large_cache *cache, struct mp_component *c,
    struct large_count n[LARGE_CACHE_CLASSES], size_t size, size_t spare)
{
    size_t bytes = bits_round_up(bits_max(size, 1), os_page_bytes());
    size_t index = (bytes + spare - 1) >> SPAN_SHIFT;
    struct span *s;

    if (size > PTRDIFF_MAX || index >= LARGE_CACHE_SPANS) {
        return NULL;
    }
    s = take(&cache->slot[index]);
    if (s == NULL) {
        return NULL;
    }
    s->large_bytes = bytes;
    s->component = c;
    store_release(&s->kind, (uint8_t)SPAN_LARGE); /* as in large_alloc */
    n = count_of(n, bytes);
    count(&n->allocated_blocks, &n->allocated_bytes, bytes);
    return span_address(s);
}

bool large_cache_try_free(struct large_cache *cache, struct mp_component *c,
    struct large_count n[LARGE_CACHE_CLASSES], struct span *s)
{
    size_t bytes = s->large_bytes;
    size_t run = s->run;
    size_t touched = s->touched + span_parts_of(bytes);

    if (run > LARGE_CACHE_SPANS || s->component != c
        || load_relaxed(&cache->slot[run - 1]) != NULL || !large_retire(s, SPAN_KEPT)) {
        return false;
    }
    store_relaxed(&s->touched, (uint32_t)bits_min(touched, run * SPAN_PARTS));
    n = count_of(n, bytes);
    count(&n->freed_blocks, &n->freed_bytes, bytes);
    store_release(&cache->slot[run - 1], s); /* pairs with take */
    add_owned(&cache->puts[run - 1], 1);
    tick(cache);
    return true;
}

/* One slot; how many bytes it had. stamp_ms: since when it was free. */
static size_t flush(struct span **slot, uint32_t stamp_ms)
{
    struct span *s = take(slot);
    size_t bytes;

    if (s == NULL) {
        return 0;
    }
    bytes = (size_t)s->run << SPAN_SHIFT; /* then it is somebody else's */
    large_release(s, s->touched, stamp_ms);
    return bytes;
}

size_t large_cache_flush(struct large_cache *cache)
{
    uint32_t now_ms = os_coarse_ms();
    size_t bytes = 0;

    for (unsigned i = 0; i < LARGE_CACHE_SPANS; i++) {
        bytes += flush(&cache->slot[i], now_ms);
    }
    return bytes;
}

void large_cache_purge_locked(uint32_t now_ms, uint32_t age_ms)
{
    if (age_ms != 0 && now_ms - looked_ms < age_ms / 4) {
        return; /* not at each tick: there may be thousands of threads */
    }
    looked_ms = now_ms;
    for (struct large_cache *c = first_of_all(); c != NULL; c = c->next_all) {
        for (unsigned i = 0; i < LARGE_CACHE_SPANS; i++) {
            uint64_t puts = load_relaxed(&c->puts[i]);

            if (puts != c->seen_puts[i]) {
                c->seen_puts[i] = puts;
                c->seen_ms[i] = now_ms;
            }
            /* Signed: another thread's look at the clock may be younger than ours. */
            if (age_ms == 0 || (int32_t)(now_ms - c->seen_ms[i]) >= (int32_t)age_ms) {
                flush(&c->slot[i], c->seen_ms[i]);
            }
        }
    }
}

bool large_cache_reclaim(void)
{
    size_t bytes = 0;

    for (struct large_cache *c = first_of_all(); c != NULL; c = c->next_all) {
        bytes += large_cache_flush(c);
    }
    return bytes > 0;
}

RACY_READER size_t large_cache_bytes(void)
{
    size_t parts = 0;

    for (struct large_cache *c = first_of_all(); c != NULL; c = c->next_all) {
        for (unsigned i = 0; i < LARGE_CACHE_SPANS; i++) {
            const struct span *s = load_relaxed(&c->slot[i]);

            parts += s != NULL
                         ? bits_min(load_relaxed(&s->touched), (i + 1) * SPAN_PARTS)
                         : 0;
        }
    }
    return parts << SPAN_PART_SHIFT;
}
