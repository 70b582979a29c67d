#include "heap.h"

#include "arch.h"
#include "arena.h"
#include "os.h"
#include "probe.h"

/* The hands of a heap that is older than hardened mode. False: no memory. */
static bool obtain_hands(struct heap *h)
{
    struct track_hand *hands = arena_alloc(sizeof(heap_no_hands));

    if (hands == NULL) {
        store_relaxed(&h->hands, heap_no_hands); /* tried again when it is needed */
        return false;
    }
    os_random(&h->random, sizeof(h->random));
    store_release(&h->hands, hands); /* pairs with sweep_lists */
    return true;
}

/* Where the hand has fewer blocks than a list would, its clock is looked at as often. */
void *heap_refill_hard(struct heap *h, unsigned cls)
{
    uint32_t now_ms = os_coarse_ms();
    unsigned most = heap_quota(h, cls, now_ms);
    struct span *s;
    unsigned n;
    void *p;

    if (h->hands == heap_no_hands && !obtain_hands(h)) {
        return NULL;
    }
    s = heap_find_slab(h, cls); /* folds remote frees before it looks for their bits */
    if (s == NULL || !track_has_any(s, slab_used(s))) {
        return NULL;
    }
    n = slab_take_hand(s, &h->hands[cls], most, &h->random);
    h->given[cls] = (uint16_t)n;
    heap_count_handed(h, cls, n); /* behind `used`: as in hand_out */
    p = track_pop(&h->hands[cls], sizeclass_bytes(cls), &h->random);
    HELD_ADDRESS(p);
    if (h->owner != 0) { /* else under the heap's lock */
        probe_tick_and_tell(now_ms);
    }
    return p;
}

void heap_harden_locked(struct heap *h)
{
    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        struct span *s;

        heap_return_waiting(h, cls);
        heap_retire_current(h, cls);
        while ((s = h->shelf.avail[cls]) != NULL) {
            shelf_remove(&h->shelf, s);
            shelf_put(&h->shelf, s); /* to the full ones, as track_all is set */
        }
        h->zeroed[cls] = false;
    }
    obtain_hands(h);
}
