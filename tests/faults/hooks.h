/*
 * hooks.h - what a library with fault injection exports besides (alloc/fault.h says more)
 *
 * Declared once more: alloc/ has a malloc.h of its own, which programs must not meet.
 */
#ifndef HOOKS_H
#define HOOKS_H

#include <stdbool.h>
#include <stddef.h>

bool mpalloc_fault_set(const char *plan);
unsigned long mpalloc_fault_count(const char *entry);
const char *mpalloc_fault_name(unsigned i);

/* C23, not in the headers of this C library. */
void free_sized(void *p, size_t size);

#endif
