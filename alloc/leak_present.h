/*
 * leak_present - which pages there are
 *
 * Owns: what the kernel says about the mappings of this process: which pages of large mappings
 * hold anything, so that those that were never touched are not brought into memory by a look at
 * them; which memory is constant.
 */
#ifndef LEAK_PRESENT_H
#define LEAK_PRESENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Asks the kernel through files, which are opened; without them all pages count as present. */
void leak_present_begin(void);
void leak_present_end(void);

/*
 * What comes next is a mapping that is shared with others, is private as most are, or is any:
 * then all its pages count as present.
 */
enum leak_present_kind { LEAK_PRESENT_PRIVATE, LEAK_PRESENT_SHARED, LEAK_PRESENT_ANY };
void leak_present_set(enum leak_present_kind kind);

/* The first address from `at` on, before `end`, whose page holds something; end: none does. */
uintptr_t leak_present_next(uintptr_t at, uintptr_t end);

/* Mappings of files that nobody writes to: false: too many, some will not be known. */
bool leak_present_add_constant(uintptr_t start, uintptr_t end);
bool leak_present_is_constant(uintptr_t address);

#endif
