#include "span.h"

#include "os.h"

#include <criterion/criterion.h>
#include <string.h>

static struct span *acquire(size_t count)
{
    bool clean;
    struct span *s = span_acquire(count, 1, &clean);

    cr_assert_not_null(s);
    return s;
}

Test(span, address_and_entry_agree)
{
    struct span *s = acquire(3);
    char *p = span_address(s);

    cr_assert_eq((uintptr_t)p % SPAN_BYTES, 0);
    cr_assert_eq(pagemap_find(p), s);
    cr_assert_eq(pagemap_find(p + SPAN_BYTES - 1), s);
    cr_assert_eq(pagemap_find(p + SPAN_BYTES), s + 1);
}

Test(span, there_is_a_window)
{
    bool clean;
    struct span *s = span_acquire(1, 1, &clean);

    cr_assert(pagemap_ranges[0].grows, "the first range is of fixed size");
    cr_assert_geq(pagemap_ranges[0].spans_max, 64 * GIB >> SPAN_SHIFT);
    span_release(s, 1, 0);
}

Test(span, what_is_touched_is_whole_pages)
{
    size_t page = bits_max(os_page_bytes(), (size_t)1 << SPAN_PART_SHIFT);

    cr_assert_eq(span_parts_of(0), 0);
    cr_assert_eq(span_parts_of(1) << SPAN_PART_SHIFT, page);
    cr_assert_eq(span_parts_of(page) << SPAN_PART_SHIFT, page);
    cr_assert_eq(span_parts_of(SPAN_BYTES + 1) << SPAN_PART_SHIFT, SPAN_BYTES + page);
}

Test(span, pieces_of_a_run_have_together_what_it_had)
{
    enum { SPANS = 40, PARTS = 60 };
    struct span *a = acquire(SPANS);
    size_t sum = 0;

    acquire(1); /* keeps the frontier away */
    span_release(a, SPANS, PARTS);
    cr_assert_eq(acquire(1), a); /* out of the pocket, into the free runs, and cut */
    sum = a->touched;
    cr_assert_eq(sum + (span_totals().dirty_bytes >> SPAN_PART_SHIFT), PARTS);
    for (size_t i = 1; i < SPANS; i++) {
        cr_assert_eq(acquire(1), a + i);
        cr_assert_leq(a[i].touched, 3, "%u", a[i].touched);
        sum += a[i].touched;
        cr_assert_eq(sum + (span_totals().dirty_bytes >> SPAN_PART_SHIFT), PARTS);
    }
    cr_assert_eq(sum, PARTS);
}

Test(span, foreign_addresses_have_no_entry)
{
    int on_stack;

    acquire(1);
    cr_assert_null(pagemap_find(NULL));
    cr_assert_null(pagemap_find(&on_stack));
    cr_assert_null(pagemap_find((void *)UINTPTR_MAX));
}

Test(span, released_neighbours_merge_and_serve_a_longer_run)
{
    struct span *a = acquire(2);
    struct span *b = acquire(2);
    struct span *c = acquire(2);

    cr_assert_eq(b, a + 2);
    acquire(1); /* keeps the frontier away */
    span_release(a, 2, 2 * SPAN_PARTS);
    span_release(c, 2, 2 * SPAN_PARTS);
    span_release(b, 2, 2 * SPAN_PARTS);
    cr_assert_eq(acquire(6), a);
}

Test(span, the_last_released_run_of_a_length_comes_back_first)
{
    struct span *a = acquire(3);
    struct span *b = acquire(3);
    struct span *c = acquire(5);

    acquire(1); /* keeps the frontier away */
    span_release(a, 3, 0);
    span_release(b, 3, 0); /* a goes to the free runs */
    span_release(c, 5, 0);
    cr_assert_eq(acquire(3), b);
    cr_assert_eq(acquire(3), a);
    cr_assert_eq(acquire(5), c);
}

Test(span, what_is_pocketed_is_found_by_longer_requests_and_by_purge)
{
    struct span *a = acquire(3);
    struct span *b = acquire(5);

    acquire(1); /* keeps the frontier away */
    span_release(a, 3, 3 * SPAN_PARTS);
    span_release(b, 5, 5 * SPAN_PARTS);
    cr_assert_eq(span_totals().dirty_bytes, 8 * SPAN_BYTES);
    cr_assert_eq(acquire(8), a);
    span_release(a, 8, 8 * SPAN_PARTS);
    cr_assert_eq(span_purge(os_coarse_ms(), 0, SIZE_MAX), 8 * SPAN_BYTES);
    cr_assert_eq(span_totals().dirty_bytes, 0);
}

Test(span, fresh_and_purged_memory_is_clean_used_is_not)
{
    bool clean;
    struct span *s = span_acquire(4, 1, &clean);

    cr_assert(clean);
    memset(span_address(s), 1, 4 * SPAN_BYTES);
    span_release(s, 4, 4 * SPAN_PARTS);
    cr_assert_eq(span_acquire(4, 1, &clean), s);
    cr_assert_not(clean);
    span_release(s, 4, 4 * SPAN_PARTS);
    cr_assert_eq(span_purge(os_coarse_ms(), 0, SIZE_MAX), 4 * SPAN_BYTES);
    cr_assert_eq(span_acquire(4, 1, &clean), s);
    cr_assert(clean);
    for (size_t i = 0; i < 4 * SPAN_BYTES; i++) {
        cr_assert_eq(span_address(s)[i], 0);
    }
}

Test(span, young_runs_are_not_purged)
{
    struct span *s = acquire(1);

    span_release(s, 1, 1 * SPAN_PARTS);
    cr_assert_eq(span_purge(os_coarse_ms(), 60000, SIZE_MAX), 0);
    cr_assert_eq(span_totals().dirty_bytes, SPAN_BYTES);
}

Test(span, alignment_is_kept_and_the_rest_stays_free)
{
    for (size_t align = 1; align <= 64; align *= 2) {
        bool clean;
        struct span *s = span_acquire(1, align, &clean);

        cr_assert_eq((uintptr_t)span_address(s) % (align * SPAN_BYTES), 0);
    }
}

Test(span, extends_into_free_neighbours_only)
{
    struct span *a = acquire(1);
    struct span *b = acquire(1);
    bool clean;

    cr_assert(span_extend(b, 1, 8, &clean), "at the frontier there is room");
    cr_assert_not(span_extend(a, 1, 2, &clean), "b is there");
    span_release(b, 8, 8 * SPAN_PARTS);
    cr_assert(span_extend(a, 1, 5, &clean));
    cr_assert_eq(acquire(4), a + 5);
}

/* A model: which spans are taken. Every step keeps runs apart. */
Test(span, random_runs_never_overlap)
{
    enum { RUNS = 200, MOST = 70 };
    struct span *runs[RUNS] = {NULL};
    size_t lengths[RUNS] = {0};
    uint64_t state = 42;

    for (int step = 0; step < 50000; step++) {
        size_t i;

        state = state * 6364136223846793005u + 1442695040888963407u;
        i = (state >> 33) % RUNS;
        if (runs[i] != NULL) {
            for (size_t k = 0; k < lengths[i]; k++) {
                cr_assert_eq(*(size_t *)(span_address(runs[i]) + k * SPAN_BYTES), i);
            }
            span_release(runs[i], lengths[i], lengths[i] * SPAN_PARTS);
            runs[i] = NULL;
        } else {
            lengths[i] = 1 + (state >> 45) % MOST;
            runs[i] = acquire(lengths[i]);
            for (size_t k = 0; k < lengths[i]; k++) {
                *(size_t *)(span_address(runs[i]) + k * SPAN_BYTES) = i;
            }
        }
        if (step % 5000 == 0) {
            span_purge(os_coarse_ms(), 0, SIZE_MAX);
        }
    }
}
