#include "sites.h"

#include "arch.h"
#include "atomic.h"
#include "bits.h"
#include "epochs.h"
#include "own_memory.h"
#include "poisson.h"
#include "region.h"

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

static double live_bytes; /* estimate */
static double peak_bytes;
static uint64_t peak_number;
static uint64_t peak_ns;
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

void sites_add_locked(uint32_t number, const struct sampled *sampled)
{
    struct mp_region_site *s = site_of(number);
    double bytes = sampled->blocks * (double)sampled->bytes;
    uint64_t now_ns = sampled->born_ns + realtime_less_monotonic;
    unsigned changes;

    expect_change(number, ALLOCATED);
    if (UNLIKELY(epochs_count_locked(sampled->bytes, sampled->blocks))) {
        epochs_begin_locked(live_bytes, now_ns, sampled->born_ns);
    }
    changes = remember_peak(s) | remember_counted(s) | remember_epochs(number, s)
              | IS_ALLOCATED;
    s->first_ns = s->first_ns == 0 ? now_ns : s->first_ns;
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
    }
    if (sampled->blocks > s->heaviest_blocks) {
        s->heaviest_blocks = sampled->blocks;
    }
    live_bytes += bytes;
    if (live_bytes > peak_bytes) {
        peak_bytes = live_bytes;
        peak_ns = now_ns;
        peak_number++;
    }
    write_changes(number, changes, 0);
}

/* Returns what changed. */
static unsigned subtract(uint32_t number, const struct sampled *sampled)
{
    struct mp_region_site *s = site_of(number);
    unsigned changes =
        remember_peak(s) | remember_counted(s) | remember_epochs(number, s) | IS_FREED;
    double bytes = (double)sampled->bytes;

    s->freed_samples++;
    s->freed_blocks += sampled->blocks;
    s->freed_bytes += sampled->blocks * bytes;
    s->freed_requested += sampled->blocks * (double)sampled->requested;
    s->freed_blocks_variance += sampled->blocks_variance;
    s->freed_bytes_variance += bytes * bytes * sampled->blocks_variance;
    live_bytes -= sampled->blocks * bytes;
    lower_floor(s);
    return changes;
}

void sites_subtract_locked(uint32_t number, const struct sampled *sampled)
{
    write_changes(number, subtract(number, sampled), 0);
}

static unsigned bucket_of(uint64_t lifetime_ns)
{
    uint64_t us = lifetime_ns / 1000;
    unsigned bucket = us < 2 ? 0 : bits_log2(us);

    return bucket < MP_REGION_LIFETIMES ? bucket : MP_REGION_LIFETIMES - 1;
}

void sites_end_locked(
    uint32_t number, const struct sampled *sampled, uint64_t lifetime_ns)
{
    struct mp_region_site *s = site_of(number);
    unsigned bucket = bucket_of(lifetime_ns);
    size_t word = LIFETIMES + bucket * sizeof(uint32_t) / sizeof(uint64_t);
    unsigned changes;

    expect_change(number, FREED);
    expect_change(number, word);
    prefetch_for_write((uint64_t *)s + ALLOCATED);
    changes = subtract(number, sampled);
    s->freed_lifetime_ns += sampled->blocks * (double)lifetime_ns;
    s->lifetimes[bucket]++;
    write_changes(number, changes, word);
}

void sites_grow_locked(uint32_t number, const struct sampled *was,
    const struct sampled *now, const struct grown *grown)
{
    struct mp_region_site *s = site_of(number);
    unsigned changes =
        remember_peak(s) | remember_epochs(number, s) | IS_ALLOCATED | IS_FREED;
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
        live_bytes += now->blocks * to - was->blocks * from;
        lower_floor(s);
        epochs_count_locked(grown->bytes, now->blocks);
    }
    write_changes(number, changes | add_counted(s, &before), 0);
}

void sites_resize_locked(uint32_t number, double more_requested)
{
    struct mp_region_site *s = site_of(number);
    unsigned changes = remember_peak(s) | IS_ALLOCATED | IS_FREED;

    if (more_requested > 0) {
        s->allocated_requested += more_requested;
    } else {
        s->freed_requested -= more_requested;
    }
    write_changes(number, changes, 0);
}

uint32_t sites_of_class_locked(uint32_t number, unsigned class_number)
{
    struct site_key key = key_of(site_of(number));

    if (number == SITE_OVERFLOW || key.class_number == class_number) {
        return number;
    }
    key.class_number = (uint16_t)class_number;
    return sites_find_locked(&key);
}

const struct mp_region_site *sites_site_locked(size_t number)
{
    return site_chunks[0] != NULL && number < site_count ? site_of(number) : NULL;
}

void sites_set_clock_locked(uint64_t realtime_ns, uint64_t monotonic_ns)
{
    realtime_less_monotonic = realtime_ns - monotonic_ns;
}

void sites_mark_locked(const char *name, uint64_t now_ns)
{
    epochs_mark_locked(name, live_bytes, now_ns + realtime_less_monotonic, now_ns);
}

void sites_describe_locked(struct mp_region_sampling *ret)
{
    ret->site_count = site_count;
    ret->sites_refused_total = refused;
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
    return site_count + peak_number;
}

void sites_write_all_locked(void)
{
    for (size_t i = 0; site_chunks[0] != NULL && i < site_count; i++) {
        write_site(i);
    }
    epochs_write_all_locked();
}
