/*
 * connections - those that are open, and which of them must go
 *
 * Owns: when each began to say something, and the rule that nobody may take long about it: a request
 * must be complete, and a reply taken, within bounds of time, however slowly bytes drip; and when
 * there are too many connections, the one that has been silent longest makes room.
 *
 * Any thread.
 */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONNECTIONS_MOST = 2048,
    CONNECTIONS_OF_ONE = 1024, /* of one address */
    CONNECTIONS_ASK_S = 10,    /* until a request is complete */
    CONNECTIONS_IDLE_S = 60,   /* between two of them */
    CONNECTIONS_TAKE_S = 60,   /* until its reply was taken */
};

struct connections;
struct connection;

enum connection_phase {
    CONNECTION_ASKS,    /* opened; or its request is being received */
    CONNECTION_WORKS,   /* we are to answer: not its fault how long that takes */
    CONNECTION_TAKES,   /* the reply */
    CONNECTION_STREAMS, /* without end; events.h */
    CONNECTION_RESTS,   /* between requests */
};

struct connections *connections_create(void);
void connections_destroy(struct connections *c);

/* One more, of descriptor fd; may end another one. */
struct connection *connections_add(struct connections *c, int fd);
void connections_remove(struct connections *c, struct connection *one);
void connections_set(
    struct connections *c, struct connection *one, enum connection_phase phase);

/* About once a second: ends those whose time is over; returns how many these were. */
size_t connections_tend(struct connections *c);

/* Ends those that do not wait for an answer. */
void connections_end_idle(struct connections *c);

size_t connections_count(struct connections *c);
uint64_t connections_ended_total(struct connections *c);

#endif
