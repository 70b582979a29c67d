#include "history_rows.h"

#include "must.h"

#include <stdlib.h>

enum { NUMBER_BYTES = 10 };

static size_t put_number(unsigned char *to, uint64_t value)
{
    size_t n = 0;

    while (value >= 0x80) {
        to[n++] = (unsigned char)(value | 0x80);
        value >>= 7;
    }
    to[n++] = (unsigned char)value;
    return n;
}

/* False at the end, or where it is none. */
static bool take_number(
    const unsigned char **at, const unsigned char *end, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        unsigned char byte = *(*at)++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static int compare_ids(const void *a, const void *b)
{
    const struct history_row *x = a;
    const struct history_row *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static size_t number_bytes(uint64_t value)
{
    unsigned char scratch[NUMBER_BYTES];

    return put_number(scratch, value);
}

/* At most, whatever the ids between them are. */
static size_t row_bytes(const struct history_row *r, unsigned values)
{
    size_t bytes = number_bytes((uint64_t)r->id);

    for (unsigned i = 0; i < values; i++) {
        bytes += number_bytes(r->value[i]);
    }
    return bytes;
}

static size_t put_rows(const struct history_row *rows, size_t count, unsigned values,
    uint64_t left_out, unsigned char *ret)
{
    size_t at = put_number(ret, left_out);
    int64_t before = 0;

    for (size_t i = 0; i < count; i++) {
        at += put_number(ret + at, (uint64_t)(rows[i].id - before));
        before = rows[i].id;
        for (unsigned k = 0; k < values; k++) {
            at += put_number(ret + at, rows[i].value[k]);
        }
    }
    return at;
}

size_t history_pack(struct history_row *rows, size_t count, unsigned values,
    uint64_t left_out, unsigned char *ret, size_t room)
{
    size_t bytes = NUMBER_BYTES;
    size_t used = 0;

    while (used < count && bytes + row_bytes(&rows[used], values) <= room) {
        bytes += row_bytes(&rows[used++], values);
    }
    qsort(rows, used, sizeof(*rows), compare_ids);
    return room < NUMBER_BYTES
               ? 0
               : put_rows(rows, used, values, left_out + count - used, ret);
}

struct history_row *history_unpack(const void *blob, size_t bytes, unsigned values,
    size_t *ret_count, uint64_t *ret_left_out)
{
    const unsigned char *at = blob;
    const unsigned char *end = at + bytes;
    struct history_row *rows = NULL;
    size_t room = 0;
    int64_t id = 0;
    uint64_t step;

    *ret_count = 0;
    *ret_left_out = 0;
    if (blob == NULL || !take_number(&at, end, ret_left_out)) {
        return NULL;
    }
    while (take_number(&at, end, &step) && step > 0
           && step <= (uint64_t)(INT64_MAX - id)) {
        struct history_row r = {.id = id + (int64_t)step};
        bool is_whole = true;

        for (unsigned k = 0; is_whole && k < values; k++) {
            is_whole = take_number(&at, end, &r.value[k]);
        }
        if (!is_whole) {
            break;
        }
        id = r.id;
        rows = must_grow(rows, *ret_count, &room, sizeof(*rows));
        rows[(*ret_count)++] = r;
    }
    return rows;
}

const struct history_row *history_find_row(
    const struct history_row *rows, size_t count, int64_t id)
{
    struct history_row key = {.id = id};

    return count > 0 ? bsearch(&key, rows, count, sizeof(*rows), compare_ids) : NULL;
}
