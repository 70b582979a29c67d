/*
 * suppressions - leaks that nobody wants to hear of: the file of MPALLOC_LEAK_SUPPRESSIONS
 *
 * Owns: reading it here, as the library does at the end of a program (alloc/leak_suppress.h has
 * the form), and which leaks of an image it is about.
 */
#ifndef SUPPRESSIONS_H
#define SUPPRESSIONS_H

struct leaks;

/* Whether the file that is asked for can be read. EXIT_FINE, or EXIT_USAGE after a line. */
int suppressions_check(const char *verb);

/* Those that it is about count as acknowledged. */
void suppressions_apply(struct leaks *l);

#endif
