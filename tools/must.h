/*
 * must - memory, or the end of the tool with a line
 *
 * In a library (guest.h) it is the end of what the program asked the library for: no lock may be
 * held, and nothing be half done that outlives the call.
 */
#ifndef MUST_H
#define MUST_H

#include <stdio.h>
#include <stdlib.h>

__attribute__((noreturn)) void must_fail(void);

static inline void *must(void *memory)
{
    if (memory == NULL) {
        must_fail();
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
