#include "fork.h"

#include "arena.h"
#include "counters.h"
#include "heap.h"
#include "large.h"
#include "publish.h"
#include "thread.h"

#include <pthread.h>

/* By rank. The heaps' own locks come between: taken only around a few instructions, under
 * no other lock but counters_lock, and given fresh to the child. */
static struct lock *const locks[] = {&counters_lock, &threads_lock, &component_lock,
    &huge_lock, &span_lock, &arena_lock};
enum { LOCKS = sizeof(locks) / sizeof(locks[0]) };

static void prepare(void)
{
    for (unsigned i = 0; i < LOCKS; i++) {
        lock_lock(locks[i]);
    }
}

static void in_parent(void)
{
    for (unsigned i = LOCKS; i-- > 0;) {
        lock_unlock(locks[i]);
    }
}

static void in_child(void)
{
    for (unsigned i = LOCKS; i-- > 0;) {
        lock_reset(locks[i]);
    }
    for (struct heap *h = heap_first(); h != NULL; h = h->next_all) {
        heap_reset_lock(h);
    }
    thread_after_fork_in_child();
    publish_after_fork_in_child();
}

void fork_register_handlers(void)
{
    pthread_atfork(prepare, in_parent, in_child);
}
