#include "leak_places.h"

#include "atomic.h"
#include "guard.h"
#include "pagemap.h"

enum { PLACES = SPAN_BYTES / BLOCK_ALIGN /* in a span */ };

struct leak_places leak_places_now(void)
{
    size_t ranges = pagemap_range_count();

    return (struct leak_places){
        /* pairs with range_extend; what comes after has no bit yet, and is not lost */
        ranges > 0 ? load_acquire(&pagemap_ranges[0].frontier) : 0,
        ranges > 0 ? ranges - 1 : 0};
}

size_t leak_places_count(const struct leak_places *p)
{
    size_t spans = p->window_spans;

    for (size_t r = 1; r <= p->ranges; r++) {
        spans += pagemap_ranges[r].spans_max;
    }
    return spans * PLACES + GUARD_SLOTS;
}

size_t leak_place(const struct leak_places *p, uintptr_t start)
{
    size_t spans = 0;

    for (size_t r = 0; r <= p->ranges; r++) {
        size_t most = r == 0 ? p->window_spans : pagemap_ranges[r].spans_max;
        uintptr_t offset = start - pagemap_ranges[r].origin;

        if (offset >> SPAN_SHIFT < most) {
            return spans * PLACES + offset / BLOCK_ALIGN;
        }
        spans += most;
    }
    if (guard_holds((const void *)start)) {
        return spans * PLACES + guard_slot_number(start);
    }
    return SIZE_MAX;
}
