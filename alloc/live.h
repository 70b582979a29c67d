/*
 * live - the samples that live
 *
 * Owns: a record for each, in private memory, and as a copy in the region; what grew since its
 * site was told.
 *
 * With profile_lock held, where nothing else is said.
 */
#ifndef LIVE_H
#define LIVE_H

#include "attr.h"
#include "sites.h"

/* How many, ever. */
extern HIDDEN struct live_total {
    uint64_t allocated;
    uint64_t freed;
    uint64_t refused;
    uint64_t unlisted; /* in the sums, but not in the region's list */
} live_total;

/* That there will be a sample, soon. Without the lock. */
void live_expect(void);

/* A record for a sample, never 0; 0: no room, which is counted. */
uint32_t live_reserve_locked(void);

/* What it is for was not to be had. */
void live_unreserve_locked(uint32_t record);

/* It is not needed any more. */
void live_return_locked(uint32_t record);

/*
 * Without the lock, by the thread that has it: a record that was reserved is that of a sample,
 * weighed, of one of its own sites (sites_add_own is told here); and ends, reserved again.
 */
void live_begin_own(uint32_t record, uint32_t site, const struct site_row *row,
    const struct sampled *s);
void live_end_own(uint32_t record, const struct site_row *row, uint64_t now_ns);
uint32_t live_site(uint32_t record);
void live_expect_record(uint32_t record); /* soon */
bool live_is_listed(uint32_t record);

/* Count a sample at that site, and keep it as that record. */
void live_begin_locked(uint32_t record, uint32_t site, const struct sampled *s);

/* The block of that record is freed; the number may be given to another one. */
void live_end_locked(uint32_t record, uint64_t now_ns);

/*
 * It was resized in place to so many bytes, of that class, and is sampled still: what it was
 * counts as freed, but did not end, and what it is as allocated.
 */
void live_regrow_locked(uint32_t record, unsigned class_number, uint64_t bytes,
    uint64_t requested, uint64_t now_ns);

/*
 * The same, where it grew by little or is used otherwise: its site and the region hear of it
 * later, with more of its kind. False: it has to be told now, as where its class is another one.
 */
bool live_defer_locked(uint32_t record, uint64_t bytes, uint64_t requested);

/*
 * The number under which that is gathered, until the block is resized otherwise or freed; 0:
 * nothing is. With it the next time needs no lock: for the thread that owns the block.
 */
uint32_t live_late_locked(uint32_t record);
bool live_try_defer(uint32_t late, uint64_t bytes, uint64_t requested);

uint64_t live_bytes(uint32_t record); /* that it has now */

/* realloc moved it elsewhere, and copied so much of it. */
void live_move_locked(uint32_t record, uint64_t bytes);

/* It stayed where it was, and `requested` bytes of it are wanted now. */
void live_resize_locked(uint32_t record, uint64_t requested);

const struct sampled *live_sampled_locked(uint32_t record);

/* Whether it is the record of a live sample. */
bool live_is_locked(size_t record);

/* Fill what is known here of it. */
void live_describe_locked(struct mp_region_sampling *ret);

/* Rises when readers must be told: of a record with a new number. */
uint64_t live_news_locked(void);

/* To a region that is new. */
void live_write_all_locked(void);

#endif
