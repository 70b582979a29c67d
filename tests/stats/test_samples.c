/* Sampled stacks in an image: all that is right, and nothing that leads astray. */
#include "made_image.h"

#include <math.h>
#include <string.h>
#include <time.h>
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

TestSuite(stats_samples, .init = make, .fini = unmake);

static struct mp_region_sampling *sampling(void)
{
    return made_record(&made, MP_SECTION_SAMPLING, 0);
}

static struct mp_region_site *site(size_t number)
{
    return made_record(&made, MP_SECTION_SITES, number);
}

static struct mp_region_frame *frame(size_t number)
{
    return made_record(&made, MP_SECTION_FRAMES, number);
}

static struct mp_region_sample *sample(size_t number)
{
    return made_record(&made, MP_SECTION_SAMPLES, number);
}

static void expect_everything(void)
{
    mp_image_t *image = made_image(&made);

    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_eq(memcmp(mp_image_sampling(image), sampling(), sizeof(*sampling())), 0);
    cr_assert_eq(mp_image_frame_count(image), MAKE_FRAMES);
    for (size_t i = 0; i < MAKE_FRAMES; i++) {
        cr_assert_eq(memcmp(mp_image_frame(image, i), frame(i), sizeof(*frame(i))), 0);
    }
    cr_assert_eq(mp_image_site_count(image), MAKE_SITES);
    for (size_t i = 0; i < MAKE_SITES; i++) {
        cr_assert_eq(memcmp(mp_image_site(image, i), site(i), sizeof(*site(i))), 0);
    }
    cr_assert_eq(mp_image_sample_count(image), MAKE_SAMPLES - 1, "one is free");
    for (size_t i = 0; i < MAKE_SAMPLES - 1; i++) {
        cr_assert_eq(memcmp(mp_image_sample(image, i), sample(i < 4 ? i : i + 1),
                         sizeof(*sample(0))),
            0);
    }
    cr_assert_str_eq(mp_image_name(image, 0), "");
    cr_assert_str_eq(mp_image_name(image, 1), "GET /index");
    cr_assert_str_eq(mp_image_name(image, MAKE_NAMES), "");
    cr_assert_null(mp_image_frame(image, MAKE_FRAMES));
    cr_assert_null(mp_image_site(image, MAKE_SITES));
    cr_assert_null(mp_image_sample(image, MAKE_SAMPLES - 1));
    mp_image_free(image);
}

Test(stats_samples, everything_is_there)
{
    expect_everything();
}

Test(stats_samples, longer_records_of_a_later_library_are_understood)
{
    struct make_shape shape = make_small;

    shape.extra_bytes = 24;
    unmake();
    make_region(&made, &shape);
    expect_everything();
}

Test(stats_samples, there_is_room_for_as_many_as_the_allocator_has)
{
    const struct mp_region_cell *cell;
    mp_image_t *image;

    unmake();
    make_region(&made, &make_full);
    ((struct mp_region_totals *)made_record(&made, MP_SECTION_TOTALS, 0))
        ->component_count = MP_REGION_COMPONENT_ROWS;
    sampling()->frame_count = MP_REGION_FRAMES_MAX;
    sampling()->site_count = MP_REGION_SITES_MAX;
    sampling()->sample_count = MP_REGION_SAMPLES_MAX;
    sampling()->name_count = MP_REGION_NAMES_MAX;
    ((struct mp_region_site *)made_record(&made, MP_SECTION_SITES, 3))->epochs_row =
        MP_REGION_SITE_EPOCHS_MAX - 1;
    image = made_image(&made); /* within what an image may copy */
    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_eq(mp_image_site_count(image), MP_REGION_SITES_MAX);
    cr_assert_eq(mp_image_sample_count(image), MAKE_SAMPLES - 1);
    cell = mp_image_cell(image, MP_REGION_COMPONENT_ROWS - 1, 0);
    cr_assert_not_null(cell);
    mp_image_free(image);
}

static void expect_no_sampling(void)
{
    mp_image_t *image = made_image(&made);

    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_eq(mp_image_sampling(image)->interval_bytes, MP_SAMPLING_OFF);
    cr_assert_eq(mp_image_frame_count(image) + mp_image_site_count(image)
                     + mp_image_sample_count(image),
        0);
    cr_assert_str_eq(mp_image_name(image, 1), "");
    mp_image_free(image);
}

Test(stats_samples, regions_without_them_were_not_sampled)
{
    for (unsigned id = MP_SECTION_MARKS; id >= MP_SECTION_SAMPLING; id--) {
        made_remove(&made, (enum mp_region_section_id)id);
    }
    expect_no_sampling();
}

Test(stats_samples, a_record_that_was_never_written_is_no_exact_sampling)
{
    memset(sampling(), 0, sizeof(*sampling()));
    expect_no_sampling();
}

/* ---- damage ---- */

static void expect_bad(const char *word)
{
    struct mp_error error = {{0}};
    mp_image_t *image = NULL;
    int fd = made_memfd(&made);

    cr_assert_lt(mp_image_read(fd, "made", &image, &error), 0);
    cr_assert_null(image);
    cr_assert_not_null(strstr(error.text, word), "%s", error.text);
    close(fd);
}

Test(stats_samples, more_than_there_is_room_for)
{
    sampling()->frame_count = 17;
    expect_bad("17 frames where there is room for 16");
    sampling()->frame_count = MAKE_FRAMES;
    sampling()->site_count = UINT64_MAX;
    expect_bad("18446744073709551615 sites where there is room for 6");
    sampling()->site_count = MAKE_SITES;
    sampling()->sample_count = 9;
    expect_bad("9 samples where there is room for 8");
    sampling()->sample_count = MAKE_SAMPLES;
    sampling()->name_count = 5;
    expect_bad("5 names where there is room for 4");
    sampling()->name_count = MAKE_NAMES;
    made_remove(&made, MP_SECTION_SITES);
    expect_bad("5 sites where there is room for 0");
}

Test(stats_samples, impossible_callers_are_none)
{
    static const uint32_t bad[] = {3, 4, 1000, UINT32_MAX};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        mp_image_t *image;

        frame(3)->parent = bad[i]; /* itself, later ones, none at all */
        image = made_image(&made);
        cr_assert_eq(mp_image_flags(image), MP_IMAGE_BAD_FRAMES);
        cr_assert_eq(mp_image_frame(image, 3)->parent, 0);
        cr_assert_eq(mp_image_frame(image, 2)->parent, 1);
        mp_image_free(image);
    }
}

Test(stats_samples, numbers_that_point_nowhere_point_to_nothing)
{
    mp_image_t *image;

    frame(2)->module = MAKE_MODULES;
    site(1)->frame = MAKE_FRAMES;
    site(1)->component = MAKE_COMPONENTS;
    site(1)->operation = MAKE_NAMES;
    site(1)->thread = UINT16_MAX;
    site(2)->class_number = MP_REGION_CLASSES;
    site(0)->class_number = 77;
    sample(1)->site = MAKE_SITES;
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_eq(mp_image_frame(image, 2)->module, UINT32_MAX);
    cr_assert_eq(mp_image_site(image, 0)->class_number, 0);
    cr_assert_eq(mp_image_site(image, 1)->frame, 0);
    cr_assert_eq(mp_image_site(image, 1)->component, MP_REGION_UNTAGGED);
    cr_assert_eq(mp_image_site(image, 1)->operation, 0);
    cr_assert_eq(mp_image_site(image, 1)->thread, 0);
    cr_assert_eq(mp_image_site(image, 1)->allocated_samples, 6);
    cr_assert_eq(mp_image_site(image, 2)->allocated_samples, 0, "dropped");
    cr_assert_eq(mp_image_site(image, 3)->allocated_samples, 3);
    cr_assert_eq(mp_image_sample_count(image), MAKE_SAMPLES - 2);
    mp_image_free(image);
}

Test(stats_samples, sums_that_cannot_be_are_cut)
{
    const struct mp_region_site *t;
    mp_image_t *image;

    site(1)->allocated_bytes = NAN;
    site(1)->heaviest_bytes = INFINITY;
    site(1)->peak_bytes = -1;
    site(1)->freed_lifetime_ns = -INFINITY;
    site(1)->peak_blocks = 1e300;
    site(2)->freed_samples = 9;
    site(2)->freed_blocks = site(2)->allocated_blocks * 2;
    sampling()->peak_bytes = NAN;
    image = made_image(&made);
    t = mp_image_site(image, 1);
    cr_assert_eq(t->allocated_bytes, 0);
    cr_assert_eq(t->freed_bytes, 0, "not more than that");
    cr_assert_eq(t->heaviest_bytes, 0);
    cr_assert_eq(t->peak_bytes, 0);
    cr_assert_eq(t->freed_lifetime_ns, 0);
    cr_assert_eq(t->peak_blocks, 0x1p57);
    t = mp_image_site(image, 2);
    cr_assert_eq(t->freed_samples, t->allocated_samples);
    cr_assert_eq(t->freed_blocks, t->allocated_blocks);
    cr_assert_eq(mp_image_sampling(image)->peak_bytes, 0);
    mp_image_free(image);
}

Test(stats_samples, names_without_an_end_are_cut)
{
    struct mp_region_name *name = made_record(&made, MP_SECTION_NAMES, 2);
    mp_image_t *image;

    memset(name->name, 'x', sizeof(name->name));
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_CUT_STRINGS);
    cr_assert_eq(strlen(mp_image_name(image, 2)), sizeof(name->name) - 1);
    mp_image_free(image);
}

/* ---- torn records ---- */

Test(stats_samples, what_was_being_written_at_the_end_is_kept_and_said)
{
    mp_image_t *image;

    site(1)->seq++;
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_SAMPLES);
    cr_assert_eq(mp_image_site(image, 1)->allocated_samples, 6);
    mp_image_free(image);
    site(1)->seq--;
    sampling()->seq++;
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_SAMPLES);
    cr_assert_eq(mp_image_site_count(image), MAKE_SITES);
    mp_image_free(image);
    sampling()->seq--;
    sample(0)->seq++; /* but nobody knows whether it is live */
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_SAMPLES);
    cr_assert_eq(mp_image_sample_count(image), MAKE_SAMPLES - 2);
    mp_image_free(image);
}

static uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

Test(stats_samples, torn_without_end_they_do_not_hold_the_reader_up)
{
    struct make_shape shape = make_small;
    uint64_t start = clock_ms();
    mp_image_t *image;

    shape.sites = 30000;
    unmake();
    make_region(&made, &shape);
    sampling()->site_count = shape.sites;
    for (size_t i = 0; i < shape.sites; i++) {
        site(i)->seq |= 1;
        site(i)->allocated_samples = i;
    }
    image = made_image(&made);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_SAMPLES);
    cr_assert_eq(mp_image_site(image, 29999)->allocated_samples, 29999);
    cr_assert_lt(clock_ms() - start, 3000);
    mp_image_free(image);
}

/* Site 2 becomes another thread's part of site 1: it freed two blocks that were site 1's. */
static void share_site(void)
{
    struct mp_region_site *t = site(2);

    *site(1) = (struct mp_region_site){.seq = 2,
        .frame = 5,
        .class_number = 3,
        .first_ns = 30,
        .last_ns = 40,
        .heaviest_bytes = 64,
        .heaviest_blocks = 1,
        .peak_number = 7,
        .peak_samples = 10,
        .peak_blocks = 10,
        .peak_bytes = 640,
        .peak_requested = 600,
        .counted_number = 3,
        .counted_allocated_samples = 6,
        .counted_allocated_blocks = 6,
        .counted_allocated_bytes = 384,
        .allocated_samples = 12,
        .allocated_blocks = 12,
        .allocated_bytes = 768,
        .allocated_requested = 700};
    site(1)->lifetimes[3] = 1;
    *t = (struct mp_region_site){.seq = 2,
        .frame = 5,
        .class_number = 3,
        .share = 9,
        .peak_number = 6,
        .counted_number = 2,
        .freed_samples = 2,
        .freed_blocks = 2,
        .freed_bytes = 128,
        .freed_requested = 100,
        .freed_lifetime_ns = 5000};
    t->lifetimes[3] = 2;
}

Test(stats_samples, sites_of_several_threads_are_one)
{
    const struct mp_region_site *t;
    mp_image_t *image;

    share_site();
    image = made_image(&made);
    t = mp_image_site(image, 1);
    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_eq(mp_image_site_count(image), MAKE_SITES - 1);
    cr_assert_eq(t->share, 0);
    cr_assert_eq(t->first_ns, 30, "the other has none");
    cr_assert_eq(t->last_ns, 40);
    cr_assert_eq(t->allocated_samples, 12);
    cr_assert_eq(t->freed_samples, 2);
    cr_assert_eq(t->freed_bytes, 128);
    cr_assert_eq(t->freed_requested, 100);
    cr_assert_eq(t->freed_lifetime_ns, 5000);
    cr_assert_eq(t->lifetimes[3], 3);
    cr_assert_eq(t->peak_number, 7);
    cr_assert_eq(t->peak_samples, 8, "what the older one lost was lost then");
    cr_assert_eq(t->peak_bytes, 640 - 128);
    cr_assert_eq(t->counted_number, 3);
    cr_assert_eq(t->counted_allocated_samples, 6);
    cr_assert_eq(t->counted_freed_samples, 2);
    cr_assert_eq(t->counted_freed_bytes, 128);
    cr_assert_eq(mp_image_site(image, 2)->frame, site(3)->frame, "others move up");
    mp_image_free(image);
}

Test(stats_samples, samples_follow_their_sites)
{
    mp_image_t *image;

    share_site();
    image = made_image(&made);
    cr_assert_eq(mp_image_sample_count(image), MAKE_SAMPLES - 1);
    for (size_t i = 0; i < MAKE_SAMPLES - 1; i++) {
        uint32_t was = sample(i < 4 ? i : i + 1)->site;

        cr_assert_eq(mp_image_sample(image, i)->site, was < 2 ? was : was - 1);
    }
    mp_image_free(image);
}

Test(stats_samples, shares_of_another_stack_or_class_stay_apart)
{
    mp_image_t *image;

    share_site();
    site(2)->class_number = 4;
    image = made_image(&made);
    cr_assert_eq(mp_image_site_count(image), MAKE_SITES);
    cr_assert_eq(mp_image_site(image, 2)->freed_samples, 0, "not more than allocated");
    mp_image_free(image);
}
