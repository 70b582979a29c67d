/*
 * misuse - what the program did wrong with a block, in one line
 *
 * Owns: the words of the messages and what follows from them: with MPALLOC_ABORT=1 (the
 * default) the program ends, else the mistake is counted and, with MPALLOC_LOG=debug, said.
 *
 * Form: `mpalloc: double free of 0x7f... (reason)`. Tools and people search for the first
 * words, so they are few: invalid free, double free, invalid realloc, wrong size, overflow,
 * underflow, use after free.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "span.h"

/* Returns only where misuse is ignored. p: what the program passed. */
void misuse_found(const void *p, const char *what, const char *why) COLD;

/* The same of a block in a slab; its class is added to the reason. */
void misuse_of_block(
    const struct span *s, const void *p, const char *what, const char *why) COLD;

/* A free or realloc (`what`) of p, which is no block that is in use; says why not. */
void misuse_in_span(const struct span *s, const void *p, const char *what) COLD;
void misuse_outside(const void *p, const char *what) COLD;

#endif
