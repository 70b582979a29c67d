/* Leak checks in an image: all that is right, and nothing that leads astray. */
#include "make_region.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <unistd.h>

static struct made made;

static void make(void)
{
    make_region(&made, &make_small);
}

static void unmake(void)
{
    make_region_free(&made);
}

TestSuite(stats_leaks, .init = make, .fini = unmake);

static int try_read(mp_image_t **ret)
{
    int fd = made_memfd(&made);
    int code = mp_image_read(fd, "made", ret, NULL);

    close(fd);
    return code;
}

static mp_image_t *read_made(void)
{
    mp_image_t *image = NULL;

    cr_assert_eq(try_read(&image), 0);
    return image;
}

static struct mp_region_leaks *check(void)
{
    return made_record(&made, MP_SECTION_LEAKS, 0);
}

Test(stats_leaks, figures_are_what_was_written)
{
    mp_image_t *image = read_made();
    const struct mp_region_leaks *l = mp_image_leaks(image);
    const struct mp_region_leak_cell *c = mp_image_leak_cell(image, 2, 3);

    cr_assert_not_null(l);
    cr_assert_eq(l->number, 2);
    cr_assert_eq(mp_image_leaks_started(image), 3);
    cr_assert_eq(l->blocks[MP_LEAK_DEFINITE], 9);
    cr_assert_eq(c->blocks[MP_LEAK_REACHABLE], 7);
    cr_assert_eq(c->owned_bytes, 128);
    cr_assert_null(mp_image_leak_cell(image, 3, 3));
    cr_assert_null(mp_image_leak_cell(image, 0, MP_REGION_CLASSES));
    cr_assert_eq(mp_image_leak_site(image, 2)->samples[MP_LEAK_DEFINITE], 2);
    cr_assert_null(mp_image_leak_site(image, MAKE_SITES));
    cr_assert_eq(mp_image_flags(image) & MP_IMAGE_TORN_LEAKS, 0);
    mp_image_free(image);
}

Test(stats_leaks, a_region_without_checks_has_none)
{
    mp_image_t *image;

    made_remove(&made, MP_SECTION_LEAKS);
    made_remove(&made, MP_SECTION_LEAK_CELLS);
    made_remove(&made, MP_SECTION_LEAK_SITES);
    image = read_made();
    cr_assert_null(mp_image_leaks(image));
    cr_assert_null(mp_image_leak_cell(image, 0, 0));
    cr_assert_null(mp_image_leak_site(image, 0));
    mp_image_free(image);
}

Test(stats_leaks, more_rows_or_sites_than_there_is_room_for_are_damage)
{
    mp_image_t *image = NULL;

    check()->row_count = 5;
    cr_assert_eq(try_read(&image), -EBADMSG);
    check()->row_count = UINT64_MAX;
    cr_assert_eq(try_read(&image), -EBADMSG);
    check()->row_count = 3;
    check()->site_count = 7;
    cr_assert_eq(try_read(&image), -EBADMSG);
}

Test(stats_leaks, a_torn_check_is_flagged)
{
    mp_image_t *image;

    check()->seq++;
    image = read_made();
    cr_assert_neq(mp_image_flags(image) & MP_IMAGE_TORN_LEAKS, 0);
    mp_image_free(image);
}

Test(stats_leaks, impossible_sums_become_possible_ones)
{
    struct mp_region_leak_site *t = made_record(&made, MP_SECTION_LEAK_SITES, 1);
    struct mp_region_leak_cell *c = made_record(&made, MP_SECTION_LEAK_CELLS, 3);
    mp_image_t *image;

    t->blocks[0] = (double)NAN;
    t->bytes[0] = 1e300;
    t->owned_bytes = -1;
    t->samples[MP_LEAK_LOST] = 99;
    c->blocks[MP_LEAK_LOST] = UINT64_MAX;
    image = read_made();
    cr_assert_eq(mp_image_leak_site(image, 1)->blocks[0], 0);
    cr_assert_leq(mp_image_leak_site(image, 1)->bytes[0], 0x1p57);
    cr_assert_eq(mp_image_leak_site(image, 1)->owned_bytes, 0);
    cr_assert_eq(mp_image_leak_site(image, 1)->samples[MP_LEAK_LOST], 1);
    cr_assert_eq(mp_image_leak_cell(image, 0, 3)->blocks[MP_LEAK_LOST], 2);
    mp_image_free(image);
}
