/*
 * rests - what a component and class counted, and what of it no stack explains
 *
 * Owns: the counters of a cell as live and freed, which are taken for no more than any process
 * had, so that sums do not overflow; and rests, by cell.
 * Does not own: what stacks explain (estimates.c).
 */
#ifndef RESTS_H
#define RESTS_H

#include <mpstats.h>

enum counted { COUNTED_LIVE, COUNTED_FREED, COUNTED };
enum unit { BLOCKS, BYTES, UNITS };

struct rest {
    uint32_t cell;
    uint64_t value[COUNTED][UNITS];
    uint64_t low[COUNTED][UNITS];
    uint64_t high[COUNTED][UNITS];
};

uint64_t rests_counter(
    const struct mp_region_cell *c, enum counted what, enum unit unit);

/* Figures of a cell: its rest of `count`, which are in order, or all that it counted. */
void rests_get(const struct rest *rests, size_t count, uint32_t cell,
    const struct mp_region_cell *c, struct mp_figures *ret);

#endif
