#include "pools.h"

#include "records.h"

#include <stdlib.h>

#define COUNT_MAX ((uint64_t)1 << 57)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Hits and misses are the gets; what malloc gave is freed, kept or in use. */
static void clean_pool(const struct mp_image *image, struct mp_region_pool *p)
{
    p->component = p->component < image->component_count ? p->component : 0;
    p->gets_total = least(p->gets_total, COUNT_MAX);
    p->misses_total = least(p->misses_total, p->gets_total);
    p->hits_total = p->gets_total - p->misses_total;
    p->freed_total = least(p->freed_total, p->misses_total);
    p->kept = least(p->kept, p->misses_total - p->freed_total);
    p->live = p->misses_total - p->freed_total - p->kept;
    p->peak = least(p->peak, p->misses_total);
}

/* Up to the last that a pool had, or is about to have: the rest need no second look. */
static size_t count_written(const struct mp_region_pool *pools, size_t count)
{
    while (count > 0 && pools[count - 1].number == 0 && pools[count - 1].seq == 0) {
        count--;
    }
    return count;
}

static int read_pools(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_POOLS];
    size_t count = c->count < MP_REGION_POOLS_MAX ? c->count : MP_REGION_POOLS_MAX;
    struct pools *all = &image->pools;
    bool is_torn = false;
    int code = 0;

    all->pools = records_copy(image, s, c, count, sizeof(*all->pools), &code, error);
    if (code != 0 || all->pools == NULL) {
        return code;
    }
    count = count_written(all->pools, count);
    code = records_settle(
        image, s, c, all->pools, count, sizeof(*all->pools), &is_torn, error);
    image->flags |= is_torn ? MP_IMAGE_TORN_POOLS : 0;
    for (size_t i = 0; i < count; i++) {
        if (all->pools[i].number != 0) {
            clean_pool(image, &all->pools[i]);
            all->pools[all->pool_count++] = all->pools[i];
        }
    }
    all->pools = records_shrink(all->pools, all->pool_count, sizeof(*all->pools));
    return code;
}

static int read_counters(
    struct mp_image *image, const struct source *s, struct mp_error *error)
{
    const struct mp_region_section *c = &image->layout.section[MP_SECTION_USER];
    size_t count =
        c->count < MP_REGION_USER_COUNTERS_MAX ? c->count : MP_REGION_USER_COUNTERS_MAX;
    struct pools *all = &image->pools;
    int code = 0;

    all->counters = records_copy_used(image, s, c, &count, sizeof(*all->counters),
        offsetof(struct mp_region_user_counter, name), &code, error);
    while (code == 0 && all->counters != NULL && all->counter_count < count
           && all->counters[all->counter_count].name[0] != '\0') {
        END_STRING(image, all->counters[all->counter_count].name);
        all->counter_count++;
    }
    all->counters =
        records_shrink(all->counters, all->counter_count, sizeof(*all->counters));
    return code;
}

int pools_read(struct mp_image *image, const struct source *s, struct mp_error *error)
{
    int code = read_pools(image, s, error);

    return code != 0 ? code : read_counters(image, s, error);
}

void pools_free(struct pools *pools)
{
    free(pools->pools);
    free(pools->counters);
}

size_t mp_image_pool_count(const mp_image_t *image)
{
    return image->pools.pool_count;
}

const struct mp_region_pool *mp_image_pool(const mp_image_t *image, size_t i)
{
    return i < image->pools.pool_count ? &image->pools.pools[i] : NULL;
}

size_t mp_image_user_counter_count(const mp_image_t *image)
{
    return image->pools.counter_count;
}

const struct mp_region_user_counter *mp_image_user_counter(
    const mp_image_t *image, size_t i)
{
    return i < image->pools.counter_count ? &image->pools.counters[i] : NULL;
}
