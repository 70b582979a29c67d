/*
 * leak_exit - MPALLOC_LEAK_CHECK: a leak check when the program ends, and what it says
 *
 * Names of functions are those of the dynamic symbol tables: static ones have none, and those of
 * a program only when it is linked with -rdynamic. `mpalloc leaks` and addr2line know more.
 */
#ifndef LEAK_EXIT_H
#define LEAK_EXIT_H

#include "attr.h"

/*
 * After the program's destructors, before the region ends; no lock held. The code to end with, or
 * -1: the program's own. here: as for leak_check.
 */
struct unwind_context;
NOINLINE int leak_exit_check(const struct unwind_context *here);

#endif
