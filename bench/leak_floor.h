/*
 * leak_floor - what a copy of a process costs, whoever wants it and whatever for
 *
 * What leak_pause prints beside the figures of a leak check: no check by a forked copy can be better.
 */
#ifndef LEAK_FLOOR_H
#define LEAK_FLOOR_H

#include <stdint.h>

/*
 * A bare fork of this process while its threads run, and a child that does nothing but read one
 * byte of each page that it has: private memory without a file that may be written to.
 */
struct leak_floor {
    double fork_ms;
    double read_ms;     /* of the child's CPU */
    uint64_t all_bytes; /* of the pages that were read */
};

/* 0, or a negative errno. Any thread; none may map or unmap memory meanwhile. */
int leak_floor_measure(struct leak_floor *ret);

#endif
