/*
 * sites - what each stack holds, and the samples that live
 *
 * Owns: sites, which are stacks by component, size class, operation and name of the thread,
 * with their sums (region.h says what each is); records of live samples; the peak. All of it
 * in private memory, and as a copy in the region.
 *
 * With profile_lock held, where nothing else is said.
 */
#ifndef SITES_H
#define SITES_H

#include "attr.h"

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site_key {
    uint32_t frame;
    uint32_t component;
    uint16_t class_number;
    uint16_t operation;
    uint16_t thread;
    uint16_t flags; /* enum mp_region_site_flag */
};

/* A block that is sampled. */
struct sampled {
    uint64_t bytes;
    uint64_t requested;
    uint64_t interval; /* R when it was taken */
    uint64_t born_ns;  /* CLOCK_MONOTONIC */
    uint64_t thread_id;
};

/* How many, ever. */
extern HIDDEN struct sites_total {
    uint64_t allocated;
    uint64_t freed;
    uint64_t sites_refused;
    uint64_t refused;
    uint64_t unlisted; /* in the sums, but not in the region's list */
} sites_total;

/* The site of that key, made if need be; when there is no room, (overflow), which is 0. */
uint32_t sites_find_locked(const struct site_key *key);

/* That there will be a sample, soon. Without the lock. */
void sites_expect(void);

/* A record for a sample, never 0; 0: no room, which is counted. */
uint32_t sites_reserve_locked(void);

/* What it is for was not to be had. */
void sites_unreserve_locked(uint32_t record);

/* Count a sample at that site, and keep it as that record. */
void sites_allocated_locked(uint32_t record, uint32_t site, const struct sampled *s);

/* The block of that record is freed; the number may be given to another one. */
void sites_freed_locked(uint32_t record, uint64_t now_ns);

/*
 * It was resized in place to so many bytes, and is sampled still: what it was counts as freed, but
 * did not end, and what it is as allocated at that site: its own, but for the class.
 */
void sites_regrown_locked(uint32_t record, uint32_t site, uint64_t bytes,
    uint64_t requested, uint64_t now_ns);

/*
 * The same, where it grew by little or is used otherwise: its site and the region hear of it
 * later, with more of its kind. False: it has to be told now. The first time takes the lock.
 * These two without it are for the thread that owns the block.
 */
bool sites_defer_locked(uint32_t record, uint64_t bytes, uint64_t requested);
bool sites_try_defer(uint32_t record, uint64_t bytes, uint64_t requested);
uint64_t sites_bytes(uint32_t record); /* that it has now */

/* That site. */
uint32_t sites_of_class_locked(uint32_t record, unsigned class_number);

/* It stayed where it was, and `requested` bytes of it are wanted now. */
void sites_resized_locked(uint32_t record, uint64_t requested);

const struct sampled *sites_record_locked(uint32_t record);

/* Whether it is the record of a live sample. */
bool sites_is_live_locked(size_t record);

/* Below site_count of sites_describe_locked; NULL: there is none yet. */
const struct mp_region_site *sites_site_locked(size_t number);

/* CLOCK_REALTIME less CLOCK_MONOTONIC: the first and last time of sites come from both. */
void sites_set_clock_locked(uint64_t realtime_ns, uint64_t monotonic_ns);

/* Fill what is known here of it. */
void sites_describe_locked(struct mp_region_sampling *ret);

/* Rises when readers must be told: of a site or a record with a new number, of a new peak. */
uint64_t sites_news_locked(void);

/* The counters that were published now, as that number, fit the sums that sites have now. */
void sites_counted_locked(uint64_t number);

/* To a region that is new. */
void sites_write_all_locked(void);

#endif
