/*
 * stacks - what each call stack holds in each component, all sizes, threads and operations
 *
 * Owns: sums over samples of a profile, and their order. Does not own: samples (profile.h),
 * how they look (render_stacks.h, document_stacks.h).
 */
#ifndef STACKS_H
#define STACKS_H

#include "profile.h"

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
    bool is_cut;        /* the first frames are missing */
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

/* Live bytes that nobody asked for, as far as is known: blocks are longer than requests. */
uint64_t stack_waste(const struct stack *s);
void stacks_sort_by_waste(struct stacks *s);

#endif
