/*
 * aside - the malloc that the program uses, when that is another than ours
 *
 * Owns: the decision to stand aside, and the functions of the other malloc. Loaded too late
 * (dlopen), under valgrind or in a program built with a sanitizer, blocks of ours would be
 * freed by the other malloc and the other way round. Then every block that anybody gets from
 * us, mp_malloc and free_sized included, is one of the other malloc. Set by loader.c before
 * any thread is started; read in slow paths only. All NULL otherwise.
 */
#ifndef ASIDE_H
#define ASIDE_H

#include "attr.h"

#include <stdbool.h>
#include <stddef.h>

struct aside {
    void *(*malloc)(size_t);
    void (*free)(void *);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*memalign)(size_t, size_t);
    size_t (*usable)(void *);
};

HIDDEN extern struct aside aside;

static inline bool aside_is_on(void)
{
    return UNLIKELY(aside.malloc != NULL);
}

#endif
