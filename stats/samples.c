#include "samples.h"

#include "records.h"
#include "shares.h"
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* More than any process had; so that sums of many stay finite. */
#define SUM_MAX      0x1p57
#define VARIANCE_MAX 0x1p114

static const struct mp_region_section *section_of(
    const struct mp_image *image, enum mp_region_section_id id)
{
    return &image->layout.section[id];
}

static void clean(double *value, double most)
{
    if (!isfinite(*value) || *value < 0) {
        *value = 0;
    } else if (*value > most) {
        *value = most;
    }
}

/* ---- how sampling goes ---- */

static int read_sampling(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_SAMPLING);
    struct mp_region_sampling *r = &image->samples.sampling;
    int code = 0;

    memset(r, 0, sizeof(*r));
    if (c->count > 0) {
        code = source_read_stable(s, r, sizeof(*r), c->offset, error);
    }
    if (code == 1) {
        image->flags |= MP_IMAGE_TORN_SAMPLES;
        code = 0;
    }
    if (code == 0 && r->seq == 0) { /* never written: no sampling */
        memset(r, 0, sizeof(*r));
        r->interval_bytes = r->wanted_bytes = MP_SAMPLING_OFF;
    }
    clean(&r->peak_bytes, SUM_MAX);
    return code;
}

/* ---- frames and names ---- */

static int read_frames(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_FRAMES);
    uint64_t count = image->samples.sampling.frame_count;
    struct mp_region_frame *f;
    int code = records_check_count(s, c, "frames", count, error);

    if (code != 0) {
        return code;
    }
    f = records_copy(image, s, c, count, sizeof(*f), &code, error);
    image->samples.frames = f;
    image->samples.frame_count = code == 0 ? count : 0;
    for (size_t i = 0; i < image->samples.frame_count; i++) {
        if (f[i].parent >= i && f[i].parent != 0) {
            f[i].parent = 0;
            image->flags |= MP_IMAGE_BAD_FRAMES;
        }
        if (f[i].module >= image->module_count) {
            f[i].module = UINT32_MAX;
        }
    }
    return code;
}

static int read_names(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_NAMES);
    uint64_t count = image->samples.sampling.name_count;
    int code = records_check_count(s, c, "names", count, error);

    if (code != 0) {
        return code;
    }
    image->samples.names =
        records_copy(image, s, c, count, sizeof(*image->samples.names), &code, error);
    image->samples.name_count = code == 0 ? count : 0;
    for (size_t i = 0; i < image->samples.name_count; i++) {
        END_STRING(image, image->samples.names[i].name);
    }
    return code;
}

/* ---- sites ---- */

/* A torn one is kept: the process may have died in its busiest. It is off by one sample. */
static int copy_sites(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_SITES);
    uint64_t count = image->samples.sampling.site_count;
    struct mp_region_site *all;
    bool torn = false;
    int code = records_check_count(s, c, "sites", count, error);

    if (code != 0) {
        return code;
    }
    all = records_copy(image, s, c, count, sizeof(*all), &code, error);
    image->samples.sites = all;
    if (code == 0 && count > 0) {
        code = records_settle(image, s, c, all, count, sizeof(*all), &torn, error);
    }
    image->samples.site_count = code == 0 ? count : 0;
    image->flags |= torn ? MP_IMAGE_TORN_SAMPLES : 0;
    return code;
}

/* Samples get the numbers that their sites have then. */
static int add_up_shares(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    struct samples *a = &image->samples;
    size_t count = a->site_count;
    uint32_t *numbers = malloc((count + 1) * sizeof(*numbers));

    if (numbers == NULL
        || (count > 0 && !shares_add_up(a->sites, &a->site_count, numbers))) {
        free(numbers);
        return text_fail(error, -ENOMEM, "%s: out of memory", s->name);
    }
    for (size_t i = 0; i < a->sample_count; i++) {
        struct mp_region_sample *r = &a->samples[i];

        r->site = r->site < count ? numbers[r->site] : UINT32_MAX;
    }
    a->numbers = numbers;
    a->number_count = count;
    return 0;
}

static void clean_pair(double *allocated, double *freed, double most)
{
    clean(allocated, most);
    clean(freed, most);
    *freed = fmin(*freed, *allocated);
}

/* What sums were before they were what they are. */
static void clean_counted(
    double *allocated, double *freed, double most_allocated, double most_freed)
{
    clean_pair(allocated, freed, most_allocated);
    *freed = fmin(*freed, most_freed);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void clean_counted_sums(struct mp_region_site *t)
{
    t->counted_allocated_samples =
        lesser(t->counted_allocated_samples, t->allocated_samples);
    t->counted_freed_samples = lesser(t->counted_freed_samples,
        lesser(t->freed_samples, t->counted_allocated_samples));
    clean_counted(&t->counted_allocated_blocks, &t->counted_freed_blocks,
        t->allocated_blocks, t->freed_blocks);
    clean_counted(&t->counted_allocated_bytes, &t->counted_freed_bytes,
        t->allocated_bytes, t->freed_bytes);
    clean_counted(&t->counted_allocated_blocks_variance,
        &t->counted_freed_blocks_variance, t->allocated_blocks_variance,
        t->freed_blocks_variance);
    clean_counted(&t->counted_allocated_bytes_variance,
        &t->counted_freed_bytes_variance, t->allocated_bytes_variance,
        t->freed_bytes_variance);
}

static void clean_sums(struct mp_region_site *t)
{
    if (t->freed_samples > t->allocated_samples) {
        t->freed_samples = t->allocated_samples;
    }
    clean_pair(&t->allocated_blocks, &t->freed_blocks, SUM_MAX);
    clean_pair(&t->allocated_bytes, &t->freed_bytes, SUM_MAX);
    clean_pair(&t->allocated_requested, &t->freed_requested, SUM_MAX);
    clean_pair(&t->allocated_blocks_variance, &t->freed_blocks_variance, VARIANCE_MAX);
    clean_pair(&t->allocated_bytes_variance, &t->freed_bytes_variance, VARIANCE_MAX);
    clean(&t->freed_lifetime_ns, VARIANCE_MAX);
    clean(&t->heaviest_bytes, SUM_MAX);
    clean(&t->heaviest_blocks, SUM_MAX);
    clean(&t->peak_blocks, SUM_MAX);
    clean(&t->peak_bytes, SUM_MAX);
    clean(&t->peak_bytes_variance, VARIANCE_MAX);
    clean(&t->peak_requested, SUM_MAX);
    clean(&t->moved_blocks, SUM_MAX);
    clean(&t->moved_bytes, SUM_MAX);
    if (t->moved_samples > t->freed_samples) {
        t->moved_samples = t->freed_samples;
    }
    clean_counted_sums(t);
}

/* Frames and names that sites point to were counted before: they are read after them. */
static void clean_sites(struct mp_image *image)
{
    const struct samples *a = &image->samples;

    for (size_t i = 0; i < a->site_count; i++) {
        struct mp_region_site *t = &a->sites[i];

        if (i == 0) {
            t->class_number = 0; /* of all classes */
        } else if (t->class_number >= image->class_count) {
            memset(t, 0, sizeof(*t));
        }
        t->frame = t->frame < a->frame_count ? t->frame : 0;
        t->component =
            t->component < image->component_count ? t->component : MP_REGION_UNTAGGED;
        t->operation = t->operation < a->name_count ? t->operation : 0;
        t->thread = t->thread < a->name_count ? t->thread : 0;
        clean_sums(t);
    }
}

/* ---- live samples ---- */

static int copy_samples(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = section_of(image, MP_SECTION_SAMPLES);
    uint64_t count = image->samples.sampling.sample_count;
    struct mp_region_sample *all;
    bool torn = false;
    int code = records_check_count(s, c, "samples", count, error);

    if (code != 0) {
        return code;
    }
    all = records_copy(image, s, c, count, sizeof(*all), &code, error);
    image->samples.samples = all;
    if (code == 0 && count > 0) {
        code = records_settle(image, s, c, all, count, sizeof(*all), &torn, error);
    }
    image->samples.sample_count = code == 0 ? count : 0;
    image->flags |= torn ? MP_IMAGE_TORN_SAMPLES : 0;
    return code;
}

/* Rows that are free, torn or of no site go; the rest moves together. */
static void keep_live(struct samples *a)
{
    size_t kept = 0;

    for (size_t i = 0; i < a->sample_count; i++) {
        const struct mp_region_sample *r = &a->samples[i];

        if (r->is_live != 0 && (r->seq & 1) == 0 && r->site < a->site_count) {
            a->samples[kept++] = *r;
        }
    }
    a->sample_count = kept;
}

/* ---- the whole ---- */

/*
 * The process goes on meanwhile. A sample is counted after its site, a site after its frame
 * and its names: each of them is read before what it points to is counted once more.
 */
int samples_read(struct mp_image *image, const struct source *s, struct mp_error *error)
{
    int code = read_sampling(image, s, error);

    code = code != 0 ? code : copy_samples(image, s, error);
    code = code != 0 ? code : read_sampling(image, s, error);
    code = code != 0 ? code : copy_sites(image, s, error);
    code = code != 0 ? code : read_sampling(image, s, error);
    code = code != 0 ? code : read_frames(image, s, error);
    code = code != 0 ? code : read_names(image, s, error);
    code = code != 0 ? code : add_up_shares(image, s, error);
    if (code == 0) {
        clean_sites(image);
        keep_live(&image->samples);
    }
    return code;
}

int samples_read_none(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    return read_sampling(image, s, error);
}

void samples_free(struct samples *samples)
{
    free(samples->frames);
    free(samples->sites);
    free(samples->numbers);
    free(samples->samples);
    free(samples->names);
    memset(samples, 0, sizeof(*samples));
}
