#include "carve.h"

enum {
    CARVE_BYTES = 4 * 1024, /* cut at once */
    BUSY_BLOCKS = 8,        /* free blocks that a busy class should find */
    BUSY_BYTES = 32 * 1024, /* and at most so much, for each span of a slab */
    BUSY_CARVE = 8,         /* blocks that it cuts at least when it waited for them */
    COLD_BYTES = 2 * 1024,  /* what should be free in an idle one */
    MAKE_DO_BLOCKS = 8,     /* free blocks that are worth a refill */
    MAKE_DO_BYTES = 4096,   /* or so much */
};

bool carve_wants(const struct span *s, bool is_busy)
{
    const struct sizeclass *c = &sizeclass_table[s->cls];
    size_t wanted;

    if (is_busy) {
        wanted = bits_min(bits_max(c->batch, BUSY_BLOCKS), c->capacity / 2u);
        wanted = bits_min(wanted, (size_t)BUSY_BYTES * c->spans / c->bytes);
    } else {
        wanted = bits_min(c->batch, COLD_BYTES / c->bytes);
    }
    return !slab_is_carved(s) && slab_free_count(s) < bits_max(wanted, 1);
}

/* How much of what comes next was touched in an earlier life of the span: it takes no page. */
static size_t touched_ahead(const struct span *s)
{
    size_t touched = (size_t)slab_touched_before(s) << SPAN_PART_SHIFT;
    size_t carved = (size_t)s->carved * sizeclass_bytes(s->cls);

    return touched > carved ? touched - carved : 0;
}

bool carve_makes_do(const struct span *s, uint8_t *made_do)
{
    size_t enough =
        bits_min(bits_max(MAKE_DO_BYTES / sizeclass_bytes(s->cls), 1), MAKE_DO_BLOCKS);

    if (slab_free_count(s) < enough || *made_do >= CARVE_MADE_DO
        || touched_ahead(s) >= BUSY_CARVE * sizeclass_bytes(s->cls)) {
        return false;
    }
    ++*made_do;
    return true;
}

void carve_more(struct span *s, uint8_t *made_do)
{
    size_t much = bits_max(BUSY_CARVE * sizeclass_bytes(s->cls), CARVE_BYTES);
    bool is_busy = *made_do >= CARVE_MADE_DO;

    *made_do = 0;
    slab_carve(
        s, is_busy ? much : bits_max(bits_min(touched_ahead(s), much), CARVE_BYTES));
}
