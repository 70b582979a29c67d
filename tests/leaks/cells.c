/*
 * cells - the figures of a leak check by component and class are the counters, cell by cell
 *
 * Blocks of all sizes, of several components, some of them lost, freed by others than who made
 * them, of threads that ended and that wait. Then all is quiet: for each component and class,
 * what is definite, indirect, possible and reachable must add up to the live blocks and bytes
 * that the same region counts. One block more, and exactly one cell must differ, by one.
 *
 * cells FOLDER PARTS: a place for files that are removed again, and so many components.
 */
#include "scrub.h"

#include <mpalloc.h>
#include <mpstats.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTS = 40, THREADS = 4, BLOCKS = 6000 };

static unsigned part_count; /* of them */

struct node {
    struct node *next;
    char rest[1];
};

static mp_component_t *parts[PARTS];
static struct node *volatile kept[THREADS + 1][BLOCKS];
static pthread_barrier_t done;
static pthread_barrier_t over;

struct place {
    size_t row;
    size_t class_number;
    uint64_t checked_blocks;
    uint64_t checked_bytes;
    uint64_t counted_blocks;
    uint64_t counted_bytes;
};

struct differing {
    size_t count;
    struct place first;
    uint64_t cells; /* that have blocks */
    uint64_t by_kind[MP_LEAK_LOST];
};

/* ---- a heap with something of everything ---- */

static uint32_t roll(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static size_t size_of(uint32_t *state)
{
    uint32_t kind = roll(state) % 1000;

    return kind == 0   ? (size_t)2 << 20
           : kind < 10 ? 40000 + roll(state) % 300000
           : kind < 60 ? 2000 + roll(state) % 30000
                       : 16 + roll(state) % 1500;
}

static __attribute__((noinline)) void fill(unsigned row, uint32_t *state)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct node *n = mp_malloc(parts[roll(state) % part_count], size_of(state));

        if (n == NULL) {
            abort();
        }
        n->next = i > 0 && i % 3 == 0 ? kept[row][i - 1] : NULL;
        kept[row][i] = n;
    }
    for (unsigned i = 0; i < BLOCKS; i += 1 + roll(state) % 40) {
        if (i % 3 == 0 && i > 0) { /* lost, and what it leads to */
            kept[row][i] = kept[row][i - 1] = NULL;
        } else if (kept[row][i] != NULL && i % 3 == 1) {
            kept[row][i] = (struct node *)((char *)kept[row][i] + 8);
        }
    }
}

/* Of what another thread made. */
static __attribute__((noinline)) void free_some(unsigned row, uint32_t *state)
{
    for (unsigned i = 1; i < BLOCKS; i += 3) { /* no other block leads to these */
        if (roll(state) % 4 == 0 && ((uintptr_t)kept[row][i] & 15) == 0) {
            free(kept[row][i]);
            kept[row][i] = NULL;
        }
    }
}

static void *work(void *arg)
{
    unsigned row = (unsigned)(uintptr_t)arg;
    uint32_t state = row + 1;

    fill(row, &state);
    pthread_barrier_wait(&done);
    free_some(row % THREADS + 1, &state);
    scrub();
    if (row % 2 == 0) { /* the others end */
        pthread_barrier_wait(&done);
        pthread_barrier_wait(&over);
    } else {
        pthread_barrier_wait(&done);
    }
    return NULL;
}

/* ---- what is read ---- */

static mp_image_t *dumped(const char *path)
{
    struct mp_error error = {""};
    mp_image_t *image = NULL;

    if (mp_image_open(path, &image, &error) != 0) {
        fprintf(stderr, "cells: %s\n", error.text);
        exit(1);
    }
    unlink(path);
    return image;
}

static struct differing compare(const mp_image_t *image)
{
    struct differing d = {0};

    for (size_t row = 0; row < mp_image_component_count(image); row++) {
        for (size_t i = 0; i < mp_image_class_count(image); i++) {
            const struct mp_region_leak_cell *l = mp_image_leak_cell(image, row, i);
            const struct mp_region_cell *c = mp_image_cell(image, row, i);
            struct place p = {.row = row, .class_number = i};

            for (unsigned kind = 0; l != NULL && kind < MP_LEAK_LOST; kind++) {
                p.checked_blocks += l->blocks[kind];
                p.checked_bytes += l->bytes[kind];
                d.by_kind[kind] += l->blocks[kind];
            }
            if (c != NULL) {
                p.counted_blocks = c->allocated_blocks_total - c->freed_blocks_total;
                p.counted_bytes = c->allocated_bytes_total - c->freed_bytes_total;
            }
            d.cells += p.counted_blocks > 0;
            if (p.checked_blocks != p.counted_blocks
                || p.checked_bytes != p.counted_bytes) {
                d.first = d.count == 0 ? p : d.first;
                d.count++;
            }
        }
    }
    return d;
}

static void show(const char *when, const struct differing *d)
{
    printf("%s: %zu of %llu cells differ; definite %llu, indirect %llu, possible %llu, "
           "reachable %llu\n",
        when, d->count, (unsigned long long)d->cells,
        (unsigned long long)d->by_kind[MP_LEAK_DEFINITE],
        (unsigned long long)d->by_kind[MP_LEAK_INDIRECT],
        (unsigned long long)d->by_kind[MP_LEAK_POSSIBLE],
        (unsigned long long)d->by_kind[MP_LEAK_REACHABLE]);
    if (d->count > 0) {
        printf(
            "  component %zu, class %zu: checked %llu blocks, %llu bytes, counted %llu "
            "blocks, %llu bytes\n",
            d->first.row, d->first.class_number,
            (unsigned long long)d->first.checked_blocks,
            (unsigned long long)d->first.checked_bytes,
            (unsigned long long)d->first.counted_blocks,
            (unsigned long long)d->first.counted_bytes);
    }
}

int main(int argc, char **argv)
{
    struct mp_leak_summary s = {.size = sizeof(s), .rounds = 1};
    pthread_t threads[THREADS];
    struct differing quiet;
    struct differing after;
    char paths[2][4096];
    char name[32];
    void *volatile more;
    int codes[3];
    uint32_t state = 99;

    if (argc != 3) {
        return 2;
    }
    part_count = (unsigned)atoi(argv[2]);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(
            paths[i], sizeof(paths[i]), "%s/cells-%d-%u.mp", argv[1], (int)getpid(), i);
    }
    for (unsigned i = 0; i < part_count && i < PARTS; i++) {
        snprintf(name, sizeof(name), "part%u/inner", i);
        parts[i] = mp_component(name);
    }
    pthread_barrier_init(&done, NULL, THREADS + 1);
    pthread_barrier_init(&over, NULL, THREADS / 2 + 1);
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, work, (void *)(i + 1));
    }
    fill(0, &state);
    pthread_barrier_wait(&done);
    pthread_barrier_wait(&done);
    for (unsigned i = 0; i < THREADS; i += 2) { /* rows 1 and 3 */
        pthread_join(threads[i], NULL);
    }
    scrub();
    for (unsigned i = 0; i < 5; i++) { /* a busy machine may not let a thread run */
        codes[0] = mp_leak_check(&s);
        if (codes[0] != 0 || s.partial != MP_LEAK_THREADS_MISSED) {
            break;
        }
    }
    codes[1] = mp_dump(paths[0]);
    more = mp_malloc(parts[3], 100);
    codes[2] = mp_dump(paths[1]);
    pthread_barrier_wait(&over);
    for (unsigned i = 1; i < THREADS; i += 2) {
        pthread_join(threads[i], NULL);
    }
    if (codes[0] != 0 || codes[1] != 0 || codes[2] != 0 || s.partial != 0) {
        printf("check %d, dumps %d and %d, partial %llx\n", codes[0], codes[1],
            codes[2], (unsigned long long)s.partial);
        return 1;
    }
    mp_image_t *images[2] = {dumped(paths[0]), dumped(paths[1])};

    quiet = compare(images[0]);
    after = compare(images[1]);
    show("quiet", &quiet);
    show("one more", &after);
    mp_image_free(images[0]);
    mp_image_free(images[1]);
    free(more);
    return quiet.count != 0 || after.count != 1
           || after.first.counted_blocks != after.first.checked_blocks + 1
           || after.first.counted_bytes <= after.first.checked_bytes
           || quiet.cells < (uint64_t)part_count * 20
           || quiet.by_kind[MP_LEAK_DEFINITE] == 0
           || quiet.by_kind[MP_LEAK_INDIRECT] == 0
           || quiet.by_kind[MP_LEAK_POSSIBLE] == 0;
}
