/*
 * stacks - what each call stack holds in each component, all sizes, threads and operations
 *
 * Owns: sums over samples of a profile, and their order. Does not own: samples (profile.h),
 * how they look (render_stacks.h, document_stacks.h).
 */
#ifndef STACKS_H
#define STACKS_H

#include "profile.h"

/* An estimate, and where it is with 95 % probability. */
struct range {
    double value;
    double low;
    double high;
};

struct stack {
    const char *component; /* of the profile, and so are the frames */
    size_t depth;
    const uint32_t *frames; /* numbers, the root first */
    uint64_t samples;       /* 0: what no stack explains */
    uint64_t live_samples;
    uint64_t value[PROFILE_VALUES];
    uint64_t low[PROFILE_VALUES];
    uint64_t high[PROFILE_VALUES];
    uint64_t requested; /* bytes asked for, of PROFILE_ALLOCATED_BYTES; 0: not known */
    uint64_t live_requested; /* the same of PROFILE_LIVE_BYTES, PROFILE_PEAK_BYTES */
    uint64_t peak_requested;
    double lifetime_s;         /* mean of its freed blocks; 0: none, or not known */
    struct range moved_blocks; /* that realloc moved elsewhere, ever */
    struct range moved_bytes;  /* that it copied */
    /* Of its blocks, those of whole pages: */
    double large_live_bytes;
    double large_allocated_bytes;
    double large_allocated_blocks;
    bool is_cut; /* the first frames are missing */
};

struct stacks {
    size_t count;
    struct stack *stack;
};

/* Of a profile, which outlives them; by live bytes. Ends the process without memory. */
struct stacks *stacks_create(const struct profile *p);
void stacks_destroy(struct stacks *s);

/* The largest first; what no stack explains, last. */
void stacks_sort(struct stacks *s, enum profile_value by);

/*
 * Bytes that nobody asked for, of what is live or was at the peak, as far as is known: blocks are
 * longer than requests.
 */
uint64_t stack_waste(const struct stack *s, enum profile_value of);

/*
 * The `most` with the largest values, in the order of stacks_sort; free the list. Much quicker than
 * to sort all where few are wanted.
 */
typedef double stack_value_fn(const struct stack *s);
const struct stack **stacks_largest(
    const struct stacks *s, stack_value_fn *value, size_t most, size_t *ret_count);

#endif
