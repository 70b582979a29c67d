#include "image.h"

#include "records.h"
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIXED_ATTEMPTS = 4 };

/* ---- parts ---- */

static int read_process(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    struct mp_region_process *p = &image->process;
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_PROCESS];
    int code = source_read(s, p, sizeof(*p), c->offset, error);

    if (code != 0) {
        return code;
    }
    END_STRING(image, p->version);
    END_STRING(image, p->service);
    END_STRING(image, p->exe);
    END_STRING(image, p->command);
    if (p->build_id_bytes > sizeof(p->build_id)) {
        p->build_id_bytes = 0;
    }
    if (p->pid == 0 || p->pid > INT32_MAX) {
        return text_fail(error, -EBADMSG, "%s: damaged: process number %llu", s->name,
            (unsigned long long)p->pid);
    }
    return 0;
}

static int read_totals(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_TOTALS];
    int code =
        source_read_stable(s, &image->totals, sizeof(image->totals), c->offset, error);

    if (code == 1) {
        image->flags |= MP_IMAGE_TORN_TOTALS;
        code = 0;
    }
    return code;
}

static int read_components(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_COMPONENTS];
    uint64_t count = image->totals.component_count;
    int code = records_check_count(s, c, "components", count, error);

    if (code != 0) {
        return code;
    }
    image->components =
        records_copy(image, s, c, count, sizeof(*image->components), &code, error);
    if (code != 0) {
        return code;
    }
    image->component_count = count;
    for (size_t i = 0; i < count; i++) {
        struct mp_region_component *row = &image->components[i];

        END_STRING(image, row->name);
        if (row->parent != 0 && row->parent >= i) {
            row->parent = 0;
            image->flags |= MP_IMAGE_BAD_PARENTS;
        }
    }
    return 0;
}

/* The rows of the components in use; fewer when the section has room for fewer. */
static int read_cells(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_COUNTERS];
    size_t rows = (size_t)c->count / MP_REGION_CLASSES;
    int code = 0;

    rows = rows < image->component_count ? rows : image->component_count;
    image->cells = records_copy(
        image, s, c, rows * MP_REGION_CLASSES, sizeof(*image->cells), &code, error);
    image->cell_rows = code == 0 ? rows : 0;
    return code;
}

static int read_classes(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_CLASSES];
    size_t count = c->count < MP_REGION_CLASSES ? c->count : MP_REGION_CLASSES;
    int code = 0;

    image->classes =
        records_copy(image, s, c, count, sizeof(*image->classes), &code, error);
    image->class_count = code == 0 ? count : 0;
    return code;
}

static int read_modules(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_MODULES];
    uint64_t count = image->totals.module_count;
    int code = records_check_count(s, c, "modules", count, error);

    if (code != 0) {
        return code;
    }
    image->modules =
        records_copy(image, s, c, count, sizeof(*image->modules), &code, error);
    if (code != 0) {
        return code;
    }
    image->module_count = count;
    for (size_t i = 0; i < count; i++) {
        struct mp_region_module *m = &image->modules[i];

        END_STRING(image, m->path);
        if (m->build_id_bytes > sizeof(m->build_id)) {
            m->build_id_bytes = 0;
        }
        if (m->segment_count > MP_REGION_MODULE_SEGMENTS) {
            m->segment_count = MP_REGION_MODULE_SEGMENTS;
        }
    }
    return 0;
}

static int read_options(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_OPTIONS];
    uint64_t count = image->totals.option_count;
    int code = records_check_count(s, c, "options", count, error);

    if (code != 0) {
        return code;
    }
    image->options =
        records_copy(image, s, c, count, sizeof(*image->options), &code, error);
    if (code != 0) {
        return code;
    }
    image->option_count = count;
    for (size_t i = 0; i < count; i++) {
        END_STRING(image, image->options[i].name);
        END_STRING(image, image->options[i].value);
    }
    return 0;
}

/* ---- the timeline ---- */

/* Points that were never written, or are torn, go; the rest moves together. */
static size_t drop_empty(struct mp_region_moment *m, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (m[i].time_ns != 0 && (m[i].seq & 1) == 0) {
            m[kept++] = m[i];
        }
    }
    return kept;
}

static void rotate(struct mp_region_moment *m, size_t count, size_t first,
    struct mp_region_moment *scratch)
{
    memcpy(scratch, m, count * sizeof(*m));
    memcpy(m, scratch + first, (count - first) * sizeof(*m));
    memcpy(m + count - first, scratch, first * sizeof(*m));
}

/*
 * The slot of the oldest point of a ring that went round. Points are written before the
 * totals that count them: when the point there has the sequence number of this round
 * already, it is the newest, and the oldest is the next.
 */
static size_t find_oldest(const struct mp_region_moment *m, size_t count, size_t next)
{
    bool is_new =
        next == 0 ? m[0].seq > m[count - 1].seq : m[next].seq >= m[next - 1].seq;

    return is_new ? (next + 1) % count : next;
}

static int read_timeline(struct mp_image *image, const struct source *s, unsigned tier,
    struct mp_error *error)
{
    const struct mp_region_section *c =
        &image->layout.section[MP_SECTION_TIMELINE_1S + tier];
    uint64_t total = image->totals.timeline_total[tier];
    size_t count = total < c->count ? (size_t)total : (size_t)c->count;
    struct mp_region_moment *scratch;
    struct mp_region_moment *m;
    bool torn = false;
    int code = 0;

    m = records_copy(image, s, c, count, sizeof(*m), &code, error);
    image->moments[tier] = m;
    if (code != 0 || count == 0) {
        return code;
    }
    code = records_settle(image, s, c, m, count, sizeof(*m), &torn, error);
    image->flags |= torn ? MP_IMAGE_TORN_MOMENTS : 0;
    scratch = malloc(count * sizeof(*m));
    if (code == 0 && scratch == NULL) {
        code = text_fail(error, -ENOMEM, "%s: out of memory", s->name);
    }
    if (code == 0) {
        rotate(m, count,
            total >= c->count ? find_oldest(m, count, (size_t)(total % c->count)) : 0,
            scratch);
        image->moment_count[tier] = drop_empty(m, count);
    }
    free(scratch);
    return code;
}

/* ---- the whole ---- */

static void forget_figures(struct mp_image *image)
{
    free(image->classes);
    free(image->components);
    free(image->cells);
    free(image->modules);
    free(image->options);
    image->classes = NULL;
    image->components = NULL;
    image->cells = NULL;
    image->modules = NULL;
    image->options = NULL;
    image->class_count = image->component_count = image->cell_rows = 0;
    image->module_count = image->option_count = 0;
    image->copied_bytes = 0;
    for (unsigned t = 0; t < MP_REGION_TIMELINE_TIERS; t++) {
        free(image->moments[t]);
        image->moments[t] = NULL;
        image->moment_count[t] = 0;
    }
}

/* Components are written before the totals: of one publication, they add up to them. */
static bool adds_up(const struct mp_image *image)
{
    uint64_t allocated = 0;
    uint64_t freed = 0;

    for (size_t i = 0; i < image->component_count; i++) {
        allocated += image->components[i].allocated_bytes_total;
        freed += image->components[i].freed_bytes_total;
    }
    return allocated == image->totals.allocated_bytes_total
           && freed == image->totals.freed_bytes_total;
}

static int read_figures(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    int code = read_totals(image, s, error);

    code = code != 0 ? code : read_components(image, s, error);
    code = code != 0 ? code : read_cells(image, s, error);
    code = code != 0 ? code : read_classes(image, s, error);
    code = code != 0 ? code : read_modules(image, s, error);
    code = code != 0 ? code : read_options(image, s, error);
    for (unsigned t = 0; code == 0 && t < MP_REGION_TIMELINE_TIERS; t++) {
        code = read_timeline(image, s, t, error);
    }
    return code;
}

static int read_all(struct mp_image *image, const struct source *s, bool with_stacks,
    struct mp_error *error)
{
    int code = layout_read(s, &image->layout, error);

    if (code == 0) {
        code = read_process(image, s, error);
    }
    for (unsigned i = 0; code == 0 && i < MIXED_ATTEMPTS; i++) {
        unsigned kept = image->flags & MP_IMAGE_CUT_STRINGS;
        uint64_t published = image->totals.published_total;
        bool was_mixed = (image->flags & MP_IMAGE_MIXED) != 0;

        forget_figures(image);
        image->flags = kept;
        code = read_figures(image, s, error);
        if (code != 0 || adds_up(image)) {
            break;
        }
        image->flags |= MP_IMAGE_MIXED;
        if (was_mixed && published == image->totals.published_total) {
            break; /* nobody is writing: another look shows the same */
        }
    }
    if (with_stacks) {
        code = code != 0 ? code : samples_read(image, s, error);
        code = code != 0 ? code : history_read(image, s, error);
        code = code != 0 ? code : leaks_read(image, s, error);
    } else {
        code = code != 0 ? code : samples_read_none(image, s, error);
    }
    code = code != 0 ? code : pools_read(image, s, error);
    return code != 0 ? code : limits_read(image, s, error);
}

static int read_image(int fd, const char *name, bool with_stacks, mp_image_t **ret,
    struct mp_error *error)
{
    struct mp_image *image;
    struct source s;
    int code;

    *ret = NULL;
    code = source_init(&s, fd, name, error);
    if (code != 0) {
        return code;
    }
    image = calloc(1, sizeof(*image));
    if (image != NULL) {
        image->path = strdup(name);
    }
    if (image == NULL || image->path == NULL) {
        free(image);
        return text_fail(error, -ENOMEM, "%s: out of memory", name);
    }
    image->file_bytes = s.backed_bytes;
    image->device = s.device;
    image->inode = s.inode;
    code = read_all(image, &s, with_stacks, error);
    if (code != 0) {
        mp_image_free(image);
        return code;
    }
    *ret = image;
    return 0;
}

int mp_image_read(int fd, const char *name, mp_image_t **ret, struct mp_error *error)
{
    return read_image(fd, name, true, ret, error);
}

static int open_image(
    const char *path, bool with_stacks, mp_image_t **ret, struct mp_error *error)
{
    int fd = -1;
    int code;

    *ret = NULL;
    code = source_open(path, false, &fd, error);
    if (code == 0) {
        code = read_image(fd, path, with_stacks, ret, error);
        close(fd);
    }
    return code;
}

int mp_image_open(const char *path, mp_image_t **ret, struct mp_error *error)
{
    return open_image(path, true, ret, error);
}

int mp_image_open_counters(const char *path, mp_image_t **ret, struct mp_error *error)
{
    return open_image(path, false, ret, error);
}

void mp_image_free(mp_image_t *image)
{
    if (image != NULL) {
        forget_figures(image);
        samples_free(&image->samples);
        history_free(&image->history);
        leaks_free(&image->leaks);
        pools_free(&image->pools);
        limits_free(&image->limits);
        free(image->path);
        free(image);
    }
}
