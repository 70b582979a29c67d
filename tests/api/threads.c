/*
 * threads - many threads, short threads, and memory that goes from thread to thread
 *
 *     threads [long]
 *
 * D53 to D62: resident memory stays where it belongs, and nothing is lost on the way.
 * With `long` the numbers are those of the conformance list.
 */
#include "test.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

static bool is_long;

static size_t scaled(size_t fast, size_t slow)
{
    return is_long ? slow : fast;
}

static pthread_attr_t small_stack;

static bool try_start(pthread_t *ret, void *(*run)(void *), void *arg)
{
    return pthread_create(ret, &small_stack, run, arg) == 0;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    CHECK(try_start(&thread, run, arg));
    return thread;
}

static void join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

static void expect_most(const char *what, size_t before, size_t after, size_t most)
{
    if (after > before + most) {
        char text[200];

        snprintf(text, sizeof(text),
            "%s: resident memory grows by at most %zu KiB (%zu)", what, most / KIB,
            (after - before) / KIB);
        test_fail(text, __FILE__, __LINE__);
    }
}

static void expect_flat(const char *what, size_t before, size_t most)
{
    expect_most(what, before, test_statm(1), most);
}

/* ---- D53: threads that hold a block and sleep ---- */

static pthread_barrier_t arrived, leaving;

static void *hold_one_block(void *arg)
{
    char touched[2000];
    void *p;

    test_fill(touched, 1, sizeof(touched));
    pthread_barrier_wait(&arrived);
    pthread_barrier_wait(&leaving);
    p = malloc(200);
    CHECK(p != NULL);
    test_fill(p, 1, 200);
    pthread_barrier_wait(&arrived);
    pthread_barrier_wait(&leaving);
    free(p);
    return arg;
}

static void d53_idle_threads_cost_less_than_32_kib(void)
{
    enum { MOST = 10000 };
    static pthread_t thread[MOST];
    size_t n = scaled(1500, MOST);
    size_t count = 0;
    size_t before, with;

    /* As many as there can be: limits of the machine are no failure. */
    CHECK(pthread_barrier_init(&arrived, NULL, (unsigned)n + 1) == 0);
    CHECK(pthread_barrier_init(&leaving, NULL, (unsigned)n + 1) == 0);
    for (; count < n; count++) {
        CHECK(try_start(&thread[count], hold_one_block, NULL));
    }
    pthread_barrier_wait(&arrived);
    malloc_trim(0); /* else what others left goes back meanwhile, and hides as much */
    before = test_statm(1);
    pthread_barrier_wait(&leaving);
    pthread_barrier_wait(&arrived);
    with = test_statm(1);
    pthread_barrier_wait(&leaving);
    for (size_t i = 0; i < n; i++) {
        join(thread[i]);
    }
    expect_most("threads that hold a block", before, with, n * 32 * KIB);
}

/* ---- D54, D55: threads that come and go ---- */

static void *allocate_and_end(void *arg)
{
    void *p[20];

    for (size_t i = 0; i < 20; i++) {
        p[i] = malloc(10 + i * 150);
        CHECK(p[i] != NULL);
    }
    for (size_t i = 0; i < 20; i++) {
        free(p[i]);
    }
    return arg;
}

static void d54_thread_churn_leaves_nothing(void)
{
    size_t n = scaled(10000, 1000000);
    size_t before = 0;

    for (size_t i = 0; i < n; i += 4) {
        pthread_t thread[4];

        if (i == 1000) {
            before = test_statm(1);
        }
        for (int k = 0; k < 4; k++) {
            thread[k] = start(allocate_and_end, NULL);
        }
        for (int k = 0; k < 4; k++) {
            join(thread[k]);
        }
    }
    expect_flat("thread churn", before, 4 * MIB);
}

enum { GIVEN = 100 };

static void *free_only(void *arg)
{
    void **p = arg;

    for (int i = 0; i < GIVEN; i++) {
        free(p[i]);
    }
    return NULL;
}

static void d55_threads_that_only_free_leave_nothing(void)
{
    size_t n = scaled(2000, 5000);
    size_t before = 0;

    for (size_t i = 0; i < n; i++) {
        void *p[GIVEN];

        if (i == 500) {
            before = test_statm(1);
        }
        for (size_t k = 0; k < GIVEN; k++) {
            p[k] = malloc(20 + (i + k) % 60 * 60);
            CHECK(p[k] != NULL);
            test_fill(p[k], 1, 20);
        }
        join(start(free_only, p));
    }
    expect_flat("free-only threads", before, 8 * MIB);
}

/* ---- D56, D57: producers and consumers ---- */

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void **slots;
    size_t room, head, count, live_bytes, live_limit;
    size_t to_produce, to_consume;
    bool is_filled;
};

static struct queue queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void queue_begin(size_t room, size_t live_limit, size_t blocks)
{
    queue.slots = malloc(room * sizeof(void *));
    CHECK(queue.slots != NULL);
    test_fill(queue.slots, 0, room * sizeof(void *));
    queue.room = room;
    queue.live_limit = live_limit;
    queue.to_produce = queue.to_consume = blocks;
    queue.head = queue.count = queue.live_bytes = 0;
    queue.is_filled = false;
}

/* The first word of a block is its size, the last byte a mark. */
static void *produce(void *arg)
{
    uint64_t state = (uintptr_t)arg * 99 + 1;

    for (;;) {
        uint64_t r = test_random(&state);
        size_t bytes = 16 + (r >> 8) % (r % 4 == 0 ? 8000 : 1000);
        unsigned char *p;

        pthread_mutex_lock(&queue.lock);
        while (queue.to_produce > 0
               && (queue.count == queue.room || queue.live_bytes > queue.live_limit)) {
            queue.is_filled = true;
            pthread_cond_wait(&queue.changed, &queue.lock);
        }
        if (queue.to_produce == 0) {
            pthread_cond_broadcast(&queue.changed);
            pthread_mutex_unlock(&queue.lock);
            return NULL;
        }
        queue.to_produce--;
        pthread_mutex_unlock(&queue.lock);
        p = malloc(bytes);
        CHECK(p != NULL);
        test_fill(p, 0x5c, bytes);
        memcpy(p, &bytes, sizeof(bytes));
        pthread_mutex_lock(&queue.lock);
        while (queue.count == queue.room) {
            pthread_cond_wait(&queue.changed, &queue.lock);
        }
        queue.slots[(queue.head + queue.count++) % queue.room] = p;
        queue.live_bytes += bytes;
        pthread_cond_broadcast(&queue.changed);
        pthread_mutex_unlock(&queue.lock);
    }
}

/* Frees, and allocates nothing. With a limit it keeps that much alive. */
static void *consume(void *arg)
{
    size_t *ret_most = arg;
    size_t seen = 0;

    for (;;) {
        unsigned char *p = NULL;
        size_t bytes;

        pthread_mutex_lock(&queue.lock);
        while (queue.count == 0 && queue.to_consume > 0) {
            pthread_cond_wait(&queue.changed, &queue.lock);
        }
        if (queue.to_consume == 0) {
            pthread_mutex_unlock(&queue.lock);
            return NULL;
        }
        if (queue.live_bytes > queue.live_limit || queue.live_limit > SIZE_MAX / 2
            || queue.to_produce == 0) {
            p = queue.slots[queue.head % queue.room];
            queue.head++;
            queue.count--;
            queue.to_consume--;
            memcpy(&bytes, p, sizeof(bytes));
            queue.live_bytes -= bytes;
            pthread_cond_broadcast(&queue.changed);
        } else {
            pthread_cond_wait(&queue.changed, &queue.lock);
        }
        pthread_mutex_unlock(&queue.lock);
        if (p != NULL) {
            CHECK(p[bytes - 1] == 0x5c || bytes <= sizeof(bytes));
            free(p);
            if (++seen % 20000 == 0 && ret_most != NULL && queue.to_produce > 0) {
                size_t resident = test_statm(1);

                *ret_most = *ret_most > resident ? *ret_most : resident;
            }
        }
    }
}

static void d56_a_bounded_queue_stays_small(void)
{
    size_t before = test_statm(1);
    pthread_t producer, consumer;

    queue_begin(1000, SIZE_MAX, scaled(300000, 2000000));
    producer = start(produce, (void *)1);
    consumer = start(consume, NULL);
    join(producer);
    join(consumer);
    expect_flat("a queue of 1,000 blocks", before, 60 * MIB);
    free(queue.slots);
}

/*
 * As much is alive as the list says, in the short run too: the 1,400 slabs that 16 heaps are
 * filling, one of each class, are the same however much it is.
 */
static void d57_one_consumer_of_sixteen_producers_keeps_up(void)
{
    enum { PRODUCERS = 16 };
    size_t live = (size_t)370 * MIB;
    size_t most = 0;
    size_t before;
    pthread_t producer[PRODUCERS], consumer;

    queue_begin(live / 400, live, scaled(430000, 15000000));
    malloc_trim(0);
    before = test_statm(1);
    consumer = start(consume, &most);
    for (uintptr_t i = 0; i < PRODUCERS; i++) {
        producer[i] = start(produce, (void *)(i + 1));
    }
    for (int i = 0; i < PRODUCERS; i++) {
        join(producer[i]);
    }
    join(consumer);
    CHECK(most > before + live / 2);
    expect_most("16 producers, 370 MiB live", before, most, live / 10 * 13 + 4 * MIB);
    free(queue.slots);
}

/* ---- D58: a token that every thread resizes ---- */

enum { RING = 8 };

struct station {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned char *token;
    size_t bytes;
    bool is_there;
};
static struct station stations[RING];
static size_t laps;

static void hand_to(struct station *s, unsigned char *token, size_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->token = token;
    s->bytes = bytes;
    s->is_there = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *pass_on(void *arg)
{
    uintptr_t me = (uintptr_t)arg;
    struct station *s = &stations[me];
    uint64_t state = me + 1;

    for (size_t i = 0; i < laps; i++) {
        size_t bytes = 1 + test_random(&state) % (i % 50 == 0 ? 3 * MIB : 5000);
        size_t kept;
        unsigned char *token;

        pthread_mutex_lock(&s->lock);
        while (!s->is_there) {
            pthread_cond_wait(&s->changed, &s->lock);
        }
        s->is_there = false;
        pthread_mutex_unlock(&s->lock);
        kept = bytes < s->bytes ? bytes : s->bytes;
        token = realloc(s->token, bytes);
        CHECK(token != NULL && test_is_filled(token, token[0], kept));
        test_fill(token, (int)(me + i), bytes);
        hand_to(&stations[(me + 1) % RING], token, bytes);
    }
    return NULL;
}

static void d58_a_token_keeps_its_content_around_the_ring(void)
{
    pthread_t thread[RING];

    laps = scaled(1000, 50000);
    for (uintptr_t i = 0; i < RING; i++) {
        pthread_mutex_init(&stations[i].lock, NULL);
        pthread_cond_init(&stations[i].changed, NULL);
    }
    hand_to(&stations[0], calloc(1, 1), 1);
    for (uintptr_t i = 0; i < RING; i++) {
        thread[i] = start(pass_on, (void *)i);
    }
    for (int i = 0; i < RING; i++) {
        join(thread[i]);
    }
    CHECK(stations[0].is_there);
    free(stations[0].token);
}

/* ---- D60: the owner ends while others free its blocks ---- */

enum { LEFT = 300 };
static void *volatile left[LEFT];
static pthread_barrier_t race;

static void *allocate_and_race(void *arg)
{
    size_t bytes = 16 + (uintptr_t)arg % 37 * 40;

    for (int i = 0; i < LEFT; i++) {
        unsigned char *p = malloc(bytes);

        CHECK(p != NULL);
        test_fill(p, i, bytes);
        left[i] = p;
    }
    pthread_barrier_wait(&race);
    return NULL; /* hands its slabs over now */
}

static void *free_and_race(void *arg)
{
    pthread_barrier_wait(&race);
    for (int i = (int)(uintptr_t)arg; i < LEFT; i += 2) {
        CHECK(*(unsigned char *)left[i] == (unsigned char)i);
        free(left[i]);
    }
    return NULL;
}

static void d60_owners_end_while_others_free(void)
{
    size_t n = scaled(3000, 100000);
    size_t before = 0;

    CHECK(pthread_barrier_init(&race, NULL, 3) == 0);
    for (size_t i = 0; i < n; i++) {
        pthread_t owner = start(allocate_and_race, (void *)i);
        pthread_t helper = start(free_and_race, (void *)1);

        if (i == 500) {
            before = test_statm(1);
        }
        free_and_race((void *)0);
        join(owner);
        join(helper);
    }
    expect_flat("owners that end", before, 8 * MIB);
}

int main(int argc, char **argv)
{
    is_long = argc > 1 && strcmp(argv[1], "long") == 0;
    CHECK(pthread_attr_init(&small_stack) == 0);
    CHECK(pthread_attr_setstacksize(&small_stack, 128 * KIB) == 0);
    RUN(d54_thread_churn_leaves_nothing);
    RUN(d55_threads_that_only_free_leave_nothing);
    RUN(d60_owners_end_while_others_free);
    RUN(d58_a_token_keeps_its_content_around_the_ring);
    RUN(d56_a_bounded_queue_stays_small);
    RUN(d57_one_consumer_of_sixteen_producers_keeps_up);
    RUN(d53_idle_threads_cost_less_than_32_kib);
    return 0;
}
