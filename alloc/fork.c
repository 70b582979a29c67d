#include "fork.h"

#include "housekeeper.h"
#include "locks.h"
#include "publish.h"
#include "thread.h"
#include "unwind_table.h"

#include <pthread.h>

static void prepare(void)
{
    for (unsigned i = 0; i < LOCKS_BEFORE_HEAPS; i++) {
        lock_lock(locks[i]);
    }
    heap_lock_all();
    for (unsigned i = LOCKS_BEFORE_HEAPS; i < LOCKS; i++) {
        lock_lock(locks[i]);
    }
}

static void in_parent(void)
{
    for (unsigned i = LOCKS; i-- > LOCKS_BEFORE_HEAPS;) {
        lock_unlock(locks[i]);
    }
    heap_unlock_all();
    for (unsigned i = LOCKS_BEFORE_HEAPS; i-- > 0;) {
        lock_unlock(locks[i]);
    }
}

static void in_child(void)
{
    for (unsigned i = 0; i < LOCKS; i++) {
        lock_reset(locks[i]);
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
