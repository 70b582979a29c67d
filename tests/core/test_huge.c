#include "huge.h"

#include "large.h"
#include "malloc.h"
#include "os.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(huge, huge_blocks_move_without_copying_and_keep_their_bytes)
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

/* The next that fits gets what was freed, without its pages when it must be zero. */
Test(huge, a_freed_huge_block_is_kept_for_the_next)
{
    char *p = malloc_alloc(NULL, 40 * MIB);
    char *q;

    p[0] = 1;
    malloc_free(p);
    cr_assert_eq(huge_totals().kept_bytes, 40 * MIB);
    cr_assert_eq(huge_live_bytes(), 0);
    cr_assert_eq(malloc_alloc(NULL, 36 * MIB), p);
    cr_assert_eq(huge_totals().kept_bytes, 0);
    cr_assert_eq(malloc_usable(p), 36 * MIB);
    malloc_free(p);
    q = malloc_zeroed(NULL, 36, MIB);
    cr_assert_eq(q, p);
    cr_assert_eq(q[0], 0);
}

Test(huge, huge_blocks_are_kept_for_a_while_and_not_all)
{
    char *p[4];

    for (unsigned i = 0; i < 4; i++) {
        p[i] = malloc_alloc(NULL, 40 * MIB);
    }
    for (unsigned i = 0; i < 4; i++) {
        malloc_free(p[i]);
    }
    cr_assert_eq(huge_totals().kept_bytes, 40 * MIB, "one is below 64 MiB");
    cr_assert_eq(huge_purge(os_coarse_ms(), 1000, SIZE_MAX), 0, "not old");
    cr_assert_eq(huge_purge(os_coarse_ms() + 1000, 1000, SIZE_MAX), 40 * MIB);
    cr_assert_eq(huge_totals().kept_bytes, 0);
    malloc_free(malloc_alloc(NULL, 40 * MIB));
    cr_assert_geq(malloc_trim_all(), 40 * MIB);
    cr_assert_eq(huge_totals().kept_bytes, 0);
}

Test(huge, double_free_of_a_huge_block_aborts, .signal = SIGABRT)
{
    void *p = malloc_alloc(NULL, 64 * MIB);

    malloc_free(p);
    malloc_free(p);
}

/* More is released than asked for: what is behind would stay resident and be no one's. */
Test(huge, what_is_kept_and_too_long_is_cut)
{
    char *p = malloc_alloc(NULL, 40 * MIB);

    malloc_free(p);
    cr_assert_eq(malloc_alloc(NULL, 36 * MIB), p);
    p = malloc_resize(NULL, p, 37 * MIB);
    p[37 * MIB - 1] = 1;
    cr_assert_eq(malloc_usable(p), 37 * MIB);
    malloc_free(p);
    cr_assert_eq(huge_totals().kept_bytes, 37 * MIB);
}

Test(huge, an_aligned_block_of_what_is_kept_is_aligned)
{
    for (size_t align = MIB; align <= 16 * MIB; align *= 2) {
        char *p;

        malloc_free(malloc_alloc(NULL, 56 * MIB));
        p = malloc_aligned(NULL, align, 40 * MIB);
        cr_assert_eq((uintptr_t)p % align, 0);
        p[0] = p[40 * MIB - 1] = 1;
        malloc_free(p);
        malloc_trim_all();
    }
}

/* calloc must not leave what was kept lying about: it takes it without its pages. */
Test(huge, calloc_in_a_loop_keeps_one)
{
    for (unsigned i = 0; i < 4; i++) {
        char *p = malloc_zeroed(NULL, 60, MIB);

        for (size_t at = 0; at < 60 * MIB; at += 4096) {
            cr_assert_eq(p[at], 0);
            p[at] = 1;
        }
        malloc_free(p);
        cr_assert_eq(huge_totals().kept_bytes, 60 * MIB);
    }
}

/* What is too short gets more, and keeps its pages; for calloc it would have to lose them. */
Test(huge, a_kept_block_that_is_too_short_is_extended)
{
    char *p = malloc_alloc(NULL, 40 * MIB);
    char *q;

    p[0] = 1;
    malloc_free(p);
    q = malloc_alloc(NULL, 50 * MIB);
    cr_assert_eq(huge_totals().kept_bytes, 0);
    cr_assert_eq(malloc_usable(q), 50 * MIB);
    cr_assert_eq(q[0], 1, "it is the same memory");
    q[50 * MIB - 1] = 1;
    malloc_free(q);
    q = malloc_alloc(NULL, 35 * MIB);
    cr_assert_eq(huge_totals().kept_bytes, 0, "what is too long is cut");
    malloc_free(q);
    q = malloc_zeroed(NULL, 60, MIB);
    cr_assert_eq(huge_totals().kept_bytes, 35 * MIB);
    cr_assert_eq(q[0], 0);
    malloc_free(q);
}
