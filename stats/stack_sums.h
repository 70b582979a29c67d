/*
 * stack_sums - what each call stack did in each component: estimates over all its size classes
 *
 * Owns: the groups, sites of one stack in one component and class, and their sums by stack and
 * component. Does not own: the estimates of groups (estimates.c), what they mean (findings.c).
 */
#ifndef STACK_SUMS_H
#define STACK_SUMS_H

#include <mpstats.h>

/* One size class of a stack. */
struct stack_class {
    uint16_t number;
    const struct mp_figures *figures;
};

struct stack_sum {
    uint32_t frame; /* the innermost; 0: no stack */
    uint32_t component;
    size_t class_count; /* at least 1 */
    const struct stack_class *classes;
    struct mp_estimate value[MP_FIGURES];
    double
        requested; /* of MP_ALLOCATED_BYTES, _LIVE_BYTES, _PEAK_BYTES; 0: not known */
    double live_requested;
    double peak_requested;
    double lifetime_s; /* mean of what was freed; 0: nothing was */
    uint64_t samples;
    uint64_t live_samples;
    struct mp_estimate moved_blocks; /* that realloc moved elsewhere, ever */
    struct mp_estimate moved_bytes;  /* that it copied */
    uint64_t moved_samples;
};

struct stack_sums {
    size_t count;
    struct stack_sum *all;
    mp_estimates_t *estimates;
    struct stack_class *classes;
};

/*
 * Of the blocks that a stack ever allocated, the share that lived shortly, 95 % interval (Wilson
 * 1927): both are known from the same samples, so that the share is surer than either.
 */
struct mp_estimate stack_sum_short(const struct stack_sum *s);

/*
 * The innermost frame of a stack that is not in mpalloc's own library: which way a request takes
 * in there makes no other stack of it. The frame itself, when all are.
 */
uint32_t stack_sum_frame(const mp_image_t *image, uint32_t frame);

/* -ENOMEM. The image has to outlive them. */
int stack_sums_make(const mp_image_t *image, struct stack_sums *ret);
void stack_sums_free(struct stack_sums *s);

#endif
