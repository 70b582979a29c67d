#include "locks.h"

#include "arena.h"
#include "counters.h"
#include "guard.h"
#include "harden.h"
#include "heap.h"
#include "hole.h"
#include "huge.h"
#include "mp_pool.h"
#include "region.h"
#include "thread.h"

struct lock *const locks[LOCKS] = {&counters_lock, &threads_lock, &component_lock,
    &pools_lock,
    /* pools, heaps */
    &confined_lock, &track_lock, &hole_lock, &huge_lock, &profile_lock, &span_lock,
    &arena_lock, &guard_lock};

void locks_take_all(void)
{
    for (unsigned i = 0; i < LOCKS_BEFORE_HEAPS; i++) {
        lock_lock(locks[i]);
    }
    mp_pool_lock_all();
    heap_lock_all();
    for (unsigned i = LOCKS_BEFORE_HEAPS; i < LOCKS; i++) {
        lock_lock(locks[i]);
    }
}

void locks_release_all(void)
{
    for (unsigned i = LOCKS; i-- > LOCKS_BEFORE_HEAPS;) {
        lock_unlock(locks[i]);
    }
    heap_unlock_all();
    mp_pool_unlock_all();
    for (unsigned i = LOCKS_BEFORE_HEAPS; i-- > 0;) {
        lock_unlock(locks[i]);
    }
}
