#include "places.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 16 /* of addresses for each place that is no code */ };

/* Places by their frames: open addressing, number + 1, 0 where nothing is. */
struct table {
    uint32_t *slot;
    size_t room; /* a power of two, more than twice the places */
};

static size_t hash(const uint32_t *frames, uint32_t count)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (uint32_t i = 0; i < count; i++) {
        h = (h ^ frames[i]) * 1099511628211u;
    }
    return (size_t)(h ^ h >> 32);
}

/* How many frames, from the first one on, are one place. */
static uint32_t count_inlined(
    const struct profile *p, const uint32_t *frames, size_t count)
{
    const struct profile_frame *first = &p->frames[frames[0]];
    uint32_t n = 1;

    while (n < count && first->module != UINT32_MAX && p->frames[frames[n]].is_inlined
           && p->frames[frames[n]].module == first->module
           && p->frames[frames[n]].offset == first->offset) {
        n++;
    }
    return n;
}

static void add_place(
    struct places *w, const struct profile *p, const uint32_t *frames, uint32_t count)
{
    const struct profile_frame *f = &p->frames[frames[0]];
    struct place *place = &w->place[w->count];

    *place = (struct place){
        frames, count, f->module, address_space_find(&w->space, f->module, f->offset)};
    if (place->address == 0) {
        place->module = UINT32_MAX;
        place->address = ADDRESS_SPACE_NAMES + (w->count + 1) * NAME_BYTES;
    }
    w->count++;
}

static uint32_t find_place(struct places *w, struct table *t, const struct profile *p,
    const uint32_t *frames, uint32_t count)
{
    size_t at = hash(frames, count) & (t->room - 1);

    for (; t->slot[at] != 0; at = (at + 1) & (t->room - 1)) {
        const struct place *there = &w->place[t->slot[at] - 1];

        if (there->count == count
            && memcmp(there->frames, frames, count * sizeof(*frames)) == 0) {
            return t->slot[at] - 1;
        }
    }
    add_place(w, p, frames, count);
    t->slot[at] = (uint32_t)w->count;
    return t->slot[at] - 1;
}

/* At most so many places there are: each with an outermost frame on some stack. */
static size_t most_places(const struct profile *p)
{
    size_t most = 1;

    for (size_t i = 0; i < p->sample_count; i++) {
        most += p->samples[i].depth;
    }
    return most;
}

static bool add_stack(
    struct places *w, struct table *t, const struct profile *p, size_t number)
{
    const struct profile_sample *s = &p->samples[number];

    w->stack[number] = calloc(s->depth + 1, sizeof(*w->stack[number]));
    if (w->stack[number] == NULL) {
        return false;
    }
    for (size_t i = 0; i < s->depth;) {
        uint32_t n = count_inlined(p, s->frames + i, s->depth - i);

        w->stack[number][w->depth[number]++] = find_place(w, t, p, s->frames + i, n);
        i += n;
    }
    return true;
}

int places_init(struct places *w, const struct profile *p)
{
    size_t most = most_places(p);
    struct table t = {NULL, 64};
    bool is_done;

    *w = (struct places){0};
    while (t.room < 2 * most) {
        t.room *= 2;
    }
    if (address_space_init(&w->space, p->image) != 0) {
        return -ENOMEM;
    }
    t.slot = calloc(t.room, sizeof(*t.slot));
    w->place = calloc(most, sizeof(*w->place));
    w->stack = calloc(p->sample_count + 1, sizeof(*w->stack));
    w->depth = calloc(p->sample_count + 1, sizeof(*w->depth));
    is_done =
        t.slot != NULL && w->place != NULL && w->stack != NULL && w->depth != NULL;
    for (size_t i = 0; i < p->sample_count && is_done; i++) {
        is_done = add_stack(w, &t, p, i);
    }
    free(t.slot);
    if (!is_done) {
        places_fini(w, p);
        return -ENOMEM;
    }
    return 0;
}

void places_fini(struct places *w, const struct profile *p)
{
    for (size_t i = 0; i < p->sample_count && w->stack != NULL; i++) {
        free(w->stack[i]);
    }
    free(w->stack);
    free(w->depth);
    free(w->place);
    address_space_fini(&w->space);
}
