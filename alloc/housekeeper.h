/*
 * housekeeper - a thread that ticks when the program's own threads do not
 *
 * Ticks (probe.h) ride on allocations: a process that sleeps has old figures, and free
 * memory stays. With MPALLOC_HOUSEKEEPER=1 a process that is multi-threaded anyway gets
 * one thread more, which ticks when nobody else did for a while. It ends when the program
 * has one thread left, which may want to be alone (unshare, setns), and comes again.
 *
 * It is started from a thread's first malloc, never from free: the C library frees while
 * it holds the lock of its stacks. All signals are blocked in it, it allocates nothing,
 * and between ticks it holds no lock. A forked child has none until it starts threads.
 */
#ifndef HOUSEKEEPER_H
#define HOUSEKEEPER_H

/* Options are read: from here on it may be started. */
void housekeeper_allow(void);

/* The program ends: no more ticks. */
void housekeeper_stop(void);

void housekeeper_after_fork_in_child(void);

#endif
