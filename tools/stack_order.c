#include "stack_order.h"

#include <stdlib.h>
#include <string.h>

struct context {
    const struct profile *profile;
    bool from_leaf;
};

static int compare(const void *left, const void *right, void *argument)
{
    const struct context *c = argument;
    size_t a = *(const size_t *)left;
    size_t b = *(const size_t *)right;
    const struct profile_sample *x = &c->profile->samples[a];
    const struct profile_sample *y = &c->profile->samples[b];

    for (size_t i = 0; i < x->depth && i < y->depth; i++) {
        uint32_t f = stack_order_frame(x, i, c->from_leaf);
        uint32_t g = stack_order_frame(y, i, c->from_leaf);

        if (f != g) {
            return f < g ? -1 : 1;
        }
    }
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    return a < b ? -1 : 1;
}

bool stack_order_is_same(const struct profile_sample *a, const struct profile_sample *b)
{
    return a->depth == b->depth
           && (a->depth == 0
               || memcmp(a->frames, b->frames, a->depth * sizeof(*a->frames)) == 0);
}

size_t *stack_order_create(const struct profile *p, bool from_leaf)
{
    struct context c = {p, from_leaf};
    size_t *order = calloc(p->sample_count + 1, sizeof(*order));

    if (order != NULL) {
        for (size_t i = 0; i < p->sample_count; i++) {
            order[i] = i;
        }
        qsort_r(order, p->sample_count, sizeof(*order), compare, &c);
    }
    return order;
}
