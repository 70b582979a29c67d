/*
 * dead - mpalloc report --dead: how a process died, as far as its region tells, and what grew last
 *
 * Owns: which region it is, and how that looks. Does not own: growth (mp_last_growth_make).
 */
#ifndef DEAD_H
#define DEAD_H

#include "cli.h"

/*
 * The newest region of a process that died and did not exit in order: of that PID, of that name, or
 * of all (both words and names may be NULL). Exit code; EXIT_NO_PROCESS with a line when there is none.
 */
int report_dead(
    const struct common *common, char **words, size_t rows, const char *output);

#endif
