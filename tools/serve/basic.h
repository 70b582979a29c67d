/*
 * basic - /healthz, /readyz, /api/v1/version, /api/v1/processes, …/{id}/snapshot
 */
#ifndef BASIC_H
#define BASIC_H

#include "http.h"

extern const struct route basic_routes[];

/* The documents of the last two, which events.h sends, too. */
json_t *basic_processes(struct serve *s);
json_t *basic_snapshot(const struct fleet_process *p);

#endif
