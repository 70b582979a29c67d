#include "sample.h"

#include "live.h"
#include "malloc.h"
#include "options.h"
#include "own_memory.h"
#include "poisson.h"
#include "pool.h"
#include "publish.h"
#include "region.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#if CONFIG_PROFILE

/* As if a region had been made; what is written for it goes nowhere. */
static void begin(uint64_t interval)
{
    options.sample_bytes = interval;
    options.sample_governor = false;
    lock_lock(&profile_lock);
    sample_start_locked();
    lock_unlock(&profile_lock);
}

struct sums {
    uint64_t allocated_samples;
    uint64_t freed_samples;
    double allocated_bytes;
    double freed_bytes;
    double variance;
    double requested;
    double peak_bytes;
    uint64_t short_lived;
    uint64_t moved_samples;
    double moved_blocks;
    double moved_bytes;
    struct mp_region_sampling sampling;
};

static struct sums sum_up(void)
{
    struct sums sums = {0};

    lock_lock(&profile_lock);
    sites_describe_locked(&sums.sampling);
    live_describe_locked(&sums.sampling);
    for (size_t i = 0; i < sums.sampling.site_count; i++) {
        const struct mp_region_site *s = sites_site_locked(i);

        if (s == NULL) {
            continue;
        }
        sums.allocated_samples += s->allocated_samples;
        sums.freed_samples += s->freed_samples;
        sums.allocated_bytes += s->allocated_bytes;
        sums.freed_bytes += s->freed_bytes;
        sums.variance += s->allocated_bytes_variance;
        sums.requested += s->allocated_requested;
        sums.peak_bytes += s->peak_number == sums.sampling.peak_number
                               ? s->peak_bytes
                               : s->allocated_bytes - s->freed_bytes;
        sums.moved_samples += s->moved_samples;
        sums.moved_blocks += s->moved_blocks;
        sums.moved_bytes += s->moved_bytes;
        for (unsigned b = 0; b < 13; b++) {
            sums.short_lived += s->lifetimes[b];
        }
    }
    lock_unlock(&profile_lock);
    return sums;
}

static struct mp_snapshot look(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    cr_assert_eq(publish_snapshot(&s), 0);
    return s;
}

static void expect_nothing_lives(void)
{
    struct sums sums = sum_up();
    struct mp_snapshot s = look();

    cr_assert_eq(s.live_blocks, 0);
    cr_assert_eq(s.live_bytes, 0);
    cr_assert_eq(sums.allocated_samples, sums.freed_samples);
    cr_assert_float_eq(sums.allocated_bytes - sums.freed_bytes, 0, 1);
}

static bool is_sampled(const void *p)
{
    const struct span *s = span_find(p);

    return s != NULL
           && (s->kind == SPAN_SAMPLED || (s->kind == SPAN_LARGE && s->sample != 0));
}

/* Each block is in the sample with 1 - exp(-S / R), however lists are cut. */
static void check_share(size_t size, uint64_t interval, unsigned count)
{
    unsigned sampled = 0;
    double p, sd;

    begin(interval);
    for (unsigned i = 0; i < count; i++) {
        void *p_i = malloc_alloc(NULL, size);

        sampled += is_sampled(p_i);
        malloc_free(p_i);
    }
    p = poisson_chance(
        (double)bits_round_up(size, size > SLAB_MAX ? 4096 : 16), (double)interval);
    sd = sqrt(count * p * (1 - p));
    cr_assert_float_eq(sampled, count * p, 4.5 * sd + 1, "%u of %u blocks of %zu",
        sampled, count, size);
    expect_nothing_lives();
}

Test(sample, share_of_small_blocks)
{
    check_share(16, 4096, 2000000);
}

Test(sample, share_of_blocks_like_the_interval)
{
    check_share(4096, 4096, 200000);
}

Test(sample, share_of_the_largest_of_slabs)
{
    check_share(32768, 65536, 50000);
}

Test(sample, share_of_large_blocks)
{
    check_share(100000, 262144, 50000);
}

Test(sample, share_of_rare_ones)
{
    check_share(64, 1 << 20, 4000000);
}

/* What was handed out and put back before it was used comes again before the next sample. */
Test(sample, share_where_lists_are_put_back)
{
    enum { BLOCKS = 100000, SIZE = 1024, INTERVAL = 65536 };
    double p = poisson_chance(SIZE, INTERVAL);
    unsigned sampled = 0;

    begin(INTERVAL);
    for (unsigned i = 0; i < BLOCKS; i++) {
        void *block = malloc_alloc(NULL, SIZE);

        sampled += is_sampled(block);
        malloc_free(block);
        if (i % 5 == 0) {
            malloc_trim_all();
        }
    }
    cr_assert_float_eq(sampled, BLOCKS * p, 4.5 * sqrt(BLOCKS * p * (1 - p)),
        "%u of %u blocks", sampled, BLOCKS);
    expect_nothing_lives();
}

/* However a large block came to its size, in place or not, its chance is that of its size. */
static void check_share_resized(size_t from, size_t to, uint64_t interval)
{
    enum { COUNT = 20000 };
    unsigned sampled = 0;
    double p, sd;

    begin(interval);
    for (unsigned i = 0; i < COUNT; i++) {
        void *block = malloc_resize(NULL, malloc_alloc(NULL, from), to);

        sampled += is_sampled(block);
        malloc_free(block);
    }
    p = poisson_chance((double)bits_round_up(to, 4096), (double)interval);
    sd = sqrt(COUNT * p * (1 - p));
    cr_assert_float_eq(sampled, COUNT * p, 4.5 * sd + 1, "%u of %u blocks, %zu to %zu",
        sampled, (unsigned)COUNT, from, to);
    expect_nothing_lives();
}

Test(sample, share_of_large_blocks_that_grew)
{
    check_share_resized(70000, 120000, 262144);
}

Test(sample, share_of_large_blocks_that_shrank)
{
    check_share_resized(250000, 140000, 262144);
}

/* Sums over samples are estimates of what was counted exactly. */
Test(sample, estimates_agree_with_counters)
{
    enum { BLOCKS = 200000 };
    uint64_t state = 99;
    void **blocks = malloc(BLOCKS * sizeof(*blocks)); /* the system's: not counted */
    struct mp_snapshot s;
    struct sums sums;

    begin(65536);
    for (unsigned i = 0; i < BLOCKS; i++) {
        uint64_t r = poisson_random(&state);

        blocks[i] =
            malloc_alloc(NULL, r % 100 == 0 ? r >> 40 & 0x3ffff : r >> 40 & 2047);
        if (i % 3 == 0) {
            malloc_free(blocks[i / 2]);
            blocks[i / 2] = NULL;
        }
    }
    s = look();
    sums = sum_up();
    cr_assert_gt(sums.allocated_samples, 1000);
    cr_assert_float_eq(sums.allocated_bytes, (double)s.allocated_bytes_total,
        4.5 * sqrt(sums.variance));
    cr_assert_float_eq(sums.allocated_bytes - sums.freed_bytes, (double)s.live_bytes,
        4.5 * sqrt(sums.variance));
    cr_assert_lt(sums.requested, sums.allocated_bytes);
    for (unsigned i = 0; i < BLOCKS; i++) {
        malloc_free(blocks[i]);
    }
    expect_nothing_lives();
    free(blocks);
}

Test(sample, exact_mode_counts_everything)
{
    enum { BLOCKS = 10000 };
    void *blocks[BLOCKS];
    struct mp_component *c = component_intern("exact/part");
    struct sums sums;
    struct mp_snapshot s;

    begin(MP_SAMPLING_EXACT);
    for (unsigned i = 0; i < BLOCKS; i++) {
        size_t size = i % 100 == 0 ? 50000 + i : i % 3000;

        blocks[i] = i % 5 == 0   ? malloc_alloc(c, size)
                    : i % 5 == 1 ? malloc_calloc(1, size)
                    : i % 5 == 2 ? malloc_aligned(NULL, 64, size)
                                 : malloc_fast(size);
        cr_assert(is_sampled(blocks[i]), "number %u, of %zu bytes", i, size);
        cr_assert_geq(malloc_usable(blocks[i]), size);
    }
    sums = sum_up();
    s = look();
    cr_assert_eq(sums.allocated_samples, BLOCKS);
    cr_assert_eq((uint64_t)sums.allocated_bytes, s.allocated_bytes_total);
    cr_assert_eq((uint64_t)sums.peak_bytes, s.live_bytes);
    cr_assert_eq(s.live_blocks, BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        malloc_free(blocks[i]);
    }
    sums = sum_up();
    cr_assert_eq((uint64_t)sums.peak_bytes, s.live_bytes, "the peak is kept");
    expect_nothing_lives();
}

/* One sample in 4 MiB is off by as much: it is not the sample that says when the peak was. */
Test(sample, the_peak_is_when_counters_saw_most)
{
    enum { BLOCKS = 512, BYTES = 64 * 1024 };
    void *blocks[BLOCKS];
    struct mp_region_sampling s;

    begin(4 << 20);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc_alloc(NULL, BYTES);
    }
    s = sum_up().sampling;
    cr_assert_gt(s.peak_bytes, 4 << 20);
    sample_publish(
        1, 1 << 20, 1 << 20, 1000); /* samples had said more than there was */
    s = sum_up().sampling;
    cr_assert_eq(s.peak_bytes, 1 << 20);
    cr_assert_eq(s.peak_ns, 1000);
    sample_publish(2, 1 << 19, 1 << 20, 2000);
    s = sum_up().sampling;
    cr_assert_eq(s.peak_bytes, 1 << 20);
    cr_assert_eq(s.peak_ns, 1000);
    sample_publish(3, 1 << 21, 1 << 21, 3000);
    s = sum_up().sampling;
    cr_assert_eq(s.peak_bytes, 1 << 21);
    cr_assert_eq(s.peak_ns, 3000);
    for (unsigned i = 0; i < BLOCKS; i++) {
        malloc_free(blocks[i]);
    }
    for (unsigned i = 0; i < BLOCKS;
         i++) { /* it takes 2 MiB more than now for a new one */
        blocks[i] = malloc_alloc(NULL, 256);
    }
    s = sum_up().sampling;
    cr_assert_eq(s.peak_ns, 3000);
    for (unsigned i = 0; i < BLOCKS; i++) {
        malloc_free(blocks[i]);
    }
}

Test(sample, realloc_in_and_out_of_samples)
{
    char *p;

    begin(MP_SAMPLING_EXACT);
    p = malloc_alloc(NULL, 100);
    memset(p, 7, 100);
    cr_assert_eq(malloc_resize(NULL, p, 110), p, "fits: the sample stays");
    p = malloc_resize(NULL, p, 100000);
    cr_assert_eq(p[99], 7);
    p = malloc_resize(NULL, p, 300000);
    p = malloc_resize(NULL, p, 64 << 20);
    cr_assert_eq(p[99], 7);
    p = malloc_resize(NULL, p, 96 << 20);
    cr_assert_eq(sum_up().allocated_samples - sum_up().freed_samples, 1);
    p = malloc_resize(NULL, p, 50);
    cr_assert_eq(p[49], 7);
    malloc_free(p);
    expect_nothing_lives();
}

Test(sample, blocks_that_realloc_moves_are_counted)
{
    struct sums s;
    size_t had;
    void *p;
    void *q;

    begin(MP_SAMPLING_EXACT);
    p = malloc_alloc(NULL, 100);
    q = malloc_resize(NULL, p, 110); /* it fits */
    cr_assert_eq(q, p);
    cr_assert_eq(sum_up().moved_samples, 0);
    q = malloc_resize(NULL, q, 1000);
    s = sum_up();
    cr_assert_eq(s.moved_samples, 1);
    cr_assert_float_eq(s.moved_blocks, 1, 1e-9);
    cr_assert_float_eq(s.moved_bytes, 112, 1e-9); /* all that it had */
    had = malloc_usable(q);
    q = malloc_resize(NULL, q, 100 * KIB);
    cr_assert_float_eq(sum_up().moved_bytes, 112 + (double)had, 1e-9);
    q = malloc_resize(NULL, q, 500); /* smaller, and elsewhere */
    s = sum_up();
    cr_assert_eq(s.moved_samples, 3);
    cr_assert_float_eq(s.moved_bytes, 112 + (double)had + 500, 1e-9);
    malloc_free(q);
    expect_nothing_lives();
}

/* One of so many is seen, and stands for them. */
Test(sample, moves_are_estimated_without_bias)
{
    enum { BLOCKS = 200000 };
    struct sums s;

    begin(8192);
    for (unsigned i = 0; i < BLOCKS; i++) {
        void *p = malloc_resize(NULL, malloc_alloc(NULL, 200), 600);

        malloc_free(p);
    }
    s = sum_up();
    cr_assert_gt(s.moved_samples, 1000);
    cr_assert_float_eq(
        s.moved_blocks, BLOCKS, 5 * BLOCKS / sqrt((double)s.moved_samples));
    cr_assert_float_eq(s.moved_bytes, BLOCKS * 208.0,
        5 * BLOCKS * 208.0 / sqrt((double)s.moved_samples));
}

Test(sample, resized_blocks_are_counted_as_requested)
{
    struct sums sums;
    char *p;

    begin(MP_SAMPLING_EXACT);
    p = malloc_alloc(NULL, 105);
    p = malloc_resize(NULL, p, 120); /* moves, with room for more */
    sums = sum_up();
    cr_assert_eq((uint64_t)sums.requested, 105 + 120);
    malloc_free(p);
    for (size_t pages = 25; pages <= 25 << 12; pages <<= 12) { /* large, then huge */
        size_t bytes = pages * os_page_bytes();
        struct sums before = sum_up();

        p = malloc_alloc(NULL, bytes - 100);
        cr_assert_eq(malloc_resize(NULL, p, bytes - 7), p);
        cr_assert_eq(malloc_resize(NULL, p, bytes - 107), p);
        sums = sum_up();
        cr_assert_eq(sums.allocated_samples - before.allocated_samples, 1);
        cr_assert_eq((uint64_t)(sums.requested - before.requested), bytes - 7);
        cr_assert_eq((uint64_t)(sums.allocated_bytes - before.allocated_bytes), bytes,
            "as the counters do");
        malloc_free(p);
    }
    expect_nothing_lives();
}

Test(sample, calloc_gives_zeros_and_alignment_holds)
{
    begin(MP_SAMPLING_EXACT);
    for (size_t size = 1; size < 40000; size = size * 3 / 2 + 1) {
        unsigned char *p = malloc_fast(size);

        memset(p, 0xee, size);
        malloc_free(p);
        p = malloc_calloc(1, size);
        for (size_t i = 0; i < size; i++) {
            cr_assert_eq(p[i], 0);
        }
        malloc_free(p);
    }
    for (size_t alignment = 16; alignment <= 65536; alignment *= 2) {
        void *p = malloc_aligned(NULL, alignment, 100);

        cr_assert_eq((uintptr_t)p & (alignment - 1), 0);
        malloc_free(p);
    }
}

Test(sample, wrong_frees_are_found)
{
    struct mp_snapshot s = look();
    char *p;

    options.abort = false;
    begin(MP_SAMPLING_EXACT);
    p = malloc_fast(100);
    malloc_free(p + 16);
    malloc_free(p);
    malloc_free(p);
    cr_assert_eq(malloc_usable(p), 0);
    cr_assert_eq(look().invalid_frees_total, s.invalid_frees_total + 2);
    cr_assert_eq(sum_up().freed_samples, 1);
}

static void *free_it(void *p)
{
    malloc_free(p);
    return NULL;
}

Test(sample, another_thread_may_free)
{
    pthread_t other;

    begin(MP_SAMPLING_EXACT);
    for (size_t size = 8; size < (size_t)64 << 20; size *= 8) {
        pthread_create(&other, NULL, free_it, malloc_alloc(NULL, size));
        pthread_join(other, NULL);
    }
    expect_nothing_lives();
}

Test(sample, cap_on_memory_holds_and_is_told)
{
    enum { BLOCKS = 100000 };
    static void *blocks[BLOCKS];
    struct sums sums;

    options.sample_memory_bytes = 1 << 20;
    begin(MP_SAMPLING_EXACT);
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc_fast(32);
        cr_assert_not_null(blocks[i]);
    }
    sums = sum_up();
    cr_assert_gt(sums.sampling.samples_refused_total, 0);
    cr_assert_eq(sums.freed_samples, 0, "nothing was freed");
    lock_lock(&profile_lock);
    cr_assert_leq(own_bytes_locked(), 1 << 20);
    lock_unlock(&profile_lock);
    cr_assert_eq(look().live_blocks, BLOCKS, "the counters are exact all the same");
    for (unsigned i = 0; i < BLOCKS; i++) {
        malloc_free(blocks[i]);
    }
    expect_nothing_lives();
}

Test(sample, interval_can_change_at_any_time)
{
    void *p;

    begin(MP_SAMPLING_OFF);
    for (unsigned i = 0; i < 100000; i++) {
        malloc_free(malloc_fast(1000));
    }
    cr_assert_eq(sum_up().allocated_samples, 0);
    cr_assert_eq(sample_set_interval(1), 0);
    for (unsigned i = 0; i < 2000; i++) { /* lists that were handed out run dry */
        malloc_free(malloc_fast(1000));
    }
    p = malloc_fast(1000);
    cr_assert(is_sampled(p));
    cr_assert_eq(sample_set_interval(MP_SAMPLING_OFF), 0);
    malloc_free(p);
    expect_nothing_lives();
    p = malloc_fast(1000);
    cr_assert_not(is_sampled(p));
    malloc_free(p);
    cr_assert_eq(sample_set_interval(SAMPLE_MOST + 1), -EINVAL);
    cr_assert_eq(sample_set_interval(0), -EINVAL);
    cr_assert_eq(sample_set_interval(SAMPLE_MOST), 0);
}

/*
 * Samples that are promised when the interval changes are taken all the same: each stands for
 * the rest of a list that was cut short for it.
 */
Test(sample, changes_of_the_interval_leave_sums_unbiased)
{
    enum { CHANGES = 3000, BLOCKS = 40, CLASSES = 8 };
    double bytes = 0;
    struct sums sums;

    begin(32768);
    for (unsigned i = 0; i < CHANGES; i++) {
        for (unsigned b = 0; b < BLOCKS * CLASSES; b++) {
            size_t size = 128 + 16 * (size_t)(b % CLASSES);

            malloc_free(malloc_fast(size));
            bytes += (double)size;
        }
        cr_assert_eq(sample_set_interval(i % 2 == 0 ? 16384 : 32768), 0);
    }
    sums = sum_up();
    cr_assert_float_eq(sums.allocated_bytes, bytes, 4.5 * sqrt(sums.variance),
        "%.0f of %.0f bytes, sd %.0f", sums.allocated_bytes, bytes,
        sqrt(sums.variance));
    expect_nothing_lives();
}

/* Threads that drew a long gap while nothing was sampled hear of it when that changes. */
Test(sample, large_blocks_follow_a_change_of_the_interval)
{
    void *p;

    begin(MP_SAMPLING_OFF);
    malloc_free(malloc_alloc(NULL, 100000));
    cr_assert_eq(sample_set_interval(1), 0);
    p = malloc_alloc(NULL, 100000);
    cr_assert(is_sampled(p));
    malloc_free(p);
    expect_nothing_lives();
}

/*
 * Blocks that were on a list and go back unused were no allocations: the next ones are sampled
 * no more often for them.
 */
Test(sample, lists_that_go_back_leave_the_chance_as_it_was)
{
    enum { BURSTS = 4000 };
    unsigned first_sampled = 0;

    begin(65536);
    for (unsigned i = 0; i < BURSTS; i++) {
        void *blocks[41];

        for (unsigned b = 0; b < 41; b++) {
            blocks[b] = malloc_fast(48);
        }
        first_sampled += is_sampled(blocks[0]);
        for (unsigned b = 0; b < 41; b++) {
            malloc_free(blocks[b]);
        }
        malloc_trim_all();
    }
    /* 4,000 times 48 / 65,536 is 2.9; one of 12 million runs has 16 or more. */
    cr_assert_lt(first_sampled, 16);
    expect_nothing_lives();
}

static void *calloc_large(void *arg)
{
    unsigned *sampled = arg;

    thread_enter(component_intern("no/heap/yet"));
    for (unsigned i = 0; i < 10; i++) {
        void *p = malloc_zeroed(NULL, 1, 100000);

        *sampled += is_sampled(p);
        malloc_free(p);
    }
    return NULL;
}

Test(sample, large_blocks_of_threads_without_a_heap)
{
    unsigned sampled = 0;
    pthread_t other;

    begin(MP_SAMPLING_EXACT);
    pthread_create(&other, NULL, calloc_large, &sampled);
    pthread_join(other, NULL);
    cr_assert_eq(sampled, 10);
}

Test(sample, lifetimes_and_operations)
{
    struct sums sums;
    uint64_t of_operation = 0;

    begin(MP_SAMPLING_EXACT);
    sample_set_operation("checkout");
    for (unsigned i = 0; i < 100; i++) {
        malloc_free(malloc_fast(50));
    }
    sample_set_operation(NULL);
    malloc_free(malloc_fast(50));
    sums = sum_up();
    cr_assert_eq(sums.freed_samples, 101);
    cr_assert_geq(
        sums.short_lived, 95, "within 8 ms: %lu", (unsigned long)sums.short_lived);
    lock_lock(&profile_lock);
    for (size_t i = 0; i < sums.sampling.site_count; i++) {
        const struct mp_region_site *s = sites_site_locked(i);

        of_operation += s->operation != 0 ? s->allocated_samples : 0;
    }
    lock_unlock(&profile_lock);
    cr_assert_eq(of_operation, 100, "of one site, or of its shares");
}

#endif
