/*
 * bench - what every workload shares: the plan of a run, workers, marks in blocks
 *
 * Owns: command line, threads, clock, the JSON line (bench.c). Does not own: what is
 * allocated; each family of workloads is a file of its own that defines a table.
 *
 * A workload calls nothing but malloc and its kin between begin and end: its own arrays
 * come from array_map, so that time and memory are those of the allocator under test.
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

struct workload;

/* One run. Constant while the workers run, but for `state`. */
struct plan {
    const struct workload *workload;
    unsigned threads;
    uint64_t ops;         /* of all workers together; 0: run for `deadline_ns` */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; used when ops is 0 */
    uint64_t seed;
    void *state; /* shared by the workers: begin makes it, end gives it back */
};

/* One thread of a run. Only that thread touches it. */
struct worker {
    struct plan *plan;
    unsigned index;
    uint64_t random;   /* state of the generator; a function of seed and index */
    uint64_t ops;      /* done so far, counted by the workload */
    uint64_t quota;    /* this worker's share of the plan's ops */
    uint64_t timed_ns; /* of a workload that times a part of itself; else 0 */
};

struct workload {
    const char *name;
    const char *what;
    const char *groups; /* those that --group chooses it by, with commas between */
    unsigned threads;   /* unless --threads says otherwise */
    unsigned at_least;  /* fewer threads make no sense */
    uint64_t ops;       /* unless --ops or --seconds: about one second */
    size_t size;        /* argument of the family: a block size or the like */
    void (*begin)(struct plan *plan);
    void (*work)(struct worker *w);
    void (*end)(struct plan *plan);
};

/* The families. Each ends with an entry without a name. */
extern const struct workload sizes_workloads[];
extern const struct workload batch_workloads[];
extern const struct workload larson_workloads[];
extern const struct workload pipe_workloads[];
extern const struct workload lifetime_workloads[];
extern const struct workload realloc_workloads[];
extern const struct workload calloc_workloads[];
extern const struct workload large_workloads[];
extern const struct workload aligned_workloads[];
extern const struct workload strings_workloads[];
extern const struct workload vectors_workloads[];
extern const struct workload tables_workloads[];
extern const struct workload nodes_workloads[];
extern const struct workload requests_workloads[];
extern const struct workload pools_workloads[];
extern const struct workload leaks_workloads[];
extern const struct workload drops_workloads[];
extern const struct workload bignum_workloads[];
extern const struct workload covers_workloads[];
extern const struct workload exchange_workloads[];
extern const struct workload stress_workloads[];
extern const struct workload orders_workloads[];
extern const struct workload sharing_workloads[];
extern const struct workload churn_workloads[];
extern const struct workload phases_workloads[];

/* A check failed: say so and end with code 1. A run that fails has no number. */
void bench_fail(const char *format, ...)
    __attribute__((noreturn, format(printf, 1, 2), cold));

uint64_t bench_now_ns(void);

/* Zeroed memory for the harness, never from malloc. */
void *array_map(size_t bytes);
void array_unmap(void *array, size_t bytes);

/* A worker that is not the plan's own thread: a helper that a workload starts itself. */
void bench_thread(pthread_t *ret, void *(*run)(void *), void *arg);

/* More work to do? Called once for a batch of operations: it may read the clock. */
bool worker_more(const struct worker *w);

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * 0x2545f4914f6cdd1dull;
}

/* 0 to below - 1, without a division. */
static inline size_t random_below(uint64_t *state, size_t below)
{
    return (size_t)(((random_next(state) >> 32) * below) >> 32);
}

/* ---- blocks ---- */

static inline uint64_t block_sign(const void *p, size_t size)
{
    return ((uintptr_t)p ^ size) * 0x9e3779b97f4a7c15ull;
}

/* Write at both ends what block_check expects; size >= 8. Below 16 the ends overlap. */
static inline void block_mark(void *p, size_t size)
{
    uint64_t mark = block_sign(p, size);

    __builtin_memcpy((char *)p + size - sizeof(mark), &mark, sizeof(mark));
    __builtin_memcpy(p, &mark, sizeof(mark));
}

static inline void block_check(const void *p, size_t size)
{
    uint64_t mark = block_sign(p, size);
    uint64_t head, tail;

    __builtin_memcpy(&head, p, sizeof(head));
    __builtin_memcpy(&tail, (const char *)p + size - sizeof(tail), sizeof(tail));
    if (__builtin_expect(head != mark || (tail != mark && size >= 16), 0)) {
        bench_fail("the block of %zu bytes at %p lost its mark", size, p);
    }
}

/* Write to every page, as a program does that uses what it asked for. */
static inline void block_touch(void *p, size_t size)
{
    for (size_t at = 0; at < size; at += 4096) {
        ((volatile char *)p)[at] = 1;
    }
}

static inline void *checked(void *p, size_t size)
{
    if (__builtin_expect(p == NULL || ((uintptr_t)p & 7) != 0, 0)) {
        bench_fail("no or a misaligned block for %zu bytes: %p", size, p);
    }
    return p;
}

static inline void *block_new(size_t size)
{
    void *p = checked(malloc(size), size);

    block_mark(p, size);
    return p;
}

static inline void block_delete(void *p, size_t size)
{
    block_check(p, size);
    *(uint64_t *)p = 0; /* a second owner of the block would find that */
    free(p);
}

#endif
