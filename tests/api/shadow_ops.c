/*
 * shadow_ops - very many operations on eight threads, each block checked
 *
 *     shadow_ops OPERATIONS [THREADS]
 *
 * A lean shadow, so that the allocator takes most of the time: a thread holds its blocks in
 * slots; the first and the last word of each hold what its slot knows. Every 16th step a
 * block is exchanged through slots that all threads share, so that others free it. A block
 * that is handed out twice, is damaged, moves without its content or is lost is found.
 */
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

enum { THREADS_MAX = 64, SLOTS = 1024, SHARED = 4096, TAIL = sizeof(uint64_t) };

struct slot {
    unsigned char *p;
    size_t bytes;
    uint64_t mark;
};

/* What a block says of itself: for blocks that come from another thread. */
struct head {
    uint64_t mark;
    uint64_t bytes;
};

static void *shared[SHARED]; /* atomic */
static uint64_t steps;
static uint64_t made, dropped; /* blocks; atomic, added up at the end of a thread */

static size_t pick_size(uint64_t r)
{
    size_t n = r >> 16;

    switch (r & 1023) {
    case 0:
        return 32768 + n % 200000;
    case 1:
    case 2:
    case 3:
    case 4:
        return 4096 + n % 28000;
    default:
        return sizeof(struct head) + ((r & 7) == 0 ? n % 2000 : n % 240);
    }
}

static void write_block(struct slot *s, unsigned char *p, size_t bytes, uint64_t mark)
{
    struct head h = {mark, bytes};
    uint64_t tail = ~mark;

    *s = (struct slot){p, bytes, mark};
    memcpy(p, &h, sizeof(h));
    if (bytes >= sizeof(h) + TAIL) {
        memcpy(p + bytes - TAIL, &tail, TAIL);
    }
}

/* `kept`: as much as must still be as it was written. */
static void check_block(
    const unsigned char *p, size_t bytes, uint64_t mark, size_t kept)
{
    struct head h;
    uint64_t tail;

    memcpy(&h, p, sizeof(h));
    CHECK(h.mark == mark && h.bytes == bytes);
    if (bytes >= sizeof(h) + TAIL && kept >= bytes) {
        memcpy(&tail, p + bytes - TAIL, TAIL);
        CHECK(tail == ~mark);
    }
}

static void drop(struct slot *s)
{
    check_block(s->p, s->bytes, s->mark, s->bytes);
    free(s->p);
    s->p = NULL;
}

static void make(struct slot *s, uint64_t r)
{
    size_t bytes = pick_size(r);
    uint64_t mark = r * 0x9e3779b97f4a7c15u | 1;
    unsigned char *p;

    switch (r >> 58) {
    case 0:
        p = calloc(1, bytes);
        CHECK(p != NULL && p[0] == 0 && p[bytes / 2] == 0 && p[bytes - 1] == 0);
        break;
    case 1:
        p = memalign(64, bytes);
        CHECK(p != NULL && (uintptr_t)p % 64 == 0);
        break;
    default:
        p = malloc(bytes);
        CHECK(p != NULL && (uintptr_t)p % 16 == 0);
        break;
    }
    write_block(s, p, bytes, mark);
}

static void resize(struct slot *s, uint64_t r)
{
    size_t bytes = pick_size(r);
    unsigned char *p = realloc(s->p, bytes);

    CHECK(p != NULL);
    check_block(p, s->bytes, s->mark, bytes < s->bytes ? bytes : s->bytes);
    write_block(s, p, bytes, s->mark);
}

/* Give one, take another: it tells by its head what it is. */
static void exchange(struct slot *s, uint64_t r)
{
    struct head h;
    unsigned char *p = __atomic_exchange_n(&shared[r % SHARED], s->p, __ATOMIC_ACQ_REL);

    s->p = p;
    if (p != NULL) {
        memcpy(&h, p, sizeof(h));
        s->bytes = h.bytes;
        s->mark = h.mark;
        check_block(p, h.bytes, h.mark, h.bytes);
    }
}

static void *run(void *arg)
{
    struct slot *slots = calloc(SLOTS, sizeof(*slots));
    uint64_t state = (uintptr_t)arg * 7919 + 88172645463325252u;
    uint64_t i = 0, here = 0, gone = 0;

    CHECK(slots != NULL);
    while (i < steps) {
        uint64_t r = test_random(&state);
        struct slot *s = &slots[(r >> 20) % SLOTS];

        if ((r >> 40 & 15) == 0) {
            exchange(s, r >> 44);
        } else if (s->p == NULL) {
            make(s, r);
            here++;
            i++;
        } else if ((r >> 40 & 15) == 1) {
            resize(s, r);
            i++;
        } else {
            drop(s);
            gone++;
            i++;
        }
    }
    for (int k = 0; k < SLOTS; k++) {
        if (slots[k].p != NULL) {
            drop(&slots[k]);
            gone++;
        }
    }
    free(slots);
    __atomic_add_fetch(&made, here, __ATOMIC_RELAXED);
    __atomic_add_fetch(&dropped, gone, __ATOMIC_RELAXED);
    return NULL;
}

/* Nothing lives but what lived before: by the allocator's own count. */
static void expect_nothing_lost(size_t before)
{
    size_t after = mallinfo2().uordblks;

    if (getenv("TEST_NO_COUNTERS") == NULL) {
        CHECK(after <= before + 16384); /* the C library's, for threads and streams */
    }
    CHECK_EQ(made, dropped);
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uintptr_t threads = argc > 2 ? strtoul(argv[2], NULL, 10) : 8;
    pthread_t thread[THREADS_MAX];
    struct slot s;
    size_t before;

    CHECK(threads >= 1 && threads <= THREADS_MAX);
    steps = 1;
    CHECK(pthread_create(&thread[0], NULL, run, NULL) == 0); /* the C library's part */
    CHECK(pthread_join(thread[0], NULL) == 0);
    before = mallinfo2().uordblks;
    steps = operations / threads;
    for (uintptr_t i = 0; i < threads; i++) {
        CHECK(pthread_create(&thread[i], NULL, run, (void *)(i + 1)) == 0);
    }
    for (uintptr_t i = 0; i < threads; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    for (int i = 0; i < SHARED; i++) {
        s.p = NULL;
        exchange(&s, (uint64_t)i);
        if (s.p != NULL) {
            drop(&s);
            dropped++;
        }
    }
    expect_nothing_lost(before);
    test_claim("nothing_is_lost_damaged_or_given_twice");
    return 0;
}
