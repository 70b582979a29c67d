/*
 * needs - a program that needs one piece of advice, named by its argument, or none
 *
 * Each runs for a second or two and is killed by its own hand, so that its region stays as it was.
 * What it allocates stands in a function of the piece's name, which the advice has to find.
 */
#include <mpalloc.h>

#include <pthread.h>
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
    enum { WINDOW = 500000 };

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
    if (until < now_s() + 0.5) {
        until = now_s() + 0.5; /* however long that took: counters have to know of it */
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

/* Buffers of connections, most of 16 KiB; a few had one large request, and keep what it took. */
static NOINLINE char *grow_buffer(char *buffer, size_t bytes)
{
    buffer = realloc(buffer, bytes);
    KEEP(buffer); /* no jump to realloc: the stack ends here */
    return buffer;
}

static NOINLINE void fill_buffer(unsigned i, size_t bytes)
{
    size_t room = 1024;

    while (room < bytes) {
        room *= 2;
        KEEP(room); /* one call in the loop, not one for each round */
        kept[i] = grow_buffer(kept[i], room);
    }
    memset(kept[i], 1, bytes);
}

static void need_shrink(double until)
{
    double from = now_s();

    for (unsigned i = 0; i < 1000; i++) {
        fill_buffer(i, i % 50 == 7 ? 4 << 20 : 16 << 10);
    }
    if (until < now_s() + 2 * (now_s() - from)) {
        until = now_s() + 2 * (now_s() - from); /* so that it was long ago */
    }
    while (now_s() < until) {
        free(malloc(100));
        usleep(1000);
    }
}

/*
 * How many of a second's `rate` should be done by now: what was late is made up for, so that a busy
 * machine does not make growth look unsteady.
 */
static unsigned due(double from, double rate)
{
    usleep(500);
    return (unsigned)((now_s() - from) * rate);
}

/* What is served is kept, of all sizes. */
static NOINLINE void *cache_reply(void)
{
    return memset(malloc(64 + random_below(1900)), 1, 64);
}

static void need_bound(double until)
{
    unsigned at = 0;

    for (double from = now_s(); now_s() < until;) {
        for (unsigned most = due(from, 10000); at < most && at < MOST; at++) {
            kept[at] = cache_reply();
            free(malloc(300));
        }
    }
}

struct handler {
    struct handler *next;
    char about[200];
};

static struct handler *handlers;

static NOINLINE void subscribe(void)
{
    struct handler *h = malloc(sizeof(*h));

    memset(h, 1, sizeof(*h));
    h->next = handlers;
    handlers = h;
}

static void need_handler(double until)
{
    unsigned done = 0;

    for (double from = now_s(); now_s() < until;) {
        for (unsigned most = due(from, 20000); done < most; done++) {
            subscribe();
            free(malloc(300));
        }
    }
}

/* Two that point to each other, and nobody to them. */
static NOINLINE void make_pair(void)
{
    struct handler *a = malloc(sizeof(*a));
    struct handler *b = malloc(sizeof(*b));

    memset(a, 1, sizeof(*a));
    memset(b, 1, sizeof(*b));
    a->next = b;
    b->next = a;
}

static void need_cycle(double until)
{
    unsigned done = 0;

    for (double from = now_s(); now_s() < until;) {
        for (unsigned most = due(from, 10000); done < most; done++) {
            make_pair();
            free(malloc(300));
        }
    }
}

static double thread_until;

static void *run_jobs(void *arg)
{
    pthread_setname_np(pthread_self(), "job-runner");
    need_handler(thread_until);
    return arg;
}

static void need_thread(double until)
{
    pthread_t thread;

    thread_until = until;
    if (pthread_create(&thread, NULL, run_jobs, NULL) == 0) {
        while (now_s() < until) {
            free(malloc(300));
            usleep(1000);
        }
        pthread_join(thread, NULL);
    }
}

/* ---- one of everything that a report says of stacks ---- */

static NOINLINE void *keep_entry(void)
{
    return memset(malloc(33), 1, 33);
}

static NOINLINE void *keep_page(void)
{
    return memset(aligned_alloc(2048, 300), 1, 300);
}

static NOINLINE void pass_by(void)
{
    free(memset(malloc(200), 1, 200));
}

static NOINLINE void load_image(void)
{
    char *p = malloc(3 << 20);

    p[0] = 1;
    KEEP(p);
    free(p);
}

static void *write_log(void *arg)
{
    pthread_setname_np(pthread_self(), "log-writer");
    for (unsigned i = 0; i < 1000; i++) {
        ((void **)arg)[i] = memset(malloc(100), 1, 100);
    }
    return NULL;
}

static void need_analysis(double until)
{
    pthread_t thread;
    char *text = NULL;

    mp_operation("parse");
    for (unsigned i = 0; i < 20000; i++) {
        kept[i] = keep_entry();
    }
    mp_operation(NULL);
    for (unsigned i = 0; i < 500; i++) {
        kept[20000 + i] = keep_page();
    }
    for (unsigned i = 0; i < 50000; i++) {
        pass_by();
    }
    for (unsigned i = 0; i < 8; i++) {
        load_image();
    }
    for (size_t bytes = 0; bytes < 30000; bytes += 40) {
        text = append_line(text, bytes);
    }
    kept[21000] = text;
    if (pthread_create(&thread, NULL, write_log, kept + 30000) == 0) {
        pthread_join(thread, NULL);
    }
    while (now_s() < until) {
        free(malloc(64));
        usleep(1000);
    }
}

/* ---- those that need nothing ---- */

/* After its tables are filled: work that leaves nothing, more than it took to fill them. */
static void serve(double until)
{
    unsigned done = 0;

    for (double from = now_s(); now_s() < until || done < 100000;) {
        for (unsigned most = due(from, 60000); done < most; done++) {
            free(memset(malloc(4000), 1, 100));
        }
    }
}

/* Buffers that grow as they are filled, each to about the same size. */
static void need_nothing_buffers(double until)
{
    for (unsigned i = 0; i < 200; i++) {
        fill_buffer(i, 256 << 10);
    }
    serve(until);
}

/* One large table that grew as it was filled, beside what is small. */
static void need_nothing_index(double until)
{
    fill_buffer(0, 16 << 20);
    for (unsigned i = 1; i < 2000; i++) {
        kept[i] = memset(malloc(1024), 1, 1024);
    }
    serve(until);
}

/* A cache with a bound: what is oldest goes. */
static void need_nothing_bounded(double until)
{
    enum { WINDOW = 4000 };

    for (unsigned at = 0; now_s() < until; at = (at + 1) % WINDOW) {
        free(kept[at]);
        kept[at] = cache_reply();
        work(20000);
    }
}

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
    {"shrink", need_shrink},
    {"bound", need_bound},
    {"handler", need_handler},
    {"cycle", need_cycle},
    {"thread", need_thread},
    {"analysis", need_analysis},
    {"lists", need_nothing_lists},
    {"lines", need_nothing_lines},
    {"cut", need_nothing_cut},
    {"table", need_nothing_table},
    {"steady", need_nothing_steady},
    {"idle", need_nothing_idle},
    {"buffers", need_nothing_buffers},
    {"index", need_nothing_index},
    {"bounded", need_nothing_bounded},
};

int main(int argc, char **argv)
{
    static char line[64]; /* what is printed takes no block */

    setvbuf(stdout, line, _IOLBF, sizeof(line));
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
