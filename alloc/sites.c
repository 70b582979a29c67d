#include "sites.h"

#include "arch.h"
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

/*
 * While it is live it belongs to whoever owns the block, as the block does: in sizes that it
 * has, nobody else looks. A line of the processor's cache, so that a free fetches one.
 */
struct record {
    struct sampled sampled;
    double blocks; /* that it stands for */
    double blocks_variance;
    uint32_t site;
    uint32_t link; /* free: the next; live: number of what is late of it, 0: nothing */
};
static_assert(sizeof(struct record) == CACHE_LINE, "one line");

/* Sizes that a block had, one after the other, and that its site was not told of. */
struct late {
    uint64_t bytes; /* sums of them */
    uint64_t requested;
    uint64_t last_bytes; /* the last of them; link of free ones */
    uint64_t last_requested;
    uint32_t count;
};

static struct mp_region_site *site_chunks[MP_REGION_SITES_MAX / SITES];
static size_t site_count = 1; /* with (overflow), whose chunk is made by the first */
static uint32_t *slots;       /* open addressing, a power of two; 0: empty */
static size_t slot_count;

static struct record **record_pages[PAGES];
static size_t record_count = 1; /* number 0 is none */
static uint32_t first_free;     /* atomic; 0: none */
static struct late *lates;  /* LATES of them, made when they are needed; [0] is none */
static uint32_t first_late; /* free ones */

static double live_bytes; /* estimate */
static double peak_bytes;
static uint64_t peak_number;
static uint64_t peak_ns;
static uint64_t counted_number; /* of the publication of counters that was last */
static uint64_t realtime_less_monotonic;
struct sites_total sites_total;

/* ---- records in the region ---- */

static struct mp_region_site *site_of(size_t number)
{
    return &site_chunks[number >> SITE_SHIFT][number & (SITES - 1)];
}

/*
 * A site is some lines of the processor's cache, for what changes together. Samples are rare:
 * each line is likely to come from memory, here and in the region.
 */
enum {
    WORDS = CACHE_LINE / sizeof(uint64_t), /* of a line */
    ALLOCATED = offsetof(struct mp_region_site, last_ns) / sizeof(uint64_t),
    FREED = offsetof(struct mp_region_site, freed_samples) / sizeof(uint64_t),
    PEAK = offsetof(struct mp_region_site, peak_samples) / sizeof(uint64_t),
    COUNTED =
        offsetof(struct mp_region_site, counted_allocated_samples) / sizeof(uint64_t),
    COUNTED_END = offsetof(struct mp_region_site, reserved_end) / sizeof(uint64_t),
    LIFETIMES = offsetof(struct mp_region_site, lifetimes) / sizeof(uint64_t),
    SITE_WORDS = sizeof(struct mp_region_site) / sizeof(uint64_t),
};
static_assert(ALLOCATED == WORDS && FREED == 2 * WORDS && PEAK == 3 * WORDS
                  && LIFETIMES == 4 * WORDS && SITE_WORDS % WORDS == 0,
    "lines");

enum { IS_ALLOCATED = 1, IS_FREED = 2, IS_OF_PEAK = 4, IS_COUNTED = 8 };

static void write_words(
    struct mp_region_site *to, const struct mp_region_site *s, size_t first, size_t end)
{
    region_write_words(&to->seq, &s->seq, first, end);
}

/* All of it. seq is 0 until the region has something of it. */
static void write_site(size_t number)
{
    struct mp_region_site *s = site_of(number);
    struct mp_region_site *out = region_site(number);

    if (out == NULL) {
        s->seq = 0;
        return;
    }
    region_publish(&out->seq, &s->seq, sizeof(*s));
    s->seq += 2;
}

/* The head, and the lines of what changed; of lifetimes that one word, 0: none. */
static void write_changes(size_t number, unsigned changes, size_t word)
{
    struct mp_region_site *s = site_of(number);
    struct mp_region_site *out = region_site(number);

    if (out == NULL || s->seq == 0) {
        write_site(number);
        return;
    }
    region_write_begin(&out->seq, s->seq);
    write_words(out, s, 1, ALLOCATED);
    if ((changes & IS_ALLOCATED) != 0) {
        write_words(out, s, ALLOCATED, ALLOCATED + WORDS);
    }
    if ((changes & IS_FREED) != 0) {
        write_words(out, s, FREED, FREED + WORDS);
    }
    if ((changes & IS_OF_PEAK) != 0) {
        write_words(out, s, PEAK, PEAK + WORDS);
    }
    if ((changes & IS_COUNTED) != 0) {
        write_words(out, s, COUNTED, COUNTED_END);
    }
    if (word != 0) {
        write_words(out, s, word, word + 1);
    }
    region_write_end(&out->seq, s->seq);
    s->seq += 2;
}

/* Both are written soon. */
static void expect_change(size_t number, size_t word)
{
    struct mp_region_site *s = site_of(number);
    struct mp_region_site *out = region_site(number);

    prefetch_for_write((uint64_t *)s + word);
    if (out != NULL) {
        prefetch_for_write(out);
        prefetch_for_write((uint64_t *)out + word);
    }
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
        sites_total.sites_refused++;
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
        .counted_number = counted_number,
    };
    return (uint32_t)site_count++;
}

/* Before a site changes: as it is, it was at the peak. Returns what changed. */
static unsigned remember_peak(struct mp_region_site *s)
{
    unsigned changes = 0;

    if (s->peak_number != peak_number) {
        changes = IS_OF_PEAK;
        s->peak_number = peak_number;
        s->peak_samples = s->allocated_samples - s->freed_samples;
        s->peak_blocks = s->allocated_blocks - s->freed_blocks;
        s->peak_bytes = s->allocated_bytes - s->freed_bytes;
        s->peak_bytes_variance = s->allocated_bytes_variance - s->freed_bytes_variance;
        s->peak_requested = s->allocated_requested - s->freed_requested;
    }
    return changes;
}

/* The same for the last publication of counters. */
static unsigned remember_counted(struct mp_region_site *s)
{
    if (s->counted_number == counted_number) {
        return 0;
    }
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
    return IS_COUNTED;
}

/* What the sums are more than they were was counted at the last publication. */
static unsigned add_counted(struct mp_region_site *s, const struct mp_region_site *was)
{
    if (s->counted_number != counted_number) {
        return 0; /* all of it was */
    }
    s->counted_allocated_samples += s->allocated_samples - was->allocated_samples;
    s->counted_freed_samples += s->freed_samples - was->freed_samples;
    s->counted_allocated_blocks += s->allocated_blocks - was->allocated_blocks;
    s->counted_freed_blocks += s->freed_blocks - was->freed_blocks;
    s->counted_allocated_bytes += s->allocated_bytes - was->allocated_bytes;
    s->counted_freed_bytes += s->freed_bytes - was->freed_bytes;
    s->counted_allocated_blocks_variance +=
        s->allocated_blocks_variance - was->allocated_blocks_variance;
    s->counted_freed_blocks_variance +=
        s->freed_blocks_variance - was->freed_blocks_variance;
    s->counted_allocated_bytes_variance +=
        s->allocated_bytes_variance - was->allocated_bytes_variance;
    s->counted_freed_bytes_variance +=
        s->freed_bytes_variance - was->freed_bytes_variance;
    return IS_COUNTED;
}

static void set_weight(struct record *r)
{
    double chance;

    r->blocks = 1; /* divisions take long, and where all is recorded there are many */
    r->blocks_variance = 0;
    if (r->sampled.interval != MP_SAMPLING_EXACT) {
        chance = poisson_chance((double)r->sampled.bytes, (double)r->sampled.interval);
        r->blocks = 1 / chance;
        r->blocks_variance = (1 - chance) / (chance * chance);
    }
}

/* The functions that follow return what changed. */

static unsigned add_allocated(const struct record *r)
{
    struct mp_region_site *s = site_of(r->site);
    unsigned changes = remember_peak(s) | remember_counted(s) | IS_ALLOCATED;
    double bytes = (double)r->sampled.bytes;
    uint64_t now_ns = r->sampled.born_ns + realtime_less_monotonic;

    s->first_ns = s->first_ns == 0 ? now_ns : s->first_ns;
    s->last_ns = now_ns;
    s->allocated_samples++;
    s->allocated_blocks += r->blocks;
    s->allocated_bytes += r->blocks * bytes;
    s->allocated_requested += r->blocks * (double)r->sampled.requested;
    s->allocated_blocks_variance += r->blocks_variance;
    s->allocated_bytes_variance += bytes * bytes * r->blocks_variance;
    if (r->blocks * bytes > s->heaviest_bytes) {
        s->heaviest_bytes = r->blocks * bytes;
    }
    if (r->blocks > s->heaviest_blocks) {
        s->heaviest_blocks = r->blocks;
    }
    live_bytes += r->blocks * bytes;
    if (live_bytes > peak_bytes) {
        peak_bytes = live_bytes;
        peak_ns = now_ns;
        peak_number++;
    }
    return changes;
}

static unsigned subtract(const struct record *r)
{
    struct mp_region_site *s = site_of(r->site);
    unsigned changes = remember_peak(s) | remember_counted(s) | IS_FREED;
    double bytes = (double)r->sampled.bytes;

    s->freed_samples++;
    s->freed_blocks += r->blocks;
    s->freed_bytes += r->blocks * bytes;
    s->freed_requested += r->blocks * (double)r->sampled.requested;
    s->freed_blocks_variance += r->blocks_variance;
    s->freed_bytes_variance += bytes * bytes * r->blocks_variance;
    live_bytes -= r->blocks * bytes;
    return changes;
}

static unsigned bucket_of(uint64_t lifetime_ns)
{
    uint64_t us = lifetime_ns / 1000;
    unsigned bucket = us < 2 ? 0 : bits_log2(us);

    return bucket < MP_REGION_LIFETIMES ? bucket : MP_REGION_LIFETIMES - 1;
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
            .last_bytes = r->sampled.bytes, .last_requested = r->sampled.requested};
    }
}

/* NULL: nothing is late. Of a record that is free the link is any number. */
static struct late *late_of(const struct record *r)
{
    return r->link != 0 && r->link < LATES && lates != NULL ? &lates[r->link] : NULL;
}

/*
 * The site hears of all of them at once: what the block was counts as freed, and so does each
 * size but the last; each has the last one's weight. To the counters it is no news: nearly all of
 * it they knew when they were published last.
 */
static NOINLINE unsigned tell_late_of(struct record *r, struct late *l)
{
    struct mp_region_site *s = site_of(r->site);
    const struct record was = *r;
    double bytes = (double)was.sampled.bytes;
    double now = (double)l->last_bytes;
    double more = (double)l->last_requested - (double)was.sampled.requested;
    double requested = more > (double)l->requested ? more : (double)l->requested;
    const struct mp_region_site before = *s;
    unsigned changes = remember_peak(s) | IS_ALLOCATED | IS_FREED;

    r->sampled.bytes = l->last_bytes;
    r->sampled.requested = l->last_requested;
    set_weight(r);
    s->allocated_requested += r->blocks * requested;
    s->freed_requested += r->blocks * (requested - more)
                          + (was.blocks - r->blocks) * (double)was.sampled.requested;
    if (l->count > 0) {
        double again = l->count - 1;

        s->allocated_samples += l->count;
        s->freed_samples += l->count;
        s->allocated_blocks += r->blocks * l->count;
        s->freed_blocks += was.blocks + r->blocks * again;
        s->allocated_bytes += r->blocks * (double)l->bytes;
        s->freed_bytes += was.blocks * bytes + r->blocks * ((double)l->bytes - now);
        s->allocated_blocks_variance += r->blocks_variance * l->count;
        s->freed_blocks_variance += was.blocks_variance + r->blocks_variance * again;
        s->allocated_bytes_variance += r->blocks_variance * now * now * l->count;
        s->freed_bytes_variance += was.blocks_variance * bytes * bytes
                                   + r->blocks_variance * now * now * again;
        live_bytes += r->blocks * now - was.blocks * bytes;
        sites_total.allocated += l->count;
        sites_total.freed += l->count;
    }
    changes |= add_counted(s, &before);
    l->last_bytes = first_late;
    first_late = r->link;
    r->link = 0;
    return changes;
}

/* Returns what changed. */
static unsigned tell_late(struct record *r)
{
    struct late *l = late_of(r);

    return UNLIKELY(l != NULL) ? tell_late_of(r, l) : 0;
}

uint64_t sites_bytes(uint32_t number)
{
    const struct record *r = record_of(number);
    const struct late *l = late_of(r);

    return l != NULL ? l->last_bytes : r->sampled.bytes;
}

bool sites_try_defer(uint32_t number, uint64_t bytes, uint64_t requested)
{
    struct record *r = record_of(number);
    uint64_t told = r->sampled.bytes;
    struct late *l = late_of(r);

    if (l == NULL || bytes - told > told / LATE_PART || bytes < l->last_bytes
        || l->count == LATE_MOST) {
        return false;
    }
    if (bytes > l->last_bytes) {
        l->count++;
        l->bytes += bytes;
        l->requested += requested;
    }
    l->last_bytes = bytes;
    l->last_requested = requested;
    return true;
}

bool sites_defer_locked(uint32_t number, uint64_t bytes, uint64_t requested)
{
    struct record *r = record_of(number);

    if (r->sampled.interval != MP_SAMPLING_EXACT) {
        obtain_late(r);
    }
    return sites_try_defer(number, bytes, requested);
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
        store_relaxed(&first_free, record_of(number)->link);
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

void sites_expect(void)
{
    uint32_t number = load_relaxed(&first_free);

    if (number != 0) {
        prefetch_for_write(record_of(number));
    }
}

uint32_t sites_reserve_locked(void)
{
    uint32_t number = has_overflow() ? take_record() : 0;

    if (number == 0) {
        sites_total.refused++;
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
    store_relaxed(&first_free, number);
}

void sites_unreserve_locked(uint32_t number)
{
    sites_total.refused++;
    put_record(number);
}

void sites_allocated_locked(uint32_t number, uint32_t site, const struct sampled *s)
{
    struct record *r = record_of(number);

    expect_change(site, ALLOCATED);
    r->sampled = *s;
    r->site = site;
    r->link = 0;
    set_weight(r);
    sites_total.allocated++;
    write_changes(site, add_allocated(r), 0);
    write_record(number, true);
    sites_total.unlisted += region_is_open() && region_sample(number - 1) == NULL;
}

bool sites_is_live_locked(size_t number)
{
    return number != 0 && number < record_count && record_of(number)->site != FREE;
}

void sites_freed_locked(uint32_t number, uint64_t now_ns)
{
    struct record *r = record_of(number);
    uint64_t born_ns = r->sampled.born_ns;
    uint64_t lifetime_ns = now_ns > born_ns ? now_ns - born_ns : 0;
    unsigned bucket = bucket_of(lifetime_ns);
    size_t word = LIFETIMES + bucket * sizeof(uint32_t) / sizeof(uint64_t);
    struct mp_region_site *s = site_of(r->site);
    unsigned changes;

    expect_change(r->site, FREED);
    expect_change(r->site, word);
    changes = tell_late(r) | subtract(r);
    s->freed_lifetime_ns += r->blocks * (double)lifetime_ns;
    s->lifetimes[bucket]++;
    sites_total.freed++;
    write_changes(r->site, changes, word);
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
    uint64_t born_ns = r->sampled.born_ns;
    unsigned changes = tell_late(r);

    changes |= subtract(r);
    write_changes(r->site, changes, 0);
    r->site = site;
    r->sampled.bytes = bytes;
    r->sampled.requested = requested;
    r->sampled.born_ns = now_ns; /* to the site it is a new one */
    set_weight(r);
    write_changes(site, add_allocated(r), 0);
    r->sampled.born_ns = born_ns;
    sites_total.freed++;
    sites_total.allocated++;
    write_record(number, true);
}

void sites_resized_locked(uint32_t number, uint64_t requested)
{
    struct record *r = record_of(number);
    struct mp_region_site *s = site_of(r->site);
    double more = (double)requested - (double)r->sampled.requested;
    unsigned changes = remember_peak(s);

    if (more > 0) {
        s->allocated_requested += r->blocks * more;
    } else {
        s->freed_requested -= r->blocks * more;
    }
    r->sampled.requested = requested;
    write_changes(r->site, changes | IS_ALLOCATED | IS_FREED, 0);
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
    ret->allocated_total = sites_total.allocated;
    ret->freed_total = sites_total.freed;
    ret->site_count = site_count;
    ret->sample_count = bits_min(record_count - 1, MP_REGION_SAMPLES_MAX);
    ret->sites_refused_total = sites_total.sites_refused;
    ret->samples_refused_total = sites_total.refused;
    ret->samples_unlisted_total = sites_total.unlisted;
    ret->peak_number = peak_number;
    ret->peak_ns = peak_ns;
    ret->peak_bytes = peak_bytes;
}

void sites_counted_locked(uint64_t number)
{
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
