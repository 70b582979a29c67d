/*
 * mp_counter - numbers of the program's own, shown with those of the allocator
 *
 * Owns: the table of names, and their values. Defines the functions of mpalloc.h themselves.
 * A counter lives for ever, in memory of the allocator's own tables.
 */
#ifndef MP_COUNTER_H
#define MP_COUNTER_H

#ifndef MP_NO_INLINE /* the functions are here */
#    define MP_NO_INLINE
#endif
#include <mpalloc.h>

/* To the region; with counters_lock. */
void mp_counter_publish_locked(void);

#endif
