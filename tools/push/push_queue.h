/*
 * push_queue - messages that wait for a server, and when they are tried again
 *
 * Owns: how many may wait (the oldest goes when there are more), how long between two attempts, and
 * when a message is given up. Knows no clock: callers say what time it is. No thread of its own.
 */
#ifndef PUSH_QUEUE_H
#define PUSH_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PUSH_WAIT_MS = 1000, /* before the second attempt; then it doubles */
    PUSH_WAIT_MOST_MS = 60000,
    PUSH_GIVE_UP_MS = 600000, /* after the message was made */
};

enum push_signal { PUSH_METRICS, PUSH_PROFILES };

struct push_message {
    struct push_message *next;
    enum push_signal signal;
    char *url;          /* freed with it */
    char *content_type; /* the same */
    const char *content_encoding;
    char *body;
    size_t bytes;
    uint64_t made_ms;
    unsigned tries;
};

struct push_counts {
    uint64_t made; /* messages */
    uint64_t delivered;
    uint64_t delivered_bytes;
    uint64_t retries;
    uint64_t dropped;  /* no room, or too old */
    uint64_t refused;  /* by the server */
    uint64_t rejected; /* points or profiles of messages that were delivered */
};

struct push_queue {
    struct push_message *first;
    struct push_message *last;
    size_t count;
    size_t bytes;
    size_t most;       /* messages */
    size_t most_bytes; /* of their bodies; the last one stays, whatever its size */
    uint64_t due_ms;   /* before that nothing is tried */
    struct push_counts counts;
};

/* Takes the message; what is older goes until it fits. */
void push_queue_add(struct push_queue *q, struct push_message *m);

/* What is to be sent now; NULL: nothing. What is too old is dropped. It stays in the queue. */
struct push_message *push_queue_due(struct push_queue *q, uint64_t now_ms);

/* The first one was delivered, or refused. */
void push_queue_delivered(struct push_queue *q);
void push_queue_refused(struct push_queue *q);

/* It is to be tried again, after what the server asked for, or more. chance: from 0 to 1. */
void push_queue_retry(
    struct push_queue *q, uint64_t now_ms, uint64_t retry_after_ms, double chance);

/*
 * Between attempt `tries` (from 1) and the next: 1 s, 2 s, 4 s … up to a minute, each times 0.5 to
 * 1.5, so that many senders do not come back at once.
 */
uint64_t push_wait_ms(unsigned tries, double chance);

void push_queue_clear(struct push_queue *q);
void push_message_free(struct push_message *m);

#endif
