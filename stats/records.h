/*
 * records - the records of a section, copied, packed, and read again when torn
 *
 * Owns: how much one image may copy, and how long it may wait for a writer.
 * Does not own: what is in the records (image.c, samples.c).
 */
#ifndef RECORDS_H
#define RECORDS_H

#include "image.h"

/*
 * The first `count` records of `record_bytes`, packed, of a section whose stride may be
 * longer, or shorter (records that grew: the rest is 0); NULL and *code 0 when count is 0. A sparse file can claim any size: all copies
 * of an image together are bounded.
 */
void *records_copy(struct mp_image *image, const struct source *s,
    const struct mp_region_section *c, size_t count, size_t record_bytes, int *code,
    struct mp_error *error);

/*
 * The same of a section that is in use up to the first record whose word of 8 bytes at `used_at` is
 * 0: a section that is mostly empty is not read whole. *count: at most so many; set to how many
 * were copied, of which the last may be the first that is not in use.
 */
void *records_copy_used(struct mp_image *image, const struct source *s,
    const struct mp_region_section *c, size_t *count, size_t record_bytes,
    size_t used_at, int *code, struct mp_error *error);

/* The same array with the first `count` of them only; NULL for none. */
void *records_shrink(void *records, size_t count, size_t record_bytes);

/* -EBADMSG when more are in use than there is room for. */
int records_check_count(const struct source *s, const struct mp_region_section *c,
    const char *what, uint64_t count, struct mp_error *error);

/*
 * A second look at copied records that begin with a sequence number: what was being written
 * is read again by itself. Those that did not stand still in the end have an odd number and
 * what was read last; then *ret_torn is set. Only the first few of an image are waited for:
 * more at one time are damage.
 */
int records_settle(struct mp_image *image, const struct source *s,
    const struct mp_region_section *c, void *records, size_t count, size_t record_bytes,
    bool *ret_torn, struct mp_error *error);

/* Make sure that a string ends; true when it had to be cut. */
bool records_end_string(char *text, size_t size);

#define END_STRING(image, text)                                                        \
    do {                                                                               \
        if (records_end_string((text), sizeof(text))) {                                \
            (image)->flags |= MP_IMAGE_CUT_STRINGS;                                    \
        }                                                                              \
    } while (false)

#endif
