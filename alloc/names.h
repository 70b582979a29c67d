/*
 * names - short names that samples carry: of operations and of threads
 *
 * Each gets a number once and for ever; number 0 is no name. When the table is full, or for
 * want of memory, a name is number 0, and that is counted.
 */
#ifndef NAMES_H
#define NAMES_H

#include <stddef.h>
#include <stdint.h>

/* All with profile_lock held. NULL and "" are number 0; longer than 31 bytes are cut. */
uint16_t names_intern_locked(const char *name);
size_t names_count_locked(void); /* number 0 included */
uint64_t names_refused_locked(void);

/* To a region that is new. */
void names_write_all_locked(void);

#endif
