#include "image_limits.h"

#include "records.h"

#include <stdlib.h>

#define COUNT_MAX ((uint64_t)1 << 57)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Those without a limit any more, or without a component, are none. */
int limits_read(struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_LIMITS];
    size_t count = least(c->count, MP_REGION_LIMITS_MAX);
    struct limits *limits = &image->limits;
    int code = 0;

    limits->all = records_copy_used(image, s, c, &count, sizeof(*limits->all),
        offsetof(struct mp_region_limit, is_set), &code, error);
    for (size_t i = 0;
         code == 0 && limits->all != NULL && i < count && limits->all[i].is_set != 0;
         i++) {
        struct mp_region_limit l = limits->all[i];

        if (l.component >= image->component_count
            || (l.soft_bytes == 0 && l.hard_bytes == 0)) {
            continue;
        }
        l.soft_bytes = least(l.soft_bytes, COUNT_MAX);
        l.hard_bytes = least(l.hard_bytes, COUNT_MAX);
        l.hits_total = least(l.hits_total, COUNT_MAX);
        l.refused_total = least(l.refused_total, COUNT_MAX);
        limits->all[limits->count++] = l;
    }
    limits->all = records_shrink(limits->all, limits->count, sizeof(*limits->all));
    return code;
}

void limits_free(struct limits *limits)
{
    free(limits->all);
}

size_t mp_image_limit_count(const mp_image_t *image)
{
    return image->limits.count;
}

const struct mp_region_limit *mp_image_limit(const mp_image_t *image, size_t i)
{
    return i < image->limits.count ? &image->limits.all[i] : NULL;
}

const struct mp_region_limit *mp_image_limit_of(const mp_image_t *image, size_t row)
{
    for (size_t i = 0; i < image->limits.count; i++) {
        if (image->limits.all[i].component == row) {
            return &image->limits.all[i];
        }
    }
    return NULL;
}

uint64_t mp_image_memory_failures(const mp_image_t *image)
{
    uint64_t all = image->totals.allocation_failures_total;
    uint64_t refused = 0;

    for (size_t i = 0; i < image->limits.count; i++) {
        refused += image->limits.all[i].refused_total;
    }
    return all > refused ? all - refused
                         : 0; /* they are published one after the other */
}

bool mp_limit_is_exceeded(const mp_image_t *image, const struct mp_region_limit *l)
{
    uint64_t live = image->components[l->component].tree_live_bytes;

    return (l->soft_bytes != 0 && live > l->soft_bytes)
           || (l->hard_bytes != 0 && live > l->hard_bytes);
}
