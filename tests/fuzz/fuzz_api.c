/*
 * fuzz_api - libFuzzer against the whole interface of the allocator
 *
 * The input is a program: each step is a byte that says what and in which of four threads,
 * and bytes of arguments. Threads run one at a time, so that the same input does the same;
 * the core is compiled in under other names (names.h), with sanitizers, and the clock is
 * moved by the program. A model beside it (shadow.h) knows where every block is, what is
 * in it and which component it belongs to. At the end everything is freed, and the
 * counters must say so.
 */
#include "libc.h"
#include "options.h"
#include "shadow.h"

#include <mpalloc.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

enum {
    THREADS = 4, /* number 0 is the fuzzer's own */
    COMPONENTS = 6,
    BYTES_MAX = 192 << 20,
    BURST_MAX = 400,
};

enum operation {
    OP_MALLOC,
    OP_FREE,
    OP_REALLOC,
    OP_CALLOC,
    OP_ALIGNED,
    OP_MP_MALLOC,
    OP_MP_REALLOC,
    OP_ENTER,
    OP_BURST,
    OP_FREE_MANY,
    OP_CLOCK,
    OP_TRIM,
    OP_COUNT,
    OP_IMPOSSIBLE,
    OP_THREAD_ENDS,
    OPERATIONS
};

struct worker {
    pthread_t thread;
    sem_t go;
    sem_t done;
    bool is_running;
    unsigned component; /* that it entered */
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct worker workers[THREADS];
static mp_component_t *component[COMPONENTS]; /* number 0 is untagged */
static size_t row[COMPONENTS];
static uint64_t now_ns = 1000000000u;
static size_t live_bytes;

static struct {
    const uint8_t *at;
    const uint8_t *end;
    unsigned thread;
    enum operation operation;
} program;

int fuzz_clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    ret->tv_sec = (time_t)(now_ns / 1000000000u);
    ret->tv_nsec = (long)(now_ns % 1000000000u);
    return 0;
}

/* ---- the input ---- */

static uint8_t byte(void)
{
    return program.at < program.end ? *program.at++ : 0;
}

static unsigned word(void)
{
    unsigned high = byte();

    return high << 8 | byte();
}

/* Mostly small; both sides of the borders between ways to allocate. */
static size_t pick_size(void)
{
    static const size_t borders[] = {
        64, 1024, 8192, 32768, 65536, 262144, 1 << 20, 32 << 20};
    unsigned kind = byte();

    switch (kind >> 5) {
    case 0:
    case 1:
    case 2:
        return kind * 11u; /* up to 1045 */
    case 3:
        return word() % 33000;
    case 4:
        return borders[kind & 7] + byte() % 40 - 20;
    case 5:
        return word() * 16u;
    case 6:
        return kind & 31;
    default:
        return (kind & 31) == 31 ? (32u << 20) + word() * 64u : word() * 8u;
    }
}

/* For realloc: also a little more or less than what is there, up to twice as much. */
static size_t pick_new_size(size_t usable)
{
    unsigned how = byte();

    switch (how & 3) {
    case 0:
        return usable + (how >> 2) * 4096u;
    case 1:
        return usable - (how >> 2) * (usable / 64);
    case 2:
        return usable + (how >> 2) * (usable / 64) + 1;
    default:
        return pick_size();
    }
}

static size_t pick_block(void)
{
    return word() % shadow_count();
}

static bool has_room(size_t size)
{
    return shadow_count() < SHADOW_MAX && live_bytes + size < BYTES_MAX;
}

/* ---- steps ---- */

static unsigned current(void)
{
    return workers[program.thread].component;
}

static void born(void *p, size_t size, size_t align, unsigned of)
{
    size_t usable;

    shadow_expect(p != NULL, "there is memory");
    usable = malloc_usable_size(p);
    shadow_insert(p, usable, size, align, of);
    live_bytes += usable;
}

static struct shadow dies(size_t i)
{
    struct shadow s = shadow_remove(i);

    live_bytes -= s.usable;
    shadow_expect(malloc_usable_size(s.p) == s.usable, "usable size is constant");
    return s;
}

static void free_block(size_t i, unsigned how)
{
    struct shadow s = dies(i);

    errno = 77;
    switch (how % 8) {
    case 0:
        free_sized(s.p, s.size);
        break;
    case 1:
        free_aligned_sized(s.p, s.align, s.size);
        break;
    case 2:
        cfree(s.p);
        break;
    case 3:
        shadow_expect(realloc(s.p, 0) == NULL, "realloc to nothing frees");
        break;
    default:
        free(s.p);
        break;
    }
    shadow_expect(errno == 77, "free keeps errno");
}

/* All of it, up to a point: reading a page of a huge block makes the kernel find one. */
static void expect_zeros(const unsigned char *p, size_t size)
{
    static const unsigned char zeros[4096];

    for (size_t at = 0; at<size; at += size> 1u << 20 ? 64 << 10 : sizeof(zeros)) {
        size_t n = size - at < sizeof(zeros) ? size - at : sizeof(zeros);

        shadow_expect(memcmp(p + at, zeros, n) == 0, "calloc gives zeros");
    }
}

static void do_calloc(void)
{
    size_t size = pick_size();
    unsigned how = byte();
    size_t n = how % 4 == 0 ? 3 : 1;
    unsigned of = how % 8 == 1 ? how / 8 % COMPONENTS : current();
    unsigned char *p;

    if (has_room(n * size)) {
        p = of != current() ? mp_calloc(component[of], n, size) : calloc(n, size);
        shadow_expect(p != NULL, "there is memory");
        expect_zeros(p, n * size);
        born(p, n * size, 16, of);
    }
}

static void do_realloc(bool with_component)
{
    unsigned of = with_component ? byte() % COMPONENTS : current();
    size_t size;
    size_t common;
    struct shadow s;
    void *p;
    size_t i;

    if (shadow_count() == 0) {
        return;
    }
    i = pick_block();
    size = pick_new_size(shadow_at(i)->usable);
    if (size == 0 || !has_room(size)) {
        return;
    }
    s = dies(i);
    common = s.usable < size ? s.usable : size;
    p = with_component  ? mp_realloc(component[of], s.p, size)
        : size % 3 == 0 ? reallocarray(s.p, size / 3, 3)
                        : realloc(s.p, size);
    shadow_expect(p != NULL, "there is memory");
    shadow_check_prefix(&s, p, common);
    /* What stays where it is stays what it was; what moves belongs to who moved it. */
    born(p, size, 16, p == s.p ? s.component : of);
}

static void do_aligned(void)
{
    unsigned how = byte();
    size_t align = (size_t)1 << (4 + how % 14); /* 16 B to 128 KiB */
    size_t size = pick_size();
    void *p = NULL;

    if (how >= 0xfc) {
        align = (size_t)4 << (20 + how % 4); /* up to 32 MiB */
    }
    if (!has_room(size + (align > 65536 ? align : 0))) {
        return;
    }
    switch (how / 14 % 6) {
    case 0:
        p = aligned_alloc(align, size);
        break;
    case 1:
        p = memalign(align - 1 > 16 ? align - 1 : align, size); /* rounds up */
        break;
    case 2:
        shadow_expect(posix_memalign(&p, align, size) == 0, "posix_memalign succeeds");
        break;
    case 3:
        align = 4096;
        p = valloc(size);
        break;
    case 4:
        align = 4096;
        p = pvalloc(size);
        break;
    default:
        p = mp_aligned_alloc(component[how % COMPONENTS], align, size);
        born(p, size, align, how % COMPONENTS);
        return;
    }
    born(p, size, align, current());
}

/* Many blocks of one size: slabs get full, lists long. */
static void do_burst(void)
{
    size_t size = pick_size();
    unsigned n = byte() * 2u;

    for (unsigned i = 0; i < n && i < BURST_MAX && has_room(size); i++) {
        born(malloc(size), size, 16, current());
    }
}

static void do_free_many(void)
{
    unsigned stride = byte() % 7 + 1;
    size_t first = shadow_count() != 0 ? pick_block() : 0;
    unsigned n = byte();

    for (size_t i = first; n > 0 && i < shadow_count(); n--) {
        free_block(i, 7);
        i += stride - 1;
    }
}

/* The counters of a quiet process are exact. */
static void do_count(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    uint64_t blocks;
    uint64_t bytes;

    if (mp_snapshot(&s) != 0) {
        return; /* built without profiling */
    }
    shadow_sum(SIZE_MAX, &blocks, &bytes);
    shadow_expect(
        s.live_blocks == blocks && s.live_bytes == bytes, "live is what lives");
    shadow_expect(s.allocated_bytes_total - s.freed_bytes_total == bytes,
        "allocated less freed is live");
    shadow_expect(s.live_peak_bytes >= bytes, "the peak is no lower than now");
    shadow_expect(s.invalid_frees_total == 0, "no free was invalid");
    for (unsigned i = 0; i < COMPONENTS; i++) {
        struct mp_component_stats c = {.size = sizeof(c)};

        shadow_sum(i, &blocks, &bytes);
        shadow_expect(mp_component_stats(row[i], &c) == 0, "a component has figures");
        shadow_expect(c.live_blocks == blocks && c.live_bytes == bytes,
            "what lives in a component is known");
    }
}

static void expect_refused(const void *p)
{
    shadow_expect(p == NULL && errno == ENOMEM, "what is too much is refused");
    errno = 0;
}

static void do_impossible(void)
{
    size_t much = SIZE_MAX - word();
    size_t eighth = ((size_t)1 << 61) + 1 + byte(); /* times 8: a few bytes */
    void *p = &much;

    errno = 0;
    expect_refused(malloc(much));
    expect_refused(malloc((size_t)PTRDIFF_MAX + 1 + byte()));
    expect_refused(calloc(much / 2, 3));
    expect_refused(reallocarray(NULL, much / 2, 3));
    expect_refused(calloc(eighth, 8));
    expect_refused(reallocarray(NULL, eighth, 8));
    expect_refused(mp_calloc(component[1], 8, eighth));
    expect_refused(pvalloc(much));
    expect_refused(aligned_alloc(4096, much));
    expect_refused(mp_malloc(component[1], much));
    expect_refused(mp_calloc(component[1], much, 2));
    shadow_expect(posix_memalign(&p, 64, much) == ENOMEM && p == &much && errno == 0,
        "posix_memalign leaves errno and its result alone");
    shadow_expect(
        posix_memalign(&p, 24, 8) == EINVAL && p == &much, "24 is no alignment");
    shadow_expect(aligned_alloc(48, 8) == NULL && errno == EINVAL, "nor is 48");
    if (shadow_count() != 0) {
        const struct shadow *s = shadow_at(pick_block());

        errno = 0;
        expect_refused(realloc(s->p, much));
        shadow_check_prefix(s, s->p, s->usable);
    }
    free(NULL);
    shadow_expect(malloc_usable_size(NULL) == 0, "no block has no bytes");
}

static void do_step(void)
{
    size_t size;

    switch (program.operation) {
    case OP_MALLOC:
        size = pick_size();
        if (has_room(size)) {
            born(malloc(size), size, 16, current());
        }
        break;
    case OP_FREE:
        if (shadow_count() != 0) {
            size_t i = pick_block();

            free_block(i, byte());
        }
        break;
    case OP_REALLOC:
    case OP_MP_REALLOC:
        do_realloc(program.operation == OP_MP_REALLOC);
        break;
    case OP_CALLOC:
        do_calloc();
        break;
    case OP_ALIGNED:
        do_aligned();
        break;
    case OP_MP_MALLOC:
        size = pick_size();
        if (has_room(size)) {
            unsigned of = byte() % COMPONENTS;

            born(mp_malloc(component[of], size), size, 16, of);
        }
        break;
    case OP_ENTER:
        workers[program.thread].component = byte() % COMPONENTS;
        mp_enter(component[current()]);
        break;
    case OP_BURST:
        do_burst();
        break;
    case OP_FREE_MANY:
        do_free_many();
        break;
    case OP_CLOCK:
        now_ns += (uint64_t)word() * 100000u; /* up to 6.5 s */
        break;
    case OP_TRIM:
        if (byte() % 2 == 0) {
            mp_trim();
        } else {
            malloc_trim(0);
        }
        break;
    case OP_COUNT:
        do_count();
        break;
    case OP_IMPOSSIBLE:
        do_impossible();
        break;
    default:
        break;
    }
}

/* ---- threads ---- */

/* libFuzzer's timer interrupts it. */
static void wait_for(sem_t *s)
{
    while (sem_wait(s) != 0) {
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    for (;;) {
        wait_for(&w->go);
        if (program.operation == OP_THREAD_ENDS) {
            return NULL;
        }
        do_step();
        sem_post(&w->done);
    }
}

static void end_thread(struct worker *w)
{
    if (w->is_running) {
        program.operation = OP_THREAD_ENDS;
        sem_post(&w->go);
        pthread_join(w->thread, NULL);
        w->is_running = false;
        w->component = 0;
    }
}

static void run_step(void)
{
    struct worker *w = &workers[program.thread];

    if (program.operation == OP_THREAD_ENDS) {
        end_thread(w);
    } else if (program.thread == 0) {
        do_step();
    } else {
        if (!w->is_running) {
            shadow_expect(
                pthread_create(&w->thread, NULL, work, w) == 0, "a thread starts");
            w->is_running = true;
        }
        sem_post(&w->go);
        wait_for(&w->done);
    }
}

/* ---- libFuzzer ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const names[COMPONENTS] = {
        NULL, "a", "a/b", "a/b/c", "d/e", "f"};

    (void)argc;
    (void)argv;
    options.region = REGION_OFF;
    options.log = LOG_QUIET;
    for (unsigned i = 1; i < COMPONENTS; i++) {
        struct mp_component_stats c = {.size = sizeof(c)};

        component[i] = mp_component(names[i]);
        for (size_t r = 0; mp_component_stats(r, &c) == 0; r++) {
            if (strcmp(c.name, names[i]) == 0) {
                row[i] = r;
            }
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        sem_init(&workers[i].go, 0, 0);
        sem_init(&workers[i].done, 0, 0);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    program.at = data;
    program.end = data + size;
    while (program.at < program.end) {
        uint8_t first = byte();

        program.operation = (enum operation)((first & 0x3f) % OPERATIONS);
        program.thread = first >> 6;
        run_step();
    }
    shadow_check_all();
    program.thread = 0;
    do_count();
    while (shadow_count() != 0) {
        free_block(shadow_count() - 1, 7);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        end_thread(&workers[i]);
    }
    mp_enter(NULL);
    workers[0].component = 0;
    do_count();
    mp_trim();
    return 0;
}
