/*
 * probe - how the slow paths tell the time to what counts and publishes
 *
 * The allocator below never includes what observes it: it calls out through here, from
 * slow paths only, with no lock held.
 */
#ifndef PROBE_H
#define PROBE_H

#include "atomic.h"

enum { PROBE_TICK_MS = 10 };

extern uint32_t probe_last_ms; /* racy by design: a tick more or less does not matter */

void probe_tick_slow(uint32_t now_ms);

/* At most every 10 ms: purge what is old, count, publish. publish.c */
static inline void probe_tick(uint32_t now_ms)
{
    if (UNLIKELY(now_ms - load_relaxed(&probe_last_ms) >= PROBE_TICK_MS)) {
        probe_tick_slow(now_ms);
    }
}

/* Slow-path passes by kind; relaxed atomics. */
struct probe_passes {
    uint64_t refills;
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
