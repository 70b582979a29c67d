/*
 * intervals - numbers by range of addresses; ranges may nest and overlap
 *
 * Used as: add all, sort, find many times.
 */
#ifndef INTERVALS_H
#define INTERVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interval {
    uint64_t low;
    uint64_t high;  /* not in it */
    uint64_t reach; /* the highest `high` up to this one, once sorted */
    uint32_t value;
};

struct intervals {
    struct interval *items;
    size_t count;
    size_t room;
};

/* What is empty is left out. */
void intervals_add(struct intervals *i, uint64_t low, uint64_t high, uint32_t value);

/* By low, then those that reach further first, then by value. */
void intervals_sort(struct intervals *i);

/* The last one that begins at or before the address and holds it: the innermost. */
bool intervals_find(const struct intervals *i, uint64_t address, uint32_t *ret_value);

void intervals_fini(struct intervals *i);

#endif
