/*
 * leaks_past - what stacks held some time ago, out of the history: mpalloc leaks --since 24h
 *
 * Owns: which point of the history that is. Does not own: the verdicts (leaks.h), the tables
 * (history.h).
 */
#ifndef LEAKS_PAST_H
#define LEAKS_PAST_H

#include "leaks.h"

/*
 * What each stack holds more than so many seconds before the image, as the last point until then
 * has it, or the first one of the run. A stack that is not among the largest of that point is not
 * known, unless it has all. EXIT_FINE, or an exit code after a line.
 */
int leaks_add_past(struct leaks *l, int64_t since_s);

#endif
