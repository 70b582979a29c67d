#include "large.h"

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
