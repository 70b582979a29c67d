/*
 * malloc_hard - malloc and free in hardened mode
 *
 * Owns: the way of nearly all hardened blocks, one function each, and where it ends: what
 * takes longer is in harden.h, whoever finds a mistake is in malloc.c.
 *
 * Called from slow paths only: in hardened mode the heaps' lists are empty and no slab has
 * an owner, so each malloc and each free of a small block comes here.
 */
#ifndef MALLOC_HARD_H
#define MALLOC_HARD_H

#include "harden.h"

/* A hardened block of any size, or NULL and ENOMEM. */
HIDDEN void *malloc_hard(size_t size);
void *malloc_hard_aligned(struct mp_component *c, size_t size, size_t alignment);

/*
 * Frees p, or hands it on to malloc_free_careful (malloc.c) when it is no small hardened
 * block or something is wrong with it. size: as there.
 */
HIDDEN void malloc_hard_free(void *p, size_t size);
HIDDEN void malloc_free_careful(void *p, size_t size);

/* NULL, with errno and the count of failures. */
void *malloc_fail(void) COLD;

#endif
