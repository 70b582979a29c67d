/*
 * sample - which allocations are sampled, and what is noted of them
 *
 * Owns: the interval in force, the governor that keeps the cost down, the way from an
 * allocation to its stack (stacks.h) and its site (sites.h).
 *
 * Blocks of slabs: each heap knows, for each class, how many blocks come before the next
 * sample (heap->gap); it hands out lists no longer than that, so that malloc comes to its slow
 * path exactly there, and the fast path knows nothing of it. Sampled blocks come from the pool
 * (pool.h). Larger ones: each thread knows how many bytes come before the next sample; the
 * record of a sampled one is noted beside it.
 *
 * Nothing is sampled in hardened mode, in guarded slots, without a region, and of what threads
 * allocate after their end.
 */
#ifndef SAMPLE_H
#define SAMPLE_H

#include "thread.h"

/* Rises when gaps must be drawn anew: the interval changed, or the process forked. */
extern HIDDEN uint32_t sample_epoch;

/* ---- blocks of slabs ---- */

void *sample_alloc_slow(struct heap *h, unsigned cls, size_t size);

/*
 * For a heap whose list of a class is empty: the next block of it when that is one to be
 * sampled, else NULL. size: what was asked for.
 */
static inline void *sample_try_alloc(struct heap *h, unsigned cls, size_t size)
{
    if (LIKELY(heap_gap_left(h->gap[cls]) != 0
               && h->sample_epoch == load_acquire(&sample_epoch))) {
        return NULL;
    }
    return sample_alloc_slow(h, cls, size);
}

/* p in s, of kind SPAN_SAMPLED. False: no live block starts there. */
bool sample_try_free(struct span *s, void *p);
bool sample_find(const struct span *s, const void *p, size_t *ret_bytes);

/* A live block there is resized to `size` bytes without being moved. */
void sample_resized(const struct span *s, const void *p, size_t size);

/* ---- larger ones ---- */

void sample_large_slow(
    struct mp_component *c, void *p, size_t more, size_t bytes, size_t size);

/*
 * p is a block of c, of a thread with a structure, outside of slabs, that is not sampled: a new
 * one, or one that grew by `more` bytes where it is. (That it was not when it was smaller is as
 * probable as that no sample fell into so much: what it grew by decides.)
 */
static inline void sample_large(
    struct mp_component *c, void *p, size_t more, size_t bytes, size_t size)
{
    struct thread *t = thread_local_state.thread;

    t->sample_gap -= (int64_t)more;
    if (UNLIKELY(t->sample_gap < 0 || t->sample_epoch != load_acquire(&sample_epoch))) {
        sample_large_slow(c, p, more, bytes, size);
    }
}

/* The large block of s is freed. */
void sample_drop_large(struct span *s);

/*
 * It, which was sampled, has `bytes` block bytes now, where it is, and `size` of them are wanted:
 * it stays in the sample, but for one that shrank, with the chance of a block of its size.
 */
void sample_resized_large(struct span *s, size_t bytes, size_t size);

/* The same of a huge one, by its address; what sample_take_huge took can be put back. */
uint32_t sample_take_huge(const void *p);
void sample_put_huge(const void *p, uint32_t record);
void sample_resized_huge(const void *p, uint32_t record, size_t bytes, size_t size);
void sample_drop(uint32_t record); /* 0: nothing */

/* ---- the whole ---- */

/* The region was made, and is empty: both locks held. */
void sample_start_locked(void);

/* R from now on, as in mpalloc.h: 1 is exact, UINT64_MAX is off. -EINVAL, -ENOSYS. */
int sample_set_interval(uint64_t interval_bytes);

/* R in force. */
uint64_t sample_interval(void);

/* What the thread does, for samples. NULL: nothing any more. */
void sample_set_operation(const char *name);

/* Now and then: the governor. */
void sample_tick(uint32_t now_ms);

/* Give free spans of the pool back, all of them. */
void sample_trim(void);

/* How sampling goes, to the region. */
void sample_publish(void);

/* In a forked child: only its own thread is left. */
void sample_after_fork_in_child(void);

#endif
