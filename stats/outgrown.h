/*
 * outgrown - blocks of a call stack that grew far above what its blocks usually are, and stayed so
 *
 * Buffers that are used again and again are as large as the largest use was. Nobody sees how much
 * of a block is used; but where many do the same work, most of them say what is usual.
 *
 * Owns: which blocks of a stack those are. Does not own: the sums of stacks (stack_sums.h), the
 * advice (findings.c).
 */
#ifndef OUTGROWN_H
#define OUTGROWN_H

#include "stack_sums.h"

struct outgrown {
    double usual_bytes;      /* half of the live blocks are as long at most */
    double all_blocks;       /* live ones */
    double blocks;           /* of them, those far above the usual that are old */
    double block_bytes;      /* mean of these */
    struct mp_estimate gain; /* bytes, if each were as long as is usual */
    double idle_s; /* as old is the youngest of them that was sampled, at least */
};

/* False: nothing of the kind. */
bool outgrown_find(
    const mp_image_t *image, const struct stack_sum *s, struct outgrown *ret);

#endif
