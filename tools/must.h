/*
 * must - memory, or the end of the tool with a line
 */
#ifndef MUST_H
#define MUST_H

#include <stdio.h>
#include <stdlib.h>

static inline void *must(void *memory)
{
    if (memory == NULL) {
        fputs("mpalloc: no memory\n", stderr);
        exit(1);
    }
    return memory;
}

/* Room for one more of `bytes` each. */
static inline void *must_grow(void *array, size_t count, size_t *room, size_t bytes)
{
    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 64 : 2 * *room;
    return must(reallocarray(array, *room, bytes));
}

#endif
