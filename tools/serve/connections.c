#include "connections.h"

#include "../must.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

struct connection {
    struct connection *next;
    struct connection *previous;
    int fd; /* open while it is in the list */
    enum connection_phase phase;
    uint64_t since_ms;
    bool is_ended;
};

/* All under `lock`. */
struct connections {
    pthread_mutex_t lock;
    struct connection all; /* the head of a ring */
    size_t count;
    uint64_t ended_total;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct connections *connections_create(void)
{
    struct connections *c = must(calloc(1, sizeof(*c)));

    pthread_mutex_init(&c->lock, NULL);
    c->all.next = &c->all;
    c->all.previous = &c->all;
    return c;
}

void connections_destroy(struct connections *c)
{
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* The daemon sees the end of it, and closes it. */
static void end_locked(struct connections *c, struct connection *one)
{
    if (!one->is_ended) {
        one->is_ended = true;
        c->ended_total++;
        shutdown(one->fd, SHUT_RDWR);
    }
}

static bool is_waiting_for_client(const struct connection *one)
{
    return one->phase == CONNECTION_ASKS || one->phase == CONNECTION_RESTS;
}

static void make_room_locked(struct connections *c, uint64_t now)
{
    struct connection *oldest = NULL;

    for (struct connection *i = c->all.next; i != &c->all; i = i->next) {
        if (!i->is_ended && is_waiting_for_client(i)
            && (oldest == NULL || i->since_ms < oldest->since_ms)) {
            oldest = i;
        }
    }
    if (oldest != NULL && now - oldest->since_ms > 100) {
        end_locked(c, oldest);
    }
}

struct connection *connections_add(struct connections *c, int fd)
{
    struct connection *one = must(calloc(1, sizeof(*one)));
    uint64_t now = now_ms();

    one->fd = fd;
    one->since_ms = now;
    pthread_mutex_lock(&c->lock);
    if (c->count >= CONNECTIONS_OF_ONE * 3 / 4) {
        make_room_locked(c, now);
    }
    one->next = c->all.next;
    one->previous = &c->all;
    one->next->previous = one;
    c->all.next = one;
    c->count++;
    pthread_mutex_unlock(&c->lock);
    return one;
}

void connections_remove(struct connections *c, struct connection *one)
{
    pthread_mutex_lock(&c->lock);
    one->next->previous = one->previous;
    one->previous->next = one->next;
    c->count--;
    pthread_mutex_unlock(&c->lock);
    free(one);
}

void connections_set(
    struct connections *c, struct connection *one, enum connection_phase phase)
{
    pthread_mutex_lock(&c->lock);
    one->phase = phase;
    one->since_ms = now_ms();
    pthread_mutex_unlock(&c->lock);
}

static uint64_t most_ms(const struct connection *one)
{
    static const uint64_t seconds[] = {[CONNECTION_ASKS] = CONNECTIONS_ASK_S,
        [CONNECTION_TAKES] = CONNECTIONS_TAKE_S,
        [CONNECTION_RESTS] = CONNECTIONS_IDLE_S};

    return one->phase == CONNECTION_WORKS || one->phase == CONNECTION_STREAMS
               ? UINT64_MAX
               : seconds[one->phase] * 1000;
}

/*
 * It will say no more. The daemon does not see that where it happened while it did not look, as
 * when the answer was being made.
 */
static bool has_left(const struct connection *one, uint64_t now)
{
    struct pollfd p = {.fd = one->fd, .events = POLLRDHUP};

    return is_waiting_for_client(one) && now - one->since_ms > 500 && poll(&p, 1, 0) > 0
           && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* All that it said was read. */
static bool is_read(const struct connection *one)
{
    char next;

    return recv(one->fd, &next, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* What it began to ask will not be complete; or it has its answer, and goes without a fault. */
static void let_go_locked(struct connections *c, struct connection *one)
{
    if (one->phase == CONNECTION_ASKS) {
        end_locked(c, one);
    } else if (!one->is_ended && is_read(one)) {
        one->is_ended = true;
        shutdown(one->fd, SHUT_RDWR);
    }
}

size_t connections_tend(struct connections *c)
{
    uint64_t now = now_ms();
    uint64_t before;
    size_t ended;

    pthread_mutex_lock(&c->lock);
    before = c->ended_total;
    for (struct connection *i = c->all.next; i != &c->all; i = i->next) {
        if (now - i->since_ms > most_ms(i)) {
            end_locked(c, i);
        } else if (has_left(i, now)) {
            let_go_locked(c, i);
        }
    }
    ended = (size_t)(c->ended_total - before);
    pthread_mutex_unlock(&c->lock);
    return ended;
}

void connections_end_idle(struct connections *c)
{
    pthread_mutex_lock(&c->lock);
    for (struct connection *i = c->all.next; i != &c->all; i = i->next) {
        if (is_waiting_for_client(i)) {
            shutdown(i->fd, SHUT_RD);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

size_t connections_count(struct connections *c)
{
    size_t count;

    pthread_mutex_lock(&c->lock);
    count = c->count;
    pthread_mutex_unlock(&c->lock);
    return count;
}

uint64_t connections_ended_total(struct connections *c)
{
    uint64_t total;

    pthread_mutex_lock(&c->lock);
    total = c->ended_total;
    pthread_mutex_unlock(&c->lock);
    return total;
}
