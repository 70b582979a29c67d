/*
 * beside - the server of mpalloc run --serve: of one process, for as long as that runs
 */
#ifndef BESIDE_H
#define BESIDE_H

#include <stdint.h>

struct beside;

/* Whether it could listen there: EXIT_FINE, or an exit code after a line. */
int beside_check(const char *address);

/*
 * Of process `pid`, which need not be on mpalloc yet. Reads the configuration file as mpalloc serve
 * does. EXIT_FINE, or an exit code after a line.
 */
int beside_start(const char *address, uint64_t pid, struct beside **ret);

/* Answers what was asked, for a second at most. */
void beside_stop(struct beside *b);

#endif
