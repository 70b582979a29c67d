#include "fork.h"

#include "budget.h"
#include "housekeeper.h"
#include "locks.h"
#include "mp_pool.h"
#include "publish.h"
#include "thread.h"
#include "unwind_table.h"

#include <pthread.h>

static void in_child(void)
{
    for (unsigned i = 0; i < LOCKS; i++) {
        lock_reset(locks[i]);
    }
    heap_reset_all();
    span_after_fork_in_child();
    mp_pool_after_fork_in_child();
    thread_after_fork_in_child();
    budget_after_fork_in_child();
    unwind_table_after_fork_in_child();
    publish_after_fork_in_child();
    housekeeper_after_fork_in_child();
}

void fork_register_handlers(void)
{
    pthread_atfork(locks_take_all, locks_release_all, in_child);
}
