/*
 * places - the stacks of a profile as addresses, each with what was inlined there
 *
 * Owns: which frames are one place in the code, and its address. Does not own: where modules
 * lie (address_space.h). What is no code (a name of a component, "(not sampled)") has an
 * address of its own, in no module.
 */
#ifndef PLACES_H
#define PLACES_H

#include "address_space.h"
#include "profile.h"

struct place {
    const uint32_t *frames; /* the outermost first; all others are inlined into it */
    uint32_t count;         /* of frames, at least 1 */
    uint32_t module;        /* UINT32_MAX: no code of a module */
    uint64_t address;       /* of the call; no other place's where it is no code */
};

struct places {
    struct address_space space;
    size_t count;
    struct place *place;
    uint32_t **stack; /* of each sample: numbers of places, the root first */
    size_t *depth;    /* of each stack */
};

/* Of a profile, which outlives it. 0, or -ENOMEM with nothing to give back. */
int places_init(struct places *w, const struct profile *p);
void places_fini(struct places *w, const struct profile *p);

#endif
