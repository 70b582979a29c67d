/*
 * probe - how the slow paths tell the time to what counts and publishes
 *
 * The allocator below never includes what observes it: it calls out through here, from
 * slow paths only, with no lock held.
 */
#ifndef PROBE_H
#define PROBE_H

#include "atomic.h"

#include <stdbool.h>
#include <stddef.h>

enum { PROBE_TICK_MS = 10, PROBE_TRUST_MAX = 31, PROBE_REPORT_BYTES = 256 * 1024 };

extern uint32_t probe_last_ms; /* racy by design: a tick more or less does not matter */

/*
 * Spans in use at which there may be a new peak of live bytes: 1 % above the last one that
 * was counted. Crossing it makes the next tick come at once, however little time passed:
 * live bytes can only rise much further in new spans.
 */
extern size_t probe_growth_at;

/*
 * Bytes that heaps took from slabs, and large blocks: with those in caches (large_cache.h) an
 * upper bound of what live grew by.
 */
extern uint64_t probe_handed_bytes; /* from slabs; relaxed atomic */
extern uint64_t probe_large_bytes;  /* large blocks; span_lock, read without */

void probe_tick_slow(uint32_t now_ms);

/* A tick that waits for probe_run; relaxed atomic. */
extern bool probe_is_waiting;

void probe_run_slow(void);

/* A thread allocates for the first time; it holds no lock. housekeeper.c */
void probe_thread_started(void);

/* It will have no structure any more; it holds no lock. exact.c */
void probe_thread_ends(void);

/* The trays of a thread that ends are nobody's any more; no lock is held. mp_pool.c */
void probe_trays_end(char *trays);

/* At most every 10 ms: purge what is old, count, publish. publish.c */
static inline void probe_tick(uint32_t now_ms)
{
    if (UNLIKELY(now_ms - load_relaxed(&probe_last_ms) >= PROBE_TICK_MS)) {
        probe_tick_slow(now_ms);
    }
}

/* The program is told what waits to be told: no lock is held, nothing is half done. publish.c */
void probe_tell(void);

/* Both, where a callback may allocate and free. */
static inline void probe_tick_and_tell(uint32_t now_ms)
{
    if (UNLIKELY(now_ms - load_relaxed(&probe_last_ms) >= PROBE_TICK_MS)) {
        probe_tick_slow(now_ms);
        probe_tell();
    }
}

/*
 * The same for what counts a block outside of slabs, of which its sample is told before or after:
 * whoever tells it runs the tick, so that what is published of both fits.
 */
static inline void probe_tick_later(uint32_t now_ms)
{
    if (UNLIKELY(now_ms - load_relaxed(&probe_last_ms) >= PROBE_TICK_MS)) {
        store_relaxed(&probe_is_waiting, true);
    }
}

static inline void probe_run(void)
{
    if (UNLIKELY(load_relaxed(&probe_is_waiting))) {
        probe_run_slow();
    }
}

/*
 * For slow paths that are called often, how many calls may follow without a look at the clock:
 * as many as there were in less than 10 ms, and as many more. trust: what it was before.
 */
static inline uint8_t probe_trust(uint8_t trust, uint32_t elapsed_ms)
{
    unsigned more = 2u * trust + 1;

    return (uint8_t)(elapsed_ms >= PROBE_TICK_MS ? 0
                     : more < PROBE_TRUST_MAX    ? more
                                                 : PROBE_TRUST_MAX);
}

static inline void probe_note_spans(size_t used)
{
    if (UNLIKELY(used > load_relaxed(&probe_growth_at))) {
        store_relaxed(&probe_last_ms, load_relaxed(&probe_last_ms) - PROBE_TICK_MS);
    }
}

/* Slow-path passes by kind; relaxed atomics. */
struct probe_passes {
    uint64_t remote_folds;
    uint64_t slab_starts;
    uint64_t slab_releases;
    uint64_t trims;
    uint64_t trimmed_bytes;
    uint64_t allocation_failures;
    uint64_t invalid_frees;
};
extern struct probe_passes probe_passes;

#endif
