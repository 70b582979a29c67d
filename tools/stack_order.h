/*
 * stack_order - the samples of a profile so that stacks with the same beginning are together
 */
#ifndef STACK_ORDER_H
#define STACK_ORDER_H

#include "profile.h"

/* Frame number i of a stack, seen from the leaf or from the root. */
static inline uint32_t stack_order_frame(
    const struct profile_sample *s, size_t i, bool from_leaf)
{
    return s->frames[from_leaf ? s->depth - 1 - i : i];
}

bool stack_order_is_same(
    const struct profile_sample *a, const struct profile_sample *b);

/* Numbers of all samples, for free(). NULL: no memory. */
size_t *stack_order_create(const struct profile *p, bool from_leaf);

#endif
