/*
 * events - GET /api/v1/events: server-sent events
 *
 * Owns: the streams that are open, at most EVENTS_STREAMS, and one thread that writes to all of
 * them. A stream without news is suspended and costs nothing; a client that does not read loses
 * events, and after EVENTS_STALL_S its connection. Does not own: what is sent (documents.h).
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "http.h"

enum { EVENTS_STREAMS = 64, EVENTS_STALL_S = 30, EVENTS_KEEP_ALIVE_S = 15 };

struct events;

extern const struct route events_routes[];

/* Ends the process without memory, or without a thread. */
struct events *events_create(struct serve *serve);

/* Ends all streams; what they have is sent. */
void events_end(struct events *e);

/* After that, when no connection is left. */
void events_destroy(struct events *e);

#endif
