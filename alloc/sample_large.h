/*
 * sample_large - which blocks outside of slabs are sampled
 *
 * Each thread knows how many bytes come before the next sample. The record of a sampled block is
 * noted in its span's entry; of huge ones, in a table here by their address.
 */
#ifndef SAMPLE_LARGE_H
#define SAMPLE_LARGE_H

#include "sample_note.h"

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
void sample_drop(uint32_t record);               /* 0: nothing */
uint32_t sample_find_huge_locked(const void *p); /* 0: it is not sampled */

#endif
