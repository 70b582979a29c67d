#include "heap.h"

#include "arch.h"
#include "os.h"
#include "probe.h"

bool heap_push_pending(struct heap *h, struct span *s)
{
    uintptr_t word = load_relaxed(&h->pending);

    do {
        s->pending_next = (struct span *)(word & ~HEAP_ORPHAN);
        /* release: the drainer must see pending_next. Pairs with take_pending. */
    } while (
        !cas_weak_release(&h->pending, &word, (uintptr_t)s | (word & HEAP_ORPHAN)));
    return (word & HEAP_ORPHAN) != 0;
}

static struct span *take_pending(struct heap *h)
{
    /* acquire: pairs with heap_push_pending */
    return (struct span *)(and_acq_rel(&h->pending, HEAP_ORPHAN) & ~HEAP_ORPHAN);
}

struct span *heap_drain(struct heap *h)
{
    struct span *others = NULL;
    struct span *s = take_pending(h);

    while (s != NULL) {
        struct span *next = s->pending_next;

        if (load_acquire(&s->heap) != h) { /* pairs with slab_adopt */
            s->pending_next = others;
            others = s;
        } else {
            slab_fold_remote(s, true);
            add_relaxed(&probe_passes.remote_folds, 1);
            shelf_move(&h->shelf, s);
        }
        s = next;
    }
    return others;
}

void heap_notify(struct span *s)
{
    struct heap *h = load_acquire(&s->heap); /* pairs with slab_adopt */
    struct span *others = NULL;

    if (!heap_push_pending(h, s)) {
        return;
    }
    lock_lock(&h->lock);
    if ((load_relaxed(&h->pending) & HEAP_ORPHAN) != 0) {
        others = heap_drain(h);
    }
    lock_unlock(&h->lock);
    heap_notify_all(others);
}

void heap_notify_all(struct span *list)
{
    while (list != NULL) {
        struct span *next = list->pending_next;

        heap_notify(list);
        list = next;
    }
}

void heap_free_tracked_remote(struct span *s)
{
    if (slab_count_remote_free(s)) {
        heap_notify(s);
    }
}

/* The only one of its class: soon wanted again, and its blocks are clear. A flush takes it. */
static bool is_to_stay(const struct heap *h, const struct span *s)
{
    return s->track->is_hard && s->cls != 0 && s->state != SLAB_FULL
           && h->shelf.avail[s->cls] == s && s->next == s;
}

void heap_free_tracked_slow(struct heap *h, struct span *s, unsigned used)
{
    if (used != 0 && !track_is_avail(s, used)) {
        return;
    }
    if (used == 0 && is_to_stay(h, s)) {
        track_on_end(s); /* looks for what was written after free, as if it went */
        return;
    }
    shelf_move(&h->shelf, s);
    probe_tick(os_coarse_ms());
}
