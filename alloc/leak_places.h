/*
 * leak_places - numbers for blocks that are the same in two rounds of a check
 *
 * Owns: the numbering of all places where blocks can begin.
 */
#ifndef LEAK_PLACES_H
#define LEAK_PLACES_H

#include <stddef.h>
#include <stdint.h>

/*
 * A number for a block that stays the same while its memory is what it is, below
 * leak_places_count() of that time; SIZE_MAX: of huge ones, and of memory that came later.
 */
struct leak_places {
    size_t window_spans;
    size_t ranges; /* others, chained */
};
struct leak_places leak_places_now(void);
size_t leak_places_count(const struct leak_places *p);
size_t leak_place(const struct leak_places *p, uintptr_t start);

#endif
