/*
 * workload - what the parts of the workload share: blocks, and a shadow that knows what is in them
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KIB = 1 << 10, MIB = 1 << 20, SLOTS = 160, THREADS = 3, STACK = 128 * KIB };

struct slot {
    unsigned char *p;
    size_t bytes;
    uint64_t key;
};

struct shadow {
    struct slot slot[SLOTS];
    uint64_t random;
    size_t failed;
    bool must_succeed;
    bool is_changing; /* a block is given or taken, and the shadow does not know yet */
};

void workload_step(struct shadow *w); /* a block is made, resized or freed */
void workload_check(const struct shadow *w);
void workload_look(void); /* at the counters, as others do */

/* The part "limits" (tellings.c). */
void workload_limits(struct shadow *w);

#endif
