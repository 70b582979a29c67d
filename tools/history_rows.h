/*
 * history_rows - what many components or call stacks held at one point, as a few bytes of a blob
 *
 * Owns: the form. Does not own: the tables (history_points.h).
 *
 * A blob is a sequence of numbers, seven bits in a byte, the lowest first, 0x80 on all but the last:
 * how many rows there were and are not in it; then for each row, in the order of ids, the
 * difference to the id before, and so many values as the kind of row has. Damaged ones end early.
 */
#ifndef HISTORY_ROWS_H
#define HISTORY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Values of a component: live bytes, live blocks, bytes allocated so far; of a call stack: live
 * bytes, bytes allocated so far, how far the live ones may be below and above with 95 %.
 */
enum { ROW_VALUES_MAX = 4, COMPONENT_VALUES = 3, SITE_VALUES = 4 };

struct history_row {
    int64_t id; /* above 0 */
    uint64_t value[ROW_VALUES_MAX];
};

/*
 * count rows, the most important first, are packed as far as there is room; they are put in order
 * of id. left_out: how many there were besides. Returns the length.
 */
size_t history_pack(struct history_row *rows, size_t count, unsigned values,
    uint64_t left_out, unsigned char *ret, size_t room);

/* For free(); NULL of none. *ret_left_out: rows that are not in it. */
struct history_row *history_unpack(const void *blob, size_t bytes, unsigned values,
    size_t *ret_count, uint64_t *ret_left_out);

/* NULL: it is not there. Rows are those of history_unpack. */
const struct history_row *history_find_row(
    const struct history_row *rows, size_t count, int64_t id);

#endif
