/*
 * fork - before, in the parent and in the child
 *
 * All locks are taken in the order of their ranks before the fork, so that no other thread
 * is inside one, and are given back in the parent; the child starts with free ones. The
 * heaps of the other threads are lost to the child but for the blocks that live in them:
 * those can be read, and freed without effect.
 */
#ifndef FORK_H
#define FORK_H

/* From the constructor, as early as can be: prepare handlers run last to first. */
void fork_register_handlers(void);

#endif
