/*
 * needs - a program that needs one piece of advice, named by its argument, or none
 *
 * Each runs for a second or two and is killed by its own hand, so that its region stays as it was.
 * What it allocates stands in a function of the piece's name, which the advice has to find.
 */
#include <mpalloc.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define KEEP(p)  __asm__ volatile("" : : "r"(p) : "memory")

enum { MOST = 1 << 20 };

static void *kept[MOST]; /* what stays */

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint32_t random_below(uint32_t n)
{
    static uint32_t x = 2463534242;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % n;
}

/* Work that is not allocation, so that calls are a share of the time, not all of it. */
static void work(unsigned steps)
{
    static volatile unsigned sink;

    for (unsigned i = 0; i < steps; i++) {
        sink = sink * 3 + i;
    }
}

/* ---- those that need something ---- */

static NOINLINE void make_node(void)
{
    char *p = malloc(200);

    p[0] = 1;
    KEEP(p);
    work(20);
    free(p);
}

static void need_pool(double until)
{
    while (now_s() < until) {
        for (unsigned i = 0; i < 1000; i++) {
            make_node();
        }
    }
}

static NOINLINE void *parse_name(void)
{
    return malloc(24 + random_below(8));
}

static NOINLINE void *parse_list(void)
{
    return malloc(300 + random_below(20));
}

static NOINLINE void *parse_body(void)
{
    return malloc(900 + random_below(30));
}

static NOINLINE void handle_request(void)
{
    void *p[30];

    for (unsigned i = 0; i < 30; i += 3) {
        p[i] = parse_name();
        p[i + 1] = parse_list();
        p[i + 2] = parse_body();
        work(30);
    }
    for (unsigned i = 0; i < 30; i++) {
        free(p[i]);
    }
}

static void need_arena(double until)
{
    while (now_s() < until) {
        for (unsigned i = 0; i < 50; i++) {
            handle_request();
        }
    }
}

static NOINLINE void *make_record(void)
{
    char *p = malloc(48);

    p[0] = 1;
    return p;
}

/* A window of records that live some 30 ms or more. */
static void need_batch(double until)
{
    enum { WINDOW = 1000000 };

    for (unsigned at = 0; now_s() < until;) {
        for (unsigned i = 0; i < 1000; i++) {
            free(kept[at]);
            kept[at] = make_record();
            at = (at + 1) % WINDOW;
            work(20);
        }
    }
}

static NOINLINE void load_file(void)
{
    size_t bytes = 24 << 20;
    char *p = malloc(bytes);

    for (size_t i = 0; i < bytes; i += 4096) {
        p[i] = 1;
    }
    KEEP(p);
    usleep(2000);
    free(p);
}

static void need_chunk(double until)
{
    for (unsigned i = 0; i < 1000; i++) {
        kept[i] = calloc(1, 4000);
    }
    while (now_s() < until) {
        load_file();
        usleep(60000);
    }
}

static NOINLINE void *make_entry(void)
{
    return memset(malloc(33), 1, 33);
}

static void need_resize(double until)
{
    for (unsigned i = 0; i < 400000; i++) {
        kept[i] = make_entry();
    }
    while (now_s() < until) {
        free(malloc(100));
        usleep(1000);
    }
}

/* All is freed in one go, and then it sleeps. */
static void need_trim(double until)
{
    for (unsigned i = 0; i < 100000; i++) {
        kept[i] = memset(malloc(500), 1, 500);
    }
    for (unsigned i = 0; i < 100000; i++) {
        free(kept[i]);
    }
    for (double end = now_s() + 0.6; now_s() < end; usleep(1000)) {
        free(malloc(100)); /* so that the counters know of it */
    }
    while (now_s() < until) {
        usleep(10000);
    }
}

/* One block in forty stays. */
static void need_spread(double until)
{
    for (unsigned i = 0; i < 100000; i++) {
        kept[i] = memset(malloc(500), 1, 500);
    }
    for (unsigned i = 0; i < 100000; i++) {
        if (i % 40 != 0) {
            free(kept[i]);
        }
    }
    while (now_s() < until) {
        free(malloc(100));
        usleep(1000);
    }
}

static void need_hot(double until)
{
    static const char *const names[] = {"images", "index", "texts", "users"};

    for (unsigned c = 0; c < 4; c++) {
        mp_component_t *before = mp_enter(mp_component(names[c]));

        for (unsigned i = 0; i < (c == 0 ? 4000u : 500u); i++) {
            kept[c * 8000 + i] = memset(malloc(1024), 1, 1024);
        }
        mp_leave(before);
    }
    while (now_s() < until) {
        free(malloc(100));
        usleep(1000);
    }
}

/* A text that grows line by line, by a little each time. */
static NOINLINE char *append_line(char *text, size_t bytes)
{
    text = realloc(text, bytes + 40);
    memset(text + bytes, 'x', 40);
    return text;
}

static void keep_some(void)
{
    for (unsigned i = 0; i < 4000; i++) {
        kept[i] = memset(malloc(1024), 1, 1024);
    }
}

static void need_reserve(double until)
{
    keep_some();
    while (now_s() < until) {
        char *text = NULL;

        for (size_t bytes = 0; bytes < 30000; bytes += 40) {
            text = append_line(text, bytes);
            work(10);
        }
        free(text);
    }
}

static NOINLINE void *make_page(void)
{
    return memset(aligned_alloc(2048, 300), 1, 300);
}

static void need_align(double until)
{
    for (unsigned i = 0; i < 20000; i++) {
        kept[i] = make_page();
    }
    while (now_s() < until) {
        free(malloc(100));
        usleep(1000);
    }
}

/* ---- those that need nothing ---- */

/* Lists that double, which is what reserving comes to, and much is done between. */
static void need_nothing_lists(double until)
{
    keep_some();
    while (now_s() < until) {
        uint64_t *list = NULL;

        for (size_t room = 4; room < 4096; room *= 2) {
            list = realloc(list, room * sizeof(*list));
            memset(list, 1, room * sizeof(*list));
            work((unsigned)room * 300);
        }
        free(list);
    }
}

/* Lines of the cache, of which each is full. */
static void need_nothing_lines(double until)
{
    for (unsigned i = 0; i < 20000; i++) {
        kept[i] = memset(aligned_alloc(64, 192), 1, 192);
    }
    while (now_s() < until) {
        free(malloc(64));
        usleep(500);
    }
}

/* Buffers that realloc made smaller, to a little more than half: they stay where they are. */
static void need_nothing_cut(double until)
{
    for (unsigned i = 0; i < 20000; i++) {
        kept[i] = memset(realloc(malloc(1024), 960), 1, 960);
    }
    while (now_s() < until) {
        free(malloc(64));
        usleep(500);
    }
}

/* A table that is made once and stays. */
static void need_nothing_table(double until)
{
    for (unsigned i = 0; i < 20000; i++) {
        kept[i] = memset(malloc(1024), 1, 1024);
    }
    while (now_s() < until) {
        free(malloc(64));
        usleep(500);
    }
}

/* A service in its steady state: blocks of all sizes come and go, much is done with each. */
static void need_nothing_steady(double until)
{
    enum { WINDOW = 20000 };

    for (unsigned i = 0; i < WINDOW; i++) {
        kept[i] = malloc(16 * (1 + random_below(60)));
    }
    while (now_s() < until) {
        unsigned i = random_below(WINDOW);

        free(kept[i]);
        kept[i] = malloc(16 * (1 + random_below(60)));
        work(20000);
    }
}

/* Small requests, not many. */
static void need_nothing_idle(double until)
{
    while (now_s() < until) {
        void *p[20];

        for (unsigned i = 0; i < 20; i++) {
            p[i] = malloc(1 + random_below(2000));
        }
        for (unsigned i = 0; i < 20; i++) {
            free(p[i]);
        }
        usleep(2000);
    }
}

static const struct {
    const char *name;
    void (*run)(double until);
} modes[] = {
    {"pool", need_pool},
    {"arena", need_arena},
    {"batch", need_batch},
    {"chunk", need_chunk},
    {"resize", need_resize},
    {"trim", need_trim},
    {"spread", need_spread},
    {"hot", need_hot},
    {"reserve", need_reserve},
    {"align", need_align},
    {"lists", need_nothing_lists},
    {"lines", need_nothing_lines},
    {"cut", need_nothing_cut},
    {"table", need_nothing_table},
    {"steady", need_nothing_steady},
    {"idle", need_nothing_idle},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < sizeof(modes) / sizeof(*modes); i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run(now_s() + atof(argv[2]));
            puts("done"); /* the test looks now */
            fflush(stdout);
            pause();
        }
    }
    fputs("needs: MODE SECONDS\n", stderr);
    return 2;
}
