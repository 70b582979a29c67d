#include "sample.h"

#include "exact.h"
#include "os.h"
#include "poisson.h"
#include "pool.h"
#include "sample_note.h"
#include "share.h"
#include "usdt.h"

static uint32_t cut_gap(uint64_t blocks)
{
    return blocks >= HEAP_GAP_MOST ? HEAP_GAP_CUT | HEAP_GAP_MOST
                                   : (uint32_t)blocks + 1;
}

static void draw(struct heap *h, unsigned cls)
{
    uint64_t r = h->sample_interval;

    h->gap[cls] = r == MP_SAMPLING_OFF
                      ? HEAP_GAP_CUT | HEAP_GAP_MOST
                      : cut_gap(poisson_gap(&h->random, sizeclass_bytes(cls), r));
    h->gap_interval[cls] = r;
}

/*
 * A sample that was promised is taken with the interval that it was drawn with, also if another
 * one holds by now: it stands for those before it in its list, too.
 */
static void follow_epoch(struct heap *h)
{
    if (h->sample_epoch == load_relaxed(&sample_epoch)) {
        return;
    }
    h->sample_epoch = load_acquire(&sample_epoch); /* pairs with set_interval */
    h->sample_interval = sample_interval();
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        h->gap[cls] = (h->gap[cls] & HEAP_GAP_PROMISED) != 0 ? h->gap[cls] : 0;
    }
    os_random(&h->random, sizeof(h->random));
    h->random |= 1;
}

static NOINLINE void *note_small(const struct sample_capture *here,
    struct mp_component *c, unsigned cls, size_t size, uint64_t r)
{
    void *p = NULL;

    sample_enter();
    if (sample_is_on_locked()) {
        struct site_key key = sample_key_locked(here, c, cls);
        struct sampled s = sample_of(here, sizeclass_bytes(cls), size, r);
        uint32_t record = live_reserve_locked();

        p = record != 0 ? pool_alloc_locked(c, cls, record) : NULL;
        if (p != NULL) {
            live_begin_locked(record, sample_find_site_locked(&key), &s);
        } else if (record != 0) {
            live_unreserve_locked(record);
        }
        sample_tell_locked();
    }
    lock_unlock(&profile_lock);
    if (p != NULL) {
        sample_tell_tracer(p, sizeclass_bytes(cls), r);
    }
    sample_end(here->start_ns);
    return p;
}

/* NULL: no memory, or nothing is sampled any more. */
static NOINLINE void *sample_small(
    struct mp_component *c, unsigned cls, size_t size, uint64_t r)
{
    struct sample_capture here;

    live_expect();
    sample_take(&here, os_monotonic_ns());
    return note_small(&here, c, cls, size, r);
}

/* Every block is a sample, and this thread needs no lock for it. */
static bool is_exact(const struct heap *h, unsigned cls)
{
    return h->gap_interval[cls] == MP_SAMPLING_EXACT
           && h->sample_interval == MP_SAMPLING_EXACT
           && h->sample_epoch == load_acquire(&sample_epoch) /* set_interval */
           && (h->gap[cls] & HEAP_GAP_PROMISED) == 0 && heap_gap_left(h->gap[cls]) == 0
           && h->gap[cls] != 0 && share_is_ready(thread_local_state.thread);
}

static void *draw_next(struct heap *h, unsigned cls, void *p)
{
    follow_epoch(h);
    draw(h, cls);
    if (p != NULL) {
        h->zeroed[cls] = false;
    } else { /* not counted, but that it would have been: the next one is drawn anew */
        h->gap[cls] += heap_gap_left(h->gap[cls]) == 0;
    }
    return p;
}

static NOINLINE void *sample_exactly(struct heap *h, unsigned cls, size_t size)
{
    struct share *share = thread_local_state.thread->share;
    struct sample_capture here;
    void *p;

    sample_take(&here, clock_ns());
    p = exact_try_alloc(&here, h->component, cls, size);
    if (UNLIKELY(p == NULL)) {
        p = note_small(&here, h->component, cls, size, MP_SAMPLING_EXACT);
        return draw_next(h, cls, p);
    }
    h->zeroed[cls] = false;
    sample_tell_tracer(p, sizeclass_bytes(cls), MP_SAMPLING_EXACT);
    sample_end_exact(here.start_ns, &share->turn);
    return p; /* the gap is what it was: none */
}

NOINLINE void *sample_alloc_slow(struct heap *h, unsigned cls, size_t size)
{
    if (is_exact(h, cls)) {
        return sample_exactly(h, cls, size);
    }
    if ((h->gap[cls] & HEAP_GAP_PROMISED) == 0) {
        follow_epoch(h);
        if (h->gap[cls] == 0 || h->gap[cls] == (HEAP_GAP_CUT | 1)) {
            draw(h, cls);
        }
        if (heap_gap_left(h->gap[cls]) != 0) {
            return NULL;
        }
    }
    return draw_next(
        h, cls, sample_small(h->component, cls, size, h->gap_interval[cls]));
}

bool sample_try_free(struct span *s, void *p)
{
    uint64_t start_ns;
    uint32_t record = 0;
    unsigned cls;

    if (share_is_ready(thread_local_state.thread) && exact_try_free(s, p)) {
        return true;
    }
    pool_expect(s, p);
    start_ns = os_monotonic_ns();
    sample_enter();
    if (load_relaxed(&s->kind) == SPAN_SAMPLED) {
        record = pool_find_locked(s, p, &cls);
    }
    if (record != 0) {
        usdt_free(p); /* while nobody else can be given the block */
        live_end_locked(record, start_ns);
        pool_free_locked(s, p); /* the rest of how it goes is for the next tick */
    }
    lock_unlock(&profile_lock);
    sample_end(start_ns);
    return record != 0;
}

bool sample_find(const struct span *s, const void *p, size_t *ret_bytes)
{
    bool is_found = false;
    unsigned cls;

    sample_enter();
    if (load_relaxed(&s->kind) == SPAN_SAMPLED && pool_find_locked(s, p, &cls) != 0) {
        *ret_bytes = sizeclass_bytes(cls);
        is_found = true;
    }
    lock_unlock(&profile_lock);
    return is_found;
}

void sample_moved(const struct span *s, const void *p, size_t bytes)
{
    uint32_t record = 0;
    unsigned cls;

    sample_enter();
    if (load_relaxed(&s->kind) == SPAN_SAMPLED) {
        record = pool_find_locked(s, p, &cls);
    } else if (load_relaxed(&s->kind) == SPAN_LARGE) {
        record = (uint32_t)s->sample; /* as sample_large.c has it */
    }
    if (record != 0 && live_is_locked(record)) {
        live_move_locked(record, bytes);
        sample_tell_locked();
    }
    lock_unlock(&profile_lock);
}

void sample_resized(const struct span *s, const void *p, size_t size)
{
    uint32_t record = 0;
    unsigned cls;

    sample_enter();
    if (load_relaxed(&s->kind) == SPAN_SAMPLED) {
        record = pool_find_locked(s, p, &cls);
    }
    sample_resize_locked(record, size);
    lock_unlock(&profile_lock);
}
