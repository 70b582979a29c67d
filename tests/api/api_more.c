/*
 * api_more - the C entry points once more: kernels that refuse, extreme alignments, and
 * what else the C library allocates for a program
 *
 * A14, A15, A28 and A29. munmap, madvise and mremap are the program's own here, and fail
 * when they are told to.
 */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <iconv.h>
#include <locale.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ---- A14 ---- */

static bool refuses;
static int refused;

static bool is_refused(void)
{
    if (refuses) {
        refused++;
        errno = ENOMEM;
    }
    return refuses;
}

int munmap(void *p, size_t bytes)
{
    return is_refused() ? -1 : (int)syscall(SYS_munmap, p, bytes);
}

int madvise(void *p, size_t bytes, int advice)
{
    return is_refused() ? -1 : (int)syscall(SYS_madvise, p, bytes, advice);
}

void *mremap(void *p, size_t bytes, size_t new_bytes, int flags, ...)
{
    va_list ap;
    void *at;

    va_start(ap, flags);
    at = va_arg(ap, void *);
    va_end(ap);
    return is_refused() ? MAP_FAILED
                        : (void *)syscall(SYS_mremap, p, bytes, new_bytes, flags, at);
}

static void *free_and_keep_errno(void *p)
{
    errno = 77;
    free(p);
    CHECK(errno == 77);
    return NULL;
}

static void a14_errno_kept_by_free_when_the_kernel_refuses(void)
{
    static const size_t sizes[] = {10, 1000, 9000, 40000, 3 * MIB, 40 * MIB};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    pthread_t thread;

    for (int round = 0; round < 3; round++) {
        void *p[SIZES], *aligned[SIZES], *of_others[SIZES], *moved;

        for (int i = 0; i < SIZES; i++) {
            p[i] = malloc(sizes[i]);
            aligned[i] = memalign(8192, sizes[i]);
            of_others[i] = malloc(sizes[i]);
            CHECK(p[i] != NULL && aligned[i] != NULL && of_others[i] != NULL);
            test_fill(p[i], i, sizes[i]);
        }
        refuses = true;
        moved = realloc(p[SIZES - 1], 50 * MIB); /* mremap is refused: by copy, then */
        CHECK(moved == NULL || test_is_filled(moved, SIZES - 1, 40 * MIB));
        p[SIZES - 1] = moved != NULL ? moved : p[SIZES - 1];
        for (int i = 0; i < SIZES; i++) {
            CHECK(i == SIZES - 1 || test_is_filled(p[i], i, sizes[i]));
            free_and_keep_errno(p[i]);
            free_and_keep_errno(aligned[i]);
        }
        malloc_trim(0);
        refuses = false;
        for (int i = 0; i < SIZES; i++) {
            CHECK(
                pthread_create(&thread, NULL, free_and_keep_errno, of_others[i]) == 0);
            CHECK(pthread_join(thread, NULL) == 0);
        }
    }
    CHECK(refused > 0);
    malloc_trim(0);
    for (int i = 0; i < 100;
         i++) { /* calloc trusts no memory that was not given back */
        char *p = calloc(1, 3 * MIB);

        CHECK(p != NULL && test_is_filled(p, 0, 3 * MIB));
        free(p);
    }
}

/* ---- A15 ---- */

static void a15_alignments_up_to_a_gibibyte(void)
{
    static const size_t sizes[] = {1, 100, 100000};

    for (size_t a = 64 * MIB; a <= (size_t)1024 * MIB; a *= 2) {
        for (int i = 0; i < 3; i++) {
            unsigned char *p = aligned_alloc(a, sizes[i]);

            CHECK(p != NULL && (uintptr_t)p % a == 0);
            CHECK(malloc_usable_size(p) >= sizes[i]);
            test_fill(p, 1, sizes[i]);
            p = realloc(p, sizes[i] + 1000);
            CHECK(p != NULL && test_is_filled(p, 1, sizes[i]));
            free(p);
        }
    }
}

/* ---- A28 ---- */

static void a28_directories_and_globs(void)
{
    DIR *d = opendir("/proc/self");
    FILE *f = fopen("/proc/self/status", "r");
    char *line = NULL;
    size_t size = 0;
    glob_t g;

    CHECK(d != NULL && readdir(d) != NULL && closedir(d) == 0);
    CHECK(f != NULL && getdelim(&line, &size, '\t', f) > 0 && fclose(f) == 0);
    free(line);
    CHECK(glob("/proc/self/s*", 0, NULL, &g) == 0 && g.gl_pathc > 3);
    globfree(&g);
}

static void a28_locales_and_environment(void)
{
    char name[64];

    CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL || setlocale(LC_ALL, "C") != NULL);
    CHECK(setlocale(LC_ALL, "C") != NULL);
    freelocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "MPALLOC_TEST_%d", i);
        CHECK(setenv(name, "value", 1) == 0);
    }
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "MPALLOC_TEST_%d", i);
        CHECK(strcmp(getenv(name), "value") == 0 && unsetenv(name) == 0);
    }
}

#ifndef TEST_STATIC /* these open libraries */
static void a28_names_and_encodings(void)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *found;
    char in[] = "text", out[64], *from = in, *to = out;
    size_t left = 4, room = sizeof(out);
    iconv_t c = iconv_open("UTF-16LE", "UTF-8");

    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &found) == 0);
    freeaddrinfo(found);
    CHECK(c != (iconv_t)-1);
    CHECK(iconv(c, &from, &left, &to, &room) == 0 && room == sizeof(out) - 8);
    CHECK(iconv_close(c) == 0);
}
#endif

int main(void)
{
    RUN(a14_errno_kept_by_free_when_the_kernel_refuses);
    RUN(a15_alignments_up_to_a_gibibyte);
    RUN(a28_directories_and_globs);
    RUN(a28_locales_and_environment);
#ifndef TEST_STATIC
    RUN(a28_names_and_encodings);
#endif
    return 0;
}
