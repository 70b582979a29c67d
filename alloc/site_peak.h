/*
 * site_peak - what all sites hold together, and when it was most
 *
 * Owns: live bytes of those that are written with the lock and of those that threads write by
 * themselves; their peak.
 *
 * Estimates of few samples are off by more than what lives grows in an hour: the peak would be
 * when the estimate was furthest above the truth. So it goes by the counters of the last
 * publication, and by what samples say came since then.
 *
 * Relaxed atomics. Two threads that allocate at one moment may both be the peak.
 */
#ifndef SITE_PEAK_H
#define SITE_PEAK_H

#include "arch.h"
#include "atomic.h"
#include "os.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

extern HIDDEN struct site_peak {
    uint64_t live_bytes;  /* of those that threads write by themselves */
    double live_estimate; /* of all others: profile_lock */
    uint64_t
        missing; /* bits: what was counted less what samples said, when it was counted */
    uint64_t bits; /* of its bytes: as numbers they are in the order of doubles */
    uint64_t number;
    uint64_t ns;
} site_peak;

static inline double site_bytes_of(uint64_t bits)
{
    double bytes;

    memcpy(&bytes, &bits, sizeof(bytes));
    return bytes;
}

static inline uint64_t site_bits_of(double bytes)
{
    uint64_t bits;

    memcpy(&bits, &bytes, sizeof(bits));
    return bits;
}

static inline double site_live_now(void)
{
    uint64_t bits;

    __atomic_load((uint64_t *)&site_peak.live_estimate, &bits, __ATOMIC_RELAXED);
    return site_bytes_of(bits) + (double)(int64_t)load_relaxed(&site_peak.live_bytes);
}

/* What is live, by the counters as far as they go. */
static inline double site_live_counted(void)
{
    return site_live_now() + site_bytes_of(load_relaxed(&site_peak.missing));
}

static inline void site_live_estimate_locked(double more)
{
    store_relaxed((uint64_t *)&site_peak.live_estimate,
        site_bits_of(site_peak.live_estimate + more));
}

/* Of those without the lock: less, too. */
static ALWAYS_INLINE void site_live_add(uint64_t bytes)
{
    if (os_is_single_threaded()) {
        store_relaxed(
            &site_peak.live_bytes, load_relaxed(&site_peak.live_bytes) + bytes);
    } else {
        add_relaxed(&site_peak.live_bytes, bytes);
    }
}

static inline double site_peak_bytes(void)
{
    return site_bytes_of(load_relaxed(&site_peak.bits));
}

/*
 * False: what is live now is not the most ever. doubtful: of its bytes, those that the last sample
 * stands for, perhaps for no others than are counted.
 */
static ALWAYS_INLINE bool site_peak_try_raise(uint64_t now_ns, double doubtful)
{
    bool is_counted =
        load_relaxed(&site_peak.missing) != 0; /* else there is no better */
    uint64_t live = site_bits_of(site_live_counted() - (is_counted ? doubtful : 0));
    uint64_t peak = load_relaxed(&site_peak.bits);

    if ((int64_t)live <= (int64_t)peak) {
        return false;
    }
    if (os_is_single_threaded()) {
        store_relaxed(&site_peak.bits, live);
        store_relaxed(&site_peak.number, load_relaxed(&site_peak.number) + 1);
    } else {
        while (!cas_acquire(&site_peak.bits, &peak, live)) {
            if ((int64_t)live <= (int64_t)peak) {
                return false;
            }
        }
        add_relaxed(&site_peak.number, 1);
    }
    store_relaxed(&site_peak.ns, now_ns);
    return true;
}

/*
 * Counters say what is live, and what was, at most: that it is the most now makes it the peak,
 * and what samples took for more was none. Holds profile_lock.
 */
void site_peak_count_locked(
    uint64_t live_bytes, uint64_t highest_bytes, uint64_t now_ns);

/* What readers need at once; the rest they hear by the next tick. */
void site_peak_tell(void);

#endif
