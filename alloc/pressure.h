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

/* 0 to 1, of the last look; NAN: no limit, and the kernel tells no stalls. */
double pressure_value_locked(void);

#endif
