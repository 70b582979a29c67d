#include "sample_large.h"

#include "own_memory.h"
#include "poisson.h"
#include "sample_note.h"
#include "usdt.h"

enum { HUGE_BUCKETS = 64 };

/* Huge blocks that are sampled. */
struct huge_sample {
    const void *block;
    uint32_t record;
    struct huge_sample *next;
};
static struct huge_sample *huge_samples[HUGE_BUCKETS];
static struct huge_sample *huge_unused;
static size_t huge_count; /* atomic */

/*
 * What the entry of a sampled block says: the number of its record, and above that the number
 * under which its growth is gathered, or 0.
 */
static uint32_t record_in(uint64_t sample)
{
    return (uint32_t)sample;
}

static uint64_t entry_of(uint32_t record)
{
    return (uint64_t)live_late_locked(record) << 32 | record;
}

static int64_t draw_bytes(struct thread *t)
{
    uint64_t r = t->sample_interval;
    uint64_t most = INT64_MAX / 4;

    return r == MP_SAMPLING_OFF
               ? (int64_t)most
               : (int64_t)bits_min(poisson_gap(&t->random, 1, r), most);
}

static unsigned bucket_of(const void *p)
{
    return (unsigned)((uintptr_t)p >> 12) * 0x9e3779b9u >> 26;
}

static bool put_huge_locked(const void *p, uint32_t record)
{
    struct huge_sample *h = huge_unused;

    if (h != NULL) {
        huge_unused = h->next;
    } else {
        h = own_alloc_locked(sizeof(*h));
    }
    if (h == NULL) {
        return false;
    }
    *h = (struct huge_sample){p, record, huge_samples[bucket_of(p)]};
    huge_samples[bucket_of(p)] = h;
    store_relaxed(&huge_count, huge_count + 1);
    return true;
}

static NOINLINE void sample_it(
    struct mp_component *c, void *p, size_t bytes, size_t size, uint64_t r)
{
    struct span *span = span_find(p);
    struct sample_capture here;
    bool is_noted = false;

    sample_take(&here, os_monotonic_ns());
    sample_enter();
    if (sample_is_on_locked()) {
        struct site_key key = sample_key_locked(&here, c, sizeclass_of_large(bytes));
        struct sampled s = sample_of(&here, bytes, size, r);
        uint32_t record = live_reserve_locked();

        is_noted = record != 0 && (span != NULL || put_huge_locked(p, record));
        if (is_noted) {
            live_begin_locked(record, sample_find_site_locked(&key), &s);
        } else if (record != 0) {
            live_unreserve_locked(record);
        }
        if (is_noted && span != NULL) {
            span->sample = record;
        }
        sample_tell_locked();
    }
    lock_unlock(&profile_lock);
    if (is_noted) {
        sample_tell_tracer(p, bytes, r);
    }
    sample_end(here.start_ns);
}

NOINLINE void sample_large_slow(
    struct mp_component *c, void *p, size_t more, size_t bytes, size_t size)
{
    struct thread *t = thread_local_state.thread;

    if (t->sample_epoch != load_acquire(&sample_epoch)) {
        t->sample_epoch = load_acquire(&sample_epoch); /* pairs with set_interval */
        t->sample_interval = sample_interval();
        os_random(&t->random, sizeof(t->random));
        t->random |= 1;
        t->sample_gap = draw_bytes(t) - (int64_t)more;
        if (t->sample_gap >= 0) {
            return;
        }
    }
    if (t->sample_interval != MP_SAMPLING_OFF) {
        sample_it(c, p, bytes, size, t->sample_interval);
    }
    t->sample_gap = draw_bytes(t);
}

void sample_drop(uint32_t record)
{
    uint64_t start_ns;

    if (record == 0) {
        return;
    }
    start_ns = os_monotonic_ns();
    sample_enter();
    live_end_locked(record, start_ns);
    sample_tell_locked();
    lock_unlock(&profile_lock);
    sample_end(start_ns);
}

void sample_drop_large(struct span *s)
{
    uint64_t start_ns = os_monotonic_ns();

    sample_enter();
    /*
     * Of two that free it, wrongly, one gets it. What the other finds may be another use of the
     * entry.
     */
    if (load_relaxed(&s->kind) == SPAN_LARGE && live_is_locked(record_in(s->sample))) {
        usdt_free(span_address(s));
        live_end_locked(record_in(s->sample), start_ns);
        s->sample = 0;
        sample_tell_locked();
    }
    lock_unlock(&profile_lock);
    sample_spent(start_ns); /* and no tick: the block is not counted as freed yet */
}

/* True with that chance. */
static bool has_luck(double chance)
{
    struct thread *t = thread_local_state.thread;
    uint64_t random = t != NULL ? t->random : 0;

    if (random == 0) { /* this thread drew nothing yet */
        os_random(&random, sizeof(random));
        random |= 1;
    }
    random = poisson_random(&random);
    if (t != NULL) {
        t->random = random | 1;
    }
    return (double)(random >> 11) < chance * 0x1p53;
}

/* A block that shrinks from so many bytes to so many stays in the sample. */
static bool stays(size_t from, size_t to, uint64_t r)
{
    return has_luck(poisson_chance((double)to, (double)r)
                    / poisson_chance((double)from, (double)r));
}

/* False: it is not in the sample any more, and the record is free. */
static bool resize_large_locked(uint32_t record, size_t bytes, size_t size)
{
    size_t was = live_bytes(record);
    unsigned cls = sizeclass_of_large(bytes);

    if (bytes == was) {
        if (!live_defer_locked(record, bytes, size)) {
            sample_resize_locked(record, size);
        }
    } else if (bytes < was
               && !stays(was, bytes, live_sampled_locked(record)->interval)) {
        live_end_locked(record, os_monotonic_ns());
        return false;
    } else if (bytes < was || cls != sizeclass_of_large(was)
               || !live_defer_locked(record, bytes, size)) {
        live_regrow_locked(record, cls, bytes, size, os_monotonic_ns());
        sample_tell_locked();
    }
    return true;
}

void sample_resized_large(struct span *s, size_t bytes, size_t size)
{
    uint32_t record = record_in(s->sample);

    if (LIKELY(live_try_defer((uint32_t)(s->sample >> 32), bytes, size))) {
        return;
    }
    sample_enter();
    if (live_is_locked(record)) {
        if (resize_large_locked(record, bytes, size)) {
            s->sample = entry_of(record);
        } else {
            s->sample = 0;
            usdt_free(span_address(s));
        }
    }
    lock_unlock(&profile_lock);
}

uint32_t sample_take_huge(const void *p)
{
    struct huge_sample **at = &huge_samples[bucket_of(p)];
    uint32_t record = 0;

    if (load_relaxed(&huge_count) == 0) {
        return 0;
    }
    sample_enter();
    while (*at != NULL && (*at)->block != p) {
        at = &(*at)->next;
    }
    if (*at != NULL) {
        struct huge_sample *h = *at;

        record = h->record;
        *at = h->next;
        h->next = huge_unused;
        huge_unused = h;
        store_relaxed(&huge_count, huge_count - 1);
        usdt_free(p);
    }
    lock_unlock(&profile_lock);
    return record;
}

/* Noted again after sample_take_huge, which told tracers that it went. */
static void put_back_locked(const void *p, uint32_t record)
{
    const struct sampled *r = live_sampled_locked(record);

    if (put_huge_locked(p, record)) {
        sample_tell_tracer(p, r->bytes, r->interval);
    } else { /* another thread took the entry that it had */
        live_end_locked(record, os_monotonic_ns());
    }
}

void sample_put_huge(const void *p, uint32_t record)
{
    if (record != 0) {
        sample_enter();
        put_back_locked(p, record);
        lock_unlock(&profile_lock);
    }
}

void sample_resized_huge(const void *p, uint32_t record, size_t bytes, size_t size)
{
    sample_enter();
    if (resize_large_locked(record, bytes, size)) {
        put_back_locked(p, record);
    }
    lock_unlock(&profile_lock);
}

uint32_t sample_find_huge_locked(const void *p)
{
    const struct huge_sample *h = huge_samples[bucket_of(p)];

    while (h != NULL && h->block != p) {
        h = h->next;
    }
    return h != NULL ? h->record : 0;
}
