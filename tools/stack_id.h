/*
 * stack_id - the number of a call stack in a component: the same in each run of a build
 */
#ifndef STACK_ID_H
#define STACK_ID_H

#include <mpstats.h>

enum { STACK_ID_BYTES = 17 };

/*
 * 16 digits: a hash of the component's name and, for each frame, the build id of its module
 * (or the name of its file) and the offset in it.
 */
void stack_id(const mp_image_t *image, uint32_t component, uint32_t frame,
    char ret[STACK_ID_BYTES]);

/* The innermost frame that is not of libmpalloc.so: which way it took inside says nothing. */
uint32_t stack_first(const mp_image_t *image, uint32_t frame);

#endif
