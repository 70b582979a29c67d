#include "rests.h"

#include <stdlib.h>
#include <string.h>

#define COUNTER_MOST (1ull << 62)

uint64_t rests_counter(
    const struct mp_region_cell *c, enum counted what, enum unit unit)
{
    uint64_t allocated =
        unit == BYTES ? c->allocated_bytes_total : c->allocated_blocks_total;
    uint64_t freed = unit == BYTES ? c->freed_bytes_total : c->freed_blocks_total;

    allocated = allocated < COUNTER_MOST ? allocated : COUNTER_MOST;
    freed = freed < allocated ? freed : allocated;
    return what == COUNTED_LIVE ? allocated - freed : freed;
}

static int compare(const void *cell, const void *rest)
{
    uint32_t a = *(const uint32_t *)cell;
    uint32_t b = ((const struct rest *)rest)->cell;

    return a < b ? -1 : a > b;
}

static struct rest all_of(const struct mp_region_cell *c)
{
    struct rest r = {0};

    for (unsigned i = 0; i < COUNTED * UNITS; i++) {
        enum counted what = (enum counted)(i / UNITS);
        enum unit unit = (enum unit)(i % UNITS);

        r.value[what][unit] = rests_counter(c, what, unit);
    }
    memcpy(r.low, r.value, sizeof(r.low));
    memcpy(r.high, r.value, sizeof(r.high));
    return r;
}

void rests_get(const struct rest *rests, size_t count, uint32_t cell,
    const struct mp_region_cell *c, struct mp_figures *ret)
{
    const struct rest *found =
        count > 0 ? bsearch(&cell, rests, count, sizeof(*rests), compare) : NULL;
    struct rest r = found != NULL ? *found : all_of(c);

    for (unsigned unit = 0; unit < UNITS; unit++) {
        unsigned live = MP_LIVE_BLOCKS + unit;
        unsigned allocated = MP_ALLOCATED_BLOCKS + unit;

        ret->value[live] = r.value[COUNTED_LIVE][unit];
        ret->low[live] = r.low[COUNTED_LIVE][unit];
        ret->high[live] = r.high[COUNTED_LIVE][unit];
        ret->value[allocated] =
            r.value[COUNTED_LIVE][unit] + r.value[COUNTED_FREED][unit];
        ret->low[allocated] = r.low[COUNTED_LIVE][unit] + r.low[COUNTED_FREED][unit];
        ret->high[allocated] = r.high[COUNTED_LIVE][unit] + r.high[COUNTED_FREED][unit];
    }
}
