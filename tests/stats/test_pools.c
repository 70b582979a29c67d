/* Pools of objects, and counters of the program, in an image. */
#include "made_image.h"

#include <string.h>

static struct made made;

static void make(void)
{
    make_region(&made, &make_small);
}

static void unmake(void)
{
    make_region_free(&made);
}

TestSuite(stats_pools, .init = make, .fini = unmake);

Test(stats_pools, figures_are_what_was_written)
{
    mp_image_t *image = made_image(&made);
    const struct mp_region_pool *p = mp_image_pool(image, 1);

    cr_assert_eq(mp_image_pool_count(image), 2, "a free record is none");
    cr_assert_eq(mp_image_pool(image, 0)->number, 1);
    cr_assert_eq(p->number, 7);
    cr_assert_eq(p->component, 3);
    cr_assert_eq(p->gets_total, 3000);
    cr_assert_eq(p->hits_total, 2950);
    cr_assert_eq(p->live, 10);
    cr_assert_null(mp_image_pool(image, 2));
    cr_assert_eq(mp_image_user_counter_count(image), 2);
    cr_assert_eq(mp_image_user_counter(image, 0)->value, -3);
    cr_assert_str_eq(mp_image_user_counter(image, 1)->name, "headers_heap");
    cr_assert_null(mp_image_user_counter(image, 2));
    cr_assert_eq(mp_image_flags(image), 0);
    mp_image_free(image);
}

Test(stats_pools, a_region_without_the_sections_has_none)
{
    mp_image_t *image;

    made_remove(&made, MP_SECTION_POOLS);
    made_remove(&made, MP_SECTION_USER);
    image = made_image(&made);
    cr_assert_eq(mp_image_pool_count(image), 0);
    cr_assert_eq(mp_image_user_counter_count(image), 0);
    mp_image_free(image);
}

Test(stats_pools, impossible_figures_become_possible_ones)
{
    struct mp_region_pool *p = made_record(&made, MP_SECTION_POOLS, 1);
    mp_image_t *image;

    p->component = 99;
    p->gets_total = UINT64_MAX;
    p->hits_total = 0;
    p->kept = UINT64_MAX;
    p->live = UINT64_MAX;
    p->peak = UINT64_MAX;
    image = made_image(&made);
    p = (struct mp_region_pool *)(uintptr_t)mp_image_pool(image, 0);
    cr_assert_eq(p->component, 0);
    cr_assert_leq(p->gets_total, (uint64_t)1 << 57);
    cr_assert_eq(p->hits_total + p->misses_total, p->gets_total);
    cr_assert_eq(p->kept + p->live + p->freed_total, p->misses_total);
    cr_assert_leq(p->peak, p->misses_total);
    mp_image_free(image);
}

Test(stats_pools, a_torn_pool_is_flagged)
{
    mp_image_t *image;

    ((struct mp_region_pool *)made_record(&made, MP_SECTION_POOLS, 3))->seq++;
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_POOLS);
    cr_assert_eq(mp_image_pool_count(image), 2);
    mp_image_free(image);
}

Test(stats_pools, a_name_without_an_end_is_cut)
{
    struct mp_region_user_counter *c = made_record(&made, MP_SECTION_USER, 1);
    mp_image_t *image;

    memset(c->name, 'x', sizeof(c->name));
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_CUT_STRINGS);
    cr_assert_eq(strlen(mp_image_user_counter(image, 1)->name), sizeof(c->name) - 1);
    mp_image_free(image);
}
