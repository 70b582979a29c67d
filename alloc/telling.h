/*
 * telling - calling functions of the program from inside an allocation
 *
 * They may allocate, and what they cross by that is told when they have returned: none runs inside
 * another one. No lock is held.
 */
#ifndef TELLING_H
#define TELLING_H

#include "counters.h"
#include "os.h"
#include "thread.h"

#include <errno.h>

struct telling {
    struct thread *thread;
    size_t lent;
    int saved;
    int cancel;
};

/* False: not now. */
static inline bool telling_begin(struct telling *t)
{
    t->saved = errno;
    t->thread = thread_local_state.thread;
    if (t->thread == NULL || t->thread->is_telling || lock_is_mine(&counters_lock)) {
        return false;
    }
    t->thread->is_telling = true;
    t->lent = t->thread->lent; /* for the block that is moved, not for what is told */
    t->thread->lent = 0;
    t->cancel = os_cancel_disable();
    return true;
}

static inline void telling_end(const struct telling *t)
{
    os_cancel_restore(t->cancel);
    t->thread->lent = t->lent;
    t->thread->is_telling = false;
    errno = t->saved;
}

#endif
