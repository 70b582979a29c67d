#include "shelf.h"

#include "hole.h"
#include "probe.h"

enum { DIG_NOT = 4 };

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
    switch (s->state < SLAB_LOOKED_AT ? s->state : SLAB_IDLE) {
    case SLAB_AVAIL:
    case SLAB_IDLE:
        ring_remove(&f->avail[s->cls], s);
        break;
    case SLAB_HOLED:
        ring_remove(&f->holed[s->cls], s);
        hole_fill(s);
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

void shelf_pass_holed(struct shelf *from, struct shelf *to, struct span *s)
{
    ring_remove(&from->holed[s->cls], s);
    ring_append(&to->holed[s->cls], s);
}

/* How many of its blocks are in use, in half octaves. */
static unsigned level_of(const struct span *s)
{
    unsigned twice = 2 * slab_used(s) + 1;
    unsigned log = bits_log2(twice);

    return 2 * log + (twice >> (log - (log > 0)) & 1);
}

/* Worth to look at: it lay idle, and if it was looked at, it lost some blocks since. */
static bool is_diggable(const struct span *s)
{
    if (slab_is_tracked(s)) {
        return false; /* what is free there has no list */
    }
    return s->state == SLAB_IDLE
           || (s->state >= SLAB_LOOKED_AT
               && level_of(s) < s->state - (unsigned)SLAB_LOOKED_AT);
}

static void dig(struct shelf *f, struct span *s)
{
    struct span **ring = &f->avail[s->cls];

    if (hole_dig(s)) {
        ring_remove(ring, s);
        s->state = SLAB_HOLED;
        ring_append(&f->holed[s->cls], s);
    } else {
        s->state = (uint8_t)(SLAB_LOOKED_AT + level_of(s));
    }
}

/* The oldest few are left alone, as they are taken from next. False: `most` is used up. */
static bool dig_class(struct shelf *f, unsigned cls, unsigned *most, bool is_flush)
{
    struct span *first = f->avail[cls];
    struct span *s = first;
    unsigned seen = 0;

    while (s != NULL) {
        struct span *next = s->next == first ? NULL : s->next;

        if (++seen <= DIG_NOT) {
            s = next;
            continue;
        }
        if (is_diggable(s)) {
            if (*most == 0) {
                return false;
            }
            --*most;
            dig(f, s);
        } else if (is_flush && s->state == SLAB_AVAIL) {
            s->state = SLAB_IDLE;
        }
        s = next;
    }
    return true;
}

/* Slabs with holes may have lost more blocks. */
static void dig_again(struct shelf *f, unsigned cls, unsigned *most)
{
    struct span *first = f->holed[cls];
    struct span *s = first;

    while (s != NULL && *most > 0) {
        *most -= hole_dig_more(s);
        s = s->next == first ? NULL : s->next;
    }
}

bool shelf_dig(struct shelf *f, unsigned most, bool is_flush)
{
    bool done = true;

    for (unsigned cls = 0; cls < CLASS_SLAB_COUNT; cls++) {
        if (f->avail[cls] != NULL) {
            done &= dig_class(f, cls, &most, is_flush);
        }
        dig_again(f, cls, &most);
    }
    return done && most > 0;
}

bool shelf_try_release(struct span *s)
{
    unsigned spans = sizeclass_table[s->cls].spans;
    size_t carved_bytes = (size_t)s->carved * sizeclass_bytes(s->cls);
    /* Both from its start on, mostly; as the sweep counts it (counters.c). */
    size_t touched = bits_max(slab_touched_before(s), span_parts_of(carved_bytes));

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
        if (s->state == SLAB_HOLED && !slab_is_queued(s)) { /* no page comes back */
            ring_remove(&f->holed[s->cls], s);
            hole_forget(s);
            s->state = SLAB_CURRENT;
            shelf_try_release(s);
            return;
        }
        shelf_remove(f, s);
        if (!shelf_try_release(s)) {
            shelf_put(f, s); /* whoever drains it from pending releases it */
        }
    } else if (s->state == SLAB_FULL) {
        shelf_remove(f, s);
        shelf_put(f, s);
    }
}

void shelf_release_kept(struct shelf *f, unsigned cls)
{
    struct span *s = f->avail[cls];
    unsigned most = 0;

    if (s == NULL || !track_all) {
        return;
    }
    do {
        most++;
        s = s->next;
    } while (s != f->avail[cls]);
    for (; most > 0; most--) {
        struct span *next = s->next;

        if (slab_is_tracked(s) && slab_used(s) == 0) {
            shelf_move(f, s);
        }
        s = next;
    }
}
