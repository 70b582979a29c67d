/*
 * short_tree - where in a program short-lived blocks are made: the frame below which most are
 *
 * Owns: sums along the tree of callers. Does not own: sums of stacks (stack_sums.h).
 */
#ifndef SHORT_TREE_H
#define SHORT_TREE_H

#include "stack_sums.h"

#include <stdbool.h>

struct short_tree {
    uint32_t frame; /* the innermost one that has most of them below it */
    uint32_t
        inside; /* of the frames that it calls, the one with most: there they divide */
    size_t stacks; /* of short-lived blocks below it */
    size_t
        classes;  /* of them, those with a tenth of the largest one's blocks, or more */
    double share; /* of all blocks that are allocated below it */
    struct mp_estimate short_blocks; /* below it */
};

/*
 * Of one component: stacks count of which at least the share `least` of blocks lived shortly.
 * false: there is none, or it is main or what a thread begins with, which says nothing.
 */
bool short_tree_find(const mp_image_t *image, const struct stack_sums *stacks,
    uint32_t component, double least, struct short_tree *ret);

/* Whether `frame` is `above`, or is called by it through others. */
bool short_tree_is_below(const mp_image_t *image, uint32_t frame, uint32_t above);

#endif
