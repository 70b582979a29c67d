/*
 * reuse - arenas and pools in a real program: who has the memory, threads, fork, leaks
 *
 *     reuse [leaks]
 *
 * Figures and leak checks are looked at where the library was built with profiling; the rest
 * everywhere. Leaks in a process of their own: what others left in registers would lead there.
 */
#include "test.h"

#include "../leaks/scrub.h"

#include <errno.h>
#include <mpalloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { THREADS = 4, OBJECT = 256, MIB = 1 << 20 };

static bool has_figures;

static uint64_t live_of(const char *name)
{
    struct mp_snapshot s = {.size = sizeof(s)};
    struct mp_component_stats c = {.size = sizeof(c)};

    CHECK_EQ(mp_snapshot(&s), 0);
    for (size_t i = 0; mp_component_stats(i, &c) == 0; i++) {
        if (strcmp(c.name, name) == 0) {
            return c.live_bytes;
        }
    }
    return 0;
}

static struct mp_pool_stats look(mp_pool_t *pool)
{
    struct mp_pool_stats s = {.size = sizeof(s)};

    CHECK_EQ(mp_pool_stats(pool, &s), 0);
    CHECK_EQ(s.hits_total + s.misses_total, s.gets_total);
    return s;
}

/* ---- who has the memory ---- */

static void arenas_count_for_their_component(void)
{
    mp_arena_t *arena = mp_arena_create(mp_component("arena"));
    uint64_t full;

    for (int i = 0; i < 10000; i++) {
        CHECK(mp_arena_alloc(arena, 100) != NULL);
    }
    if (has_figures) {
        full = live_of("arena");
        CHECK(full >= 1000000 && full < 2 * MIB);
        mp_arena_reset(arena);
        mp_arena_reset(arena); /* no round needs more than the first chunk now */
        CHECK_EQ(live_of("arena"), 4096);
    }
    mp_arena_destroy(arena);
    CHECK(!has_figures || live_of("arena") == 0);
}

static void pools_count_for_their_component(void)
{
    mp_pool_t *pool = mp_pool_create(mp_component("pool"), OBJECT, 1000);
    void *object[500];
    uint64_t full;

    for (int i = 0; i < 500; i++) {
        object[i] = mp_pool_get(pool);
        CHECK(object[i] != NULL);
        test_fill(object[i], i, OBJECT);
    }
    for (int i = 0; i < 500; i++) {
        CHECK(test_is_filled(object[i], i, OBJECT));
        mp_pool_put(pool, object[i]);
    }
    CHECK_EQ(look(pool).misses_total, 500);
    if (has_figures) {
        full = live_of("pool");
        CHECK(full >= 500 * OBJECT && full < 500 * OBJECT * 5 / 4);
    }
    CHECK_EQ(mp_pool_trim(pool), test_is_hardened() ? 0 : 500 * OBJECT);
    mp_pool_destroy(pool);
    CHECK(!has_figures || live_of("pool") == 0);
}

static void objects_that_are_in_use_outlive_their_pool(void)
{
    mp_pool_t *pool = mp_pool_create(NULL, OBJECT, 10);
    char *p = mp_pool_get(pool);

    test_fill(p, 3, OBJECT);
    mp_pool_destroy(pool);
    CHECK(test_is_filled(p, 3, OBJECT));
    free(p);
}

/* ---- out of memory ---- */

static void without_memory_arenas_and_pools_stay_as_they_are(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        mp_arena_t *arena = mp_arena_create(NULL);
        mp_pool_t *pool = mp_pool_create(NULL, MIB, 4);
        char *kept = mp_arena_strdup(arena, "kept");
        struct rlimit limit = {test_statm(0) + 64 * MIB, RLIM_INFINITY};
        char *p, *last = NULL;

        CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
        while ((errno = 0, p = mp_arena_alloc(arena, MIB)) != NULL) {
            *p = 1;
            last = p;
        }
        CHECK(errno == ENOMEM && last != NULL && strcmp(kept, "kept") == 0);
        while (mp_pool_get(pool) != NULL) {
        }
        CHECK_EQ(errno, ENOMEM);
        mp_arena_reset(arena);
        p = mp_arena_alloc(arena, MIB);
        CHECK(p != NULL);
        CHECK(mp_pool_get(pool) != NULL); /* what the arena gave back */
        mp_arena_destroy(arena);
        mp_pool_destroy(pool);
        _exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

/* ---- threads and fork ---- */

static mp_pool_t *shared;
static bool stopping;

static void *get_and_put(void *arg)
{
    uint64_t random = (uintptr_t)arg + 1;
    uint64_t *used[100];
    size_t count = 0;

    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        if (count < 100 && test_random(&random) % 2 == 0) {
            used[count] = mp_pool_get(shared);
            CHECK(used[count] != NULL);
            used[count][0] = used[count][31] = (uintptr_t)used[count] ^ random;
            count++;
        } else if (count > 0) {
            count--;
            CHECK(used[count][0] == used[count][31]);
            mp_pool_put(shared, used[count]);
        }
    }
    while (count > 0) {
        mp_pool_put(shared, used[--count]);
    }
    return NULL;
}

/* All that the parent's threads had at hand is there, once each; then as ever. */
static void use_as_child(void)
{
    struct mp_pool_stats before = look(shared);
    uint64_t **object = malloc((before.kept + 1) * sizeof(*object));
    mp_arena_t *arena = mp_arena_create(NULL);

    alarm(10);
    for (size_t i = 0; i < before.kept; i++) {
        object[i] = mp_pool_get(shared);
        object[i][0] = i;
        object[i][31] = i;
        CHECK(mp_arena_alloc(arena, 64) != NULL);
    }
    CHECK_EQ(look(shared).misses_total, before.misses_total);
    CHECK_EQ(look(shared).kept, 0);
    for (size_t i = 0; i < before.kept; i++) {
        CHECK(object[i][0] == i && object[i][31] == i);
        mp_pool_put(shared, object[i]);
    }
    mp_arena_destroy(arena);
    mp_pool_destroy(shared);
    _exit(0);
}

static void children_have_what_all_threads_kept(void)
{
    pthread_t thread[THREADS];

    shared = mp_pool_create(mp_component("shared"), OBJECT, SIZE_MAX);
    stopping = false;
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&thread[i], NULL, get_and_put, (void *)i), 0);
    }
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            use_as_child();
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK_EQ(status, 0);
    }
    __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    CHECK_EQ(look(shared).live, 0);
    CHECK(look(shared).gets_total > 1000);
    CHECK(test_is_hardened() || look(shared).kept == look(shared).misses_total);
    mp_pool_destroy(shared);
}

/* Threads that come and go leave what they had, and nothing grows. */
static void short_threads_use_what_others_left(void)
{
    shared = mp_pool_create(NULL, OBJECT, 1000);
    for (int i = 0; i < 300; i++) {
        pthread_t thread;

        stopping = i % 2 == 0; /* some do nothing */
        CHECK_EQ(pthread_create(&thread, NULL, get_and_put, NULL), 0);
        __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
    }
    CHECK(test_is_hardened() || look(shared).peak <= 100);
    CHECK_EQ(look(shared).live, 0);
    mp_pool_destroy(shared);
}

/* ---- counters ---- */

static void counters_are_by_name(void)
{
    mp_counter_t *c = mp_counter("headers_inline");
    char name[16];

    CHECK(c != NULL && mp_counter("headers_inline") == c);
    CHECK(mp_counter("headers_inlin") != c);
    mp_counter_add(c, 5);
    mp_counter_add(c, -7);
    CHECK_EQ((uint64_t)mp_counter_value(c), (uint64_t)-2);
    mp_counter_set(c, 40);
    CHECK_EQ(mp_counter_value(c), 40);
    errno = 0;
    CHECK(mp_counter("") == NULL && errno == EINVAL && mp_counter(NULL) == NULL);
    for (int i = 0; i < 254; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        CHECK(mp_counter(name) != NULL);
    }
    errno = 0;
    c = mp_counter("one more");
    CHECK(c == NULL && errno == ENOMEM);
    mp_counter_add(c, 1);
    CHECK_EQ(mp_counter_value(c), 0);
}

/* ---- leaks ---- */

static struct mp_leak_summary check_leaks(void)
{
    struct mp_leak_summary s = {.size = sizeof(s), .rounds = 1};

    scrub();
    CHECK_EQ(mp_leak_check(&s), 0);
    return s;
}

static mp_pool_t *volatile leaked_pool;
static mp_arena_t *volatile leaked_arena;

static __attribute__((noinline)) void make_arena_with_blocks(void)
{
    leaked_arena = mp_arena_create(NULL);
    for (int i = 0; i < 100; i++) { /* in the first chunk, later ones, one of its own */
        void **object = mp_arena_alloc(leaked_arena, i == 50 ? 200000 : 300);

        object[2] = malloc(48);
    }
}

static void a_leak_check_looks_into_arenas(void)
{
    struct mp_leak_summary s = check_leaks();
    uint64_t before = s.definite.blocks;
    uint64_t indirect_before = s.indirect.blocks;

    make_arena_with_blocks();
    CHECK_EQ(check_leaks().definite.blocks, before);
    leaked_arena = NULL;
    s = check_leaks();
    CHECK_EQ(s.definite.blocks, before + 1); /* it leads to all others */
    CHECK_EQ(s.indirect.blocks, indirect_before + 104);
}

static __attribute__((noinline)) void make_pool_with_objects(void)
{
    void *object[150];

    leaked_pool = mp_pool_create(NULL, OBJECT, 120);
    for (int i = 0; i < 150; i++) {
        object[i] = mp_pool_get(leaked_pool);
    }
    for (int i = 0; i < 150; i++) {
        mp_pool_put(leaked_pool, object[i]);
        object[i] = NULL;
    }
}

static __attribute__((noinline)) void lose_objects(int count)
{
    while (count-- > 0) {
        test_fill(mp_pool_get(leaked_pool), 0, OBJECT);
    }
}

static void a_leak_check_sees_what_a_pool_keeps(void)
{
    uint64_t before = check_leaks().definite.blocks;

    make_pool_with_objects();
    CHECK_EQ(check_leaks().definite.blocks, before);
    lose_objects(90); /* of kept ones; a register or two may still show one */
    scrub();
    CHECK(check_leaks().definite.blocks >= before + 88);
    CHECK(check_leaks().definite.blocks <= before + 90);
}

int main(int argc, char **argv)
{
    has_figures = getenv("TEST_NO_COUNTERS") == NULL && !test_is_hardened();
    if (argc == 2 && strcmp(argv[1], "leaks") == 0) {
        if (!has_figures) {
            return TEST_SKIPPED;
        }
        RUN(a_leak_check_looks_into_arenas);
        RUN(a_leak_check_sees_what_a_pool_keeps);
        return 0;
    }
    RUN(arenas_count_for_their_component);
    RUN(pools_count_for_their_component);
    RUN(objects_that_are_in_use_outlive_their_pool);
    RUN(without_memory_arenas_and_pools_stay_as_they_are);
    RUN(children_have_what_all_threads_kept);
    RUN(short_threads_use_what_others_left);
    RUN(counters_are_by_name);
    return 0;
}
