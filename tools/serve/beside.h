/*
 * beside - the server of mpalloc run --serve: of one process, for as long as that runs
 */
#ifndef BESIDE_H
#define BESIDE_H

#include <stdint.h>

struct beside;

struct beside_calls {
    /* Whether it could listen there: EXIT_FINE, or an exit code after a line. */
    int (*check)(const char *address);

    /*
     * Of process `pid`, which need not be on mpalloc yet. Reads the configuration file as mpalloc
     * serve does. EXIT_FINE, or an exit code after a line.
     */
    int (*start)(const char *address, uint64_t pid, struct beside **ret);

    /* Answers what was asked, for a second at most. */
    void (*stop)(struct beside *b);
};

extern const struct beside_calls beside_calls;

/* NULL: only the module has it (whole.h). main.c */
extern const struct beside_calls *const beside;

#endif
