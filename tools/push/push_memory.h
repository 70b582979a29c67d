/*
 * push_memory - what must be remembered of a process from message to message
 *
 * Owns: which components have series of their own, so that the sum of the others never falls; and,
 * where nobody else makes them, verdicts and the leaks that were counted. Of one thread.
 */
#ifndef PUSH_MEMORY_H
#define PUSH_MEMORY_H

#include "push.h"

struct push_memory;

struct push_memory *push_memory_create(void);
void push_memory_destroy(struct push_memory *m);

/* Between the two each process is asked for; at the end what was not is forgotten. */
void push_memory_begin(struct push_memory *m);
void push_memory_end(struct push_memory *m);

struct metric_rows *push_memory_rows(struct push_memory *m, const char *id);

/*
 * Verdicts on it, at most 30 s old, or 100 times as old as they took to make; NULL: none could be
 * made. They live until the next call for the same process, or its end.
 */
const struct metric_insight *push_memory_insight(
    struct push_memory *m, const struct push_process *process);

#endif
