/*
 * pushing - what mpalloc serve sends, by the sections otlp and push of its configuration
 *
 * Owns: a thread for each server that is sent to. Does not own: what is sent (push.h). To read
 * another configuration: stop, and start with that.
 */
#ifndef PUSHING_H
#define PUSHING_H

#include "../configuration.h"
#include "../push/push.h"
#include "fleet.h"
#include "insights.h"
#include "metrics.h"

struct pushing;

/*
 * 0, or a negative errno after a line in *error. Nothing to send: 0, and *ret is NULL. The fleet
 * outlives it; the configuration is copied.
 */
int pushing_start(const struct config *config, struct fleet *fleet,
    struct pushing **ret, struct mp_error *error);

/*
 * Verdicts, efficiency and drift are sent, too, from the next look on; insights outlive p, which may
 * be NULL.
 */
void pushing_show(struct pushing *p, struct insights *insights);

/* Begins to stop, and returns at once. NULL: nothing. */
void pushing_end(struct pushing *p);

/* Sends once more what waits, for 2 s at most, then frees it. NULL: nothing. */
void pushing_stop(struct pushing *p);

/* By kind of server, from any thread; `ret` has room for PUSH_TOS. Returns how many kinds. */
size_t pushing_sum(struct pushing *p, struct metrics_push *ret);

/* So far, from any thread. False: there is no server of that number. */
bool pushing_get(struct pushing *p, size_t number, const char **ret_to,
    const char **ret_url, struct push_counts *ret);

#endif
