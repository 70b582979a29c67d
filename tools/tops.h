/*
 * tops - who allocates most: samples of a profile, summed by one thing that they have
 *
 * Owns: the sums and their order. Does not own: samples (profile.h), stacks (stacks.h), which are
 * sums by stack and component.
 */
#ifndef TOPS_H
#define TOPS_H

#include "profile.h"

enum top_key {
    TOP_COMPONENT,
    TOP_SITE,     /* a call stack, whatever the component */
    TOP_FUNCTION, /* the innermost that is not mpalloc's */
    TOP_OPERATION,
    TOP_THREAD,
    TOP_KEYS
};

struct top {
    const char *name; /* fit to print; of TOP_SITE the function; "" of what has none */
    const struct profile_sample
        *sample;      /* one of them: its stack is that of all, of TOP_SITE */
    uint64_t samples; /* 0: known from counters alone */
    uint64_t live_samples;
    /* Of a component from its counters, and PROFILE_PEAK_BYTES its own peak: exact. */
    uint64_t value[PROFILE_VALUES];
    uint64_t low[PROFILE_VALUES];
    uint64_t high[PROFILE_VALUES];
};

struct tops {
    size_t count;
    struct top *top;
    uint64_t whole[PROFILE_VALUES]; /* of all of them */
};

/* Of a profile, which outlives them; the largest of `by` first. Ends the process without memory. */
struct tops *tops_create(
    const struct profile *p, enum top_key key, enum profile_value by);
void tops_destroy(struct tops *t);

/* "component", "function", …; false: no such key. */
const char *top_key_name(enum top_key key);
bool top_key_find(const char *name, enum top_key *ret);

/* What is sorted by: "live", "allocated", "count", "peak", "short"; false: none of them. */
bool top_sort_find(const char *name, enum profile_value *ret);

/* What things without a name are called: "(no operation)". */
const char *top_unnamed(enum top_key key);

#endif
