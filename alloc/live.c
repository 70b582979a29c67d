#include "live.h"

#include "arch.h"
#include "atomic.h"
#include "bits.h"
#include "own_memory.h"
#include "region.h"
#include "sizeclass.h"

#include <assert.h>

enum {
    RECORD_SHIFT = 8,
    RECORDS = 1 << RECORD_SHIFT, /* of a chunk */
    CHUNK_SHIFT = 8,
    CHUNKS = 1 << CHUNK_SHIFT, /* of a page of the directory */
    PAGES = 1024,              /* 67 million samples */
    LATES = 256,
    LATE_PART = 16, /* of its size: a block that changed by so much is told of */
    LATE_MOST = 1000,
    FREE = UINT32_MAX, /* site of a record that is not in use */
};

/*
 * While it is live it belongs to whoever owns the block, as the block does: in sizes that it
 * has, nobody else looks. A line of the processor's cache, so that a free fetches one.
 */
struct record {
    struct sampled sampled;
    uint32_t site;
    uint32_t link; /* free: the next; live: number of what is late of it, 0: nothing */
};
static_assert(sizeof(struct record) == CACHE_LINE, "one line");

/* Sizes that a block had, one after the other, and that its site was not told of. */
struct late {
    struct grown grown;
    uint64_t last_bytes; /* the last of them; link of free ones */
    uint64_t last_requested;
    uint64_t most_bytes; /* above it has to be told */
};
static_assert(sizeof(struct late) <= CACHE_LINE, "a line is fetched for each growth");

static struct record **record_pages[PAGES];
static size_t record_count = 1; /* number 0 is none */
static uint32_t first_free;     /* 0: none */
static struct record *expected; /* relaxed atomic: its address, for live_expect */
static struct late *lates;  /* LATES of them, made when they are needed; [0] is none */
static uint32_t first_late; /* free ones */
struct live_total live_total;

/* ---- records ---- */

static struct record *record_of(size_t number)
{
    size_t chunk = number >> RECORD_SHIFT;

    return &record_pages[chunk >> CHUNK_SHIFT][chunk & (CHUNKS - 1)]
                        [number & (RECORDS - 1)];
}

static ALWAYS_INLINE void write_record_to(
    struct mp_region_sample *out, const struct record *r, bool is_live)
{
    struct mp_region_sample sample = {
        .is_live = is_live,
        .site = r->site,
        .bytes = r->sampled.bytes,
        .requested = r->sampled.requested,
        .interval = r->sampled.interval,
        .born_ns = r->sampled.born_ns,
        .thread_id = r->sampled.thread_id,
    };

    if (out == NULL) {
        return;
    }
    sample.seq = load_relaxed(&out->seq) & ~(uint64_t)1; /* whatever is there will do */
    region_publish(&out->seq, &sample.seq,
        is_live ? sizeof(sample) : offsetof(struct mp_region_sample, site));
}

static void write_record(size_t number, bool is_live)
{
    write_record_to(region_sample(number - 1), record_of(number), is_live);
}

/* Room for one more record. */
static bool has_record(void)
{
    size_t chunk = record_count >> RECORD_SHIFT;
    struct record ***page = &record_pages[bits_min(chunk >> CHUNK_SHIFT, PAGES - 1)];
    struct record **slot;

    if (chunk >> CHUNK_SHIFT >= PAGES) {
        return false;
    }
    if (*page == NULL) {
        *page = own_alloc_locked(CHUNKS * sizeof(**page));
    }
    slot = *page != NULL ? &(*page)[chunk & (CHUNKS - 1)] : NULL;
    if (slot != NULL && *slot == NULL) {
        bool is_listed = record_count < region_room(MP_SECTION_SAMPLES);

        *slot = own_alloc_copied_locked(RECORDS * sizeof(**slot),
            is_listed ? RECORDS * sizeof(struct mp_region_sample) : 0);
    }
    return slot != NULL && *slot != NULL;
}

static void set_first_free(uint32_t number)
{
    first_free = number;
    store_relaxed(&expected, number != 0 ? record_of(number) : NULL);
}

static uint32_t take_record(void)
{
    uint32_t number = first_free;

    if (number != 0) {
        set_first_free(record_of(number)->link);
        return number;
    }
    return has_record() ? (uint32_t)record_count++ : 0;
}

void live_expect(void)
{
    prefetch_for_write(load_relaxed(&expected));
}

uint32_t live_reserve_locked(void)
{
    uint32_t number = sites_have_overflow_locked() ? take_record() : 0;

    if (number == 0) {
        live_total.refused++;
    } else {
        struct mp_region_sample *out = region_sample(number - 1);

        record_of(number)->site = FREE;
        if (out != NULL) {
            prefetch_for_write(out);
        }
    }
    return number;
}

static void put_record(uint32_t number)
{
    struct record *r = record_of(number);

    r->site = FREE;
    r->link = first_free;
    set_first_free(number);
}

void live_unreserve_locked(uint32_t number)
{
    live_total.refused++;
    put_record(number);
}

void live_return_locked(uint32_t number)
{
    put_record(number);
}

/* ---- sizes that are told of later ---- */

static bool make_lates(void)
{
    lates = own_alloc_locked(LATES * sizeof(*lates));
    for (uint32_t i = 1; lates != NULL && i < LATES; i++) {
        lates[i].last_bytes = i + 1 < LATES ? i + 1 : 0;
    }
    first_late = lates != NULL;
    return lates != NULL;
}

static void obtain_late(struct record *r)
{
    if (r->link == 0 && (lates != NULL || make_lates()) && first_late != 0) {
        struct late *l = &lates[first_late];

        r->link = first_late;
        first_late = (uint32_t)l->last_bytes;
        *l = (struct late){
            .last_bytes = r->sampled.bytes,
            .last_requested = r->sampled.requested,
            .most_bytes = bits_min(r->sampled.bytes + r->sampled.bytes / LATE_PART,
                sizeclass_bound(sizeclass_of_large(r->sampled.bytes))),
        };
    }
}

/* NULL: nothing is late. Of a record that is free the link is any number. */
static struct late *late_of(const struct record *r)
{
    return r->link != 0 && r->link < LATES && lates != NULL ? &lates[r->link] : NULL;
}

/* The site hears of all of them at once. */
static NOINLINE void tell_late_of(struct record *r, struct late *l)
{
    const struct sampled was = r->sampled;

    r->sampled.bytes = l->last_bytes;
    r->sampled.requested = l->last_requested;
    sites_weigh(&r->sampled);
    sites_grow_locked(r->site, &was, &r->sampled, &l->grown);
    live_total.allocated += l->grown.count;
    live_total.freed += l->grown.count;
    l->last_bytes = first_late;
    first_late = r->link;
    r->link = 0;
}

static void tell_late(struct record *r)
{
    struct late *l = late_of(r);

    if (UNLIKELY(l != NULL)) {
        tell_late_of(r, l);
    }
}

uint64_t live_bytes(uint32_t number)
{
    const struct record *r = record_of(number);
    const struct late *l = late_of(r);

    return l != NULL ? l->last_bytes : r->sampled.bytes;
}

bool live_try_defer(uint32_t late, uint64_t bytes, uint64_t requested)
{
    struct late *l = &lates[late];

    if (late == 0 || bytes < l->last_bytes || bytes > l->most_bytes
        || (bytes > l->last_bytes && l->grown.count == LATE_MOST)) {
        return false;
    }
    if (bytes > l->last_bytes) {
        l->grown.count++;
        l->grown.bytes += bytes;
        l->grown.requested += requested;
    }
    l->last_bytes = bytes;
    l->last_requested = requested;
    return true;
}

uint32_t live_late_locked(uint32_t number)
{
    const struct record *r = record_of(number);

    return late_of(r) != NULL ? r->link : 0;
}

bool live_defer_locked(uint32_t number, uint64_t bytes, uint64_t requested)
{
    struct record *r = record_of(number);

    if (r->sampled.interval != MP_SAMPLING_EXACT) {
        obtain_late(r);
    }
    return live_try_defer(live_late_locked(number), bytes, requested);
}

/* ---- samples ---- */

void live_begin_locked(uint32_t number, uint32_t site, const struct sampled *s)
{
    struct record *r = record_of(number);

    r->sampled = *s;
    r->site = site;
    r->link = 0;
    sites_weigh(&r->sampled);
    live_total.allocated++;
    sites_add_locked(site, &r->sampled);
    write_record(number, true);
    live_total.unlisted += region_is_open() && region_sample(number - 1) == NULL;
}

/* ---- the same, of the caller's ---- */

void live_begin_own(
    uint32_t number, uint32_t site, const struct site_row *row, const struct sampled *s)
{
    struct record *r = record_of(number);

    r->sampled = *s;
    r->link = 0;
    store_relaxed(&r->site, site);
    sites_add_own(row, s);
    write_record_to(region_sample_ready(number - 1), r, true);
}

void live_end_own(uint32_t number, const struct site_row *row, uint64_t now_ns)
{
    struct record *r = record_of(number);
    uint64_t born_ns = r->sampled.born_ns;

    sites_end_own(row, &r->sampled, now_ns > born_ns ? now_ns - born_ns : 0);
    store_relaxed(&r->site, FREE);
    write_record_to(region_sample_ready(number - 1), r, false);
}

uint32_t live_site(uint32_t number)
{
    return load_relaxed(&record_of(number)->site);
}

bool live_is_listed(uint32_t number)
{
    return region_sample_ready(number - 1) != NULL;
}

void live_expect_record(uint32_t number)
{
    struct mp_region_sample *out = region_sample_ready(number - 1);

    prefetch_for_write(record_of(number));
    if (out != NULL) {
        prefetch_for_write(out);
    }
}

bool live_is_locked(size_t number)
{
    return number != 0 && number < record_count && record_of(number)->site != FREE;
}

void live_end_locked(uint32_t number, uint64_t now_ns)
{
    struct record *r = record_of(number);
    uint64_t born_ns = r->sampled.born_ns;

    tell_late(r);
    sites_end_locked(r->site, &r->sampled, now_ns > born_ns ? now_ns - born_ns : 0);
    live_total.freed++;
    write_record(number, false);
    put_record(number);
}

void live_regrow_locked(uint32_t number, unsigned class_number, uint64_t bytes,
    uint64_t requested, uint64_t now_ns)
{
    struct record *r = record_of(number);
    struct sampled now;

    tell_late(r);
    sites_subtract_locked(r->site, &r->sampled);
    r->site = sites_of_class_locked(r->site, class_number);
    r->sampled.bytes = bytes;
    r->sampled.requested = requested;
    sites_weigh(&r->sampled);
    now = r->sampled;
    now.born_ns = now_ns; /* to the site it is a new one */
    sites_add_locked(r->site, &now);
    live_total.freed++;
    live_total.allocated++;
    write_record(number, true);
}

void live_move_locked(uint32_t number, uint64_t bytes)
{
    const struct record *r = record_of(number);

    sites_move_locked(r->site, &r->sampled, bytes);
}

void live_resize_locked(uint32_t number, uint64_t requested)
{
    struct record *r = record_of(number);
    double more;

    tell_late(r);
    more = (double)requested - (double)r->sampled.requested;
    r->sampled.requested = requested;
    sites_resize_locked(r->site, r->sampled.blocks * more);
    write_record(number, true);
}

const struct sampled *live_sampled_locked(uint32_t number)
{
    return &record_of(number)->sampled;
}

void live_describe_locked(struct mp_region_sampling *ret)
{
    ret->allocated_total = live_total.allocated;
    ret->freed_total = live_total.freed;
    ret->sample_count = bits_min(record_count - 1, MP_REGION_SAMPLES_MAX);
    ret->samples_refused_total = live_total.refused;
    ret->samples_unlisted_total = live_total.unlisted;
}

uint64_t live_news_locked(void)
{
    return record_count;
}

void live_write_all_locked(void)
{
    for (size_t i = 1; i < record_count; i++) {
        if (record_of(i)->site != FREE) {
            write_record(i, true);
        }
    }
}
