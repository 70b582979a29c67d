/*
 * loader - what concerns the dynamic loader: is our malloc the program's, and dlopen
 *
 * Only in the shared library. An executable that has the archive in it has these as weak
 * symbols that are NULL.
 */
#ifndef LOADER_H
#define LOADER_H

#include "attr.h"

#include <stdbool.h>

/*
 * Whether our malloc is the program's; else it is said why not, where that is a mistake.
 * False: we stand aside (aside.h), and there is nothing to publish.
 */
HIDDEN bool loader_begin(void) __attribute__((weak));

#endif
