/* Limits of components in an image. */
#include "made_image.h"

static struct made made;

static void make(void)
{
    make_region(&made, &make_small);
}

static void unmake(void)
{
    make_region_free(&made);
}

TestSuite(stats_limits, .init = make, .fini = unmake);

Test(stats_limits, those_that_are_set_are_there)
{
    mp_image_t *image = made_image(&made);
    const struct mp_region_limit *l = mp_image_limit(image, 1);

    cr_assert_eq(mp_image_limit_count(image), 2, "one without a limit is none");
    cr_assert_eq(mp_image_limit(image, 0)->component, 2);
    cr_assert_eq(mp_image_limit(image, 0)->hits_total, 5);
    cr_assert_eq(l->component, 3);
    cr_assert_eq(l->soft_bytes, 1002);
    cr_assert_eq(l->hard_bytes, (uint64_t)1 << 40);
    cr_assert_eq(l->refused_total, 14);
    cr_assert_null(mp_image_limit(image, 2));
    cr_assert_eq(mp_image_limit_of(image, 3), l);
    cr_assert_null(mp_image_limit_of(image, 1));
    mp_image_free(image);
}

Test(stats_limits, what_a_limit_refused_was_no_want_of_memory)
{
    struct mp_region_totals *t = made_record(&made, MP_SECTION_TOTALS, 0);
    struct mp_region_limit *l = made_record(&made, MP_SECTION_LIMITS, 0);
    mp_image_t *image = made_image(&made);
    uint64_t refused = 0;

    for (size_t i = 0; i < mp_image_limit_count(image); i++) {
        refused += mp_image_limit(image, i)->refused_total;
    }
    mp_image_free(image);
    cr_assert_geq(refused, 14);
    for (unsigned more = 0; more < 3; more++) {
        t->allocation_failures_total = refused + more;
        image = made_image(&made);
        cr_assert_eq(mp_image_memory_failures(image), more);
        mp_image_free(image);
    }
    l->refused_total += 1000;
    image = made_image(&made);
    cr_assert_eq(mp_image_memory_failures(image), 0, "not less than none");
    mp_image_free(image);
}

Test(stats_limits, what_is_below_counts)
{
    struct mp_region_component *c = made_record(&made, MP_SECTION_COMPONENTS, 3);
    mp_image_t *image;

    c->live_bytes = 10;
    c->tree_live_bytes = 1002;
    image = made_image(&made);
    cr_assert_not(mp_limit_is_exceeded(image, mp_image_limit_of(image, 3)));
    mp_image_free(image);
    c->tree_live_bytes = 1003;
    image = made_image(&made);
    cr_assert(mp_limit_is_exceeded(image, mp_image_limit_of(image, 3)));
    mp_image_free(image);
}

Test(stats_limits, impossible_ones_are_none)
{
    struct mp_region_limit *l = made_record(&made, MP_SECTION_LIMITS, 0);
    mp_image_t *image;

    l->component = UINT64_MAX;
    l[2].soft_bytes = UINT64_MAX;
    image = made_image(&made);
    cr_assert_eq(mp_image_limit_count(image), 1);
    cr_assert_leq(mp_image_limit(image, 0)->soft_bytes, (uint64_t)1 << 57);
    mp_image_free(image);
    made_remove(&made, MP_SECTION_LIMITS);
    image = made_image(&made);
    cr_assert_eq(mp_image_limit_count(image), 0);
    mp_image_free(image);
}
