/* What a region says, an image says: read in full, and in spite of what can be mended. */
#include "made_image.h"

#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void expect_same(const struct made *m, const mp_image_t *image)
{
    const struct mp_region_totals *t = made_record(m, MP_SECTION_TOTALS, 0);

    cr_assert_eq(memcmp(mp_image_process(image), made_record(m, MP_SECTION_PROCESS, 0),
                     sizeof(struct mp_region_process)),
        0);
    cr_assert_eq(memcmp(mp_image_totals(image), t, sizeof(*t)), 0);
    cr_assert_eq(mp_image_component_count(image), t->component_count);
    for (size_t i = 0; i < t->component_count; i++) {
        cr_assert_eq(memcmp(mp_image_component(image, i),
                         made_record(m, MP_SECTION_COMPONENTS, i),
                         sizeof(struct mp_region_component)),
            0, "component %zu", i);
    }
    cr_assert_eq(
        mp_image_class_count(image), made_section(m, MP_SECTION_CLASSES)->count);
    for (size_t i = 0; i < mp_image_class_count(image); i++) {
        cr_assert_eq(
            memcmp(mp_image_class(image, i), made_record(m, MP_SECTION_CLASSES, i),
                sizeof(struct mp_region_class)),
            0, "class %zu", i);
    }
    cr_assert_eq(mp_image_module_count(image), t->module_count);
    for (size_t i = 0; i < t->module_count; i++) {
        cr_assert_eq(
            memcmp(mp_image_module(image, i), made_record(m, MP_SECTION_MODULES, i),
                sizeof(struct mp_region_module)),
            0, "module %zu", i);
    }
    cr_assert_eq(mp_image_option_count(image), t->option_count);
    for (size_t i = 0; i < t->option_count; i++) {
        cr_assert_eq(
            memcmp(mp_image_option(image, i), made_record(m, MP_SECTION_OPTIONS, i),
                sizeof(struct mp_region_option)),
            0, "option %zu", i);
    }
    cr_assert_null(mp_image_component(image, t->component_count));
    cr_assert_null(mp_image_class(image, mp_image_class_count(image)));
    cr_assert_null(mp_image_module(image, t->module_count));
    cr_assert_null(mp_image_option(image, t->option_count));
}

Test(stats_image, holds_everything_of_a_small_region)
{
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    cr_assert_eq(m.bytes, 38 * 4096);
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), 0);
    cr_assert_str_eq(mp_image_path(image), "made");
    expect_same(&m, image);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, holds_everything_of_a_region_with_full_room)
{
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_full);
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), 0);
    expect_same(&m, image);
    cr_assert_gt(mp_image_file_bytes(image), 0);
    cr_assert_lt(mp_image_file_bytes(image), 1 << 20, "holes stay holes");
    for (size_t i = 0; i < MAKE_COMPONENTS; i++) {
        const struct mp_region_component *c = mp_image_component(image, i);

        cr_assert_eq(mp_image_cell(image, i, 3)->allocated_bytes_total
                         + mp_image_cell(image, i, 7)->allocated_bytes_total,
            c->allocated_bytes_total);
    }
    cr_assert_null(mp_image_cell(image, MAKE_COMPONENTS, 0), "only rows in use");
    cr_assert_null(mp_image_cell(image, 0, MP_REGION_CLASSES));
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, longer_records_of_a_later_library_are_understood)
{
    struct make_shape shape = make_small;
    struct made m;
    mp_image_t *image;

    shape.extra_bytes = 40;
    make_region(&m, &shape);
    for (size_t i = 0; i < MAKE_COMPONENTS; i++) { /* what it does not know */
        memset((char *)made_record(&m, MP_SECTION_COMPONENTS, i)
                   + sizeof(struct mp_region_component),
            0xee, 40);
    }
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), 0);
    expect_same(&m, image);
    cr_assert_eq(mp_image_moment(image, 0, 0)->live_bytes, 1003);
    cr_assert_eq(mp_image_cell(image, 0, 7)->allocated_bytes_total, 2560);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, sections_of_a_later_library_are_passed_over)
{
    struct made m;
    struct mp_region_header *h;
    mp_image_t *image;

    make_region(&m, &make_small);
    h = made_header(&m);
    h->sections[h->section_count++] = (struct mp_region_section){
        .id = 77, .version = 9, .offset = 5, .stride = 1, .count = UINT64_MAX};
    image = made_image(&m);
    expect_same(&m, image);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, sections_that_are_not_required_may_be_missing)
{
    static const enum mp_region_section_id ids[] = {MP_SECTION_CLASSES,
        MP_SECTION_COMPONENTS, MP_SECTION_COUNTERS, MP_SECTION_TIMELINE_1S,
        MP_SECTION_TIMELINE_1M, MP_SECTION_TIMELINE_10M, MP_SECTION_MODULES,
        MP_SECTION_MAILBOX, MP_SECTION_OPTIONS, MP_SECTION_SAMPLING, MP_SECTION_FRAMES,
        MP_SECTION_SITES, MP_SECTION_SAMPLES, MP_SECTION_NAMES, MP_SECTION_EPOCHS,
        MP_SECTION_SITE_EPOCHS, MP_SECTION_MARKS};
    struct mp_region_totals *t;
    struct mp_region_cell sum;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->component_count = t->module_count = t->option_count = 0;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        made_remove(&m, ids[i]);
    }
    image = made_image(&m);
    cr_assert_eq(mp_image_component_count(image), 0);
    /* What samples and leaks are counted for has a name all the same. */
    cr_assert_str_eq(mp_image_component(image, MP_REGION_UNTAGGED)->name, "(untagged)");
    cr_assert_null(mp_image_component(image, 1));
    cr_assert_eq(mp_image_class_count(image), 0);
    cr_assert_eq(mp_image_moment_count(image, 0), 0);
    cr_assert_null(mp_image_cell(image, 0, 0));
    mp_image_class_sum(image, 0, &sum);
    cr_assert_eq(sum.allocated_bytes_total, 0);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, class_sums_add_all_components_and_no_peaks)
{
    struct mp_region_cell sum;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_full);
    image = made_image(&m);
    mp_image_class_sum(image, 3, &sum);
    cr_assert_eq(sum.allocated_blocks_total, 60 * (1 + 2 + 3 + 4 + 5 + 6));
    cr_assert_eq(sum.freed_bytes_total, 256 * 6 * (1 + 2 + 3 + 4 + 5 + 6));
    cr_assert_eq(sum.live_peak_bytes, 0);
    mp_image_class_sum(image, 5, &sum);
    cr_assert_eq(sum.allocated_blocks_total, 0);
    mp_image_class_sum(image, SIZE_MAX, &sum);
    cr_assert_eq(sum.allocated_blocks_total, 0);
    mp_image_free(image);
    make_region_free(&m);
}

/* ---- the timeline ---- */

static void expect_moments(
    const mp_image_t *image, unsigned tier, uint64_t first, uint64_t last)
{
    cr_assert_eq(mp_image_moment_count(image, tier), last - first + 1);
    for (uint64_t i = first; i <= last; i++) {
        cr_assert_eq(
            mp_image_moment(image, tier, i - first)->live_bytes, 1000 + i, "%lu", i);
    }
    cr_assert_null(mp_image_moment(image, tier, last - first + 1));
}

Test(stats_image, points_of_the_timeline_come_oldest_first)
{
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    image = made_image(&m);
    expect_moments(image, 0, 3, 10); /* 11 were written, there is room for 8 */
    expect_moments(image, 1, 0, 1);
    cr_assert_eq(mp_image_moment_count(image, 2), 0);
    cr_assert_eq(mp_image_moment_count(image, MP_REGION_TIMELINE_TIERS), 0);
    cr_assert_null(mp_image_moment(image, 2, 0));
    cr_assert_null(mp_image_moment(image, UINT32_MAX, 0));
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, a_point_written_before_the_totals_is_not_taken_for_the_oldest)
{
    struct mp_region_totals *t;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->timeline_total[0]--; /* the totals of a moment ago */
    image = made_image(&m);
    expect_moments(image, 0, 3, 10);
    mp_image_free(image);

    struct make_shape shape = make_small;
    shape.written[0] = 9; /* the same where the ring begins anew */
    make_region_free(&m);
    make_region(&m, &shape);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->timeline_total[0]--;
    image = made_image(&m);
    expect_moments(image, 0, 1, 8);
    mp_image_free(image);
    make_region_free(&m);
}

/* Points of libraries from before their last three figures. */
Test(stats_image, points_may_be_shorter_than_they_are_now)
{
    enum { SHORT = offsetof(struct mp_region_moment, cached_bytes) };
    struct mp_region_section *c;
    struct made m;
    mp_image_t *image;
    char *first;

    make_region(&m, &make_small);
    c = made_section(&m, MP_SECTION_TIMELINE_1S);
    first = made_record(&m, MP_SECTION_TIMELINE_1S, 0);
    for (size_t i = 1; i < c->count; i++) {
        memmove(first + i * SHORT, first + i * c->stride, SHORT);
    }
    image = made_image(&m);
    cr_assert_gt(mp_image_moment(image, 1, 0)->cached_bytes, 0);
    mp_image_free(image);
    c->stride = SHORT;
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), 0);
    expect_moments(image, 0, 3, 10);
    for (size_t i = 0; i < 8; i++) {
        const struct mp_region_moment *p = mp_image_moment(image, 0, i);

        cr_assert_eq(p->threads, 2);
        cr_assert_eq(p->cached_bytes + p->metadata_bytes + p->profiler_bytes, 0);
    }
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, torn_points_are_left_out)
{
    struct mp_region_moment *p;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    p = made_record(&m, MP_SECTION_TIMELINE_1S, 4);
    p->seq++; /* odd for ever: it was killed just then */
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_MOMENTS);
    cr_assert_eq(mp_image_moment_count(image, 0), 7);
    cr_assert_eq(mp_image_moment(image, 0, 0)->live_bytes, 1003);
    cr_assert_eq(mp_image_moment(image, 0, 1)->live_bytes, 1005);
    mp_image_free(image);
    make_region_free(&m);
}

static uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

Test(stats_image, torn_points_without_end_do_not_hold_the_reader_up)
{
    struct make_shape shape = make_full;
    struct made m;
    mp_image_t *image;
    uint64_t start = clock_ms();

    shape.written[0] = shape.moments[0] = 100000;
    make_region(&m, &shape);
    for (size_t i = 0; i < shape.moments[0]; i++) {
        ((struct mp_region_moment *)made_record(&m, MP_SECTION_TIMELINE_1S, i))->seq++;
    }
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_MOMENTS);
    cr_assert_eq(mp_image_moment_count(image, 0), 0);
    cr_assert_lt(clock_ms() - start, 5000);
    mp_image_free(image);
    make_region_free(&m);
}

/* ---- what can be mended ---- */

Test(stats_image, totals_left_odd_are_shown_and_said_to_be_torn)
{
    struct mp_region_totals *t;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->seq = 25;
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_TORN_TOTALS);
    cr_assert_eq(mp_image_totals(image)->live_bytes, t->live_bytes);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, totals_that_components_do_not_add_up_to_are_said_to_be_mixed)
{
    struct mp_region_totals *t;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    t->allocated_bytes_total += 16;
    image = made_image(&m);
    cr_assert_eq(mp_image_flags(image), MP_IMAGE_MIXED);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, impossible_parents_become_roots)
{
    static const uint64_t bad[] = {4, 5, 6, 1ull << 40, UINT64_MAX};
    struct mp_region_component *c;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    c = made_record(&m, MP_SECTION_COMPONENTS, 4);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        c->parent = bad[i]; /* itself, later ones, none at all */
        image = made_image(&m);
        cr_assert_eq(mp_image_flags(image), MP_IMAGE_BAD_PARENTS);
        cr_assert_eq(mp_image_component(image, 4)->parent, 0);
        cr_assert_eq(mp_image_component(image, 3)->parent, 2);
        mp_image_free(image);
    }
    make_region_free(&m);
}

#define FILL(text) memset((text), 'x', sizeof(text))

static void expect_cut(const struct made *m, const char *what)
{
    mp_image_t *image = made_image(m);

    cr_assert_eq(mp_image_flags(image), MP_IMAGE_CUT_STRINGS, "%s", what);
    mp_image_free(image);
}

Test(stats_image, strings_without_an_end_are_cut)
{
    struct mp_region_process *p;
    struct mp_region_component *c;
    struct mp_region_module *o;
    struct mp_region_option *v;
    struct made m;
    mp_image_t *image;

#define EXPECT_CUT(record, id, number, member)                                         \
    make_region(&m, &make_small);                                                      \
    record = made_record(&m, id, number);                                              \
    FILL(record->member);                                                              \
    expect_cut(&m, #member);                                                           \
    make_region_free(&m)

    EXPECT_CUT(p, MP_SECTION_PROCESS, 0, version);
    EXPECT_CUT(p, MP_SECTION_PROCESS, 0, service);
    EXPECT_CUT(p, MP_SECTION_PROCESS, 0, exe);
    EXPECT_CUT(p, MP_SECTION_PROCESS, 0, command);
    EXPECT_CUT(c, MP_SECTION_COMPONENTS, 5, name);
    EXPECT_CUT(o, MP_SECTION_MODULES, 1, path);
    EXPECT_CUT(v, MP_SECTION_OPTIONS, 2, name);
    EXPECT_CUT(v, MP_SECTION_OPTIONS, 2, value);

    make_region(&m, &make_small);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    FILL(p->service);
    image = made_image(&m);
    cr_assert_eq(strlen(mp_image_process(image)->service), MP_REGION_NAME_BYTES - 1);
    mp_image_free(image);
    make_region_free(&m);
}

Test(stats_image, lengths_inside_records_stay_inside)
{
    struct mp_region_process *p;
    struct mp_region_module *o;
    struct made m;
    mp_image_t *image;

    make_region(&m, &make_small);
    p = made_record(&m, MP_SECTION_PROCESS, 0);
    o = made_record(&m, MP_SECTION_MODULES, 1);
    p->build_id_bytes = 33;
    o->build_id_bytes = UINT64_MAX;
    o->segment_count = 5;
    image = made_image(&m);
    cr_assert_eq(mp_image_process(image)->build_id_bytes, 0);
    cr_assert_eq(mp_image_module(image, 1)->build_id_bytes, 0);
    cr_assert_eq(mp_image_module(image, 1)->segment_count, MP_REGION_MODULE_SEGMENTS);
    cr_assert_eq(mp_image_module(image, 0)->build_id_bytes, 20);
    mp_image_free(image);
    make_region_free(&m);
}

/* ---- a writer at work ---- */

static atomic_bool stop_writer;

/* One publication after another, as the allocator writes them: rows, then totals. */
static void *write_on(void *mapped)
{
    const struct made *m = mapped;
    struct mp_region_totals *t = made_record(m, MP_SECTION_TOTALS, 0);
    struct mp_region_component *c = made_record(m, MP_SECTION_COMPONENTS, 4);
    uint64_t number = t->live_bytes;

    while (!atomic_load(&stop_writer)) {
        struct timespec pause = {0, 20000};

        number++;
        __atomic_store_n(
            &c->allocated_bytes_total, c->allocated_bytes_total + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        __atomic_store_n(
            &t->allocated_bytes_total, t->allocated_bytes_total + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&t->published_total, t->published_total + 1, __ATOMIC_RELAXED);
        __atomic_store_n(&t->live_bytes, number, __ATOMIC_RELAXED);
        __atomic_store_n(&t->active_bytes, number * 2, __ATOMIC_RELAXED);
        __atomic_store_n(&t->mailbox_result, number * 3, __ATOMIC_RELAXED);
        __atomic_store_n(&t->seq, t->seq + 1, __ATOMIC_RELEASE);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

Test(stats_image, totals_that_are_being_written_are_of_one_writing)
{
    struct made m;
    struct made shared;
    pthread_t writer;
    unsigned torn = 0;
    int fd;

    make_region(&m, &make_small);
    fd = made_memfd(&m);
    shared = (struct made){
        mmap(NULL, m.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), m.bytes};
    cr_assert_neq(shared.data, MAP_FAILED);
    cr_assert_eq(pthread_create(&writer, NULL, write_on, &shared), 0);
    for (unsigned i = 0; i < 2000; i++) {
        const struct mp_region_totals *t;
        mp_image_t *image = NULL;

        cr_assert_eq(mp_image_read(fd, "made", &image, NULL), 0);
        t = mp_image_totals(image);
        if ((mp_image_flags(image) & MP_IMAGE_TORN_TOTALS) != 0) {
            torn++;
        } else if (t->published_total > 12) {
            cr_assert_eq(t->active_bytes, t->live_bytes * 2);
            cr_assert_eq(t->mailbox_result, t->live_bytes * 3);
        }
        mp_image_free(image);
    }
    atomic_store(&stop_writer, true);
    pthread_join(writer, NULL);
    cr_assert_lt(torn, 100, "%u of 2,000", torn);
    close(fd);
    make_region_free(&m);
}
