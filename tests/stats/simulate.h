/*
 * simulate - pasts of call stacks whose truth is known, as a sample of one in R bytes sees them
 *
 * Births are a Poisson process; each has a time of death, by the shape. Nothing here comes from
 * the library that is tested but the structs that it reads.
 */
#ifndef SIMULATE_H
#define SIMULATE_H

#include "../../stats/growth.h"

enum shape {
    /* leaks */
    LEAK_PURE,    /* nothing is ever freed */
    LEAK_TRAFFIC, /* a share of what is served is not freed */
    LEAK_BURSTS,  /* some reload leaves all of the last one */
    LEAK_TABLES,  /* behind big tables from the start */
    LEAK_FASTER,  /* each round leaks more */
    LEAKS,
    /* innocents */
    LRU = LEAKS,   /* bounded, the oldest goes */
    WARM_UP,       /* fills, then stays */
    SAWTOOTH,      /* fills and is emptied, several times */
    DIURNAL,       /* follows the load */
    INDEX,         /* ever fewer new keys */
    INTERNING,     /* new words of a text: the power of time, then no more */
    TABLES,        /* at the start */
    POOL,          /* as many as were ever needed at once */
    THREAD_CACHES, /* rise with threads, then turn over */
    STEADY,        /* short lives */
    WALK,          /* long lives: what is live wanders */
    SHAPES
};

extern const char *const shape_names[SHAPES];

/* A generator of its own, for each test the same. */
struct dice {
    uint64_t state;
};
double dice_uniform(struct dice *d); /* in (0, 1) */

/* About `samples` of them in the time of one run; `share` of them leak, of LEAK_TRAFFIC. */
void simulate(struct dice *d, enum shape shape, double samples, double share,
    struct growth_past *ret);
void simulate_free(struct growth_past *past);

#endif
