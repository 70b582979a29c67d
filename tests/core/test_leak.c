/* Which blocks live and what reaches them, in this process, beside the system's malloc. */
#include "guard.h"
#include "leak_mark.h"
#include "leak_own.h"
#include "leak_places.h"
#include "leak_suppress.h"
#include "malloc.h"
#include "publish.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if CONFIG_PROFILE

static const struct leak_pointers plain;

/* The roots are `count` words. */
static void look(const struct leak_pointers *how, void *const *roots, size_t count)
{
    cr_assert_eq(leak_heap_open(), 0);
    cr_assert(leak_mark_begin(how, 0));
    for (size_t i = 0; i < count; i++) {
        leak_mark_word((uintptr_t)roots[i], false);
    }
    leak_mark_reached();
    leak_mark_possible();
}

static enum leak_state state_of(const void *p)
{
    struct leak_found f;

    /* The memory of a large block that was freed is no block at all. */
    return leak_find((uintptr_t)p, &f) ? leak_state(f.number) : LEAK_FREE;
}

static uint64_t live_blocks(void)
{
    struct mp_snapshot s = {.size = sizeof(s)};

    publish_snapshot(&s);
    return s.live_blocks;
}

static void *cleared(size_t bytes)
{
    return memset(malloc_fast(bytes), 0, bytes);
}

Test(leak, all_live_blocks_are_found_and_no_other)
{
    void *p[3000];
    uint64_t live;

    for (size_t i = 0; i < 3000; i++) {
        p[i] = malloc_alloc(NULL, i * 37 % 40000);
    }
    for (size_t i = 0; i < 3000; i += 3) {
        malloc_free(p[i]);
    }
    live = live_blocks();
    cr_assert_eq(leak_heap_open(), 0);
    cr_assert_eq(leak_heap_sums().blocks, live);
    cr_assert_eq(leak_heap_sums().unsure_slabs, 0);
    for (size_t i = 0; i < 3000; i++) {
        cr_assert_eq(state_of(p[i]), i % 3 == 0 ? LEAK_FREE : LEAK_UNSEEN);
    }
    leak_heap_close();
}

static void *free_some(void *arg)
{
    void **p = arg;

    for (size_t i = 0; i < 100; i += 2) {
        malloc_free(p[i]);
    }
    return NULL;
}

Test(leak, remote_frees_are_free_before_they_are_folded)
{
    void *p[100];
    pthread_t other;

    for (size_t i = 0; i < 100; i++) {
        p[i] = malloc_fast(300);
    }
    pthread_create(&other, NULL, free_some, p);
    pthread_join(other, NULL);
    cr_assert_eq(leak_heap_open(), 0);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(state_of(p[i]), i % 2 == 0 ? LEAK_FREE : LEAK_UNSEEN);
    }
    leak_heap_close();
}

Test(leak, any_address_in_a_block_finds_it_in_all_classes)
{
    for (size_t size = 1; size < 100000; size += size / 8 + 1) {
        char *p = malloc_alloc(NULL, size);
        struct leak_found f;

        cr_assert_eq(leak_heap_open(), 0);
        for (size_t at = 0; at < size; at += size / 5 + 1) {
            cr_assert(leak_find((uintptr_t)p + at, &f));
            cr_assert_eq(f.start, (uintptr_t)p);
            cr_assert_geq(leak_block_bytes(&f), size);
        }
        leak_heap_close();
    }
}

Test(leak, starts_reach_and_insides_may)
{
    void **a = cleared(64);
    void **b = cleared(64);
    char *c = cleared(64);
    void *d = cleared(64);
    void *roots[] = {a};

    a[0] = b;
    a[1] = c + 37;
    *(void **)c = d;
    look(&plain, roots, 1);
    cr_assert_eq(state_of(a), LEAK_REACHED);
    cr_assert_eq(state_of(b), LEAK_REACHED);
    cr_assert_eq(state_of(c), LEAK_POSSIBLE);
    cr_assert_eq(state_of(d), LEAK_POSSIBLE);
    leak_heap_close();
}

Test(leak, tags_and_offsets_count_where_they_are_asked_for)
{
    struct leak_pointers low = {.low = true};
    struct leak_pointers high = {.high = true};
    struct leak_pointers behind = {.offset = 24};
    char *p = cleared(64);
    void *tagged[] = {p + 5};
    void *upper[] = {(void *)((uintptr_t)p | (uintptr_t)0x1234 << 48)};
    void *offset[] = {p + 24};

    look(&low, tagged, 1);
    cr_assert_eq(state_of(p), LEAK_REACHED);
    look(&plain, tagged, 1);
    cr_assert_eq(state_of(p), LEAK_POSSIBLE);
    look(&high, upper, 1);
    cr_assert_eq(state_of(p), LEAK_REACHED);
    look(&plain, upper, 1);
    cr_assert_eq(state_of(p), LEAK_UNSEEN);
    look(&behind, offset, 1);
    cr_assert_eq(state_of(p), LEAK_REACHED);
    leak_heap_close();
}

static size_t leaders, owned_count;

static void count_owned(const struct leak_block *b)
{
    (void)b;
    owned_count++;
}

static bool count_leader(const struct leak_block *b, void *arg)
{
    (void)arg;
    leak_mark_owned(b, count_owned);
    leaders++;
    return true;
}

static void find_lost(void)
{
    leaders = owned_count = 0;
    look(&plain, NULL, 0);
    leak_heap_keep_unseen();
    leak_mark_lost();
    leak_heap_each_backwards(LEAK_LEADER, count_leader, NULL);
    leak_heap_close();
}

/* Random graphs: as many leaders as there are ways to begin, by a slow and simple count. */
Test(leak, leaders_are_as_few_as_can_be)
{
    enum { NODES = 24, ROUNDS = 300 };
    unsigned seed = 1;

    for (unsigned round = 0; round < ROUNDS; round++) {
        void **node[NODES];
        bool reach[NODES][NODES] = {{false}};
        size_t expected = 0;

        for (size_t i = 0; i < NODES; i++) {
            node[i] = cleared(48);
        }
        for (size_t i = 0; i < NODES; i++) {
            for (size_t link = 0; link < rand_r(&seed) % 3u; link++) {
                size_t to = (size_t)rand_r(&seed) % NODES;

                node[i][link] = node[to];
                reach[i][to] = true;
            }
            reach[i][i] = true;
        }
        for (size_t k = 0; k < NODES; k++) {
            for (size_t i = 0; i < NODES; i++) {
                for (size_t j = 0; j < NODES; j++) {
                    reach[i][j] |= reach[i][k] && reach[k][j];
                }
            }
        }
        /* Of those that nobody reaches who is not reached in turn, one of each cycle. */
        for (size_t i = 0; i < NODES; i++) {
            bool leads = true;

            for (size_t j = 0; j < NODES; j++) {
                leads &= !reach[j][i] || (reach[i][j] && j >= i);
            }
            expected += leads;
        }
        find_lost();
        cr_assert_eq(
            leaders, expected, "round %u: %zu, not %zu", round, leaders, expected);
        cr_assert_eq(leaders + owned_count, NODES);
        for (size_t i = 0; i < NODES; i++) {
            malloc_free(node[i]);
        }
    }
}

/* More at once than a list of bounded length would have room for. */
Test(leak, many_blocks_that_wait_are_not_forgotten)
{
    enum { NODES = 5000, LEAVES = 100 };
    void **head = NULL;
    void *roots[1];

    for (size_t i = 0; i < NODES;
         i++) { /* a list whose nodes have leaves, looked at last */
        void **n = cleared((LEAVES + 1) * sizeof(void *));

        for (size_t k = 0; k < LEAVES; k++) {
            n[k] = cleared(16);
        }
        n[LEAVES] = head;
        head = n;
    }
    roots[0] = head;
    look(&plain, roots, 1);
    cr_assert_geq(leak_mark_sums().heap_bytes, NODES * (LEAVES + 1) * sizeof(void *));
    leak_heap_keep_unseen();
    leaders = 0;
    leak_mark_lost();
    leak_heap_each_backwards(LEAK_LEADER, count_leader, NULL);
    cr_assert_eq(leaders, 0);
    leak_heap_close();
}

Test(leak, places_stay_when_more_comes)
{
    void *p = malloc_fast(100);
    struct leak_places places = leak_places_now();
    size_t place = leak_place(&places, (uintptr_t)p);
    void *more = malloc_alloc(NULL, 20 << 20);

    cr_assert_lt(place, leak_places_count(&places));
    cr_assert_eq(leak_place(&places, (uintptr_t)p), place);
    cr_assert_eq(leak_place(&places, (uintptr_t)more + (16 << 20)), SIZE_MAX);
}

#endif

/* ---- suppressions ---- */

static bool matches(const char *text, const struct leak_frame *frames, size_t count)
{
    char path[] = "/tmp/test_leak_XXXXXX";
    int fd = mkstemp(path);
    bool is_read;

    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    is_read = leak_suppress_read(path);
    unlink(path);
    cr_assert(is_read);
    return leak_suppress_match(frames, count);
}

static const struct leak_frame stack[] = {
    {"make", "/usr/lib/libone.so.1"}, {"", "/usr/bin/prog"}, {"main", "/usr/bin/prog"}};

Test(leak_suppress, patterns_are_looked_for_in_names_and_modules)
{
    cr_assert(matches("leak:mak", stack, 3));
    cr_assert(matches("leak:libone", stack, 3));
    cr_assert(matches("leak:^m*n$", stack, 3));
    cr_assert(!matches("leak:^ake", stack, 3));
    cr_assert(!matches("leak:mak$", stack, 3));
    cr_assert(!matches("leak:nothing", stack, 3));
}

Test(leak_suppress, frames_are_matched_from_the_innermost_on)
{
    static const char head[] = "{\n n\n Memcheck:Leak\n ";
    static const struct {
        const char *rest;
        bool is_match;
    } cases[] = {{"fun:make", true}, {"fun:ma?e", true},
        {"fun:malloc\n fun:make", true}, {"fun:main", false}, {"...\n fun:main", true},
        {"fun:make\n fun:main", false}, {"fun:make\n obj:*prog\n fun:main", true},
        {"fun:make\n ...", true},
        {"fun:make\n ...\n obj:*prog\n fun:main\n fun:x", false}, {"obj:*one*", true},
        {"obj:one", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];

        snprintf(text, sizeof(text), "%s%s\n}\n", head, cases[i].rest);
        cr_assert_eq(matches(text, stack, 3), cases[i].is_match, "%s", cases[i].rest);
    }
}
