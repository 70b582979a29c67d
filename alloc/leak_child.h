/*
 * leak_child - one round of a leak check, in the child that has a copy of the process
 *
 * Owns: the order of what the child does; what it leaves for the parent, in memory that both
 * share. It ends by itself, whatever happens.
 */
#ifndef LEAK_CHILD_H
#define LEAK_CHILD_H

#include "leak_heap.h"
#include "leak_mark.h"
#include "leak_places.h"

#include <mpalloc/region.h>

/* Shared. The parent makes it, zeroed; the child fills it and ends with LEAK_CHILD_DONE. */
struct leak_area {
    size_t bytes;
    size_t row_count;
    size_t site_count;
    int32_t error; /* a negative errno, when it is done */
    uint32_t partial;
    uint64_t mark_ns;
    uint64_t mark_cpu_ns;
    uint64_t heap_bytes;
    uint64_t root_bytes;
    uint64_t own_bytes;
    uint64_t blocks[MP_LEAK_KINDS];
    uint64_t sizes[MP_LEAK_KINDS];
    /* cells [row_count][CLASS_COUNT], and sites, follow */
};

enum { LEAK_CHILD_DONE = 0, LEAK_CHILD_FAR = 1024 };

struct mp_region_leak_cell *leak_area_cells(const struct leak_area *a);
struct mp_region_leak_site *leak_area_sites(const struct leak_area *a);

/* NULL: no memory. */
struct leak_area *leak_area_map(size_t rows, size_t sites);
void leak_area_unmap(struct leak_area *a);

/* Shared, too: which blocks were lost in the round before. */
struct leak_lost {
    size_t bytes;
    uint64_t time_ns; /* CLOCK_MONOTONIC of that round */
    struct leak_places places;
    size_t far_count;
    uintptr_t far[LEAK_CHILD_FAR]; /* huge ones; by start */
    uint64_t bits[];               /* by leak_place */
};

/* NULL: no memory. */
struct leak_lost *leak_lost_map(void);
void leak_lost_unmap(struct leak_lost *l);

struct leak_round {
    struct leak_area *area;
    struct leak_lost *write;        /* NULL: it is the last round */
    const struct leak_lost *before; /* NULL: it is the first */
    struct leak_pointers pointers;
    uint32_t most_ms;
};

/* In the child; threads were parked (leak_park.h) and the allocator's locks are held. */
NORETURN void leak_child_run(const struct leak_round *r);

/* What that does, for tests in one process. */
void leak_child_look(const struct leak_round *r);

#endif
