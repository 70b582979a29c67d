/*
 * atomic - the only door to atomics: every operation says its order in its name
 *
 * There is no seq_cst here. Plain fields that one thread writes and a sweep may read
 * (struct span's `left`, heap counters) use the _owned and load_relaxed forms: one writer,
 * readers that tolerate any value.
 */
#ifndef ATOMIC_H
#define ATOMIC_H

#include "arch.h"
#include "attr.h"
#include "config.h"

#include <stdbool.h>
#include <stdint.h>

#define load_relaxed(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p)     __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define add_relaxed(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define sub_relaxed(p, v)   __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED)
#define or_acq_rel(p, v)    __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define or_release(p, v)    __atomic_fetch_or((p), (v), __ATOMIC_RELEASE)
#define and_acq_rel(p, v)   __atomic_fetch_and((p), (v), __ATOMIC_ACQ_REL)
#define swap_acquire(p, v)  __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define swap_acq_rel(p, v)  __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define swap_release(p, v)  __atomic_exchange_n((p), (v), __ATOMIC_RELEASE)
#define cas_weak_release(p, expected, v)                                               \
    __atomic_compare_exchange_n(                                                       \
        (p), (expected), (v), true, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
#define cas_weak_acq_rel(p, expected, v)                                               \
    __atomic_compare_exchange_n(                                                       \
        (p), (expected), (v), true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)
#define cas_acquire(p, expected, v)                                                    \
    __atomic_compare_exchange_n(                                                       \
        (p), (expected), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)

/*
 * A word that another thread may be writing, in the fast path: an aligned load, which the
 * compiler may fold into the instruction that uses it. It will not do that with a relaxed
 * atomic load, which costs free two instructions; under TSan it is one.
 */
#if UNDER_TSAN
#    define load_fast(p) load_relaxed(p)
#else
#    define load_fast(p) (*(p))
#endif

/*
 * Count down a field that only the caller's thread writes; true when it reached zero.
 * One instruction on memory, no lock prefix. A relaxed atomic load and store would cost
 * two more in free's fast path; under TSan that is what it is.
 */
static ALWAYS_INLINE bool count_down_owned(uint16_t *p)
{
#if UNDER_TSAN
    uint16_t left = (uint16_t)(load_relaxed(p) - 1);

    store_relaxed(p, left);
    return left == 0;
#else
    return --*p == 0;
#endif
}

/* Add to a counter that only the caller's thread writes and others may read. */
static inline void add_owned(uint64_t *p, uint64_t n)
{
    store_relaxed(p, load_relaxed(p) + n);
}

#endif
