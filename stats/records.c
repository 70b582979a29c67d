#include "records.h"

#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    BYTES_MAX = 104 << 20, /* of all records */
    LOOK_BYTES = 64 << 10,
    FIRST_RECORDS = 16, /* of those that are mostly not in use */
    MORE_RECORDS = 8,
    WAITS_MAX = 8, /* as many records that never settle are waited for, 3 ms each */
};

/* What of a record is in the file: all, or the first part of one that grew since. */
static size_t held_bytes(const struct mp_region_section *c, size_t record_bytes)
{
    return c->stride < record_bytes ? (size_t)c->stride : record_bytes;
}

/* From `stride` apart to side by side; what a shorter one does not have is 0. */
static void pack(char *all, size_t count, size_t stride, size_t record_bytes)
{
    if (stride > record_bytes) {
        for (size_t i = 1; i < count; i++) {
            memmove(all + i * record_bytes, all + i * stride, record_bytes);
        }
    } else if (stride < record_bytes) {
        for (size_t i = count; i-- > 0;) {
            memmove(all + i * record_bytes, all + i * stride, stride);
            memset(all + i * record_bytes + stride, 0, record_bytes - stride);
        }
    }
}

void *records_copy(struct mp_image *image, const struct source *s,
    const struct mp_region_section *c, size_t count, size_t record_bytes, int *code,
    struct mp_error *error)
{
    size_t bytes = (size_t)c->stride * count; /* layout.c: cannot overflow */
    size_t packed = record_bytes * count;
    char *all;

    *code = 0;
    if (count == 0) {
        return NULL;
    }
    if (bytes > BYTES_MAX - image->copied_bytes) {
        *code = text_fail(error, -EBADMSG,
            "%s: damaged: %zu bytes of records, with %zu of others", s->name, bytes,
            image->copied_bytes);
        return NULL;
    }
    image->copied_bytes += bytes;
    all = malloc(bytes > packed ? bytes : packed);
    if (all == NULL) {
        *code = text_fail(error, -ENOMEM, "%s: out of memory", s->name);
        return NULL;
    }
    *code = source_read(s, all, bytes, c->offset, error);
    if (*code != 0) {
        free(all);
        return NULL;
    }
    pack(all, count, (size_t)c->stride, record_bytes);
    return all;
}

void *records_copy_used(struct mp_image *image, const struct source *s,
    const struct mp_region_section *c, size_t *count, size_t record_bytes,
    size_t used_at, int *code, struct mp_error *error)
{
    size_t most = *count;

    for (*count = FIRST_RECORDS;; *count *= MORE_RECORDS) {
        size_t before = image->copied_bytes;
        uint64_t used = 0;
        char *all;

        *count = *count < most ? *count : most;
        all = records_copy(image, s, c, *count, record_bytes, code, error);
        if (all == NULL || *count == most) {
            return all;
        }
        memcpy(&used, all + (*count - 1) * record_bytes + used_at, sizeof(used));
        if (used == 0) {
            return all;
        }
        free(all);
        image->copied_bytes = before;
    }
}

void *records_shrink(void *records, size_t count, size_t record_bytes)
{
    void *less;

    if (count == 0) {
        free(records);
        return NULL;
    }
    less = realloc(records, count * record_bytes);
    return less != NULL ? less : records;
}

int records_check_count(const struct source *s, const struct mp_region_section *c,
    const char *what, uint64_t count, struct mp_error *error)
{
    if (count > c->count) {
        return text_fail(error, -EBADMSG,
            "%s: damaged: %llu %s where there is room for %llu", s->name,
            (unsigned long long)count, what, (unsigned long long)c->count);
    }
    return 0;
}

static uint64_t sequence_of(const char *record)
{
    uint64_t seq;

    memcpy(&seq, record, sizeof(seq));
    return seq;
}

/* Records that are being looked at again. */
struct look {
    struct mp_image *image;
    const struct source *source;
    const struct mp_region_section *section;
    char *records;
    size_t record_bytes;
    char *again; /* LOOK_BYTES */
    bool has_torn;
};

static int settle_one(struct look *l, size_t number, struct mp_error *error)
{
    char *record = l->records + number * l->record_bytes;
    uint64_t seq;
    int code = 1;

    if (l->image->waits < WAITS_MAX) {
        code = source_read_stable(l->source, record,
            held_bytes(l->section, l->record_bytes),
            l->section->offset + number * l->section->stride, error);
    }
    if (code == 1) {
        seq = sequence_of(record) | 1;
        memcpy(record, &seq, sizeof(seq));
        l->image->waits++;
        l->has_torn = true;
        code = 0;
    }
    return code;
}

/* As many as there is room for. */
static int settle_part(
    struct look *l, size_t first, size_t count, struct mp_error *error)
{
    size_t stride = (size_t)l->section->stride;
    size_t held = held_bytes(l->section, l->record_bytes);
    int code = source_read(l->source, l->again, (count - 1) * stride + held,
        l->section->offset + first * stride, error);

    for (size_t i = 0; code == 0 && i < count; i++) {
        const char *record = l->records + (first + i) * l->record_bytes;

        if ((sequence_of(record) & 1) != 0
            || memcmp(record, l->again + i * stride, held) != 0) {
            code = settle_one(l, first + i, error);
        }
    }
    return code;
}

int records_settle(struct mp_image *image, const struct source *s,
    const struct mp_region_section *c, void *records, size_t count, size_t record_bytes,
    bool *ret_torn, struct mp_error *error)
{
    size_t most = c->stride < LOOK_BYTES ? LOOK_BYTES / (size_t)c->stride : 1;
    struct look l = {image, s, c, records, record_bytes, malloc(LOOK_BYTES), false};
    int code = 0;

    if (l.again == NULL) {
        return text_fail(error, -ENOMEM, "%s: out of memory", s->name);
    }
    for (size_t at = 0; code == 0 && at < count; at += most) {
        code = settle_part(&l, at, count - at < most ? count - at : most, error);
    }
    free(l.again);
    *ret_torn |= l.has_torn;
    return code;
}

bool records_end_string(char *text, size_t size)
{
    bool ends = memchr(text, '\0', size) != NULL;

    text[size - 1] = '\0';
    return !ends;
}
