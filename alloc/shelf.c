#include "shelf.h"

#include "probe.h"

static void ring_append(struct span **ring, struct span *s)
{
    struct span *first = *ring;

    if (first == NULL) {
        s->next = s->prev = s;
        *ring = s;
        return;
    }
    s->next = first;
    s->prev = first->prev;
    first->prev->next = s;
    first->prev = s;
}

static void ring_remove(struct span **ring, struct span *s)
{
    if (s->next == s) {
        *ring = NULL;
    } else {
        s->next->prev = s->prev;
        s->prev->next = s->next;
        if (*ring == s) {
            *ring = s->next;
        }
    }
    s->next = s->prev = NULL;
}

void shelf_remove(struct shelf *f, struct span *s)
{
    switch (s->state) {
    case SLAB_AVAIL:
        ring_remove(&f->avail[s->cls], s);
        break;
    case SLAB_FULL:
        ring_remove(&f->full, s);
        break;
    default:
        if (f->current[s->cls] == s) {
            f->current[s->cls] = NULL;
        }
        break;
    }
    s->state = SLAB_CURRENT;
}

void shelf_put(struct shelf *f, struct span *s)
{
    unsigned batch = sizeclass_table[s->cls].batch;
    unsigned free_blocks = slab_free_count(s);

    if (UNLIKELY(slab_is_tracked(s))) {
        bool is_avail =
            (!track_all || s->track->is_hard) && track_is_avail(s, slab_used(s));

        s->state = is_avail ? SLAB_AVAIL : SLAB_FULL;
        ring_append(is_avail ? &f->avail[s->cls] : &f->full, s);
        return;
    }
    if (UNLIKELY(track_all)) { /* of the time before: not used again */
        s->state = SLAB_FULL;
        slab_set_used(s, slab_used(s), 0);
        ring_append(&f->full, s);
        return;
    }
    if (free_blocks >= batch || !slab_is_carved(s) || slab_used(s) == 0) {
        s->state = SLAB_AVAIL;
        slab_set_used(s, slab_used(s), 0);
        ring_append(&f->avail[s->cls], s);
    } else {
        s->state = SLAB_FULL;
        slab_set_used(s, slab_used(s), batch - free_blocks);
        ring_append(&f->full, s);
    }
}

bool shelf_try_release(struct span *s)
{
    unsigned spans = sizeclass_table[s->cls].spans;
    size_t carved_bytes = (size_t)s->carved * sizeclass_bytes(s->cls);
    size_t touched = s->touched_before
                     + ((carved_bytes + (1 << SPAN_PART_SHIFT) - 1) >> SPAN_PART_SHIFT);

    if (slab_is_queued(s) || (slab_is_tracked(s) && !track_end(s))) {
        return false;
    }
    add_relaxed(&probe_passes.slab_releases, 1);
    store_relaxed(&s->owner, 0);
    for (unsigned i = 0; i < spans; i++) {
        store_relaxed(&s[i].kind, SPAN_NONE);
    }
    span_release(s, spans, touched);
    return true;
}

void shelf_move(struct shelf *f, struct span *s)
{
    if (s->state == SLAB_CURRENT) {
        return; /* refill looks at it first */
    }
    if (slab_used(s) == 0) {
        shelf_remove(f, s);
        if (!shelf_try_release(s)) {
            shelf_put(f, s); /* whoever drains it from pending releases it */
        }
    } else if (s->state == SLAB_FULL) {
        shelf_remove(f, s);
        shelf_put(f, s);
    }
}
