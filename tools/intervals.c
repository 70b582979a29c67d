#include "intervals.h"

#include "must.h"

/* A file made so that each range holds all before it must not cost a walk over all. */
enum { STEPS_MAX = 256 };

void intervals_add(struct intervals *i, uint64_t low, uint64_t high, uint32_t value)
{
    if (low < high) {
        i->items = must_grow(i->items, i->count, &i->room, sizeof(*i->items));
        i->items[i->count++] = (struct interval){low, high, 0, value};
    }
}

static int compare(const void *a, const void *b)
{
    const struct interval *x = a;
    const struct interval *y = b;

    if (x->low != y->low) {
        return x->low < y->low ? -1 : 1;
    }
    if (x->high != y->high) {
        return x->high > y->high ? -1 : 1;
    }
    return (x->value > y->value) - (x->value < y->value);
}

void intervals_sort(struct intervals *i)
{
    uint64_t reach = 0;

    if (i->count > 0) {
        qsort(i->items, i->count, sizeof(*i->items), compare);
    }
    for (size_t n = 0; n < i->count; n++) {
        reach = i->items[n].high > reach ? i->items[n].high : reach;
        i->items[n].reach = reach;
    }
}

/* How many begin at or before the address. */
static size_t count_before(const struct intervals *i, uint64_t address)
{
    size_t low = 0;
    size_t high = i->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (i->items[middle].low <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool intervals_find(const struct intervals *i, uint64_t address, uint32_t *ret_value)
{
    size_t n = count_before(i, address);

    for (unsigned steps = 0; n > 0 && steps < STEPS_MAX; steps++) {
        const struct interval *item = &i->items[--n];

        if (item->reach <= address) {
            break;
        }
        if (address < item->high) {
            *ret_value = item->value;
            return true;
        }
    }
    return false;
}

void intervals_fini(struct intervals *i)
{
    free(i->items);
    *i = (struct intervals){0};
}
