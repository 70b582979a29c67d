/*
 * brief - memory of verbs that look at one process, and end
 */
#ifndef BRIEF_H
#define BRIEF_H

/*
 * What is freed from now on is kept for what comes next: a report of a large process takes and
 * gives back 400 MiB, a tenth of that at a time, and the faults of pages that are new each time
 * took a fifth of its time. Huge pages would save more, but the kernel may move the memory of
 * others to make them. Not for what goes on, or has threads.
 */
void brief_memory(void);

#endif
