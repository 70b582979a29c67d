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

#include <jansson.h>
#include <stdint.h>

struct config;
struct rounds;
struct serve;

/* Nothing begins yet. Ends the process without memory. */
struct rounds *rounds_create(struct serve *s);

/* A history that cannot be opened is told, and done without. */
void rounds_start(struct rounds *r);

/* After the part that it is in; what was found may be asked for until rounds_destroy. */
void rounds_end(struct rounds *r);
void rounds_destroy(struct rounds *r);

/* Another configuration, which lives as long as the server: of alerts, from the next round on. */
void rounds_reload(struct rounds *r, const struct config *config);

/* The document of GET /api/v1/alerts: as of the last round. Any thread. */
json_t *rounds_alerts(struct serve *s);

/* Of the history: points that were added. Any thread. */
uint64_t rounds_points_total(const struct rounds *r);

#endif
