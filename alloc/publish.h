/*
 * publish - the moments when the slow path looks at the clock
 *
 * Owns: what happens at a tick (probe.h): memory that idles goes back, counts are made,
 * the region is written, the timeline grows, the mailbox is looked into. There is no
 * thread for it: the allocating threads do it, one at a time, and none waits for another.
 */
#ifndef PUBLISH_H
#define PUBLISH_H

#include <mpalloc.h>

#include <stdbool.h>

/* From the constructor, once options are read. */
void publish_start(void);

/* From the destructor. */
void publish_end(void);

/* Whether this process is the one that began, and no handler runs that interrupted us. */
bool publish_is_own(void);

/*
 * From _exit, which runs no destructors: the process has ended by itself. Safe in signal
 * handlers, and in a child of vfork, where it does nothing.
 */
void publish_exit(void);

/* Did this process come about by a clone that ran no handlers? Then it forgets the region. */
void publish_find_fork_locked(void);

/* After fork, in the child. */
void publish_after_fork_in_child(void);

/* Count everything now and publish it. counters_lock held. */
void publish_now_locked(void);

/* As mpalloc.h says. */
/* mp_pressure */
double publish_pressure(void);

int publish_snapshot(struct mp_snapshot *s);

#endif
