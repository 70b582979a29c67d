/*
 * mp_arena - the arenas of mpalloc.h: many small objects that end all at once
 *
 * Owns: the chunks of each arena, and where in them the next object begins. Defines the
 * functions of mpalloc.h themselves, so that there is no call more. Does not own the memory:
 * chunks are blocks of malloc, of the arena's component. Not arena.h, which has the memory of
 * the allocator's own tables.
 *
 * An arena is driven by one thread at a time; there is no lock and nothing that is shared.
 */
#ifndef MP_ARENA_H
#define MP_ARENA_H

#ifndef MP_NO_INLINE /* the functions are here */
#    define MP_NO_INLINE
#endif
#include <mpalloc.h>

/* Walks the invariants, and dies if one does not hold. Of the arena's thread. */
void mp_arena_check(const mp_arena_t *a);

/* Whether what is free in it is filled and looked at: hardened mode, debug builds. For tests. */
void mp_arena_set_careful(mp_arena_t *a);

#endif
