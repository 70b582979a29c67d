/*
 * render_stacks - what a text report says about call stacks
 */
#ifndef RENDER_STACKS_H
#define RENDER_STACKS_H

#include <mpstats.h>
#include <stdio.h>

/*
 * The stacks that hold most, the first of them whole, the peak, what is lost to rounding up,
 * what is freed soon, and what sampling costs. Nothing where nothing was ever sampled. Every
 * stack with `all`.
 */
void render_stacks(FILE *out, const mp_image_t *image, bool all);

#endif
