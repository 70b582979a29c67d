/*
 * frames - the lines of code that a profile's stacks are made of, each of them once
 *
 * Owns: numbering them, and which of them are mpalloc's own. Does not own: the array of
 * frames (profile.h), names of functions (symbols.h), stacks (profile.c).
 */
#ifndef FRAMES_H
#define FRAMES_H

#include "profile.h"

struct frames;
struct site_names;

/* For the frames of p, which outlives it. names: NULL, or those that were kept of its image. */
struct frames *frames_create(struct profile *p, struct site_names *names);

/* Says first, on standard error, of which modules there are no names, and why. */
void frames_destroy(struct frames *f);

/* The number of a frame that is no code, such as a component, fit to print. */
uint32_t frames_of_text(struct frames *f, const char *text);

/*
 * The code that a frame of the region is at: one frame, or several when functions were inlined
 * there. They have successive numbers, the innermost first; returns how many.
 */
size_t frames_of_code(struct frames *f, uint32_t number, uint32_t *ret_first);

/* Whether a module is libmpalloc.so. */
bool frames_is_own_module(const struct frames *f, uint32_t module);

/*
 * For programs that mpalloc is linked into: whether a frame belongs to it, all frames further
 * in being its own. *entered: false at first; then set, once a function was met that programs
 * call: only such a one can have called it.
 */
bool frames_is_own(const struct frames *f, uint32_t number, bool *entered);

#endif
