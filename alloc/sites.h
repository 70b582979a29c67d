/*
 * sites - what each stack holds
 *
 * Owns: sites, which are stacks by component, size class, operation and name of the thread,
 * with their sums (region.h says what each is); the peak. All of it in private memory, and as a
 * copy in the region.
 * Does not own: the samples that the sums are of (live.h).
 *
 * With profile_lock held, where nothing else is said.
 */
#ifndef SITES_H
#define SITES_H

#include <mpalloc/region.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SITE_OVERFLOW = 0 };

struct site_key {
    uint32_t frame;
    uint32_t component;
    uint16_t class_number;
    uint16_t operation;
    uint16_t thread;
    uint16_t flags; /* enum mp_region_site_flag */
    uint32_t share; /* 0: of all that have the lock; else of one thread */
};

/* A block that is sampled. */
struct sampled {
    uint64_t bytes;
    uint64_t requested;
    uint64_t interval; /* R when it was taken */
    uint64_t born_ns;  /* CLOCK_MONOTONIC */
    uint64_t thread_id;
    double blocks; /* that it stands for: sites_weigh */
    double blocks_variance;
};

/* Of sizes that a block had one after the other, without the first. */
struct grown {
    uint64_t bytes; /* sums of them */
    uint64_t requested;
    uint32_t count;
};

/* The site of that key, made if need be; when there is no room, (overflow). */
uint32_t sites_find_locked(const struct site_key *key);

/*
 * Sites of a share belong to one thread, which adds to them without the lock. What is said of one
 * of them with the lock goes to the site of the same key in share 0: sums are those of both.
 */
struct site_row {
    struct mp_region_site *site;
    struct mp_region_site *out; /* NULL: not in the region */
};

/* That of the same key in that share; SITE_OVERFLOW: no room. */
uint32_t sites_share_locked(uint32_t site, uint32_t share);
struct site_row sites_row_locked(uint32_t site);
struct site_key sites_key_locked(uint32_t site);

/* More than half of the room is in use: no more of them. */
bool sites_are_many_locked(void);

/* Its thread, without the lock, of samples that were weighed. */
void sites_add_own(const struct site_row *row, const struct sampled *s);
void sites_end_own(
    const struct site_row *row, const struct sampled *s, uint64_t lifetime_ns);
void sites_expect_own(const struct site_row *row);

/* That of the same key, but for the class. */
uint32_t sites_of_class_locked(uint32_t site, unsigned class_number);

/* (overflow) has a place from the first sample on. False: no memory. */
bool sites_have_overflow_locked(void);

/* How many blocks a sample stands for, from its bytes and its interval. Any thread. */
void sites_weigh(struct sampled *s);

/* A sample was taken; it was freed, after so long; or it is one of another size from now on. */
void sites_add_locked(uint32_t site, const struct sampled *s);
void sites_end_locked(uint32_t site, const struct sampled *s, uint64_t lifetime_ns);
void sites_subtract_locked(uint32_t site, const struct sampled *s);

/*
 * A sample grew in place, step by step: what it was counts as freed, and so does each size but
 * the last; each has the last one's weight. To the counters it is no news: nearly all of it they
 * knew when they were published last.
 */
void sites_grow_locked(uint32_t site, const struct sampled *was,
    const struct sampled *now, const struct grown *grown);

/* realloc moved a sample elsewhere, and copied so much of it. */
void sites_move_locked(uint32_t site, const struct sampled *s, uint64_t bytes);

/* So much more is wanted of what it holds, estimated. */
void sites_resize_locked(uint32_t site, double more_requested);

/* Below site_count of sites_describe_locked; NULL: there is none yet. */
const struct mp_region_site *sites_site_locked(size_t number);

/* CLOCK_REALTIME less CLOCK_MONOTONIC: the first and last time of sites come from both. */
void sites_set_clock_locked(uint64_t realtime_ns, uint64_t monotonic_ns);

/* The program is back at the same state, as mpalloc.h says; CLOCK_MONOTONIC. */
void sites_mark_locked(const char *name, uint64_t now_ns);

/* Fill what is known here of it. */
void sites_describe_locked(struct mp_region_sampling *ret);

/* Rises when readers must be told: of a site with a new number, of a new peak. */
uint64_t sites_news_locked(void);

/* The counters that were published now, as that number, fit the sums that sites have now. */
void sites_counted_locked(uint64_t number);

/* To a region that is new. */
void sites_write_all_locked(void);

#endif
