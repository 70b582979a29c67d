/*
 * counters - exact counts without counting in the fast path
 *
 * Owns: the figures per component and class, made by sweeps over what heaps and spans know
 * anyway. Live blocks of a class are the blocks in use in its slabs, less those that still
 * wait on a heap's list, less remote frees not yet folded. README.md of this folder says
 * why a sweep that races with allocation never counts too much, and is exact when the
 * threads are quiet.
 */
#ifndef COUNTERS_H
#define COUNTERS_H

#include "component.h"

#include <mpalloc/region.h>

struct block;

struct counters_row {
    struct mp_region_cell cell[CLASS_COUNT];
    uint64_t handed[CLASS_SLAB_COUNT]; /* of the sweep under way */
    uint64_t used[CLASS_SLAB_COUNT];
    uint64_t waiting[CLASS_SLAB_COUNT];
    uint64_t returned[CLASS_SLAB_COUNT];
    uint64_t touched[CLASS_SLAB_COUNT]; /* bytes */
    struct large_count large[CLASS_LARGE_COUNT];
    struct mp_region_component sum; /* name and parent are not filled */
    bool has_changed;               /* in the last sweep */
    bool is_unwritten;              /* since it was last in the region */
};

struct counters_totals {
    uint64_t allocated_blocks;
    uint64_t freed_blocks;
    uint64_t allocated_bytes;
    uint64_t freed_bytes;
    uint64_t live_peak_bytes;
    uint64_t live_peak_ns;
    uint64_t refills;
    uint64_t slab_bytes; /* spans in slabs */
    uint64_t slab_live_bytes;
    uint64_t large_live_bytes;   /* huge blocks, too */
    uint64_t huge_live_bytes;    /* of a moment before that */
    uint64_t slab_touched_bytes; /* pages of them that were ever handed out */
};

/* Guards all of this, and heaps that come and go; the outermost lock. */
extern struct lock counters_lock;

/*
 * Go on with a sweep over about `spans` entries; true when it is complete and the figures
 * are new. A sweep that another call began is continued.
 */
bool counters_sweep_locked(size_t spans);

/* Begin anew and go through to the end. */
void counters_sweep_all_locked(void);

const struct counters_totals *counters_totals_locked(void);

/* How many blocks a heap's list has, while its owner may pop; or that it cannot be told. */
enum { COUNTERS_LIST_BUSY = INT32_MAX };
uint64_t counters_list_length(struct block *const *head);

/* Row `row` is in the region as it stands; none is (the region is new). */
void counters_mark_written_locked(size_t row);
void counters_mark_unwritten_locked(void);

/* The figures of a component; NULL: nothing was ever allocated in it. */
const struct counters_row *counters_row_locked(size_t row);

#endif
