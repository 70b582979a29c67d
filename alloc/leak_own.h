/*
 * leak_own - memory of a leak check itself, where it looks for no roots
 *
 * Owns: the list of its mappings. One thread.
 */
#ifndef LEAK_OWN_H
#define LEAK_OWN_H

#include <stddef.h>

/* Zeroed; NULL: none. */
void *leak_own_map(size_t bytes);
void leak_own_unmap_all(void);

size_t leak_own_bytes(void);
void leak_own_each(void (*each)(const void *start, size_t bytes, void *arg), void *arg);

#endif
