/*
 * rounds - what mpalloc serve does by itself, now and then: the history, alerts, what is sent
 *
 * Owns: one thread that looks at all processes once in an interval, evaluates alerts, and adds a
 * point of each to the history; and that this stays cheap: a part that takes long is done less often,
 * so that it needs at most about 0.5 % of a processor. Does not own: alerts and the history
 * themselves.
 */
#ifndef ROUNDS_H
#define ROUNDS_H

#include <stdint.h>

struct rounds;
struct serve;

/* A history that cannot be opened is told, and done without. Ends the process without memory. */
struct rounds *rounds_start(struct serve *s);

/* Ends after the part that it is in. */
void rounds_stop(struct rounds *r);

/* Of the history: points that were added. Any thread. */
uint64_t rounds_points_total(const struct rounds *r);

#endif
