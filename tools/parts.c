#include "parts.h"

#include <math.h>

const char *part_label(enum part part)
{
    static const char *const labels[PARTS] = {[PART_LIVE] = "live blocks",
        [PART_CACHED] = "free in slabs",
        [PART_DIRTY] = "free, not yet given back",
        [PART_METADATA] = "metadata",
        [PART_PROFILER] = "profiler"};

    return part < PARTS ? labels[part] : NULL;
}

void parts_of(const struct mp_region_moment *m, double ret[PARTS])
{
    double rest = (double)m->resident_bytes;

    ret[PART_LIVE] = fmin((double)m->live_bytes, rest);
    rest -= ret[PART_LIVE];
    ret[PART_DIRTY] = fmin((double)m->dirty_bytes, rest);
    rest -= ret[PART_DIRTY];
    ret[PART_METADATA] = fmin((double)m->metadata_bytes, rest);
    rest -= ret[PART_METADATA];
    ret[PART_PROFILER] = fmin((double)m->profiler_bytes, rest);
    ret[PART_CACHED] = rest - ret[PART_PROFILER];
}
