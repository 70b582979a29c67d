/*
 * budgets - what components may hold: told at the soft limit, refused at the hard one
 *
 * Where the library is only preloaded, what operators can do: MPALLOC_LIMITS.
 */
#include "test.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/wait.h>

enum { KB = 1024, MB = 1024 * KB };

static __attribute__((unused)) void *volatile sink; /* not in every build */

/* Blocks in a list, so that they need no memory beside them. */
struct block {
    struct block *next;
};

/* Until there is no more, or `most` bytes are; returns the bytes. */
static size_t fill(struct block **list, size_t size, size_t most)
{
    size_t bytes = 0;

    while (bytes < most) {
        struct block *b = (struct block *)malloc(test_opaque(size));

        if (b == NULL) {
            break;
        }
        b->next = *list;
        *list = b;
        bytes += malloc_usable_size(b);
    }
    return bytes;
}

#ifdef TEST_LINKED
/* Every nth; returns the bytes of those that are freed. */
static size_t free_some(struct block **list, unsigned n)
{
    size_t bytes = 0;
    unsigned i = 0;

    while (*list != NULL) {
        struct block *b = *list;

        if (i++ % n == 0) {
            *list = b->next;
            bytes += malloc_usable_size(b);
            free(b);
        } else {
            list = &b->next;
        }
    }
    return bytes;
}

#endif

/* What may be handed out beyond a hard limit: a 64th, and what waits on a thread's list. */
static bool is_near(size_t bytes, size_t hard, unsigned lists)
{
    size_t least = test_is_hardened() ? 0 : hard - hard / 16; /* canaries count, too */

    return bytes > least && bytes <= hard + hard / 64 + lists * 64 * KB;
}

/* ---- by the environment ---- */

static void run_again(char **argv, const char *limits, const char *what, int code)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        char *args[] = {argv[0], (char *)(uintptr_t)what, NULL};

        setenv("MPALLOC_LIMITS", limits, 1);
        execv("/proc/self/exe", args);
        _exit(125);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), code);
}

static int fill_untagged(void)
{
    struct block *list = NULL;
    size_t bytes = fill(&list, 1000, 64 * MB);

    return errno == ENOMEM && is_near(bytes, 16 * MB, 1) ? 0 : 1;
}

static void the_environment_limits_all(char **argv)
{
    run_again(argv, "(untagged)=8m:16m", "untagged", 0);
    run_again(argv, "(untagged)=:16m", "untagged", 0);
    run_again(argv, "(untagged)=16m", "untagged", 1); /* a soft one refuses nothing */
}

#ifdef TEST_LINKED
#    include <mpalloc.h>

static struct mp_component_stats figures(const mp_component_t *c)
{
    struct mp_component_stats s = {.size = sizeof(s)};

    for (size_t i = 0; mp_component_stats(i, &s) == 0; i++) {
        if (strcmp(s.name, mp_component_name(c)) == 0) {
            return s;
        }
    }
    CHECK(!"the component is there");
    return s;
}

static void count_anew(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    int code = mp_snapshot(&s);

    CHECK(code == 0 || code == -ENOSYS);
}

static void impossible_limits_are_refused(void)
{
    mp_component_t *c = mp_component("impossible");

    CHECK_EQ(mp_component_limit(c, 2 * MB, 1 * MB), -EINVAL);
    CHECK_EQ(mp_component_limit(c, 1 * MB, 1 * MB), 0);
    CHECK_EQ(mp_component_limit(c, 0, 0), 0);
    CHECK_EQ(figures(c).limit_hard_bytes, 0);
}

static void small_blocks_end_at_the_hard_limit(void)
{
    static const size_t sizes[] = {16, 100, 1000, 8000, 32 * KB};
    mp_component_t *c = mp_component("small");
    struct block *list = NULL;
    mp_component_t *before = mp_enter(c);

    CHECK_EQ(mp_component_limit(c, 0, 8 * MB), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t bytes;
        uint64_t refused = figures(c).limit_refused_total;

        errno = 0;
        bytes = fill(&list, sizes[i], SIZE_MAX);
        CHECK_EQ(errno, ENOMEM);
        CHECK(is_near(bytes, 8 * MB, 2));
        CHECK_EQ(figures(c).limit_refused_total, refused + 1);
        sink = mp_malloc(NULL, sizes[i]); /* others are not concerned */
        CHECK(sink != NULL);
        free(sink);
        free_some(&list, 1);
    }
    CHECK_EQ(figures(c).limit_hard_bytes, 8 * MB);
    CHECK_EQ(figures(c).limit_hits_total, 0);
    CHECK_EQ(mp_component_limit(c, 0, 0), 0);
    CHECK(fill(&list, 100, 9 * MB) >= 9 * MB);
    free_some(&list, 1);
    mp_leave(before);
}

static void every_function_is_refused(void)
{
    mp_component_t *c = mp_component("functions");
    struct block *list = NULL;
    mp_component_t *before = mp_enter(c);
    void *p;

    CHECK_EQ(mp_component_limit(c, 0, 4 * MB), 0);
    p = malloc(test_opaque(3 * MB)); /* what is left is too little for 2 MiB */
    CHECK(p != NULL);
    errno = 0;
    CHECK(malloc(test_opaque(2 * MB)) == NULL && errno == ENOMEM);
    errno = 0;
    CHECK(calloc(2, test_opaque(1 * MB)) == NULL && errno == ENOMEM);
    CHECK(aligned_alloc(4096, test_opaque(2 * MB)) == NULL);
    CHECK(posix_memalign(&p, 64, test_opaque(2 * MB)) == ENOMEM);
    CHECK(memalign(128, test_opaque(2 * MB)) == NULL);
    CHECK(mp_malloc(c, test_opaque(2 * MB)) == NULL);
    CHECK(mp_malloc(c, test_opaque(64 * MB)) == NULL);
    CHECK(mp_calloc(c, 1, test_opaque(2 * MB)) == NULL);
    CHECK(mp_aligned_alloc(c, 64, test_opaque(2 * MB)) == NULL);
    CHECK(mp_realloc(c, NULL, test_opaque(2 * MB)) == NULL);
    CHECK(realloc(p, test_opaque(5 * MB)) == NULL);
    CHECK(malloc_usable_size(p) >= 3 * MB); /* it is still there */
    fill(&list, 100, SIZE_MAX);
    fill(&list, 16, SIZE_MAX); /* what little is left */
    CHECK(mp_aligned_alloc(c, 256, test_opaque(20000)) == NULL);
    mp_leave(before);
    CHECK(mp_malloc(c, test_opaque(20000)) == NULL);
    CHECK(mp_realloc(c, NULL, test_opaque(20000)) == NULL);
    p = realloc(p, 1 * MB); /* less is no matter of limits */
    CHECK(p != NULL);
    sink = mp_malloc(c, test_opaque(1 * MB));
    CHECK(sink != NULL);
    free(sink);
    free(p);
    free_some(&list, 1);
}

static void freed_memory_is_there_again(void)
{
    mp_component_t *c = mp_component("cache");
    struct block *list = NULL;
    mp_component_t *before = mp_enter(c);
    size_t bytes;
    size_t live;

    CHECK_EQ(mp_component_limit(c, 0, 16 * MB), 0);
    live = fill(&list, 500, SIZE_MAX);
    CHECK(is_near(live, 16 * MB, 1));
    for (unsigned i = 0; i < 50; i++) { /* scattered, so that no slab is empty */
        live -= bytes = free_some(&list, 10);
        CHECK(bytes > MB || test_is_hardened());
        live += bytes = fill(&list, 500, bytes);
        CHECK(bytes > (test_is_hardened() ? 0 : 7 * MB / 8));
    }
    live -= free_some(&list, 4); /* for another class: they hold more than is live */
    live += fill(&list, 3000, SIZE_MAX);
    CHECK(is_near(live, 16 * MB, 2));
    live -= free_some(&list, 3);
    live += fill(&list, 500, SIZE_MAX);
    CHECK(is_near(live, 16 * MB, 2));
    CHECK(figures(c).limit_refused_total < 60);
    count_anew();
    CHECK(getenv("TEST_NO_COUNTERS") != NULL
          || is_near(figures(c).tree_live_bytes, 16 * MB, 4));
    free_some(&list, 1);
    mp_leave(before);
}

static void growing_needs_what_it_grows_by(void)
{
    mp_component_t *c = mp_component("growing");
    mp_component_t *before = mp_enter(c);
    char *p;
    char *in_the_way;

    CHECK_EQ(mp_component_limit(c, 0, 96 * MB), 0);
    p = malloc(test_opaque(5 * MB));
    in_the_way = mp_malloc(NULL, 5 * MB);
    for (size_t mb = 6; mb <= 90; mb += 4) { /* by copies, and from large to huge */
        p = realloc(p, mb * MB);
        CHECK(p != NULL);
    }
    CHECK(realloc(p, test_opaque(100 * MB)) == NULL);
    free(p);
    free(in_the_way);
    CHECK_EQ(figures(c).limit_refused_total, 1);
    mp_leave(before);
}

/* Small ones, too, whichever kind of block they are: sampled, guarded, of a slab. */
static void small_blocks_grow_at_the_limit(void)
{
    mp_component_t *c = mp_component("small growing");
    mp_component_t *before = mp_enter(c);
    struct block *list = NULL;
    void *p;

    CHECK_EQ(mp_component_limit(c, 0, 64 * KB), 0);
    CHECK(fill(&list, 4000, 15 * 4000) >= 15 * 4000); /* 4 KiB each */
    p = malloc(test_opaque(2000));
    CHECK(p != NULL);
    p = realloc(p, test_opaque(3500)); /* 1.5 KiB more, and 2 are left */
    CHECK(p != NULL);
    CHECK(realloc(p, test_opaque(8000)) == NULL);
    free(p);
    free_some(&list, 1);
    CHECK_EQ(figures(c).limit_refused_total, 1);
    mp_leave(before);
}

/* ---- soft ---- */

static struct {
    unsigned calls;
    mp_component_t *component;
    size_t live;
    bool allocates;
    struct block *list;
} told;

static void tell(mp_component_t *c, size_t live, void *arg)
{
    CHECK(arg == &told);
    told.calls++;
    told.component = c;
    told.live = live;
    if (told.allocates) { /* even for the component itself, and past more */
        told.allocates = false;
        fill(&told.list, 700, 3 * MB);
        sink = malloc(test_opaque(3 * MB));
        CHECK(sink != NULL && told.calls == 1);
        free(sink);
        errno = EINTR;
    }
}

static void the_soft_limit_is_told_once_a_crossing(void)
{
    mp_component_t *c = mp_component("soft");
    struct block *list = NULL;
    mp_component_t *before = mp_enter(c);

    mp_component_on_limit(tell, &told);
    CHECK_EQ(mp_component_limit(c, 4 * MB, 0), 0);
    for (unsigned i = 1; i <= 3; i++) {
        fill(&list, 200, 4 * MB - 256 * KB);
        CHECK_EQ(told.calls, i - 1);
        fill(&list, 200, 4 * MB);
        CHECK_EQ(told.calls, i);
        CHECK(told.component == c && told.live > 4 * MB - 64 * KB
              && told.live < 4 * MB + 64 * KB);
        for (unsigned n = 0; n < 10; n++) { /* about the limit: no new crossing */
            free_some(&list, 50);
            fill(&list, 200, 256 * KB);
        }
        CHECK_EQ(told.calls, i);
        CHECK_EQ(figures(c).limit_hits_total, i);
        free_some(&list, 1);
    }
    CHECK_EQ(figures(c).limit_refused_total, 0);
    sink = malloc(test_opaque(5 * MB)); /* in one step */
    CHECK_EQ(told.calls, 4);
    CHECK_EQ(mp_component_limit(c, 0, 0), 0);
    CHECK_EQ(mp_component_limit(c, 4 * MB, 0), 0); /* it is above at once */
    CHECK_EQ(told.calls, 5);
    free(sink);
    mp_leave(before);
    told.calls = 0;
}

static void the_callback_may_allocate(void)
{
    mp_component_t *c = mp_component("caller");
    mp_component_t *other = mp_component("caller/other");
    struct block *list = NULL;
    mp_component_t *before = mp_enter(other);

    CHECK_EQ(mp_component_limit(c, 4 * MB, 0), 0);
    CHECK_EQ(mp_component_limit(other, 3 * MB, 0), 0);
    told.allocates = true;
    errno = 0;
    fill(&list, 300, 3 * MB + 64 * KB);
    CHECK_EQ(errno, 0);
    CHECK_EQ(told.calls, 2); /* that of c when the first one had returned */
    CHECK(told.component == c);
    free_some(&list, 1);
    free_some(&told.list, 1);
    mp_leave(before);
    mp_component_on_limit(NULL, NULL);
    told.calls = 0;
}

/* ---- trees, threads, forks ---- */

static void a_limit_covers_the_tree(void)
{
    mp_component_t *child = mp_component("tree/a/b");
    mp_component_t *sibling = mp_component("tree/c");
    mp_component_t *top = mp_component("tree");
    mp_component_t *late;
    struct block *list = NULL;
    mp_component_t *before = mp_enter(child);

    CHECK_EQ(mp_component_limit(child, 0, 2 * MB), 0);
    CHECK(is_near(fill(&list, 100, SIZE_MAX), 2 * MB, 1));
    CHECK_EQ(mp_component_limit(top, 0, 6 * MB), 0); /* what is there already counts */
    mp_enter(sibling);
    CHECK(is_near(fill(&list, 100, SIZE_MAX), 4 * MB, 2));
    late = mp_component("tree/late");
    CHECK(mp_malloc(late, test_opaque(200 * KB)) == NULL);
    CHECK(mp_malloc(top, test_opaque(200 * KB)) == NULL);
    CHECK_EQ(figures(late).limit_hard_bytes, 0);
    CHECK_EQ(figures(child).limit_refused_total, 1);
    CHECK_EQ(figures(top).limit_refused_total, 3);
    CHECK_EQ(mp_component_limit(top, 0, 0), 0);
    sink = mp_malloc(late, test_opaque(200 * KB));
    CHECK(sink != NULL && mp_malloc(child, test_opaque(200 * KB)) == NULL);
    free(sink);
    free_some(&list, 1);
    mp_leave(before);
}

enum { THREADS = 4 };

static pthread_barrier_t filled;

static void *fill_in_thread(void *arg)
{
    size_t *ret = arg;
    struct block *list = NULL;

    mp_enter(mp_component("threads"));
    *ret = fill(&list, 100 + 100 * (size_t)(ret[1] % 3), SIZE_MAX);
    pthread_barrier_wait(&filled);
    free_some(&list, 1);
    return NULL;
}

enum { TAKERS = 4, TAKEN_MB = 3, TURNS = 100 };

static size_t held_mb; /* atomic: at least so much lives */
static size_t most_mb; /* atomic */

/* Blocks that wait for no list: who gets the last room is told when it is taken. */
static void *take_large_in_thread(void *arg)
{
    mp_enter(mp_component("takers"));
    for (unsigned turn = 0, tries = 0; turn < TURNS; tries++) {
        char *p = malloc(test_opaque(TAKEN_MB * MB - tries % 7 * 64 * KB));
        size_t now, most;

        CHECK(tries < 10000 * TURNS); /* room does not get lost */
        if (p == NULL) {
            sched_yield();
            continue;
        }
        now = __atomic_add_fetch(&held_mb, TAKEN_MB, __ATOMIC_SEQ_CST);
        most = __atomic_load_n(&most_mb, __ATOMIC_SEQ_CST);
        while (now > most
               && !__atomic_compare_exchange_n(
                   &most_mb, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        }
        __atomic_sub_fetch(&held_mb, TAKEN_MB, __ATOMIC_SEQ_CST);
        free(p);
        turn++;
    }
    return arg;
}

static void threads_do_not_take_the_same_room(void)
{
    pthread_t threads[TAKERS];
    mp_component_t *c = mp_component("takers");

    CHECK_EQ(mp_component_limit(c, 0, 7 * MB), 0); /* two of them */
    for (size_t i = 0; i < TAKERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, take_large_in_thread, NULL) == 0);
    }
    for (size_t i = 0; i < TAKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(most_mb <= 2 * TAKEN_MB);
    sink = mp_malloc(c, test_opaque(6 * MB));
    CHECK(sink != NULL);
    free(sink);
}

static void threads_share_a_limit(void)
{
    size_t bytes[THREADS][2] = {{0}};
    pthread_t threads[THREADS];
    mp_component_t *c = mp_component("threads");
    size_t sum = 0;

    CHECK_EQ(mp_component_limit(c, 0, 32 * MB), 0);
    pthread_barrier_init(&filled, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        bytes[i][1] = i;
        CHECK(pthread_create(&threads[i], NULL, fill_in_thread, bytes[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += bytes[i][0];
    }
    CHECK(is_near(sum, 32 * MB, THREADS));
    sink = mp_malloc(c, test_opaque(30 * MB)); /* what they freed is there again */
    CHECK(sink != NULL);
    free(sink);
}

static void children_have_the_limits(void)
{
    mp_component_t *c = mp_component("forked");
    struct block *list = NULL;
    mp_component_t *before = mp_enter(c);
    int status = 0;
    pid_t child;

    CHECK_EQ(mp_component_limit(c, 0, 8 * MB), 0);
    fill(&list, 100, 5 * MB);
    child = fork();
    if (child == 0) {
        size_t bytes = fill(&list, 100, SIZE_MAX);

        _exit(is_near(5 * MB + bytes, 8 * MB, 2) ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(fill(&list, 100, 2 * MB) >= 2 * MB); /* the parent's is its own */
    free_some(&list, 1);
    mp_leave(before);
}

static void there_are_limits_for_many(void)
{
    char name[32];
    int code = 0;
    unsigned n;

    for (n = 0; n < 2000 && code == 0; n++) {
        snprintf(name, sizeof(name), "tenant-%u", n);
        code = mp_component_limit(mp_component(name), 0, MB);
    }
    CHECK_EQ(code, -ENOSPC);
    CHECK(n > 1000 && n <= 1025);
    CHECK(mp_malloc(mp_component("tenant-7"), test_opaque(2 * MB)) == NULL);
    sink = mp_malloc(mp_component("tenant-7"), test_opaque(MB / 2));
    CHECK(sink != NULL);
    free(sink);
}

static int fill_named(void)
{
    struct block *list = NULL;
    mp_component_t *before = mp_enter(mp_component("named/below"));
    size_t bytes = fill(&list, 1000, 64 * MB);
    struct mp_component_stats s = figures(mp_component("named"));

    mp_leave(before);
    return is_near(bytes, 16 * MB, 1) && s.limit_soft_bytes == 8 * MB
                   && s.limit_hits_total == 1
               ? 0
               : 1;
}
#endif

int main(int argc, char **argv)
{
    if (argc > 1) {
#ifdef TEST_LINKED
        if (strcmp(argv[1], "named") == 0) {
            return fill_named();
        }
#endif
        return fill_untagged();
    }
#ifdef TEST_LINKED
    RUN(impossible_limits_are_refused);
    RUN(small_blocks_end_at_the_hard_limit);
    RUN(every_function_is_refused);
    RUN(freed_memory_is_there_again);
    RUN(growing_needs_what_it_grows_by);
    RUN(small_blocks_grow_at_the_limit);
    RUN(the_soft_limit_is_told_once_a_crossing);
    RUN(the_callback_may_allocate);
    RUN(a_limit_covers_the_tree);
    RUN(threads_do_not_take_the_same_room);
    RUN(threads_share_a_limit);
    RUN(children_have_the_limits);
    RUN(there_are_limits_for_many);
    run_again(argv, "other=1g,named=8m:16m", "named", 0);
    run_again(argv, "named=8m:16m,", "named", 1); /* refused as a whole */
    run_again(argv, "named=16m:8m", "named", 1);
    test_claim("the_environment_names_components");
#endif
    the_environment_limits_all(argv);
    test_claim("the_environment_limits_all");
    return 0;
}
