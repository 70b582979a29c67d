#include "mp_pool.h"

#include "harden.h"
#include "malloc.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_HAND = 64 };

static struct mp_pool_stats look(mp_pool_t *p)
{
    struct mp_pool_stats s = {.size = sizeof(s)};

    cr_assert_eq(mp_pool_stats(p, &s), 0);
    mp_pool_check(p);
    return s;
}

static mp_pool_t *begin(size_t object, size_t keep)
{
    mp_pool_t *p = mp_pool_create(NULL, object, keep);

    cr_assert_not_null(p);
    return p;
}

/* So many in use at the same time, then none. */
static void wave(mp_pool_t *p, size_t count)
{
    void *used[10000];

    for (size_t i = 0; i < count; i++) {
        used[i] = mp_pool_get(p);
        cr_assert_not_null(used[i]);
        memset(used[i], 7, 64);
    }
    for (size_t i = 0; i < count; i++) {
        mp_pool_put(p, used[i]);
    }
}

Test(mp_pool, what_was_put_is_got_again)
{
    mp_pool_t *p = begin(256, 100);
    void *a = mp_pool_get(p);
    void *b = mp_pool_get(p);
    struct mp_pool_stats s;

    cr_assert_neq(a, b);
    mp_pool_put(p, a);
    mp_pool_put(p, b);
    cr_assert_eq(mp_pool_get(p), b, "the last one first");
    cr_assert_eq(mp_pool_get(p), a);
    s = look(p);
    cr_assert_eq(s.gets_total, 4);
    cr_assert_eq(s.hits_total, 2);
    cr_assert_eq(s.misses_total, 2);
    cr_assert_eq(s.live, 2);
    cr_assert_eq(s.kept, 0);
    cr_assert_eq(s.peak, 2);
    mp_pool_put(p, a);
    mp_pool_put(p, b);
    mp_pool_put(p, NULL);
    cr_assert_eq(look(p).kept, 2);
    mp_pool_destroy(p);
}

Test(mp_pool, one_thread_keeps_as_many_as_it_was_told)
{
    static const size_t keeps[] = {0, 1, 2, 5, 31, 32, 33, 47, 48, 49, 100, 1000};

    for (size_t i = 0; i < sizeof(keeps) / sizeof(keeps[0]); i++) {
        mp_pool_t *p = begin(256, keeps[i]);
        struct mp_pool_stats s;

        wave(p, 2000);
        s = look(p);
        cr_assert_eq(s.kept, keeps[i], "%lu of %zu", (unsigned long)s.kept, keeps[i]);
        cr_assert_eq(s.freed_total, 2000 - keeps[i]);
        cr_assert_eq(s.live, 0);
        cr_assert_eq(s.peak, 2000);
        wave(p, 2000);
        s = look(p);
        cr_assert_eq(s.hits_total, keeps[i], "all that was kept is found");
        cr_assert_eq(s.kept, keeps[i]);
        mp_pool_destroy(p);
    }
}

Test(mp_pool, all_are_kept_if_wanted)
{
    mp_pool_t *p = begin(64, SIZE_MAX);

    wave(p, 10000);
    cr_assert_eq(look(p).kept, 10000);
    wave(p, 10000);
    cr_assert_eq(look(p).misses_total, 10000);
    cr_assert_eq(mp_pool_trim(p), 10000 * 64);
    cr_assert_eq(look(p).kept, 0);
    wave(p, 10);
    cr_assert_eq(look(p).kept, 10);
    mp_pool_destroy(p);
}

Test(mp_pool, objects_of_any_size)
{
    static const size_t sizes[] = {
        0, 1, 8, 9, 100, 5000, 32768, 200000, (size_t)40 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mp_pool_t *p = begin(sizes[i], 3);
        char *a = mp_pool_get(p);
        char *b = mp_pool_get(p);

        cr_assert_not_null(a);
        cr_assert_not_null(b);
        cr_assert_eq((uintptr_t)a % 16, 0);
        memset(a, 1, sizes[i] < 8 ? 8 : sizes[i]);
        mp_pool_put(p, a);
        mp_pool_put(p, b);
        cr_assert_eq(look(p).kept, 2);
        cr_assert_eq(mp_pool_get(p), a);
        cr_assert_eq(mp_pool_get(p), b);
        cr_assert_eq(look(p).kept, 0);
        mp_pool_put(p, b);
        mp_pool_put(p, a);
        cr_assert_eq(look(p).kept, 2);
        mp_pool_destroy(p);
    }
    errno = 0;
    cr_assert_null(mp_pool_create(NULL, SIZE_MAX, 1));
    cr_assert_eq(errno, ENOMEM);
}

Test(mp_pool, without_memory_get_is_refused_and_the_pool_goes_on)
{
    mp_pool_t *p = begin(PTRDIFF_MAX, 3);

    errno = 0;
    cr_assert_null(mp_pool_get(p));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_eq(look(p).gets_total, 0);
    cr_assert_eq(look(p).live, 0);
    mp_pool_destroy(p);
}

Test(mp_pool, in_hardened_mode_malloc_sees_each_object)
{
    mp_pool_t *p;
    struct mp_pool_stats s;

    harden_start();
    p = begin(256, 100);
    wave(p, 50);
    wave(p, 50);
    s = look(p);
    cr_assert_eq(s.hits_total, 0);
    cr_assert_eq(s.freed_total, 100);
    mp_pool_destroy(p);
}

/* ---- threads ---- */

static void *take_wave(void *p)
{
    wave(p, 100);
    return NULL;
}

Test(mp_pool, a_thread_that_ended_leaves_its_objects_to_others)
{
    mp_pool_t *p = begin(256, 1000);
    pthread_t other;

    for (int i = 0; i < 5; i++) {
        pthread_create(&other, NULL, take_wave, p);
        pthread_join(other, NULL);
        /* This thread has some at hand that others do not get. */
        cr_assert_eq(look(p).kept, look(p).misses_total);
        cr_assert_eq(look(p).gets_total, 100 * (1 + 2 * (uint64_t)i));
        wave(p, 100);
    }
    cr_assert_leq(look(p).misses_total, 100 + AT_HAND);
    mp_pool_destroy(p);
}

Test(mp_pool, threads_that_end_leave_no_more_than_is_to_be_kept)
{
    mp_pool_t *p = begin(256, 150);
    pthread_t other[20];

    for (int i = 0; i < 20; i++) {
        pthread_create(&other[i], NULL, take_wave, p);
    }
    for (int i = 0; i < 20; i++) {
        pthread_join(other[i], NULL);
    }
    cr_assert_leq(look(p).kept, 150, "%lu", (unsigned long)look(p).kept);
    cr_assert_eq(look(p).gets_total, 2000);
    mp_pool_destroy(p);
}

static void *put_one(void *arg)
{
    void **pair = arg;

    mp_pool_put(pair[0], pair[1]);
    return NULL;
}

Test(mp_pool, any_thread_may_put_what_another_got)
{
    mp_pool_t *p = begin(256, 10);
    void *object = mp_pool_get(p);
    void *pair[] = {p, object};
    pthread_t other;

    pthread_create(&other, NULL, put_one, pair);
    pthread_join(other, NULL);
    cr_assert_eq(look(p).live, 0);
    cr_assert_eq(mp_pool_get(p), object);
    mp_pool_put(p, object);
    mp_pool_destroy(p);
}

static mp_pool_t *destroyed_beside;
static pthread_barrier_t barrier;

static void *use_and_wait(void *arg)
{
    (void)arg;
    wave(destroyed_beside, 20);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* meanwhile it is destroyed, and another made */
    cr_assert_eq(look(destroyed_beside).kept, 0);
    wave(destroyed_beside, 20);
    cr_assert_eq(look(destroyed_beside).misses_total, 20);
    return NULL;
}

Test(mp_pool, a_pool_in_the_place_of_another_has_nothing_of_it)
{
    pthread_t other;

    pthread_barrier_init(&barrier, NULL, 2);
    destroyed_beside = begin(256, 100);
    pthread_create(&other, NULL, use_and_wait, NULL);
    pthread_barrier_wait(&barrier);
    mp_pool_destroy(destroyed_beside);
    destroyed_beside = begin(128, 100);
    pthread_barrier_wait(&barrier);
    pthread_join(other, NULL);
    mp_pool_destroy(destroyed_beside);
}

Test(mp_pool, more_pools_than_places_work_too)
{
    enum { POOLS = 600 };
    static mp_pool_t *pool[POOLS];

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < POOLS; i++) {
            pool[i] = begin(64, 40);
        }
        for (size_t i = 0; i < POOLS; i++) {
            wave(pool[i], 50);
            cr_assert_eq(look(pool[i]).kept, 40);
            wave(pool[i], 50);
            cr_assert_eq(look(pool[i]).hits_total, 40);
        }
        for (size_t i = 0; i < POOLS; i++) {
            mp_pool_destroy(pool[(i * 7) % POOLS]);
        }
    }
}

/* ---- property: a shadow of one thread, with pools that come and go ---- */

enum { POOLS = 5, USED = 400 };

struct shadow {
    mp_pool_t *p;
    size_t keep;
    void *used[USED];
    size_t live;
    uint64_t gets;
};

static uint64_t random_state;

static size_t below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % n;
}

static void shadow_get(struct shadow *s)
{
    uint64_t *o;

    if (s->live == USED) {
        return;
    }
    o = mp_pool_get(s->p);
    cr_assert_not_null(o);
    o[0] = o[7] = (uintptr_t)o ^ s->live;
    s->used[s->live++] = o;
    s->gets++;
}

static void shadow_put(struct shadow *s)
{
    size_t i;
    uint64_t *o;

    if (s->live == 0) {
        return;
    }
    i = below(s->live);
    o = s->used[i];
    cr_assert_eq(o[0], o[7], "nobody else had it");
    s->used[i] = s->used[--s->live];
    mp_pool_put(s->p, o);
}

static void shadow_compare(struct shadow *s)
{
    struct mp_pool_stats f = look(s->p);

    cr_assert_eq(f.live, s->live);
    cr_assert_eq(f.gets_total, s->gets);
    cr_assert_eq(f.hits_total + f.misses_total, s->gets);
    cr_assert_leq(f.kept, s->keep);
}

static void shadow_renew(struct shadow *s)
{
    for (size_t i = 0; i < s->live; i++) {
        malloc_free(s->used[i]); /* they stay valid blocks */
    }
    if (s->p != NULL) {
        mp_pool_destroy(s->p);
    }
    *s = (struct shadow){.keep = below(300)};
    s->p = mp_pool_create(component_intern("shadow"), 64 + below(500), s->keep);
}

Test(mp_pool, property_figures_are_those_of_a_shadow)
{
    static struct shadow shadow[POOLS];

    for (uint64_t seed = 1; seed <= 10; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15u;
        for (size_t i = 0; i < POOLS; i++) {
            shadow_renew(&shadow[i]);
        }
        for (int i = 0; i < 20000; i++) {
            struct shadow *s = &shadow[below(POOLS)];
            size_t what = below(2000);
            bool is_wave = i / 500 % 2 == 0;

            if (what == 0) {
                shadow_renew(s);
            } else if (what == 1) {
                mp_pool_trim(s->p);
                cr_assert_eq(look(s->p).kept, 0);
            } else if (what < 20) {
                shadow_compare(s);
            } else if (below(8) < (is_wave ? 5u : 3u)) {
                shadow_get(s);
            } else {
                shadow_put(s);
            }
        }
    }
}
