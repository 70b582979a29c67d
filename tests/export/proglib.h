/*
 * proglib - the library of prog
 */
#ifndef PROGLIB_H
#define PROGLIB_H

#include <stddef.h>

void *library_take(size_t n);

#endif
