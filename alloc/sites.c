#include "sites.h"

#include "arch.h"
#include "atomic.h"
#include "bits.h"
#include "epochs.h"
#include "own_memory.h"
#include "poisson.h"
#include "region.h"
#include "site_peak.h"

#include <assert.h>

enum {
    SITE_SHIFT = 5,
    SITES = 1 << SITE_SHIFT, /* of a chunk */
    SLOTS_FIRST = 256,
};

static struct mp_region_site *site_chunks[MP_REGION_SITES_MAX / SITES];
static size_t site_count = 1; /* with (overflow), whose chunk is made by the first */
static uint32_t *slots;       /* open addressing, a power of two; 0: empty */
static size_t slot_count;
static uint64_t refused;

/* Relaxed atomics: threads that write what is theirs read them without the lock. */
static uint64_t counted_number; /* of the publication of counters that was last */
static uint64_t realtime_less_monotonic;

/* ---- in the region ---- */

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

enum { IS_ALLOCATED = 1, IS_FREED = 2, IS_OF_PEAK = 4, IS_COUNTED = 8, IS_HEAD = 16 };

static void write_words(
    struct mp_region_site *to, const struct mp_region_site *s, size_t first, size_t end)
{
    region_write_words(&to->seq, &s->seq, first, end);
}

/* All of it. seq is 0 until the region has something of it. */
static void write_all_of(const struct site_row *row)
{
    struct mp_region_site *s = row->site;

    if (row->out == NULL) {
        s->seq = 0;
        return;
    }
    region_publish(&row->out->seq, &s->seq, sizeof(*s));
    s->seq += 2;
}

static struct site_row row_of(size_t number)
{
    return (struct site_row){site_of(number), region_site(number)};
}

/* The lines of what changed; of lifetimes that one word, 0: none. */
static ALWAYS_INLINE void write_changes(
    const struct site_row *row, unsigned changes, size_t word)
{
    struct mp_region_site *s = row->site;
    struct mp_region_site *out = row->out;

    if (UNLIKELY(out == NULL || s->seq == 0)) {
        write_all_of(row);
        return;
    }
    region_write_begin(&out->seq, s->seq);
    if ((changes & (IS_HEAD | IS_OF_PEAK | IS_COUNTED)) != 0) {
        write_words(out, s, 1, ALLOCATED);
    }
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

/* ---- sites ---- */

static bool has_key(const struct mp_region_site *s, const struct site_key *key)
{
    return s->frame == key->frame && s->component == key->component
           && s->class_number == key->class_number && s->operation == key->operation
           && s->thread == key->thread && s->flags == key->flags
           && s->share == key->share;
}

/* Many differ in class or share alone: all of it must come to the low bits. */
static uint64_t hash_of(const struct site_key *key)
{
    uint64_t hash = ((uint64_t)key->frame << 32 | key->component) * 0x9e3779b97f4a7c15u;

    hash ^= hash >> 32;
    hash ^= (uint64_t)key->class_number << 48 | (uint64_t)key->operation << 32
            | (uint32_t)key->thread << 16 | key->flags;
    hash *= 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32 ^ (uint64_t)key->share << 32;
    hash *= 0x9e3779b97f4a7c15u;
    return hash >> 32;
}

static struct site_key key_of(const struct mp_region_site *s)
{
    return (struct site_key){s->frame, s->component, s->class_number, s->operation,
        s->thread, s->flags, (uint32_t)s->share};
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
        refused++;
        return SITE_OVERFLOW;
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
        .share = key->share,
        .epochs_row =
            key->share != 0 ? EPOCHS_NO_ROW : 0,        /* written without the lock */
        .peak_number = load_relaxed(&site_peak.number), /* nothing was here then */
        .counted_number = load_relaxed(&counted_number),
    };
    return (uint32_t)site_count++;
}

uint32_t sites_share_locked(uint32_t number, uint32_t share)
{
    struct site_key key = key_of(site_of(number));

    if (number == SITE_OVERFLOW || key.share == share) {
        return number;
    }
    key.share = share;
    return sites_find_locked(&key);
}

struct site_row sites_row_locked(uint32_t number)
{
    return row_of(number);
}

struct site_key sites_key_locked(uint32_t number)
{
    return key_of(site_of(number));
}

bool sites_are_many_locked(void)
{
    return site_count
           >= bits_min(MP_REGION_SITES_MAX, region_room(MP_SECTION_SITES)) / 2;
}

/* What has the lock adds to no site of a thread's. */
static uint32_t common(uint32_t number)
{
    return LIKELY(site_of(number)->share == 0) ? number : sites_share_locked(number, 0);
}

/* Before a site changes: as it is, it was at the peak. Returns what changed. */
static unsigned remember_peak(struct mp_region_site *s)
{
    uint64_t peak_number = load_relaxed(&site_peak.number);
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
    uint64_t number = load_relaxed(&counted_number);

    if (s->counted_number == number) {
        return 0;
    }
    s->counted_number = number;
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
    if (s->counted_number != load_relaxed(&counted_number)) {
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

/*
 * Before a site changes: what it held in epochs that ended, and at marks. Returns what changed.
 */
static unsigned remember_epochs(uint32_t number, struct mp_region_site *s)
{
    if (LIKELY(s->epochs_turn == epochs_clock.turn)) {
        return 0;
    }
    epochs_reach_locked(number, s);
    return IS_ALLOCATED | IS_FREED;
}

/* After it changed. */
static void lower_floor(struct mp_region_site *s)
{
    double live = s->allocated_bytes - s->freed_bytes;

    if (live < (double)s->floor_bytes) {
        s->floor_bytes = (float)(live > 0 ? live : 0);
    }
}

/* ---- sums ---- */

bool sites_have_overflow_locked(void)
{
    if (site_chunks[0] == NULL) {
        site_chunks[0] = own_alloc_copied_locked(
            SITES * sizeof(*site_chunks[0]), SITES * sizeof(*site_chunks[0]));
    }
    return site_chunks[0] != NULL;
}

void sites_weigh(struct sampled *s)
{
    double chance;

    s->blocks = 1; /* divisions take long, and where all is recorded there are many */
    s->blocks_variance = 0;
    if (s->interval != MP_SAMPLING_EXACT) {
        chance = poisson_chance((double)s->bytes, (double)s->interval);
        s->blocks = 1 / chance;
        s->blocks_variance = (1 - chance) / (chance * chance);
    }
}

/* It is written soon. */
static void expect_change(const struct site_row *row, size_t word)
{
    prefetch_for_write((uint64_t *)row->site + word);
    if (row->out != NULL) {
        prefetch_for_write(row->out);
        prefetch_for_write((uint64_t *)row->out + word);
    }
}

/* Returns what changed. */
static ALWAYS_INLINE unsigned add(
    struct mp_region_site *s, const struct sampled *sampled, uint64_t now_ns)
{
    double bytes = sampled->blocks * (double)sampled->bytes;
    unsigned changes = remember_peak(s) | remember_counted(s) | IS_ALLOCATED;

    if (s->first_ns == 0) {
        s->first_ns = now_ns;
        changes |= IS_HEAD;
    }
    s->last_ns = now_ns;
    s->allocated_samples++;
    s->allocated_blocks += sampled->blocks;
    s->allocated_bytes += bytes;
    s->allocated_requested += sampled->blocks * (double)sampled->requested;
    s->allocated_blocks_variance += sampled->blocks_variance;
    s->allocated_bytes_variance +=
        (double)sampled->bytes * (double)sampled->bytes * sampled->blocks_variance;
    if (bytes > s->heaviest_bytes) {
        s->heaviest_bytes = bytes;
        changes |= IS_HEAD;
    }
    if (sampled->blocks > s->heaviest_blocks) {
        s->heaviest_blocks = sampled->blocks;
        changes |= IS_HEAD;
    }
    return changes;
}

void sites_add_locked(uint32_t number, const struct sampled *sampled)
{
    uint32_t site = common(number);
    struct site_row row = row_of(site);
    uint64_t now_ns = sampled->born_ns + load_relaxed(&realtime_less_monotonic);
    unsigned changes;

    expect_change(&row, ALLOCATED);
    if (UNLIKELY(epochs_count_locked(sampled->bytes, sampled->blocks))) {
        epochs_begin_locked(site_live_now(), now_ns, sampled->born_ns);
    }
    changes = remember_epochs(site, row.site);
    changes |= add(row.site, sampled, now_ns);
    site_live_estimate_locked(sampled->blocks * (double)sampled->bytes);
    site_peak_try_raise(now_ns,
        sampled->blocks_variance > 0 ? sampled->blocks * (double)sampled->bytes : 0);
    write_changes(&row, changes, 0);
}

void sites_expect_own(const struct site_row *row)
{
    expect_change(row, ALLOCATED);
}

void sites_add_own(const struct site_row *row, const struct sampled *sampled)
{
    uint64_t now_ns = sampled->born_ns + load_relaxed(&realtime_less_monotonic);
    unsigned changes = add(row->site, sampled, now_ns);

    site_live_add(sampled->bytes);
    write_changes(row, changes, 0);
    if (UNLIKELY(site_peak_try_raise(now_ns, 0))) {
        site_peak_tell();
    }
}

/* Returns what changed. */
static ALWAYS_INLINE unsigned subtract(
    struct mp_region_site *s, const struct sampled *sampled)
{
    unsigned changes = remember_peak(s) | remember_counted(s) | IS_FREED;
    double bytes = (double)sampled->bytes;

    s->freed_samples++;
    s->freed_blocks += sampled->blocks;
    s->freed_bytes += sampled->blocks * bytes;
    s->freed_requested += sampled->blocks * (double)sampled->requested;
    s->freed_blocks_variance += sampled->blocks_variance;
    s->freed_bytes_variance += bytes * bytes * sampled->blocks_variance;
    lower_floor(s);
    return changes;
}

void sites_subtract_locked(uint32_t number, const struct sampled *sampled)
{
    uint32_t site = common(number);
    struct site_row row = row_of(site);
    unsigned changes = remember_epochs(site, row.site);

    changes |= subtract(row.site, sampled);
    write_changes(&row, changes, 0);
    site_live_estimate_locked(-(sampled->blocks * (double)sampled->bytes));
}

static unsigned bucket_of(uint64_t lifetime_ns)
{
    uint64_t us = lifetime_ns / 1000;
    unsigned bucket = us < 2 ? 0 : bits_log2(us);

    return bucket < MP_REGION_LIFETIMES ? bucket : MP_REGION_LIFETIMES - 1;
}

static ALWAYS_INLINE void end(const struct site_row *row, const struct sampled *sampled,
    uint64_t lifetime_ns, unsigned changes)
{
    unsigned bucket = bucket_of(lifetime_ns);
    size_t word = LIFETIMES + bucket * sizeof(uint32_t) / sizeof(uint64_t);

    expect_change(row, FREED);
    expect_change(row, word);
    changes |= subtract(row->site, sampled);
    row->site->freed_lifetime_ns += sampled->blocks * (double)lifetime_ns;
    row->site->lifetimes[bucket]++;
    write_changes(row, changes, word);
}

void sites_end_locked(
    uint32_t number, const struct sampled *sampled, uint64_t lifetime_ns)
{
    uint32_t site = common(number);
    struct site_row row = row_of(site);

    end(&row, sampled, lifetime_ns, remember_epochs(site, row.site));
    site_live_estimate_locked(-(sampled->blocks * (double)sampled->bytes));
}

void sites_end_own(
    const struct site_row *row, const struct sampled *sampled, uint64_t lifetime_ns)
{
    end(row, sampled, lifetime_ns, 0);
    site_live_add(-sampled->bytes);
}

void sites_grow_locked(uint32_t number, const struct sampled *was,
    const struct sampled *now, const struct grown *grown)
{
    uint32_t site = common(number);
    struct site_row row = row_of(site);
    struct mp_region_site *s = row.site;
    unsigned changes =
        remember_peak(s) | remember_epochs(site, s) | IS_ALLOCATED | IS_FREED;
    const struct mp_region_site before = *s;
    double more = (double)now->requested - (double)was->requested;
    double requested =
        more > (double)grown->requested ? more : (double)grown->requested;

    s->allocated_requested += now->blocks * requested;
    s->freed_requested += now->blocks * (requested - more)
                          + (was->blocks - now->blocks) * (double)was->requested;
    if (grown->count > 0) {
        double again = grown->count - 1;
        double from = (double)was->bytes;
        double to = (double)now->bytes;

        s->allocated_samples += grown->count;
        s->freed_samples += grown->count;
        s->allocated_blocks += now->blocks * grown->count;
        s->freed_blocks += was->blocks + now->blocks * again;
        s->allocated_bytes += now->blocks * (double)grown->bytes;
        s->freed_bytes +=
            was->blocks * from + now->blocks * ((double)grown->bytes - to);
        s->allocated_blocks_variance += now->blocks_variance * grown->count;
        s->freed_blocks_variance += was->blocks_variance + now->blocks_variance * again;
        s->allocated_bytes_variance += now->blocks_variance * to * to * grown->count;
        s->freed_bytes_variance +=
            was->blocks_variance * from * from + now->blocks_variance * to * to * again;
        site_live_estimate_locked(now->blocks * to - was->blocks * from);
        lower_floor(s);
        epochs_count_locked(grown->bytes, now->blocks);
    }
    write_changes(&row, changes | add_counted(s, &before), 0);
}

void sites_move_locked(uint32_t number, const struct sampled *sampled, uint64_t bytes)
{
    struct site_row row = row_of(common(number));
    struct mp_region_site *s = row.site;

    s->moved_samples++;
    s->moved_blocks += sampled->blocks;
    s->moved_bytes += sampled->blocks * (double)bytes;
    write_changes(&row, remember_peak(s) | IS_OF_PEAK, 0); /* in its line */
}

void sites_resize_locked(uint32_t number, double more_requested)
{
    struct site_row row = row_of(common(number));
    struct mp_region_site *s = row.site;
    unsigned changes = remember_peak(s) | IS_ALLOCATED | IS_FREED;

    if (more_requested > 0) {
        s->allocated_requested += more_requested;
    } else {
        s->freed_requested -= more_requested;
    }
    write_changes(&row, changes, 0);
}

uint32_t sites_of_class_locked(uint32_t number, unsigned class_number)
{
    struct site_key key = key_of(site_of(number));

    if (number == SITE_OVERFLOW
        || (key.class_number == class_number && key.share == 0)) {
        return number;
    }
    key.share = 0;
    key.class_number = (uint16_t)class_number;
    return sites_find_locked(&key);
}

const struct mp_region_site *sites_site_locked(size_t number)
{
    return site_chunks[0] != NULL && number < site_count ? site_of(number) : NULL;
}

void sites_set_clock_locked(uint64_t realtime_ns, uint64_t monotonic_ns)
{
    store_relaxed(&realtime_less_monotonic, realtime_ns - monotonic_ns);
}

void sites_mark_locked(const char *name, uint64_t now_ns)
{
    epochs_mark_locked(
        name, site_live_now(), now_ns + load_relaxed(&realtime_less_monotonic), now_ns);
}

void sites_describe_locked(struct mp_region_sampling *ret)
{
    ret->site_count = site_count;
    ret->sites_refused_total = refused;
    ret->peak_number = load_relaxed(&site_peak.number);
    ret->peak_ns = load_relaxed(&site_peak.ns);
    ret->peak_bytes = site_peak_bytes();
}

void sites_counted_locked(uint64_t number)
{
    store_relaxed(&counted_number, number);
}

uint64_t sites_news_locked(void)
{
    return site_count + load_relaxed(&site_peak.number);
}

void sites_write_all_locked(void)
{
    for (size_t i = 0; site_chunks[0] != NULL && i < site_count; i++) {
        struct site_row row = row_of(i);

        write_all_of(&row);
    }
    epochs_write_all_locked();
}
