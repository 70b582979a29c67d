#include "sites.h"

#include "atomic.h"
#include "bits.h"
#include "own_memory.h"
#include "poisson.h"
#include "region.h"

#include <assert.h>
#include <string.h>

enum {
    SITE_SHIFT = 5,
    SITES = 1 << SITE_SHIFT, /* of a chunk */
    SLOTS_FIRST = 256,
    RECORD_SHIFT = 8,
    RECORDS = 1 << RECORD_SHIFT, /* of a chunk */
    CHUNK_SHIFT = 8,
    CHUNKS = 1 << CHUNK_SHIFT, /* of a page of the directory */
    PAGES = 1024,              /* 67 million samples */
    LATES = 256,
    LATE_PART = 16, /* of its size: a block that changed by so much is told of */
    LATE_MOST = 1000,
    OVERFLOW = 0,
    FREE = UINT32_MAX, /* site of a record that is not in use */
};

struct record {
    struct sampled sampled;
    uint32_t site;
    uint32_t link; /* free: the next; live: number of what is late of it, 0: nothing */
};

/* Sizes that a block had, one after the other, and that its site was not told of. */
struct late {
    uint64_t bytes; /* sums of them */
    uint64_t requested;
    uint64_t last_bytes; /* the last of them; link of free ones */
    uint32_t count;
    uint32_t record; /* 0: free */
};

static struct mp_region_site *site_chunks[MP_REGION_SITES_MAX / SITES];
static size_t site_count = 1; /* with (overflow), whose chunk is made by the first */
static uint32_t *slots;       /* open addressing, a power of two; 0: empty */
static size_t slot_count;

static struct record **record_pages[PAGES];
static size_t record_count = 1; /* number 0 is none */
static uint32_t first_free;     /* 0: none */
static struct late *lates;  /* LATES of them, made when they are needed; [0] is none */
static uint32_t first_late; /* free ones */

static double live_bytes; /* estimate */
static double peak_bytes;
static uint64_t peak_number;
static uint64_t peak_ns;
static uint64_t counted_number; /* of the publication of counters that was last */
static bool is_counted_new;     /* counted_ figures of the site that is written next */
static uint64_t realtime_less_monotonic;
static struct {
    uint64_t allocated;
    uint64_t freed;
    uint64_t sites_refused;
    uint64_t refused;
    uint64_t unlisted;
} total;

/* ---- records in the region ---- */

static struct mp_region_site *site_of(size_t number)
{
    return &site_chunks[number >> SITE_SHIFT][number & (SITES - 1)];
}

/* Of what lies behind the first `bytes`, only that word changed; 0: nothing. */
static void write_site_part(size_t number, size_t bytes, size_t word)
{
    struct mp_region_site *s = site_of(number);
    struct mp_region_site *out = region_site(number);

    if (out != NULL) {
        region_publish_with(&out->seq, &s->seq, bytes, word);
        s->seq += 2;
    }
}

static void write_site(size_t number)
{
    write_site_part(number, sizeof(struct mp_region_site), 0);
}

enum { SUMS_BYTES = offsetof(struct mp_region_site, lifetimes) };
static_assert(SUMS_BYTES % sizeof(uint64_t) == 0, "lifetimes start a word");

/* Sums, and what they were when counters were published if that is new. */
static void write_changed(size_t number, size_t lifetime)
{
    if (is_counted_new) {
        is_counted_new = false;
        write_site(number);
    } else {
        write_site_part(number, SUMS_BYTES, lifetime);
    }
}

static void write_sums(size_t number)
{
    write_changed(number, 0);
}

/* And one of its lifetimes. */
static void write_freed(size_t number, unsigned bucket)
{
    write_changed(number,
        SUMS_BYTES / sizeof(uint64_t) + bucket * sizeof(uint32_t) / sizeof(uint64_t));
}

static struct record *record_of(size_t number)
{
    size_t chunk = number >> RECORD_SHIFT;

    return &record_pages[chunk >> CHUNK_SHIFT][chunk & (CHUNKS - 1)]
                        [number & (RECORDS - 1)];
}

static void write_record(size_t number, bool is_live)
{
    const struct record *r = record_of(number);
    struct mp_region_sample *out = region_sample(number - 1);
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

/* ---- sites ---- */

static bool has_key(const struct mp_region_site *s, const struct site_key *key)
{
    return s->frame == key->frame && s->component == key->component
           && s->class_number == key->class_number && s->operation == key->operation
           && s->thread == key->thread && s->flags == key->flags;
}

static uint64_t hash_of(const struct site_key *key)
{
    uint64_t hash = ((uint64_t)key->frame << 32 | key->component) * 0x9e3779b97f4a7c15u;

    hash ^= hash >> 32;
    hash += (uint64_t)key->class_number << 48 | (uint64_t)key->operation << 32
            | (uint32_t)key->thread << 16 | key->flags;
    hash *= 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static struct site_key key_of(const struct mp_region_site *s)
{
    return (struct site_key){
        s->frame, s->component, s->class_number, s->operation, s->thread, s->flags};
}

static size_t slot_for(const struct site_key *key)
{
    size_t at = hash_of(key) & (slot_count - 1);

    while (slots[at] != 0 && !has_key(site_of(slots[at]), key)) {
        at = (at + 1) & (slot_count - 1);
    }
    return at;
}

static bool grow(void)
{
    size_t wanted = slot_count == 0 ? SLOTS_FIRST : 2 * slot_count;
    uint32_t *more = own_alloc_locked(wanted * sizeof(*more));

    if (more == NULL) {
        return false;
    }
    slots = more;
    slot_count = wanted;
    for (size_t i = 1; i < site_count; i++) {
        struct site_key key = key_of(site_of(i));

        slots[slot_for(&key)] = (uint32_t)i;
    }
    return true;
}

/* Room for one more, in its chunk and in the slots. */
static bool has_room(void)
{
    struct mp_region_site **chunk = &site_chunks[site_count >> SITE_SHIFT];

    if (site_count >= MP_REGION_SITES_MAX
        || (region_is_open() && region_site(site_count) == NULL)) {
        return false; /* nobody would see it: (overflow) is seen */
    }
    if (2 * site_count >= slot_count && !grow()
        && (slot_count == 0 || site_count >= slot_count - 1)) {
        return false;
    }
    if (*chunk == NULL) {
        *chunk =
            own_alloc_copied_locked(SITES * sizeof(**chunk), SITES * sizeof(**chunk));
    }
    return *chunk != NULL;
}

uint32_t sites_find_locked(const struct site_key *key)
{
    size_t at = slot_count != 0 ? slot_for(key) : 0;
    struct mp_region_site *s;

    if (slot_count != 0 && slots[at] != 0) {
        return slots[at];
    }
    if (!has_room()) {
        total.sites_refused++;
        return OVERFLOW;
    }
    at = slot_for(key);
    slots[at] = (uint32_t)site_count;
    s = site_of(site_count);
    *s = (struct mp_region_site){
        .frame = key->frame,
        .component = key->component,
        .class_number = key->class_number,
        .operation = key->operation,
        .thread = key->thread,
        .flags = key->flags,
        .peak_number = peak_number, /* nothing was here then */
        .counted_number =
            counted_number - 1, /* nor at the last count: told by the first */
    };
    return (uint32_t)site_count++;
}

/* Before a site changes: as it is, it was at the peak. */
static void remember_peak(struct mp_region_site *s)
{
    if (s->peak_number != peak_number) {
        s->peak_number = peak_number;
        s->peak_samples = s->allocated_samples - s->freed_samples;
        s->peak_blocks = s->allocated_blocks - s->freed_blocks;
        s->peak_bytes = s->allocated_bytes - s->freed_bytes;
        s->peak_bytes_variance = s->allocated_bytes_variance - s->freed_bytes_variance;
        s->peak_requested = s->allocated_requested - s->freed_requested;
    }
}

/* The same for the last publication of counters. */
static void remember_counted(struct mp_region_site *s)
{
    if (s->counted_number != counted_number) {
        s->counted_number = counted_number;
        s->counted_allocated_samples = s->allocated_samples;
        s->counted_freed_samples = s->freed_samples;
        s->counted_allocated_blocks = s->allocated_blocks;
        s->counted_freed_blocks = s->freed_blocks;
        s->counted_allocated_bytes = s->allocated_bytes;
        s->counted_freed_bytes = s->freed_bytes;
        s->counted_allocated_blocks_variance = s->allocated_blocks_variance;
        s->counted_freed_blocks_variance = s->freed_blocks_variance;
        s->counted_allocated_bytes_variance = s->allocated_bytes_variance;
        s->counted_freed_bytes_variance = s->freed_bytes_variance;
        is_counted_new = true;
    }
}

struct weight {
    double blocks;
    double bytes;
    double requested;
    double blocks_variance;
    double bytes_variance;
};

static struct weight weight_of(const struct sampled *s)
{
    double bytes = (double)s->bytes;
    double chance;
    double variance;

    if (s->interval == MP_SAMPLING_EXACT) { /* divisions take long, and it has many */
        return (struct weight){1, bytes, (double)s->requested, 0, 0};
    }
    chance = poisson_chance(bytes, (double)s->interval);
    variance = (1 - chance) / (chance * chance);
    return (struct weight){
        .blocks = 1 / chance,
        .bytes = bytes / chance,
        .requested = (double)s->requested / chance,
        .blocks_variance = variance,
        .bytes_variance = bytes * bytes * variance,
    };
}

static void add_allocated(struct mp_region_site *s, const struct sampled *sampled)
{
    struct weight w = weight_of(sampled);
    uint64_t now_ns = sampled->born_ns + realtime_less_monotonic;

    remember_peak(s);
    remember_counted(s);
    s->first_ns = s->first_ns == 0 ? now_ns : s->first_ns;
    s->last_ns = now_ns;
    s->allocated_samples++;
    s->allocated_blocks += w.blocks;
    s->allocated_bytes += w.bytes;
    s->allocated_requested += w.requested;
    s->allocated_blocks_variance += w.blocks_variance;
    s->allocated_bytes_variance += w.bytes_variance;
    s->heaviest_bytes = w.bytes > s->heaviest_bytes ? w.bytes : s->heaviest_bytes;
    s->heaviest_blocks = w.blocks > s->heaviest_blocks ? w.blocks : s->heaviest_blocks;
    live_bytes += w.bytes;
    if (live_bytes > peak_bytes) {
        peak_bytes = live_bytes;
        peak_ns = now_ns;
        peak_number++;
    }
}

/* Returns how many blocks it stands for. */
static double subtract(struct mp_region_site *s, const struct sampled *sampled)
{
    struct weight w = weight_of(sampled);

    remember_peak(s);
    remember_counted(s);
    s->freed_samples++;
    s->freed_blocks += w.blocks;
    s->freed_bytes += w.bytes;
    s->freed_requested += w.requested;
    s->freed_blocks_variance += w.blocks_variance;
    s->freed_bytes_variance += w.bytes_variance;
    live_bytes -= w.bytes;
    return w.blocks;
}

/* Returns the number of its lifetime. */
static unsigned add_freed(
    struct mp_region_site *s, const struct sampled *sampled, uint64_t lifetime_ns)
{
    uint64_t us = lifetime_ns / 1000;
    unsigned bucket = us < 2 ? 0 : bits_log2(us);

    bucket = bucket < MP_REGION_LIFETIMES ? bucket : MP_REGION_LIFETIMES - 1;
    s->freed_lifetime_ns += subtract(s, sampled) * (double)lifetime_ns;
    s->lifetimes[bucket]++;
    return bucket;
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

static struct late *obtain_late(uint32_t number)
{
    struct record *r = record_of(number);
    struct late *l;

    if (r->link == 0 && (lates != NULL || make_lates()) && first_late != 0) {
        r->link = first_late;
        l = &lates[first_late];
        first_late = (uint32_t)l->last_bytes;
        *l = (struct late){.record = number};
    }
    return r->link != 0 ? &lates[r->link] : NULL;
}

/* The site hears of all of them at once; each counts as one of the last one's weight. */
static NOINLINE void tell_late_of(struct record *r)
{
    struct late *l = &lates[r->link];
    struct mp_region_site *s = site_of(r->site);
    struct sampled last = r->sampled;
    struct weight w;
    double bytes_before;

    last.bytes = l->last_bytes;
    w = weight_of(&last);
    bytes_before = (double)l->bytes + (double)r->sampled.bytes;
    remember_peak(s);
    remember_counted(s);
    s->allocated_samples += l->count;
    s->freed_samples += l->count;
    s->allocated_blocks += w.blocks * l->count;
    s->freed_blocks += w.blocks * l->count;
    s->allocated_bytes += w.blocks * (double)l->bytes;
    s->freed_bytes += w.blocks * (bytes_before - (double)last.bytes);
    s->allocated_requested += w.blocks * (double)l->requested;
    s->freed_requested += w.blocks * (double)l->requested;
    s->allocated_blocks_variance += w.blocks_variance * l->count;
    s->freed_blocks_variance += w.blocks_variance * l->count;
    s->allocated_bytes_variance += w.bytes_variance * l->count;
    s->freed_bytes_variance += w.bytes_variance * l->count;
    live_bytes += w.blocks * ((double)last.bytes - (double)r->sampled.bytes);
    total.allocated += l->count;
    total.freed += l->count;
    r->sampled.bytes = last.bytes;
    l->last_bytes = first_late;
    l->record = 0;
    first_late = r->link;
    r->link = 0;
}

static void tell_late(struct record *r)
{
    if (UNLIKELY(r->link != 0)) {
        tell_late_of(r);
    }
}

uint64_t sites_bytes_locked(uint32_t number)
{
    const struct record *r = record_of(number);

    return r->link != 0 ? lates[r->link].last_bytes : r->sampled.bytes;
}

bool sites_defer_locked(uint32_t number, uint64_t bytes, uint64_t requested)
{
    struct record *r = record_of(number);
    uint64_t told = r->sampled.bytes;
    struct late *l;

    if (r->sampled.interval == MP_SAMPLING_EXACT || bytes - told > told / LATE_PART
        || (l = obtain_late(number)) == NULL || l->count == LATE_MOST) {
        return false;
    }
    l->count++;
    l->bytes += bytes;
    l->requested += requested;
    l->last_bytes = bytes;
    return true;
}

/* ---- samples ---- */

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

static uint32_t take_record(void)
{
    uint32_t number = first_free;

    if (number != 0) {
        first_free = record_of(number)->link;
        return number;
    }
    return has_record() ? (uint32_t)record_count++ : 0;
}

/* (overflow) has a place from the start on. */
static bool has_overflow(void)
{
    if (site_chunks[0] == NULL) {
        site_chunks[0] = own_alloc_copied_locked(
            SITES * sizeof(*site_chunks[0]), SITES * sizeof(*site_chunks[0]));
    }
    return site_chunks[0] != NULL;
}

uint32_t sites_reserve_locked(void)
{
    uint32_t number = has_overflow() ? take_record() : 0;

    if (number == 0) {
        total.refused++;
    } else {
        record_of(number)->site = FREE;
    }
    return number;
}

static void put_record(uint32_t number)
{
    struct record *r = record_of(number);

    r->site = FREE;
    r->link = first_free;
    first_free = number;
}

void sites_unreserve_locked(uint32_t number)
{
    total.refused++;
    put_record(number);
}

void sites_allocated_locked(uint32_t number, uint32_t site, const struct sampled *s)
{
    struct record *r = record_of(number);

    r->sampled = *s;
    r->site = site;
    r->link = 0;
    total.allocated++;
    add_allocated(site_of(site), s);
    write_sums(site);
    write_record(number, true);
    total.unlisted += region_is_open() && region_sample(number - 1) == NULL;
}

bool sites_is_live_locked(size_t number)
{
    return number != 0 && number < record_count && record_of(number)->site != FREE;
}

void sites_freed_locked(uint32_t number, uint64_t now_ns)
{
    struct record *r = record_of(number);
    uint64_t born_ns = r->sampled.born_ns;
    unsigned bucket;

    tell_late(r);
    bucket = add_freed(
        site_of(r->site), &r->sampled, now_ns > born_ns ? now_ns - born_ns : 0);
    total.freed++;
    write_freed(r->site, bucket);
    write_record(number, false);
    put_record(number);
}

uint32_t sites_of_class_locked(uint32_t number, unsigned class_number)
{
    uint32_t site = record_of(number)->site;
    struct site_key key = key_of(site_of(site));

    if (site == OVERFLOW || key.class_number == class_number) {
        return site;
    }
    key.class_number = (uint16_t)class_number;
    return sites_find_locked(&key);
}

void sites_regrown_locked(
    uint32_t number, uint32_t site, uint64_t bytes, uint64_t requested, uint64_t now_ns)
{
    struct record *r = record_of(number);
    struct sampled now;

    tell_late(r);
    now = r->sampled;
    subtract(site_of(r->site), &r->sampled);
    write_sums(r->site);
    now.bytes = bytes;
    now.requested = requested;
    r->site = site;
    r->sampled = now;
    now.born_ns = now_ns; /* to the site it is a new one */
    add_allocated(site_of(site), &now);
    write_sums(site);
    total.freed++;
    total.allocated++;
    write_record(number, true);
}

void sites_resized_locked(uint32_t number, uint64_t requested)
{
    struct record *r = record_of(number);
    struct mp_region_site *s = site_of(r->site);
    double weight =
        1 / poisson_chance((double)r->sampled.bytes, (double)r->sampled.interval);
    double more = (double)requested - (double)r->sampled.requested;

    remember_peak(s);
    if (more > 0) {
        s->allocated_requested += weight * more;
    } else {
        s->freed_requested -= weight * more;
    }
    r->sampled.requested = requested;
    write_sums(r->site);
    write_record(number, true);
}

const struct sampled *sites_record_locked(uint32_t record)
{
    return &record_of(record)->sampled;
}

const struct mp_region_site *sites_site_locked(size_t number)
{
    return site_chunks[0] != NULL && number < site_count ? site_of(number) : NULL;
}

void sites_set_clock_locked(uint64_t realtime_ns, uint64_t monotonic_ns)
{
    realtime_less_monotonic = realtime_ns - monotonic_ns;
}

void sites_describe_locked(struct mp_region_sampling *ret)
{
    ret->allocated_total = total.allocated;
    ret->freed_total = total.freed;
    ret->site_count = site_count;
    ret->sample_count = bits_min(record_count - 1, MP_REGION_SAMPLES_MAX);
    ret->sites_refused_total = total.sites_refused;
    ret->samples_refused_total = total.refused;
    ret->samples_unlisted_total = total.unlisted;
    ret->peak_number = peak_number;
    ret->peak_ns = peak_ns;
    ret->peak_bytes = peak_bytes;
}

void sites_counted_locked(uint64_t number)
{
    for (unsigned i = 1; lates != NULL && i < LATES; i++) {
        uint32_t record = lates[i].record;

        if (record != 0) { /* it is counted by now */
            tell_late_of(record_of(record));
            write_sums(record_of(record)->site);
        }
    }
    counted_number = number;
}

uint64_t sites_news_locked(void)
{
    return site_count + record_count + peak_number;
}

void sites_write_all_locked(void)
{
    for (size_t i = 0; site_chunks[0] != NULL && i < site_count; i++) {
        write_site(i);
    }
    for (size_t i = 1; i < record_count; i++) {
        if (record_of(i)->site != FREE) {
            write_record(i, true);
        }
    }
}
