#include "huge.h"

#include "malloc.h"
#include "os.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(large, block_bytes_are_whole_pages)
{
    void *p = malloc_alloc(NULL, 100001);
    size_t bytes = bits_round_up(100001, os_page_bytes());

    cr_assert_eq(malloc_usable(p), bytes);
    memset(p, 1, bytes);
    malloc_free(p);
}

Test(large, grows_in_place_at_the_frontier)
{
    char *p = malloc_alloc(NULL, MIB);

    memset(p, 7, MIB);
    cr_assert_eq(malloc_resize(NULL, p, 4 * MIB), p);
    cr_assert_eq(p[MIB - 1], 7);
    malloc_free(p);
}

Test(large, shrinking_gives_spans_back)
{
    char *p = malloc_alloc(NULL, 8 * MIB);
    size_t used = span_used();

    cr_assert_eq(malloc_resize(NULL, p, MIB), p);
    cr_assert_eq(span_used(), used - 7 * MIB / SPAN_BYTES);
    malloc_free(p);
}

Test(large, huge_blocks_move_without_copying_and_keep_their_bytes)
{
    char *p = malloc_alloc(NULL, 40 * MIB);

    p[0] = 1;
    p[40 * MIB - 1] = 2;
    p = malloc_resize(NULL, p, 400 * MIB);
    cr_assert_eq(p[0], 1);
    cr_assert_eq(p[40 * MIB - 1], 2);
    cr_assert_eq(malloc_usable(p), 400 * MIB);
    p = malloc_resize(NULL, p, 33 * MIB);
    cr_assert_eq(p[0], 1);
    p = malloc_resize(NULL, p, MIB);
    cr_assert_eq(p[0], 1);
    cr_assert_eq(huge_live_bytes(), 0);
    malloc_free(p);
}

/* The next that fits gets what was freed; one that must be zero does not. */
Test(large, a_freed_huge_block_is_kept_for_the_next)
{
    char *p = malloc_alloc(NULL, 40 * MIB);
    char *q;

    p[0] = 1;
    malloc_free(p);
    cr_assert_eq(huge_kept_bytes(), 40 * MIB);
    cr_assert_eq(huge_live_bytes(), 0);
    q = malloc_zeroed(NULL, 40, MIB);
    cr_assert_eq(q[0], 0);
    cr_assert_eq(huge_kept_bytes(), 40 * MIB);
    cr_assert_eq(malloc_alloc(NULL, 36 * MIB), p);
    cr_assert_eq(huge_kept_bytes(), 0);
    cr_assert_eq(malloc_usable(p), 36 * MIB);
}

Test(large, huge_blocks_are_kept_for_a_while_and_not_all)
{
    char *p[4];

    for (unsigned i = 0; i < 4; i++) {
        p[i] = malloc_alloc(NULL, 40 * MIB);
    }
    for (unsigned i = 0; i < 4; i++) {
        malloc_free(p[i]);
    }
    cr_assert_eq(huge_kept_bytes(), 40 * MIB, "one is below 64 MiB");
    cr_assert_eq(huge_purge(os_coarse_ms(), 1000), 0, "not old");
    cr_assert_eq(huge_purge(os_coarse_ms() + 1000, 1000), 40 * MIB);
    cr_assert_eq(huge_kept_bytes(), 0);
    malloc_free(malloc_alloc(NULL, 40 * MIB));
    cr_assert_geq(malloc_trim_all(), 40 * MIB);
    cr_assert_eq(huge_kept_bytes(), 0);
}

Test(large, alignment_of_any_power_of_two)
{
    for (size_t align = 16; align <= GIB; align *= 2) {
        char *p = malloc_aligned(NULL, align, 100000);

        cr_assert_eq((uintptr_t)p & (align - 1), 0);
        p[99999] = 1;
        malloc_free(p);
    }
}

Test(large, calloc_of_used_memory_is_zero)
{
    char *p = malloc_alloc(NULL, MIB);

    memset(p, 0xff, MIB);
    malloc_free(p);
    p = malloc_zeroed(NULL, 1, MIB);
    for (size_t i = 0; i < MIB; i++) {
        cr_assert_eq(p[i], 0);
    }
}

Test(large, impossible_sizes_are_refused)
{
    cr_assert_null(malloc_alloc(NULL, SIZE_MAX));
    cr_assert_null(malloc_alloc(NULL, (size_t)PTRDIFF_MAX + 1));
    cr_assert_null(malloc_zeroed(NULL, SIZE_MAX / 2 + 2, 2));
    cr_assert_null(malloc_aligned(NULL, (size_t)1 << 62, 1));
}

Test(large, double_free_of_a_large_block_aborts, .signal = SIGABRT)
{
    void *p = malloc_alloc(NULL, MIB);

    malloc_free(p);
    malloc_free(p);
}

Test(large, double_free_of_a_huge_block_aborts, .signal = SIGABRT)
{
    void *p = malloc_alloc(NULL, 64 * MIB);

    malloc_free(p);
    malloc_free(p);
}
