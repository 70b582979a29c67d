/*
 * parts - what resident memory of the allocator was made of, over time
 *
 * Owns: the parts and their names, and points of an image's timeline as such. Does not own: how they
 * look. They add up to resident_bytes of a point: what the allocator has touched, at most.
 */
#ifndef PARTS_H
#define PARTS_H

#include <mpstats.h>

enum part { PART_LIVE, PART_CACHED, PART_DIRTY, PART_METADATA, PART_PROFILER, PARTS };

/* "live blocks"; NULL past the end. */
const char *part_label(enum part part);

/* Points of libraries that did not tell parts from each other have the rest as free in slabs. */
void parts_of(const struct mp_region_moment *m, double ret[PARTS]);

#endif
