#include "fork.h"

#include "arena.h"
#include "counters.h"
#include "guard.h"
#include "harden.h"
#include "hole.h"
#include "housekeeper.h"
#include "huge.h"
#include "publish.h"
#include "region.h"
#include "thread.h"
#include "unwind_table.h"

#include <pthread.h>

/* By rank; those of the heaps come between the two groups. */
static struct lock *const before_heaps[] = {
    &counters_lock, &threads_lock, &component_lock};
static struct lock *const after_heaps[] = {&confined_lock, &track_lock, &hole_lock,
    &huge_lock, &profile_lock, &span_lock, &arena_lock, &guard_lock};
enum {
    BEFORE = sizeof(before_heaps) / sizeof(before_heaps[0]),
    AFTER = sizeof(after_heaps) / sizeof(after_heaps[0]),
};

static void prepare(void)
{
    for (unsigned i = 0; i < BEFORE; i++) {
        lock_lock(before_heaps[i]);
    }
    heap_lock_all();
    for (unsigned i = 0; i < AFTER; i++) {
        lock_lock(after_heaps[i]);
    }
}

static void in_parent(void)
{
    for (unsigned i = AFTER; i-- > 0;) {
        lock_unlock(after_heaps[i]);
    }
    heap_unlock_all();
    for (unsigned i = BEFORE; i-- > 0;) {
        lock_unlock(before_heaps[i]);
    }
}

static void in_child(void)
{
    for (unsigned i = 0; i < AFTER; i++) {
        lock_reset(after_heaps[i]);
    }
    for (unsigned i = 0; i < BEFORE; i++) {
        lock_reset(before_heaps[i]);
    }
    heap_reset_all();
    span_after_fork_in_child();
    thread_after_fork_in_child();
    unwind_table_after_fork_in_child();
    publish_after_fork_in_child();
    housekeeper_after_fork_in_child();
}

void fork_register_handlers(void)
{
    pthread_atfork(prepare, in_parent, in_child);
}
