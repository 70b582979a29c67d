/*
 * holes - pages that were given back inside slabs lose nothing
 *
 *     holes SEED SECONDS
 *
 * Two threads fill tens of thousands of blocks, free most of them at random (also those of
 * the other one), trim, which gives back what whole pages are free, check and go on from
 * there. Threads end with such slabs left behind, and others take them over. Live blocks
 * are counted by a shadow.
 */
#include "../api/test.h"

#include <mpalloc.h>

#include <malloc.h>
#include <pthread.h>
#include <time.h>

enum { THREADS = 2, BLOCKS = 12000, ROUNDS = 6 };

struct block {
    unsigned char *p;
    uint32_t bytes;
};

static struct block block[THREADS][BLOCKS];
static pthread_barrier_t barrier;
static uint64_t seed;
static size_t resident_full, resident_trimmed;

static void check_block(const struct block *b)
{
    uint32_t tag = b->bytes * 2654435761u;

    if (b->p == NULL) {
        return;
    }
    CHECK(b->p[0] == (unsigned char)tag && b->p[b->bytes - 1] == (unsigned char)tag);
    CHECK(test_is_filled(b->p, (unsigned char)tag, b->bytes));
}

static void fill(struct block *b, uint64_t *random)
{
    /* Blocks in some, blocks of pages, and wide slabs. */
    static const uint32_t sizes[] = {
        16, 32, 64, 80, 320, 1000, 2000, 3000, 4096, 9000, 30000};

    b->bytes = sizes[test_random(random) % (sizeof(sizes) / sizeof(sizes[0]))];
    b->bytes = b->bytes > 4096 && test_random(random) % 8 != 0 ? 64 : b->bytes;
    b->p = malloc(b->bytes);
    CHECK(b->p != NULL);
    memset(b->p, (unsigned char)(b->bytes * 2654435761u), b->bytes);
}

static void release(struct block *b)
{
    check_block(b);
    free(b->p);
    b->p = NULL;
}

static void *work(void *arg)
{
    uintptr_t self = (uintptr_t)arg;
    uint64_t random = seed * 77 + self + 1;

    for (int round = 0; round < ROUNDS; round++) {
        struct block *mine = block[self];
        struct block *theirs = block[(self + 1) % THREADS];
        unsigned keep = 2 + (unsigned)(test_random(&random) % 60); /* one of so many */

        for (int i = 0; i < BLOCKS; i++) {
            if (mine[i].p == NULL) {
                fill(&mine[i], &random);
            }
        }
        pthread_barrier_wait(&barrier);
        if (self == 0) {
            resident_full = test_statm(1);
        }
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < BLOCKS; i++) { /* even ones are freed by the other thread */
            struct block *b = i % 2 == 0 ? &theirs[i] : &mine[i];

            if (test_random(&random) % keep != 0) {
                release(b);
            }
        }
        pthread_barrier_wait(&barrier);
        malloc_trim(0);
        malloc_trim(0);
        pthread_barrier_wait(&barrier);
        if (self == 0) {
            resident_trimmed = test_statm(1);
        }
        for (int i = 0; i < BLOCKS; i++) {
            check_block(&mine[i]);
            if (mine[i].p == NULL && test_random(&random) % 4 == 0) {
                fill(&mine[i], &random); /* into the holes */
            }
        }
        for (int i = 0; i < BLOCKS; i += 3) {
            release(&mine[i]);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void check_counts(uint64_t foreign)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    uint64_t count = 0;

    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < BLOCKS; i++) {
            check_block(&block[t][i]);
            count += block[t][i].p != NULL;
        }
    }
    if (mp_snapshot(&s) == 0) {
        CHECK_EQ(s.live_blocks, count + foreign);
    }
}

int main(int argc, char **argv)
{
    int limit = argc > 2 ? atoi(argv[2]) : 5;
    time_t end = time(NULL) + limit;
    struct mp_snapshot s = {.size = sizeof(s)};
    uint64_t foreign = 0;
    char line[120];
    int n;

    seed = argc > 1 ? (uint64_t)atol(argv[1]) : 1;
    CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    do {
        pthread_t thread[THREADS];

        for (uintptr_t t = 0; t < THREADS; t++) {
            CHECK(pthread_create(&thread[t], NULL, work, (void *)t) == 0);
        }
        for (int t = 0; t < THREADS; t++) {
            CHECK(pthread_join(thread[t], NULL) == 0);
        }
        if (foreign == 0 && mp_snapshot(&s) == 0) { /* what the C library has */
            for (int t = 0; t < THREADS; t++) {
                for (int i = 0; i < BLOCKS; i++) {
                    foreign -= block[t][i].p != NULL;
                }
            }
            foreign += s.live_blocks;
            CHECK(foreign < 20);
        }
        check_counts(foreign);
        seed++;
    } while (time(NULL) < end);
    n = snprintf(line, sizeof(line), "resident %zu KiB, trimmed %zu KiB\n",
        resident_full >> 10, resident_trimmed >> 10);
    test_write(line, (size_t)n);
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < BLOCKS; i++) {
            release(&block[t][i]);
        }
    }
    malloc_trim(0);
    check_counts(foreign);
    return 0;
}
