/* The ledger adds up, whatever the region says. */
#include "make_region.h"

#include <mpstats.h>

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct mp_ledger_part *find_part(
    const struct mp_ledger *l, const char *name)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->part[i].name, name) == 0) {
            return &l->part[i];
        }
    }
    return NULL;
}

static int64_t part_bytes(const struct mp_ledger *l, const char *name)
{
    const struct mp_ledger_part *part = find_part(l, name);

    cr_assert_not_null(part, "%s", name);
    return part->bytes;
}

/* All of them; what of it was asked for is known from samples. */
static int64_t live_bytes(const struct mp_ledger *l)
{
    cr_assert_null(find_part(l, "live"));
    cr_assert_gt(part_bytes(l, "requested"), 0);
    return part_bytes(l, "requested") + part_bytes(l, "slack");
}

/* What always holds. */
static void expect_sound(const struct mp_ledger *l)
{
    int64_t sum = 0;

    cr_assert_leq(l->count, MP_LEDGER_PARTS);
    cr_assert_geq(l->count, 1);
    for (size_t i = 0; i < l->count; i++) {
        const struct mp_ledger_part *part = &l->part[i];

        cr_assert_eq((void *)find_part(l, part->name), (void *)part,
            "%s is there twice", part->name);
        cr_assert_not_null(part->label);
        cr_assert(strcmp(part->source, "allocator") == 0
                  || strcmp(part->source, "samples") == 0
                  || strcmp(part->source, "kernel") == 0
                  || strcmp(part->source, "difference") == 0);
        cr_assert(part->bytes >= 0 || strcmp(part->name, "untouched") == 0, "%s %ld",
            part->name, (long)part->bytes);
        sum += part->bytes;
    }
    cr_assert_eq(sum, l->total_bytes);
    if (l->resident_bytes != MP_UNKNOWN) {
        cr_assert_eq((uint64_t)l->total_bytes, l->resident_bytes);
    }
}

static void make_ledger(int fd, struct mp_ledger *ret)
{
    mp_image_t *image = NULL;

    cr_assert_eq(mp_image_read(fd, "made", &image, NULL), 0);
    mp_ledger_make(image, ret);
    mp_image_free(image);
    expect_sound(ret);
}

Test(stats_ledger, of_a_dead_process_is_what_the_allocator_had_touched)
{
    const struct mp_region_totals *t;
    struct mp_ledger l;
    struct made m;
    int fd;

    make_region(&m, &make_small);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    fd = made_memfd(&m);
    make_ledger(fd, &l);
    cr_assert_eq(l.resident_bytes, MP_UNKNOWN);
    cr_assert_not(l.is_measured);
    cr_assert_eq((uint64_t)l.total_bytes, t->resident_bytes);
    cr_assert_eq((uint64_t)live_bytes(&l), t->live_bytes);
    cr_assert_eq((uint64_t)part_bytes(&l, "cached"), t->cached_bytes - 4096);
    cr_assert_eq((uint64_t)part_bytes(&l, "dirty"), t->dirty_bytes);
    cr_assert_eq((uint64_t)part_bytes(&l, "metadata_span"), t->metadata_span_bytes);
    cr_assert_eq((uint64_t)part_bytes(&l, "metadata_heap"), t->metadata_heap_bytes);
    cr_assert_eq((uint64_t)part_bytes(&l, "region"), t->metadata_region_bytes);
    close(fd);
    make_region_free(&m);
}

/* Waste of each size class as its samples have it, of its exact live bytes. */
Test(stats_ledger, what_was_asked_for_is_known_from_samples)
{
    enum { OTHER = 3 };
    struct made_samples lean = {1008, 1000, 4096, 8, 0, 0};
    struct made_samples wasteful = {208, 130, 4096, 3, 1, 5};
    struct mp_region_cell sum;
    struct mp_region_totals *t;
    struct mp_region_site *site;
    mp_image_t *image = NULL;
    struct mp_ledger l;
    struct made m;
    double waste = 0;
    double live;
    int fd;

    make_region(&m, &make_small);
    t = made_record(&m, MP_SECTION_TOTALS, 0);
    for (size_t i = 0; i < MAKE_SITES; i++) { /* only these two have anything */
        site = made_record(&m, MP_SECTION_SITES, i);
        site->allocated_samples = site->freed_samples = 0;
        site->allocated_bytes = site->freed_bytes = 0;
        site->allocated_requested = site->freed_requested = 0;
    }
    site = made_record(&m, MP_SECTION_SITES, 1);
    made_add_samples(site, &lean);
    live = site->allocated_bytes - site->freed_bytes;
    site = made_record(&m, MP_SECTION_SITES, OTHER);
    made_add_samples(site, &wasteful);
    fd = made_memfd(&m);
    cr_assert_eq(mp_image_read(fd, "made", &image, NULL), 0);
    cr_assert_neq(mp_image_site(image, 1)->class_number,
        mp_image_site(image, OTHER)->class_number);
    cr_assert_gt(live, 0);
    live += site->allocated_bytes - site->freed_bytes;
    for (size_t i = 0; i < mp_image_class_count(image); i++) {
        double share = i == mp_image_site(image, 1)->class_number       ? 8.0 / 1008
                       : i == mp_image_site(image, OTHER)->class_number ? 78.0 / 208
                                                                        : 0;

        mp_image_class_sum(image, i, &sum);
        if (share == 0) { /* of a class without samples: as of all */
            double asked = mp_image_site(image, 1)->allocated_requested
                           + mp_image_site(image, OTHER)->allocated_requested
                           - mp_image_site(image, OTHER)->freed_requested;

            share = 1 - asked / live;
        }
        waste += share * (double)(sum.allocated_bytes_total - sum.freed_bytes_total);
    }
    mp_ledger_make(image, &l);
    cr_assert_float_eq((double)part_bytes(&l, "slack"), waste, 2);
    cr_assert_eq((uint64_t)live_bytes(&l), t->live_bytes);
    mp_image_free(image);
    close(fd);
    make_region_free(&m);
}

/* A region that says it is this process's, and that this process maps. */
struct adopted {
    struct made made;
    struct mp_region_totals *totals; /* as readers see them */
    void *mapped;
    int fd;
};

static void adopt(struct adopted *a)
{
    make_region(&a->made, &make_small);
    made_adopt(&a->made);
    a->fd = made_memfd(&a->made);
    a->mapped = mmap(NULL, a->made.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    cr_assert_neq(a->mapped, MAP_FAILED);
    *(volatile char *)a->mapped; /* resident */
    a->totals = (struct mp_region_totals *)(void
            *)((char *)a->mapped + made_section(&a->made, MP_SECTION_TOTALS)->offset);
}

static void disown(struct adopted *a)
{
    munmap(a->mapped, a->made.bytes);
    close(a->fd);
    make_region_free(&a->made);
}

Test(stats_ledger, of_a_running_process_adds_up_to_its_resident_memory)
{
    struct adopted a;
    struct mp_ledger l;
    struct mp_proc proc;

    adopt(&a);
    make_ledger(a.fd, &l);
    cr_assert(l.is_measured);
    cr_assert_eq(mp_proc_read((uint64_t)getpid(), &proc), 0);
    cr_assert_gt(l.resident_bytes, proc.resident_bytes / 2);
    cr_assert_lt(l.resident_bytes, proc.resident_bytes * 2);
    cr_assert_gt(part_bytes(&l, "region"), 0, "a page of it was touched");
    cr_assert_gt(part_bytes(&l, "files"), 0);
    cr_assert_gt(part_bytes(&l, "stack"), 0);
    disown(&a);
}

/* Nothing of /proc but the sums that the kernel has: the process waits for none of it. */
Test(stats_ledger, a_quick_one_adds_up_without_a_look_at_pages)
{
    struct adopted a;
    struct mp_ledger l;
    struct mp_proc proc;
    mp_image_t *image;

    adopt(&a);
    cr_assert_eq(mp_image_read(a.fd, "made", &image, NULL), 0);
    mp_ledger_make_quick(image, &l);
    expect_sound(&l);
    cr_assert_not(l.is_measured);
    cr_assert_eq(mp_proc_read((uint64_t)getpid(), &proc), 0);
    cr_assert_gt(l.resident_bytes, proc.resident_bytes / 2);
    cr_assert_lt(l.resident_bytes, proc.resident_bytes * 2);
    cr_assert_eq((uint64_t)l.total_bytes, l.resident_bytes);
    cr_assert_gt(part_bytes(&l, "files"), 0);
    cr_assert_eq((uint64_t)live_bytes(&l), a.totals->live_bytes);
    mp_image_free(image);
    disown(&a);
}

Test(stats_ledger, figures_far_above_the_truth_are_untouched_memory)
{
    struct adopted a;
    struct mp_ledger l;

    adopt(&a);
    a.totals->live_bytes = 1ull << 40;
    make_ledger(a.fd, &l);
    cr_assert_eq(live_bytes(&l), 1ll << 40);
    cr_assert_lt(part_bytes(&l, "untouched"), -(1ll << 39));
    cr_assert_eq(part_bytes(&l, "unexplained"), 0);
    disown(&a);
}

Test(stats_ledger, adds_up_with_figures_that_are_impossible)
{
    static const uint64_t values[] = {0, 1, 4096, 1ull << 40, INT64_MAX / 64 - 1,
        INT64_MAX / 64, INT64_MAX, 1ull << 63, UINT64_MAX};
    enum { VALUES = sizeof(values) / sizeof(values[0]) };
    struct adopted a;
    struct mp_ledger l;
    uint64_t *fields[8];
    unsigned state = 1;

    adopt(&a);
    fields[0] = &a.totals->live_bytes;
    fields[1] = &a.totals->cached_bytes;
    fields[2] = &a.totals->dirty_bytes;
    fields[3] = &a.totals->metadata_span_bytes;
    fields[4] = &a.totals->metadata_heap_bytes;
    fields[5] = &a.totals->metadata_region_bytes;
    fields[6] = &a.totals->active_bytes;
    fields[7] = &a.totals->resident_bytes;
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < 8; i++) {
            state = state * 1103515245 + 12345;
            *fields[i] = values[(state >> 16) % VALUES];
        }
        a.totals->huge_bytes = values[round % VALUES];
        make_ledger(a.fd, &l);
    }
    for (unsigned i = 0; i < 8; i++) {
        *fields[i] = UINT64_MAX;
    }
    make_ledger(a.fd, &l);
    disown(&a);
    for (unsigned v = 0; v < VALUES; v++) { /* the same of a dead process */
        struct mp_region_totals *t;
        struct made m;
        int fd;

        make_region(&m, &make_small);
        t = made_record(&m, MP_SECTION_TOTALS, 0);
        t->live_bytes = t->cached_bytes = t->dirty_bytes = t->active_bytes = values[v];
        t->resident_bytes = values[VALUES - 1 - v];
        fd = made_memfd(&m);
        make_ledger(fd, &l);
        close(fd);
        make_region_free(&m);
    }
}
