/*
 * heap_check - the walk over a heap that tests take after every step
 */
#include "heap.h"

#include "check.h"

static void ring_check(const struct heap *h, struct span *ring, enum slab_state state)
{
    struct span *s = ring;

    if (s != NULL) {
        do {
            CHECK(s->state == state
                  || (state == SLAB_AVAIL
                      && (s->state == SLAB_IDLE || s->state >= SLAB_LOOKED_AT)));
            CHECK(s->heap == h); /* H1 */
            CHECK(s->next->prev == s);
            slab_check(s);
            s = s->next;
        } while (s != ring);
    }
}

void heap_check(struct heap *h)
{
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        const struct span *s = h->shelf.current[cls];

        if (s != NULL) {
            CHECK(s->state == SLAB_CURRENT && s->heap == h && s->cls == cls);
            slab_check(s);
        }
        for (const struct block *b = h->head[cls]; b != NULL; b = b->next) {
            CHECK(span_find(b) == s); /* H2 */
        }
        ring_check(h, h->shelf.avail[cls], SLAB_AVAIL);
        ring_check(h, h->shelf.holed[cls], SLAB_HOLED);
    }
    ring_check(h, h->shelf.full, SLAB_FULL);
}
