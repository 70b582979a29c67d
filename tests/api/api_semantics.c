/*
 * api_semantics - the C entry points do what C23, POSIX and glibc promise
 *
 * Runs against whichever malloc the process has, and fails first of all when that is not
 * mpalloc. Names carry the number of the conformance list (A1 to A30).
 * TEST_LINKED: the library is linked, so its extra names are too; else they are looked up.
 */
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>

enum { MIB = 1 << 20 };
#define TOO_MUCH ((size_t)PTRDIFF_MAX + 1)

#ifdef TEST_LINKED
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t alignment, size_t size);
void cfree(void *p);
#else
static void (*free_sized)(void *p, size_t size);
static void (*free_aligned_sized)(void *p, size_t alignment, size_t size);
static void (*cfree)(void *p);
#endif

/* Sizes that matter: around every class edge, small, large and huge. */
static const size_t edges[] = {0, 1, 8, 15, 16, 17, 31, 32, 33, 64, 127, 128, 129, 255,
    256, 257, 511, 512, 513, 1008, 1023, 1024, 1025, 1151, 1152, 1153, 2047, 2048, 2049,
    4095, 4096, 4097, 8191, 8192, 8193, 16384, 16385, 28672, 28673, 32767, 32768, 32769,
    65535, 65536, 65537, 131072, 131073, 262145, 1048575, 1048577, 4194305};
enum { EDGES = sizeof(edges) / sizeof(edges[0]) };

static int is_aligned(const void *p, size_t alignment)
{
    return p != NULL && (uintptr_t)p % alignment == 0;
}

static void a27_names_are_ours(void)
{
#ifndef TEST_STATIC
    static const char *const names[] = {"malloc", "free", "calloc", "realloc",
        "reallocarray", "aligned_alloc", "memalign", "posix_memalign", "valloc",
        "pvalloc", "malloc_usable_size", "malloc_trim", "mallinfo", "mallinfo2",
        "malloc_info", "malloc_stats", "mallopt", "cfree", "free_sized",
        "free_aligned_sized", "__libc_malloc", "__libc_free", "__libc_calloc",
        "__libc_realloc", "__libc_memalign", "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t",
        "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
        "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
        "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t",
        "_ZdaPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t",
        "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t",
        "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *at = dlsym(RTLD_DEFAULT, names[i]);
        Dl_info info;

        if (at == NULL || dladdr(at, &info) == 0
            || (strstr(info.dli_fname, "mpalloc") == NULL
#    ifdef TEST_ARCHIVE
                && strstr(info.dli_fname, program_invocation_short_name) == NULL
#    endif
                )) {
            test_fail(names[i], __FILE__, __LINE__);
        }
    }
#endif
}

static void look_up_names(void)
{
#ifndef TEST_LINKED
    *(void **)&free_sized = dlsym(RTLD_DEFAULT, "free_sized");
    *(void **)&free_aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    *(void **)&cfree = dlsym(RTLD_DEFAULT, "cfree");
#endif
}

/* ---- malloc, calloc ---- */

static void a13_free_null_is_first_call(void)
{
    errno = 77;
    free(NULL);
    CHECK(errno == 77);
    CHECK(realloc(NULL, 0) != NULL); /* leaks one block, on purpose */
}

static void a1_malloc_zero_gives_distinct_blocks(void)
{
    void *p = malloc(test_opaque(0));
    void *q = malloc(test_opaque(0));

    CHECK(p != NULL && q != NULL && p != q);
    free(p);
    free(q);
}

static void a2_blocks_are_aligned_writable_and_apart(void)
{
    enum { COUNT = 4096 };
    static unsigned char *p[COUNT];

    for (size_t n = 0; n < COUNT; n++) {
        p[n] = malloc(n);
        CHECK(is_aligned(p[n], 16));
        test_fill(p[n], (int)(n % 251), n);
    }
    for (size_t n = 0; n < COUNT; n++) {
        CHECK(test_is_filled(p[n], (int)(n % 251), n));
    }
    for (size_t n = 0; n < COUNT; n++) {
        free(p[n]);
    }
    for (size_t i = 0; i < EDGES; i++) {
        void *q = malloc(edges[i]);

        CHECK(is_aligned(q, 16));
        test_fill(q, 1, edges[i]);
        free(q);
    }
}

static void a3_impossible_sizes_fail_and_map_nothing(void)
{
    size_t before = test_statm(0);

    for (size_t k = 0; k <= 16384; k += k < 64 ? 1 : 61) {
        errno = 0;
        CHECK(malloc(test_opaque(SIZE_MAX - k)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(1, test_opaque(SIZE_MAX - k)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(realloc(NULL, test_opaque(SIZE_MAX - k)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(memalign(64, test_opaque(SIZE_MAX - k)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(valloc(test_opaque(SIZE_MAX - k)) == NULL && errno == ENOMEM);
    }
    CHECK(test_statm(0) <= before + MIB);
}

static void a4_above_ptrdiff_max_fails(void)
{
    for (int i = 0; i < 2; i++) {
        errno = 0;
        CHECK(malloc(test_opaque(TOO_MUCH - 1 + (size_t)i)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(calloc(test_opaque(TOO_MUCH - 1 + (size_t)i), 1) == NULL
              && errno == ENOMEM);
        errno = 0;
        CHECK(aligned_alloc(32, test_opaque(TOO_MUCH - 1 + (size_t)i)) == NULL
              && errno == ENOMEM);
    }
}

static void a5_calloc_overflow_fails(void)
{
    uint64_t state = 42;

    errno = 0;
    CHECK(calloc(test_opaque(SIZE_MAX / 2), 3) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(test_opaque(SIZE_MAX / 2 + 2), 4) == NULL && errno == ENOMEM);
    for (int i = 0; i < 100; i++) {
        size_t a = test_random(&state) | (size_t)1 << 40;
        size_t b = test_random(&state) | (size_t)1 << 40;

        errno = 0;
        CHECK(calloc(test_opaque(a), test_opaque(b)) == NULL && errno == ENOMEM);
    }
}

static void *free_all(void *arg)
{
    void **p = arg;

    for (; *p != NULL; p++) {
        free(*p);
    }
    return NULL;
}

/* Dirty blocks of this size, freed here or by another thread, then trimmed or not. */
static void calloc_after_dirt(size_t size, int remote, int trimmed)
{
    size_t count = size < 4096 ? 600 : size < 100000 ? 40 : 4;
    void *p[601] = {NULL};
    pthread_t thread;

    for (size_t i = 0; i < count; i++) {
        p[i] = malloc(size);
        CHECK(p[i] != NULL);
        test_fill(p[i], 0xa5, malloc_usable_size(p[i]));
    }
    if (remote) {
        CHECK(pthread_create(&thread, NULL, free_all, p) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    } else {
        free_all(p);
    }
    if (trimmed) {
        malloc_trim(0);
    }
    for (size_t i = 0; i < count; i++) {
        p[i] = i % 2 ? calloc(1, size) : calloc(size, 1);
        CHECK(p[i] != NULL && test_is_filled(p[i], 0, size));
    }
    free_all(p);
}

static void a6_calloc_is_zero_after_dirty_reuse(void)
{
    static const size_t sizes[] = {1, 16, 24, 100, 1000, 1024, 1025, 1500, 4000, 9000,
        20000, 32768, 32769, 70000, 300000, 2000000, 34 * MIB};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int how = 0; how < 4; how++) {
            calloc_after_dirt(sizes[i], how & 1, how & 2);
        }
    }
}

static void a7_calloc_of_nothing(void)
{
    void *p = calloc(0, test_opaque(8));
    void *q = calloc(test_opaque(8), 0);

    CHECK(p != NULL && q != NULL && p != q);
    free(p);
    free(q);
}

/* ---- realloc ---- */

static void a8_realloc_null_is_malloc(void)
{
    char *p = realloc(NULL, test_opaque(100));

    CHECK(is_aligned(p, 16) && malloc_usable_size(p) >= 100);
    free(p);
    p = realloc(NULL, test_opaque(0));
    CHECK(p != NULL);
    free(p);
    p = reallocarray(NULL, test_opaque(0), 8);
    CHECK(p != NULL);
    free(p);
}

static void a9_realloc_zero_frees(void)
{
    static const size_t sizes[] = {0, 10, 5000, 100000, 40 * MIB};
    size_t before = test_statm(0);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int k = 0; k < 1000; k++) {
            void *p = malloc(sizes[i]);

            CHECK(p != NULL);
            errno = 77;
            CHECK(realloc(p, test_opaque(0)) == NULL);
            CHECK(errno == 77);
        }
    }
    CHECK(test_statm(0) < before + 300 * (size_t)MIB); /* or 40 GB would be lost */
}

static void a10_realloc_keeps_contents_of_all_pairs(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        for (size_t k = 0; k < EDGES; k++) {
            size_t from = edges[i], to = edges[k];
            unsigned char *p = malloc(from);

            if (to == 0) {
                free(p);
                continue;
            }
            CHECK(p != NULL);
            test_fill(p, 0x5a, from);
            p = realloc(p, to);
            CHECK(is_aligned(p, 16) && malloc_usable_size(p) >= to);
            CHECK(test_is_filled(p, 0x5a, from < to ? from : to));
            test_fill(p, 1, malloc_usable_size(p));
            free(p);
        }
    }
}

/* Grow step by step; each word holds its own index. */
static void grow(size_t from, size_t to, size_t numerator, size_t denominator)
{
    uint64_t *p = malloc(from);
    size_t stride = 509; /* words: each page gets one */
    size_t n = from;

    CHECK(p != NULL);
    for (size_t i = 0; i < n / 8; i += stride) {
        p[i] = i;
    }
    while (n < to) {
        size_t more = n * numerator / denominator;
        size_t i = (n / 8 + stride - 1) / stride * stride;

        p = realloc(p, more);
        CHECK(p != NULL);
        for (; i < more / 8; i += stride) {
            p[i] = i;
        }
        n = more;
    }
    for (size_t i = 0; i < n / 8; i += stride) {
        CHECK_EQ(p[i], i);
    }
    p = realloc(p, from);
    CHECK(p != NULL);
    for (size_t i = 0; i < from / 8; i += stride) {
        CHECK_EQ(p[i], i);
    }
    free(p);
}

static void a10_large_and_huge_realloc_keep_contents(void)
{
    grow(1000, 3 * MIB, 9, 8);
    grow(40000, 60 * MIB, 3, 2);
    grow(64 * MIB, 512 * (size_t)MIB, 2, 1);
}

static void a11_failed_realloc_leaves_the_block(void)
{
    static const size_t sizes[] = {10, 1000, 20000, 200000, 40 * MIB};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        void *p = malloc(sizes[i]);

        CHECK(p != NULL);
        test_fill(p, 7, sizes[i]);
        errno = 0;
        CHECK(realloc(p, test_opaque(TOO_MUCH)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(realloc(p, test_opaque((size_t)1 << 50)) == NULL && errno == ENOMEM);
        errno = 0;
        CHECK(reallocarray(p, test_opaque(SIZE_MAX / 2), 4) == NULL && errno == ENOMEM);
        CHECK(test_is_filled(p, 7, sizes[i]));
        free(p);
    }
}

static void a12_reallocarray_resizes(void)
{
    char *p = reallocarray(NULL, 10, test_opaque(10));

    CHECK(p != NULL);
    test_fill(p, 3, 100);
    p = reallocarray(p, 1000, test_opaque(100));
    CHECK(p != NULL && malloc_usable_size(p) >= 100000 && test_is_filled(p, 3, 100));
    free(p);
}

static void a14_free_keeps_errno(void)
{
    for (size_t i = 0; i < EDGES; i++) {
        void *p[] = {malloc(edges[i]), calloc(1, edges[i]), memalign(4096, edges[i])};

        for (int k = 0; k < 3; k++) {
            errno = 77;
            free(p[k]);
            CHECK(errno == 77);
        }
    }
    for (int k = 0; k < 3; k++) {
        void *p = malloc(64 * MIB); /* munmap */

        errno = 77;
        free(p);
        CHECK(errno == 77);
    }
}

/* ---- aligned ---- */

/* Blocks of n bytes, aligned to a, from every function; resized, freed. */
static void align_all(size_t a, size_t n)
{
    void *p[4] = {aligned_alloc(a, n), memalign(a, n), aligned_alloc(a, a), NULL};
    size_t bytes[4] = {n, n, a, n};
    int count = a >= sizeof(void *) ? 4 : 3;

    if (count == 4) {
        CHECK(posix_memalign(&p[3], a, n) == 0);
    }
    for (int k = 0; k < count; k++) {
        CHECK(is_aligned(p[k], a));
        CHECK(malloc_usable_size(p[k]) >= bytes[k]);
        test_fill(p[k], k, bytes[k] < 5000 ? bytes[k] : 5000);
    }
    for (int k = 0; k < count; k++) {
        CHECK(test_is_filled(p[k], k, bytes[k] < 5000 ? bytes[k] : 5000));
        if (k > 0) {
            p[k] = realloc(p[k], n + 50);
            CHECK(p[k] != NULL && malloc_usable_size(p[k]) >= n + 50);
        }
        free(p[k]);
    }
}

static void a15_aligned_alloc_aligns(void)
{
    static const size_t sizes[] = {0, 1, 24, 100, 1000, 5000, 40000, 3000000};

    for (size_t a = 1; a <= 64 * MIB; a *= 2) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            align_all(a, sizes[i]);
        }
    }
}

static void a16_aligned_alloc_refuses_no_power_of_two(void)
{
    static const size_t bad[] = {0, 3, 48, 100, 4095};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        errno = 0;
        CHECK(aligned_alloc(test_opaque(bad[i]), 96) == NULL && errno == EINVAL);
    }
}

static void a17_memalign_rounds_up(void)
{
    void *p = memalign(test_opaque(48), 100);

    CHECK(is_aligned(p, 64));
    free(p);
    p = memalign(test_opaque(0), 8);
    CHECK(is_aligned(p, 16));
    free(p);
    errno = 0;
    CHECK(memalign(test_opaque(SIZE_MAX / 2 + 2), 1) == NULL && errno == EINVAL);
    errno = 0;
    CHECK(memalign(test_opaque((size_t)1 << 62), 16) == NULL && errno == ENOMEM);
}

static void a18_posix_memalign_refuses(void)
{
    static const size_t bad[] = {0, 1, 2, 3, 4, 7, 24, 48, 65};
    void *const before = &errno;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        void *p = before;

        errno = 77;
        CHECK(posix_memalign(&p, test_opaque(bad[i]), 8) == EINVAL);
        CHECK(p == before && errno == 77);
    }
}

static void a19_posix_memalign_out_of_memory(void)
{
    void *p = &errno;

    CHECK(posix_memalign(&p, 64, test_opaque(SIZE_MAX - 100)) == ENOMEM);
    CHECK(posix_memalign(&p, 64, test_opaque(TOO_MUCH)) == ENOMEM);
    CHECK(posix_memalign(&p, (size_t)1 << 62, 64) == ENOMEM);
    CHECK(p == &errno);
}

static void a20_posix_memalign_of_nothing(void)
{
    void *p = NULL;

    CHECK(posix_memalign(&p, 64, 0) == 0 && is_aligned(p, 64));
    free(p);
}

static void a21_valloc_and_pvalloc(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *p[] = {valloc(0), valloc(1), valloc(page + 1), pvalloc(0), pvalloc(1),
        pvalloc(page + 1)};

    for (int i = 0; i < 6; i++) {
        CHECK(is_aligned(p[i], page));
    }
    CHECK(malloc_usable_size(p[3]) >= page && malloc_usable_size(p[4]) >= page);
    CHECK(malloc_usable_size(p[5]) >= 2 * page);
    for (int i = 0; i < 6; i++) {
        free(p[i]);
    }
    errno = 0;
    CHECK(pvalloc(test_opaque(SIZE_MAX)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(pvalloc(test_opaque(SIZE_MAX - 4096)) == NULL && errno == ENOMEM);
}

/* ---- sizes ---- */

static void a22_usable_size_holds_and_wastes_little(void)
{
    CHECK_EQ(malloc_usable_size(NULL), 0);
    for (size_t n = 0; n < 100000; n += n < 3000 ? 1 : 97) {
        void *p = malloc(n);
        size_t usable = malloc_usable_size(p);

        CHECK(usable >= n && (usable >= 1 || test_is_hardened()));
        if (n > 0 && n <= 1024) {
            CHECK(usable <= n + 15);
        } else if (n > 1024) {
            CHECK(usable - n <= n / 8);
        }
        test_fill(p, 9, usable);
        CHECK_EQ(malloc_usable_size(p), usable);
        free(p);
    }
}

static void *allocate(int how, size_t n)
{
    void *p = NULL;

    switch (how) {
    case 0:
        return malloc(n);
    case 1:
        return calloc(1, n);
    case 2:
        return realloc(NULL, n);
    case 3:
        return reallocarray(NULL, 1, n);
    case 4:
        return aligned_alloc(128, n);
    case 5:
        return memalign(4096, n);
    case 6:
        return posix_memalign(&p, 256, n) == 0 ? p : NULL;
    case 7:
        return valloc(n);
    default:
        return pvalloc(n);
    }
}

static void a23_everything_frees_everything(void)
{
    /* pvalloc rounds the size, which hardened mode then compares. */
    for (int how = 0; how < (test_is_hardened() ? 8 : 9); how++) {
        for (int freeing = 0; freeing < 5; freeing++) {
            for (size_t i = 0; i < EDGES; i++) {
                size_t n = edges[i];
                void *p = allocate(how, n);

                CHECK(p != NULL);
                test_fill(p, how, n);
                if (freeing == 0) {
                    free(p);
                } else if (freeing == 1) {
                    CHECK(realloc(p, test_opaque(0)) == NULL);
                } else if (freeing == 2) {
                    free_sized(p, n);
                } else if (freeing == 3) {
                    free_aligned_sized(p, how == 4 ? 128 : 16, n);
                } else {
                    cfree(p);
                }
            }
        }
    }
}

static void a24_sized_frees_take_null(void)
{
    errno = 77;
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 64, 64);
    cfree(NULL);
    CHECK(errno == 77);
}

/* ---- A30: random operations against a shadow ---- */

struct shadow {
    unsigned char *p;
    size_t bytes;
    unsigned char pattern;
};

static size_t random_size(uint64_t *state)
{
    uint64_t r = test_random(state);
    unsigned bits = r % 64 == 0 ? 22 : r % 8 == 0 ? 16 : 11;

    return (r >> 8) & (((size_t)1 << (1 + (r >> 40) % bits)) - 1);
}

static void shadow_step(struct shadow *s, uint64_t *state)
{
    uint64_t r = test_random(state);
    size_t n = random_size(state);

    CHECK(s->p == NULL || test_is_filled(s->p, s->pattern, s->bytes));
    if (s->p != NULL && r % 4 == 0 && n > 0) {
        size_t kept = n < s->bytes ? n : s->bytes;

        s->p = realloc(s->p, n);
        CHECK(s->p != NULL && test_is_filled(s->p, s->pattern, kept));
    } else {
        free(s->p);
        s->p = NULL;
        if (r % 4 == 1) {
            return;
        }
        if (r % 16 == 2) {
            s->p = memalign((size_t)16 << (r >> 50) % 9, n);
        } else if (r % 16 == 6) {
            s->p = calloc(1, n);
            CHECK(s->p != NULL && test_is_filled(s->p, 0, n));
        } else {
            s->p = malloc(n);
        }
        CHECK(is_aligned(s->p, 16));
    }
    s->bytes = n;
    s->pattern = (unsigned char)(r >> 32);
    test_fill(s->p, s->pattern, n);
}

static void a30_random_operations_corrupt_nothing(void)
{
    enum { SLOTS = 2000, STEPS = 600000 };
    static struct shadow shadows[SLOTS];
    uint64_t state = 20240607;

    for (int i = 0; i < STEPS; i++) {
        shadow_step(&shadows[test_random(&state) % SLOTS], &state);
    }
    for (int i = 0; i < SLOTS; i++) {
        CHECK(shadows[i].p == NULL
              || test_is_filled(shadows[i].p, shadows[i].pattern, shadows[i].bytes));
        free(shadows[i].p);
    }
}

int main(void)
{
    RUN(a13_free_null_is_first_call);
    RUN(a27_names_are_ours);
    look_up_names();
    RUN(a1_malloc_zero_gives_distinct_blocks);
    RUN(a2_blocks_are_aligned_writable_and_apart);
    RUN(a3_impossible_sizes_fail_and_map_nothing);
    RUN(a4_above_ptrdiff_max_fails);
    RUN(a5_calloc_overflow_fails);
    RUN(a6_calloc_is_zero_after_dirty_reuse);
    RUN(a7_calloc_of_nothing);
    RUN(a8_realloc_null_is_malloc);
    RUN(a9_realloc_zero_frees);
    RUN(a10_realloc_keeps_contents_of_all_pairs);
    RUN(a10_large_and_huge_realloc_keep_contents);
    RUN(a11_failed_realloc_leaves_the_block);
    RUN(a12_reallocarray_resizes);
    RUN(a14_free_keeps_errno);
    RUN(a15_aligned_alloc_aligns);
    RUN(a16_aligned_alloc_refuses_no_power_of_two);
    RUN(a17_memalign_rounds_up);
    RUN(a18_posix_memalign_refuses);
    RUN(a19_posix_memalign_out_of_memory);
    RUN(a20_posix_memalign_of_nothing);
    RUN(a21_valloc_and_pvalloc);
    RUN(a22_usable_size_holds_and_wastes_little);
    RUN(a23_everything_frees_everything);
    RUN(a24_sized_frees_take_null);
    RUN(a30_random_operations_corrupt_nothing);
    return 0;
}
