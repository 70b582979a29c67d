#include "locks.h"

#include "arena.h"
#include "counters.h"
#include "guard.h"
#include "harden.h"
#include "hole.h"
#include "huge.h"
#include "region.h"
#include "thread.h"

struct lock *const locks[LOCKS] = {&counters_lock, &threads_lock, &component_lock,
    /* heaps */
    &confined_lock, &track_lock, &hole_lock, &huge_lock, &profile_lock, &span_lock,
    &arena_lock, &guard_lock};
