/*
 * pressure - how near this process is to having no more memory
 *
 * Owns: the look at what the memory cgroup, RLIMIT_AS and RLIMIT_DATA leave; who is told.
 *
 * Files are looked at in ticks of slow paths, at most once a second, with open, read and close,
 * without an allocation. Nobody is told, and nothing is read, where there is no limit and no
 * subscriber.
 */
#ifndef ALLOC_PRESSURE_H
#define ALLOC_PRESSURE_H

#include "arch.h"
#include "atomic.h"
#include "attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where control groups are: "/proc/self/cgroup", "/sys/fs/cgroup"; tests make their own. Which
 * limits there are is found out anew.
 */
void pressure_start_locked(const char *groups, const char *mount);

/* used_bytes: what spans hold now, to tell growth since the last look. */
void pressure_look_locked(uint32_t now_ms, uint64_t used_bytes);

/* At most a tenth of the limit was left at the last look, less what came since. */
bool pressure_is_near_locked(uint64_t used_bytes);

/*
 * 0 to 1, of the last look: the higher one of use of the limit and stalls; NAN: no limit, and the
 * kernel tells no stalls, or nobody asked yet. Stalls are looked at once somebody did.
 */
double pressure_value_locked(void);

/* Look at stalls, too, from the next look on, which comes at once. */
void pressure_want_stalls_locked(void);

/* 0, -EINVAL, -ENOSPC; -ENOENT. No lock is held. */
int pressure_subscribe(void (*fn)(double pressure, void *arg), void *arg, double level);
int pressure_unsubscribe(void (*fn)(double pressure, void *arg), void *arg);

/* Those whom the last looks concern, in this thread. No lock is held, nothing is half done. */
extern bool pressure_is_waiting; /* relaxed atomic */
void pressure_tell_slow(void);

static inline void pressure_run(void)
{
    if (UNLIKELY(load_relaxed(&pressure_is_waiting))) {
        pressure_tell_slow();
    }
}

#endif
