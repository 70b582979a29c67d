/* Who holds memory, by one thing or another: the same whole each time. */
#include "make_region.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct made made;
static mp_image_t *image;
static mp_tops_t *tops;

static void make(void)
{
    make_region(&made, &make_small);
}

static void unmake(void)
{
    mp_tops_free(tops);
    mp_image_free(image);
    make_region_free(&made);
}

TestSuite(stats_tops, .init = make, .fini = unmake);

static void read_image(void)
{
    int fd = made_memfd(&made);

    mp_image_free(image);
    cr_assert_eq(mp_image_read(fd, "made", &image, NULL), 0);
    close(fd);
}

static void list(enum mp_top_by by, enum mp_figure sort)
{
    mp_tops_free(tops);
    cr_assert_eq(mp_tops_make(image, by, sort, &tops), 0);
}

static const struct mp_top *find(const char *name)
{
    for (size_t i = 0; i < mp_tops_count(tops); i++) {
        if (strcmp(mp_tops_at(tops, i)->name, name) == 0) {
            return mp_tops_at(tops, i);
        }
    }
    return NULL;
}

/* What the counters of components, or of classes, say in all. */
static uint64_t counted(enum mp_top_by by)
{
    struct mp_region_cell sum;
    uint64_t live = 0;

    for (size_t i = 0; by == MP_TOP_COMPONENT && i < mp_image_component_count(image);
         i++) {
        live += mp_image_component(image, i)->live_bytes;
    }
    for (size_t i = 0; by == MP_TOP_CLASS && i < mp_image_class_count(image); i++) {
        mp_image_class_sum(image, i, &sum);
        live += sum.allocated_bytes_total - sum.freed_bytes_total;
    }
    return live;
}

static void expect_sums(void)
{
    uint64_t whole[MP_FIGURES];

    list(MP_TOP_SITE, MP_LIVE_BYTES);
    memcpy(whole, mp_tops_total(tops)->value, sizeof(whole));
    for (unsigned by = 0; by < MP_TOP_BYS; by++) {
        uint64_t sum[MP_FIGURES] = {0};
        uint64_t last = UINT64_MAX;

        list((enum mp_top_by)by, MP_LIVE_BYTES);
        cr_assert_gt(mp_tops_count(tops), 0);
        for (size_t i = 0; i < mp_tops_count(tops); i++) {
            const struct mp_top *t = mp_tops_at(tops, i);

            cr_assert_eq(t->by, by);
            cr_assert_leq(t->figures->value[MP_LIVE_BYTES], last, "the largest first");
            last = t->figures->value[MP_LIVE_BYTES];
            for (unsigned f = 0; f < MP_FIGURES; f++) {
                cr_assert_leq(t->figures->low[f], t->figures->value[f]);
                cr_assert_leq(t->figures->value[f], t->figures->high[f]);
                sum[f] += t->figures->value[f];
            }
        }
        for (unsigned f = 0; f < MP_FIGURES; f++) {
            cr_assert_eq(mp_tops_total(tops)->value[f], sum[f]);
            cr_assert(by < MP_TOP_SITE || sum[f] == whole[f], "%u by %s", f,
                mp_top_by_name(by));
        }
        cr_assert(by >= MP_TOP_SITE || sum[MP_LIVE_BYTES] == counted(by));
        cr_assert_null(mp_tops_at(tops, mp_tops_count(tops)));
    }
}

Test(stats_tops, rows_add_up_to_the_counters_whatever_they_are_by)
{
    read_image();
    expect_sums();
}

Test(stats_tops, what_found_no_room_is_a_row_of_its_own)
{
    struct made_samples what = {64, 60, MAKE_INTERVAL, 9, 2, 100};

    made_add_samples(made_record(&made, MP_SECTION_SITES, 0), &what);
    read_image();
    expect_sums();
    list(MP_TOP_COMPONENT, MP_LIVE_BYTES);
    for (size_t i = 0; i < mp_tops_count(tops); i++) {
        cr_assert_not(mp_tops_at(tops, i)->is_rest, "it is in the counters");
    }
    list(MP_TOP_SITE, MP_LIVE_BYTES);
    cr_assert_not_null(find("(overflow)"));
    cr_assert(find("(overflow)")->is_rest);
}

Test(stats_tops, rows_without_samples_are_the_counters)
{
    made_remove(&made, MP_SECTION_SAMPLING);
    read_image();
    expect_sums();
    list(MP_TOP_SITE, MP_LIVE_BYTES);
    cr_assert_eq(mp_tops_count(tops), 1);
    cr_assert(mp_tops_at(tops, 0)->is_rest);
    cr_assert_str_eq(mp_tops_at(tops, 0)->name, "(not sampled)");
}

Test(stats_tops, what_was_counted_is_exact_and_sites_are_not)
{
    const struct mp_region_component *c;
    const struct mp_figures *f;

    read_image();
    list(MP_TOP_COMPONENT, MP_LIVE_BYTES);
    for (size_t i = 0; i < mp_tops_count(tops); i++) {
        c = mp_image_component(image, mp_tops_at(tops, i)->component);
        f = mp_tops_at(tops, i)->figures;
        cr_assert_eq(f->value[MP_LIVE_BYTES], c->live_bytes);
        cr_assert_eq(f->value[MP_PEAK_BYTES], c->live_peak_bytes);
        cr_assert_eq(f->low[MP_LIVE_BYTES], f->high[MP_LIVE_BYTES]);
    }
    list(MP_TOP_SITE, MP_LIVE_BYTES);
    f = mp_tops_at(tops, 0)->is_rest ? mp_tops_at(tops, 1)->figures
                                     : mp_tops_at(tops, 0)->figures;
    cr_assert_lt(f->low[MP_LIVE_BYTES], f->high[MP_LIVE_BYTES]);
    cr_assert_not_null(find("extraction"), "a site has the name of its component");
}

Test(stats_tops, operations_and_threads_have_names)
{
    read_image();
    list(MP_TOP_OPERATION, MP_ALLOCATED_BYTES);
    cr_assert_not_null(find("GET /index"));
    cr_assert_not_null(find("(no operation)"));
    list(MP_TOP_THREAD, MP_ALLOCATED_BYTES);
    cr_assert_not_null(find("worker"));
    cr_assert_eq(mp_tops_make(image, MP_TOP_BYS, MP_LIVE_BYTES, &tops), -EINVAL);
    cr_assert_null(tops);
    cr_assert_eq(mp_tops_make(image, MP_TOP_SITE, MP_FIGURES, &tops), -EINVAL);
}

Test(stats_tops, stacks_are_listed_from_the_inside)
{
    uint32_t frames[8];
    size_t depth;

    read_image();
    depth = mp_image_stack(image, MAKE_FRAMES - 1, frames, 8);
    cr_assert_gt(depth, 1);
    for (size_t i = 0; i + 1 < depth; i++) {
        cr_assert_eq(mp_image_frame(image, frames[i])->parent, frames[i + 1]);
    }
    cr_assert_eq(mp_image_frame(image, frames[depth - 1])->parent, 0);
    cr_assert_eq(mp_image_stack(image, MAKE_FRAMES - 1, frames, 1), depth, "more");
    cr_assert_eq(mp_image_stack(image, MAKE_FRAMES - 1, NULL, 0), depth);
    cr_assert_eq(mp_image_stack(image, 0, frames, 8), 0);
    cr_assert_eq(mp_image_stack(image, UINT32_MAX, frames, 8), 0);
}

Test(stats_tops, frames_of_the_allocator_are_left_out)
{
    struct mp_region_module *m = made_record(&made, MP_SECTION_MODULES, 1);
    uint32_t frames[8] = {0};

    strcpy(m->path, "/opt/lib/libmpalloc.so.0"); /* of frames 3 and 5 */
    read_image();
    cr_assert_eq(mp_image_stack(image, 5, frames, 8), 2);
    cr_assert_eq(frames[0], 4);
    cr_assert_eq(frames[1], 1);
}

/*
 * One stack holds all of four classes, a block of each: at R their samples are too few, and what is
 * counted of a class is less than a sample stands for. The sum of what may be missing is what is.
 */
Test(stats_tops, the_truth_is_within_where_samples_weigh_more_than_is_counted)
{
    enum { CLASSES = 4, LIVE = 1024, INTERVAL = 1 << 20 };
    const struct mp_figures *f;

    for (unsigned i = 0; i < CLASSES; i++) {
        struct mp_region_site *t = made_record(&made, MP_SECTION_SITES, 1 + i);
        struct mp_region_cell *c = made_record(&made, MP_SECTION_COUNTERS, 3 + i);
        /* The first has a live sample, the others had some of what is freed. */
        struct made_samples what = {64, 64, INTERVAL, 2, i == 0 ? 1 : 2, 100};

        memset(t, 0, sizeof(*t));
        t->frame = MAKE_FRAMES - 1;
        t->class_number = (uint16_t)(3 + i);
        made_add_samples(t, &what);
        *c = (struct mp_region_cell){
            200000, 200000 - LIVE / 64, 200000 * 64, 200000 * 64 - LIVE, LIVE, 0};
    }
    ((struct mp_region_sampling *)made_record(&made, MP_SECTION_SAMPLING, 0))
        ->interval_bytes = INTERVAL;
    read_image();
    list(MP_TOP_SITE, MP_LIVE_BYTES);
    f = mp_tops_at(tops, 0)->is_rest ? mp_tops_at(tops, 1)->figures
                                     : mp_tops_at(tops, 0)->figures;
    cr_assert_eq(f->samples, 2 * CLASSES);
    cr_assert_leq(f->low[MP_LIVE_BYTES], CLASSES * LIVE);
    cr_assert_geq(f->high[MP_LIVE_BYTES], CLASSES * LIVE, "%lu",
        (unsigned long)f->high[MP_LIVE_BYTES]);
}

Test(stats_tops, what_came_after_the_counters_is_in_the_rows_of_stacks)
{
    struct made_samples what = {64, 60, MAKE_INTERVAL, 3, 0, 100};
    struct mp_region_site *t = made_record(&made, MP_SECTION_SITES, 1);
    const struct mp_region_cell *c;
    const struct mp_figures *f;
    struct mp_since since;
    uint64_t counters = 0;
    uint64_t stacks = 0;
    uint64_t live;

    made_count_now(&made, t);
    made_add_samples(t, &what);
    read_image();
    list(MP_TOP_COMPONENT, MP_LIVE_BYTES);
    f = find("(untagged)")->figures;
    live = mp_image_component(image, MP_REGION_UNTAGGED)->live_bytes;
    cr_assert_eq(f->value[MP_LIVE_BYTES], live);
    cr_assert_eq(f->low[MP_LIVE_BYTES], live);
    cr_assert_eq(f->high[MP_LIVE_BYTES], live);
    list(MP_TOP_SITE, MP_LIVE_BYTES);
    for (size_t i = 0; i < mp_tops_count(tops); i++) {
        f = mp_tops_at(tops, i)->figures;
        stacks += strcmp(mp_tops_at(tops, i)->name, "(untagged)") == 0
                          || mp_tops_at(tops, i)->is_rest
                      ? f->value[MP_LIVE_BYTES]
                      : 0;
    }
    for (size_t cls = 0; cls < mp_image_class_count(image); cls++) {
        c = mp_image_cell(image, MP_REGION_UNTAGGED, cls);
        counters += c->allocated_bytes_total - c->freed_bytes_total;
    }
    mp_image_since(image, &since);
    cr_assert_gt(since.allocated_bytes, 0);
    cr_assert_eq(stacks, counters + since.allocated_bytes - since.freed_bytes);
}
