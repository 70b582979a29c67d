/*
 * unwind_frames - what a frame of a stack costs: our walk, libunwind's, libgcc's
 *
 *     unwind_frames [--rounds N] [--limit NS] [--frames N]
 *
 * The stack is N frames (32) of eight functions of different frame sizes, compiled without
 * frame pointers, that save different registers. All three walk the same stack, warm, in
 * turns; the best of the rounds counts, in ns per frame. Code 1: they disagree about the
 * stack, or ours takes more than --limit.
 */
#include "unwind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if HAVE_LIBUNWIND
#    define UNW_LOCAL_ONLY
#    include <libunwind.h>
#endif

/* libgcc's <unwind.h>, which has the name of ours. */
struct _Unwind_Context;
int _Unwind_Backtrace(int (*each)(struct _Unwind_Context *, void *), void *arg);
uintptr_t _Unwind_GetIP(struct _Unwind_Context *c);
enum { GO_ON = 0, STOP = 5 };

enum { PASSES = 400, MOST = UNWIND_MOST };

static unsigned rounds = 50;
static unsigned frames = 32;
static double best[3] = {1e9, 1e9, 1e9};
static uintptr_t stack[3][MOST];
static size_t count[3];
static volatile unsigned sink;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct trace {
    uintptr_t *pcs;
    size_t count;
};

static int each(struct _Unwind_Context *c, void *arg)
{
    struct trace *t = arg;

    if (t->count == MOST) {
        return STOP;
    }
    t->pcs[t->count++] = _Unwind_GetIP(c);
    return GO_ON;
}

static __attribute__((noinline)) size_t by_libgcc(uintptr_t *pcs)
{
    struct trace t = {pcs, 0};

    _Unwind_Backtrace(each, &t);
    while (t.count > 0 && pcs[t.count - 1] == 0) {
        t.count--;
    }
    return t.count;
}

static __attribute__((noinline)) size_t by_libunwind(uintptr_t *pcs)
{
#if HAVE_LIBUNWIND
    int n = unw_backtrace((void **)pcs, MOST);

    return n > 0 ? (size_t)n : 0;
#else
    (void)pcs;
    return 0;
#endif
}

static __attribute__((noinline)) size_t by_us(uintptr_t *pcs)
{
    struct unwind_info info;

    return unwind_here(pcs, MOST, &info);
}

static size_t (*const walkers[3])(uintptr_t *) = {by_us, by_libunwind, by_libgcc};
static const char *const names[3] = {"mpalloc", "libunwind", "libgcc"};

static void measure(void)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned w = 0; w < 3; w++) {
            unsigned passes = w == 2 ? PASSES / 20 : PASSES;
            double start = now_ns();
            double taken;

            for (unsigned i = 0; i < passes; i++) {
                count[w] = walkers[w](stack[w]);
            }
            taken =
                (now_ns() - start) / passes / (double)(count[w] != 0 ? count[w] : 1);
            best[w] = taken < best[w] ? taken : best[w];
        }
    }
}

/* Frames of different sizes; all of them keep something across the call. */
static unsigned down(unsigned depth);

#define FRAME(number, bytes)                                                           \
    static __attribute__((noinline)) unsigned frame##number(unsigned depth)            \
    {                                                                                  \
        volatile unsigned char room[bytes];                                            \
        unsigned a = depth * number;                                                   \
        unsigned b = depth ^ number;                                                   \
        unsigned c = sink + number;                                                    \
                                                                                       \
        room[depth % bytes] = (unsigned char)depth;                                    \
        __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c));                              \
        return down(depth) + room[depth % bytes] + (a ^ b) * c;                        \
    }
FRAME(1, 16)
FRAME(2, 200)
FRAME(3, 40)
FRAME(4, 520)
FRAME(5, 72)
FRAME(6, 24)
FRAME(7, 104)
FRAME(8, 56)

static unsigned (*const chain[8])(unsigned) = {
    frame1, frame2, frame3, frame4, frame5, frame6, frame7, frame8};

static __attribute__((noinline)) unsigned down(unsigned depth)
{
    unsigned result;

    if (depth == 0) {
        measure();
        return sink;
    }
    result = chain[depth % 8](depth - 1);
    __asm__ volatile("" : "+r"(result)); /* no tail call */
    return result;
}

/* From the frame below the walkers on, all must have seen the same. */
static int compare(unsigned other)
{
    if (count[other] == 0) {
        return 0;
    }
    for (size_t i = 1; i <= count[0] && i <= count[other]; i++) {
        /* the last two are of the C library: not all go so far */
        if (i > 3 && stack[0][count[0] - i] != stack[other][count[other] - i]
            && count[0] - i > 3) {
            printf("%s disagrees at frame %zu\n", names[other], i);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    double limit = 0;
    int bad = 0;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0) {
            rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
        } else if (strcmp(argv[i], "--limit") == 0) {
            limit = strtod(argv[i + 1], NULL);
        } else if (strcmp(argv[i], "--frames") == 0) {
            frames = (unsigned)strtoul(argv[i + 1], NULL, 10);
        }
    }
    down(frames / 2); /* two frames for each step of it */
    for (unsigned w = 0; w < 3; w++) {
        if (count[w] == 0) {
            printf("%-10s not available\n", names[w]);
            continue;
        }
        printf("%-10s %7.2f ns a frame, %zu frames\n", names[w], best[w], count[w]);
        if (w > 0) {
            bad |= compare(w);
        }
    }
    if (count[0] < frames || (limit > 0 && best[0] > limit)) {
        printf("ours: too slow, or too few frames\n");
        bad = 1;
    }
    return bad;
}
