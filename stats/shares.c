#include "shares.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- two of them ---- */

static bool is_same(const struct mp_region_site *a, const struct mp_region_site *b)
{
    return a->frame == b->frame && a->component == b->component
           && a->class_number == b->class_number && a->operation == b->operation
           && a->thread == b->thread && a->flags == b->flags;
}

/* The seed is not known to who wrote the file: else all could have one hash. */
static uint64_t hash_of(const struct mp_region_site *s, uint64_t seed)
{
    uint64_t hash = ((uint64_t)s->frame << 32 | s->component) * 0x9e3779b97f4a7c15u;

    hash = (hash ^ hash >> 32 ^ seed) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    hash += (uint64_t)s->class_number << 48 | (uint64_t)s->operation << 32
            | (uint64_t)s->thread << 16 | s->flags;
    hash *= 0x9e3779b97f4a7c15u;
    return hash >> 32;
}

/* As of that peak: nothing changed here since the one that it knows. */
static void bring_to_peak(struct mp_region_site *s, uint64_t number)
{
    if (s->peak_number < number) {
        s->peak_number = number;
        s->peak_samples = s->allocated_samples - s->freed_samples;
        s->peak_blocks = s->allocated_blocks - s->freed_blocks;
        s->peak_bytes = s->allocated_bytes - s->freed_bytes;
        s->peak_bytes_variance = s->allocated_bytes_variance - s->freed_bytes_variance;
        s->peak_requested = s->allocated_requested - s->freed_requested;
    }
}

/* The same of the publication of counters. */
static void bring_to_counters(struct mp_region_site *s, uint64_t number)
{
    if (s->counted_number < number) {
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
    }
}

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void add_times(struct mp_region_site *to, const struct mp_region_site *s)
{
    if (to->first_ns == 0 || (s->first_ns != 0 && s->first_ns < to->first_ns)) {
        to->first_ns = s->first_ns;
    }
    to->last_ns = greater(to->last_ns, s->last_ns);
    if (s->heaviest_bytes > to->heaviest_bytes) {
        to->heaviest_bytes = s->heaviest_bytes;
    }
    if (s->heaviest_blocks > to->heaviest_blocks) {
        to->heaviest_blocks = s->heaviest_blocks;
    }
    to->freed_lifetime_ns += s->freed_lifetime_ns;
    for (size_t i = 0; i < MP_REGION_LIFETIMES; i++) {
        to->lifetimes[i] += s->lifetimes[i];
    }
}

/* s is changed, too. */
static void add_site(struct mp_region_site *to, struct mp_region_site *s)
{
    uint64_t peak = greater(to->peak_number, s->peak_number);
    uint64_t counted = greater(to->counted_number, s->counted_number);

    bring_to_peak(to, peak);
    bring_to_peak(s, peak);
    bring_to_counters(to, counted);
    bring_to_counters(s, counted);
    add_times(to, s);
    to->seq |= s->seq & 1;       /* torn */
    to->epochs_row = UINT32_MAX; /* threads keep no past of theirs */
    to->allocated_samples += s->allocated_samples;
    to->allocated_blocks += s->allocated_blocks;
    to->allocated_bytes += s->allocated_bytes;
    to->allocated_requested += s->allocated_requested;
    to->allocated_blocks_variance += s->allocated_blocks_variance;
    to->allocated_bytes_variance += s->allocated_bytes_variance;
    to->freed_samples += s->freed_samples;
    to->freed_blocks += s->freed_blocks;
    to->freed_bytes += s->freed_bytes;
    to->freed_requested += s->freed_requested;
    to->freed_blocks_variance += s->freed_blocks_variance;
    to->freed_bytes_variance += s->freed_bytes_variance;
    to->peak_samples += s->peak_samples;
    to->peak_blocks += s->peak_blocks;
    to->peak_bytes += s->peak_bytes;
    to->peak_bytes_variance += s->peak_bytes_variance;
    to->peak_requested += s->peak_requested;
    to->moved_samples += s->moved_samples;
    to->moved_blocks += s->moved_blocks;
    to->moved_bytes += s->moved_bytes;
    to->counted_allocated_samples += s->counted_allocated_samples;
    to->counted_freed_samples += s->counted_freed_samples;
    to->counted_allocated_blocks += s->counted_allocated_blocks;
    to->counted_freed_blocks += s->counted_freed_blocks;
    to->counted_allocated_bytes += s->counted_allocated_bytes;
    to->counted_freed_bytes += s->counted_freed_bytes;
    to->counted_allocated_blocks_variance += s->counted_allocated_blocks_variance;
    to->counted_freed_blocks_variance += s->counted_freed_blocks_variance;
    to->counted_allocated_bytes_variance += s->counted_allocated_bytes_variance;
    to->counted_freed_bytes_variance += s->counted_freed_bytes_variance;
}

/* ---- all of them ---- */

static bool has_shares(const struct mp_region_site *sites, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (sites[i].share != 0) {
            return true;
        }
    }
    return false;
}

/* Of the sites that are left, the one that site i is part of; a free slot if there is none. */
static uint32_t *find_slot(uint32_t *slots, size_t slot_count,
    const struct mp_region_site *sites, const struct mp_region_site *s)
{
    size_t at = hash_of(s, (uintptr_t)slots) & (slot_count - 1);

    while (slots[at] != 0 && !is_same(&sites[slots[at]], s)) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

bool shares_add_up(struct mp_region_site *sites, size_t *count, uint32_t *ret_numbers)
{
    size_t slot_count = 16;
    size_t left = 1;
    uint32_t *slots;

    if (!has_shares(sites, *count)) {
        for (size_t i = 0; i < *count; i++) {
            ret_numbers[i] = (uint32_t)i;
        }
        return true;
    }
    while (slot_count < 2 * *count) {
        slot_count *= 2;
    }
    slots = calloc(slot_count, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    ret_numbers[0] = 0;
    for (size_t i = 1; i < *count; i++) {
        uint32_t *slot = find_slot(slots, slot_count, sites, &sites[i]);

        if (*slot == 0) {
            *slot = (uint32_t)left;
            sites[left] = sites[i];
            sites[left++].share = 0;
        } else {
            add_site(&sites[*slot], &sites[i]);
        }
        ret_numbers[i] = *slot;
    }
    free(slots);
    *count = left;
    return true;
}
