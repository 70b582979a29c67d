#include "push_queue.h"

#include <stdlib.h>

void push_message_free(struct push_message *m)
{
    if (m != NULL) {
        free(m->url);
        free(m->content_type);
        free(m->body);
        free(m);
    }
}

static void remove_first(struct push_queue *q)
{
    struct push_message *m = q->first;

    q->first = m->next;
    if (q->first == NULL) {
        q->last = NULL;
    }
    q->count--;
    q->bytes -= m->bytes;
    push_message_free(m);
}

void push_queue_add(struct push_queue *q, struct push_message *m)
{
    while (
        q->count > 0 && (q->count >= q->most || q->bytes + m->bytes > q->most_bytes)) {
        remove_first(q);
        q->counts.dropped++;
    }
    m->next = NULL;
    if (q->last != NULL) {
        q->last->next = m;
    } else {
        q->first = m;
    }
    q->last = m;
    q->count++;
    q->bytes += m->bytes;
    q->counts.made++;
}

struct push_message *push_queue_due(struct push_queue *q, uint64_t now_ms)
{
    while (q->first != NULL && now_ms >= q->first->made_ms
           && now_ms - q->first->made_ms > PUSH_GIVE_UP_MS) {
        remove_first(q);
        q->counts.dropped++;
    }
    return now_ms >= q->due_ms ? q->first : NULL;
}

void push_queue_delivered(struct push_queue *q)
{
    q->counts.delivered++;
    q->counts.delivered_bytes += q->first->bytes;
    q->due_ms = 0;
    remove_first(q);
}

void push_queue_refused(struct push_queue *q)
{
    q->counts.refused++;
    q->due_ms = 0;
    remove_first(q);
}

uint64_t push_wait_ms(unsigned tries, double chance)
{
    uint64_t wait = PUSH_WAIT_MS;

    while (tries > 1 && wait < PUSH_WAIT_MOST_MS) {
        wait *= 2;
        tries--;
    }
    wait = wait < PUSH_WAIT_MOST_MS ? wait : PUSH_WAIT_MOST_MS;
    return (uint64_t)((double)wait * (0.5 + chance));
}

void push_queue_retry(
    struct push_queue *q, uint64_t now_ms, uint64_t retry_after_ms, double chance)
{
    uint64_t wait = push_wait_ms(++q->first->tries, chance);

    q->counts.retries++;
    q->due_ms = now_ms + (wait > retry_after_ms ? wait : retry_after_ms);
}

void push_queue_clear(struct push_queue *q)
{
    while (q->first != NULL) {
        remove_first(q);
        q->counts.dropped++;
    }
}
