#include "layout.h"

#include "text.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

enum {
    PAGE = 4096,
    STRIDE_MAX = 64 * 1024,
    RECORDS_MAX = 1 << 24,
    FIRST_MOMENT = offsetof(struct mp_region_moment, cached_bytes),
    UNFINISHED_ATTEMPTS = 5, /* a region is made in well under a millisecond */
    UNFINISHED_SLEEP_NS = 2 * 1000 * 1000,
};

static const struct shape {
    const char *name;
    size_t record_bytes;
    bool is_required;
    size_t first_bytes; /* before the record grew; 0: it did not */
} shapes[LAYOUT_SECTIONS] = {
    [MP_SECTION_PROCESS] = {"process", sizeof(struct mp_region_process), true, 0},
    [MP_SECTION_TOTALS] = {"totals", sizeof(struct mp_region_totals), true, 0},
    [MP_SECTION_CLASSES] = {"classes", sizeof(struct mp_region_class), false, 0},
    [MP_SECTION_COMPONENTS] = {"components", sizeof(struct mp_region_component), false,
        0},
    [MP_SECTION_COUNTERS] = {"counters", sizeof(struct mp_region_cell), false, 0},
    [MP_SECTION_TIMELINE_1S] = {"timeline 1s", sizeof(struct mp_region_moment), false,
        FIRST_MOMENT},
    [MP_SECTION_TIMELINE_1M] = {"timeline 1m", sizeof(struct mp_region_moment), false,
        FIRST_MOMENT},
    [MP_SECTION_TIMELINE_10M] = {"timeline 10m", sizeof(struct mp_region_moment), false,
        FIRST_MOMENT},
    [MP_SECTION_MODULES] = {"modules", sizeof(struct mp_region_module), false, 0},
    [MP_SECTION_MAILBOX] = {"mailbox", sizeof(struct mp_region_mailbox), false, 0},
    [MP_SECTION_OPTIONS] = {"options", sizeof(struct mp_region_option), false, 0},
    [MP_SECTION_SAMPLING] = {"sampling", sizeof(struct mp_region_sampling), false, 0},
    [MP_SECTION_FRAMES] = {"frames", sizeof(struct mp_region_frame), false, 0},
    [MP_SECTION_SITES] = {"sites", sizeof(struct mp_region_site), false, 0},
    [MP_SECTION_SAMPLES] = {"samples", sizeof(struct mp_region_sample), false, 0},
    [MP_SECTION_NAMES] = {"names", sizeof(struct mp_region_name), false, 0},
    [MP_SECTION_EPOCHS] = {"epochs", sizeof(struct mp_region_epochs), false, 0},
    [MP_SECTION_SITE_EPOCHS] = {"site epochs", sizeof(struct mp_region_site_epochs),
        false, 0},
    [MP_SECTION_MARKS] = {"marks", sizeof(struct mp_region_mark), false, 0},
    [MP_SECTION_LEAKS] = {"leaks", sizeof(struct mp_region_leaks), false, 0},
    [MP_SECTION_LEAK_CELLS] = {"leak cells", sizeof(struct mp_region_leak_cell), false,
        0},
    [MP_SECTION_LEAK_SITES] = {"leak sites", sizeof(struct mp_region_leak_site), false,
        0},
    [MP_SECTION_POOLS] = {"pools", sizeof(struct mp_region_pool), false, 0},
    [MP_SECTION_USER] = {"user counters", sizeof(struct mp_region_user_counter), false,
        0},
    [MP_SECTION_LIMITS] = {"limits", sizeof(struct mp_region_limit), false, 0},
};

/* The header, once its magic is there: a process that starts writes that last. */
static int read_header(
    const struct source *s, struct mp_region_header *h, struct mp_error *error)
{
    struct timespec pause = {0, UNFINISHED_SLEEP_NS};
    const size_t fixed = offsetof(struct mp_region_header, sections);
    int code;

    if (s->bytes < fixed) {
        return text_fail(error, -EBADMSG, "%s: truncated: %llu bytes are no region",
            s->name, (unsigned long long)s->bytes);
    }
    memset(h, 0, sizeof(*h));
    for (unsigned i = 0; i < UNFINISHED_ATTEMPTS; i++) {
        code = source_read(s, h, fixed, 0, error);
        if (code != 0 || h->magic != 0) {
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (code != 0) {
        return code;
    }
    if (h->magic == 0) {
        return text_fail(error, -EBADMSG,
            "%s: unfinished: the process has not made it, or died doing so", s->name);
    }
    if (h->magic != MP_REGION_MAGIC) {
        return text_fail(
            error, -EBADMSG, "%s: is no region, dump or core file", s->name);
    }
    if (h->version != MP_REGION_VERSION) {
        return text_fail(error, -EBADMSG,
            "%s: has format version %u, this mpalloc reads version %u", s->name,
            h->version, MP_REGION_VERSION);
    }
    return 0;
}

static int check_header(
    const struct source *s, const struct mp_region_header *h, struct mp_error *error)
{
    const size_t fixed = offsetof(struct mp_region_header, sections);

    if (h->section_count > MP_REGION_SECTIONS_MAX) {
        return text_fail(error, -EBADMSG, "%s: damaged: %u sections, at most %u fit",
            s->name, h->section_count, MP_REGION_SECTIONS_MAX);
    }
    if (h->header_bytes < fixed + h->section_count * sizeof(h->sections[0])
        || h->header_bytes > s->bytes) {
        return text_fail(error, -EBADMSG, "%s: damaged: a header of %u bytes", s->name,
            h->header_bytes);
    }
    if (h->region_bytes > s->bytes) {
        return text_fail(error, -EBADMSG,
            "%s: truncated: it should have %llu bytes and has %llu", s->name,
            (unsigned long long)h->region_bytes, (unsigned long long)s->bytes);
    }
    return 0;
}

static int fail_section(const struct source *s, const struct mp_region_section *c,
    const char *what, uint64_t value, struct mp_error *error)
{
    return text_fail(error, -EBADMSG, "%s: damaged: section \"%s\" %s %llu", s->name,
        shapes[c->id].name, what, (unsigned long long)value);
}

static int check_section(const struct source *s, const struct mp_region_header *h,
    const struct mp_region_section *c, struct mp_error *error)
{
    if (c->version != 1) {
        return fail_section(s, c, "has the unknown version", c->version, error);
    }
    if (c->offset % PAGE != 0 || c->offset < h->header_bytes) {
        return fail_section(s, c, "starts at the impossible offset", c->offset, error);
    }
    if ((c->stride < shapes[c->id].record_bytes
            && (c->stride == 0 || c->stride != shapes[c->id].first_bytes))
        || c->stride > STRIDE_MAX || c->stride % 8 != 0) {
        return fail_section(s, c, "has the impossible stride", c->stride, error);
    }
    if (c->count > RECORDS_MAX) { /* so that stride * count fits */
        return fail_section(s, c, "has the impossible count", c->count, error);
    }
    if (c->offset > h->region_bytes
        || c->stride * c->count > h->region_bytes - c->offset) {
        return fail_section(
            s, c, "ends behind the region, it starts at", c->offset, error);
    }
    if (c->count == 0 && shapes[c->id].is_required) {
        return fail_section(s, c, "is empty; its count is", c->count, error);
    }
    return 0;
}

static bool overlap(
    const struct mp_region_section *a, const struct mp_region_section *b)
{
    return a->count > 0 && b->count > 0 && a->offset < b->offset + b->stride * b->count
           && b->offset < a->offset + a->stride * a->count;
}

static int place_section(const struct source *s, struct layout *l,
    const struct mp_region_section *c, struct mp_error *error)
{
    if (l->section[c->id].id != 0) {
        return fail_section(s, c, "is there twice, at offset", c->offset, error);
    }
    for (unsigned i = 0; i < LAYOUT_SECTIONS; i++) {
        if (overlap(&l->section[i], c)) {
            return fail_section(s, c, "overlaps another, at offset", c->offset, error);
        }
    }
    l->section[c->id] = *c;
    return 0;
}

int layout_read(const struct source *s, struct layout *ret, struct mp_error *error)
{
    struct mp_region_header h;
    int code = read_header(s, &h, error);

    memset(ret, 0, sizeof(*ret));
    if (code == 0) {
        code = check_header(s, &h, error);
    }
    if (code == 0) {
        code = source_read(s, h.sections, h.section_count * sizeof(h.sections[0]),
            offsetof(struct mp_region_header, sections), error);
    }
    for (unsigned i = 0; code == 0 && i < h.section_count; i++) {
        const struct mp_region_section *c = &h.sections[i];

        if (c->id == 0 || c->id >= LAYOUT_SECTIONS || shapes[c->id].name == NULL) {
            continue; /* of a later library: not ours to read */
        }
        code = check_section(s, &h, c, error);
        if (code == 0) {
            code = place_section(s, ret, c, error);
        }
    }
    for (unsigned i = 0; code == 0 && i < LAYOUT_SECTIONS; i++) {
        if (shapes[i].is_required && ret->section[i].id == 0) {
            code = text_fail(error, -EBADMSG, "%s: damaged: section \"%s\" is missing",
                s->name, shapes[i].name);
        }
    }
    return code;
}
