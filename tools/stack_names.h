/*
 * stack_names - the lines of code of one stack of an image, by its frame's number
 *
 * Owns: which frames are mpalloc's own. Does not own: names (symbols.h), stacks of profiles,
 * where all frames are numbered anew (frames.h).
 */
#ifndef STACK_NAMES_H
#define STACK_NAMES_H

#include "symbols.h"

#include <mpstats.h>

enum { STACK_NAMES_MAX = 128 };

struct stack_name {
    const char
        *function; /* fit to print, and so is the next; they live as long as symbols */
    const char *file;   /* NULL: not known */
    uint32_t line;      /* 0: not known */
    const char *module; /* path, as the image has it; NULL: of none */
};

/*
 * The innermost first, without those of libmpalloc.so and what they call; for free(). Returns how
 * many. frame 0 has none. Ends the process without memory.
 */
size_t stack_names_find(const mp_image_t *image, struct symbols *symbols,
    uint32_t frame, struct stack_name **ret);

#endif
