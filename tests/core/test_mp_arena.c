#include "mp_arena.h"

#include "malloc.h"
#include "options.h"
#include "probe.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct mp_arena_stats look(const mp_arena_t *a)
{
    struct mp_arena_stats s = {.size = sizeof(s)};

    mp_arena_check(a);
    cr_assert_eq(mp_arena_stats(a, &s), 0);
    return s;
}

static mp_arena_t *begin(bool is_careful)
{
    mp_arena_t *a = mp_arena_create(NULL);

    cr_assert_not_null(a);
    if (is_careful) {
        mp_arena_set_careful(a);
    }
    return a;
}

Test(mp_arena, objects_lie_side_by_side_in_one_block)
{
    mp_arena_t *a = begin(false);
    char *p = mp_arena_alloc(a, 64);
    char *q = mp_arena_alloc(a, 1);
    char *r = mp_arena_alloc(a, 64);

    cr_assert_eq(q, p + 64);
    cr_assert_eq(r, q + 16);
    cr_assert_eq(look(a).chunks, 1);
    cr_assert_eq(look(a).used_bytes, 144);
    cr_assert_eq(look(a).held_bytes, 4096);
    mp_arena_destroy(a);
}

Test(mp_arena, no_bytes_have_an_address_of_their_own)
{
    mp_arena_t *a = begin(false);
    void *p = mp_arena_alloc(a, 0);
    void *q = mp_arena_alloc(a, 0);

    cr_assert_not_null(p);
    cr_assert_neq(p, q);
    cr_assert_neq(mp_arena_aligned_alloc(a, 64, 0), mp_arena_aligned_alloc(a, 64, 0));
    mp_arena_destroy(a);
}

Test(mp_arena, any_alignment_holds)
{
    mp_arena_t *a = begin(false);

    for (size_t alignment = 1; alignment <= (size_t)1 << 22; alignment *= 2) {
        for (size_t size = 0; size < 200000; size = size * 3 + 1) {
            char *p = mp_arena_aligned_alloc(a, alignment, size);

            cr_assert_not_null(p);
            cr_assert_eq((uintptr_t)p % alignment, 0);
            memset(p, 1, size);
            mp_arena_check(a);
        }
    }
    errno = 0;
    cr_assert_null(mp_arena_aligned_alloc(a, 0, 8));
    cr_assert_eq(errno, EINVAL);
    cr_assert_null(mp_arena_aligned_alloc(a, 48, 8));
    mp_arena_destroy(a);
}

Test(mp_arena, sizes_that_overflow_are_refused_and_nothing_else)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096,
        (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, PTRDIFF_MAX - 16};
    mp_arena_t *a = begin(false);
    char *before = mp_arena_strdup(a, "before");
    struct mp_arena_stats s = look(a);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        errno = 0;
        cr_assert_null(mp_arena_alloc(a, sizes[i]), "%zu", sizes[i]);
        cr_assert_eq(errno, ENOMEM);
        cr_assert_null(mp_arena_aligned_alloc(a, 4096, sizes[i]));
        cr_assert_null(mp_arena_aligned_alloc(a, (size_t)1 << 63, sizes[i]));
        cr_assert_null(mp_arena_calloc(a, sizes[i], 1));
    }
    cr_assert_null(mp_arena_calloc(a, (size_t)1 << 33, (size_t)1 << 33));
    cr_assert_null(mp_arena_aligned_alloc(a, (size_t)1 << 62, 1));
    cr_assert_eq(look(a).used_bytes, s.used_bytes);
    cr_assert_eq(look(a).held_bytes, s.held_bytes);
    cr_assert_str_eq(before, "before");
    cr_assert_eq((char *)mp_arena_alloc(a, 1), before + 16, "goes on where it was");
    mp_arena_destroy(a);
}

Test(mp_arena, calloc_clears_and_strings_are_copied)
{
    mp_arena_t *a = begin(false);
    char *p = mp_arena_alloc(a, 100);

    memset(p, 0xff, 100);
    mp_arena_reset(a);
    p = mp_arena_calloc(a, 10, 10);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(p[i], 0);
    }
    cr_assert_str_eq(mp_arena_strdup(a, ""), "");
    cr_assert_str_eq(mp_arena_strndup(a, "abcdef", 3), "abc");
    cr_assert_str_eq(mp_arena_strndup(a, "ab", 300), "ab");
    mp_arena_destroy(a);
}

Test(mp_arena, chunks_double_and_the_last_round_keeps_them)
{
    mp_arena_t *a = begin(false);
    struct mp_arena_stats grown;
    char *first = mp_arena_alloc(a, 64);

    for (size_t i = 0; i < 20000; i++) {
        mp_arena_alloc(a, 64);
    }
    grown = look(a);
    cr_assert_leq(grown.chunks, 11, "%lu", (unsigned long)grown.chunks);
    mp_arena_reset(a);
    cr_assert_eq(look(a).used_bytes, 0);
    cr_assert_eq(look(a).held_bytes, grown.held_bytes);
    cr_assert_eq((char *)mp_arena_alloc(a, 64), first);
    for (size_t i = 0; i < 20000; i++) {
        mp_arena_alloc(a, 64);
    }
    cr_assert_eq(look(a).held_bytes, grown.held_bytes, "nothing new was needed");
    mp_arena_reset(a);
    mp_arena_alloc(a, 64);
    mp_arena_reset(a); /* this round needed little */
    cr_assert_eq(look(a).held_bytes, 4096);
    cr_assert_eq(look(a).resets_total, 3);
    mp_arena_destroy(a);
}

Test(mp_arena, large_objects_have_blocks_of_their_own)
{
    mp_arena_t *a = begin(false);
    char *p = mp_arena_alloc(a, 64);
    char *large = mp_arena_alloc(a, 100000);
    char *huge = mp_arena_aligned_alloc(a, 1 << 20, (size_t)40 << 20);

    memset(large, 1, 100000);
    huge[0] = huge[((size_t)40 << 20) - 1] = 1;
    cr_assert_eq((char *)mp_arena_alloc(a, 64), p + 64, "the chunk goes on");
    cr_assert_eq(look(a).chunks, 3);
    mp_arena_reset(a);
    cr_assert_eq(look(a).held_bytes, 4096, "and they end with a reset");
    mp_arena_destroy(a);
}

Test(mp_arena, places_nest)
{
    mp_arena_t *a = begin(false);
    char *kept = mp_arena_strdup(a, "kept");
    struct mp_arena_place outer = mp_arena_save(a);
    char *p = mp_arena_alloc(a, 64);

    for (int i = 0; i < 100; i++) {
        struct mp_arena_place inner = mp_arena_save(a);

        mp_arena_alloc(a, 30000);
        mp_arena_alloc(a, 100000);
        mp_arena_restore(a, inner);
        cr_assert_leq(look(a).held_bytes, 2 * 65536 + 4096);
    }
    mp_arena_restore(a, outer);
    cr_assert_eq((char *)mp_arena_alloc(a, 64), p);
    cr_assert_str_eq(kept, "kept");
    mp_arena_destroy(a);
}

Test(mp_arena, memory_belongs_to_its_component)
{
    struct mp_component *c = component_intern("requests");
    mp_arena_t *a = mp_arena_create(c);
    void *block = mp_arena_alloc(a, 64);

    cr_assert_eq(thread_heap(c)->handed[sizeclass_of(4096)] > 0, 1);
    cr_assert_eq(
        span_find(block)->heap->component, c, "wherever the thread allocates for");
    mp_arena_destroy(a);
}

Test(mp_arena, what_ended_is_filled)
{
    mp_arena_t *a = begin(true);
    struct mp_arena_place place;
    unsigned char *p = mp_arena_alloc(a, 100);
    unsigned char *q;

    memset(p, 1, 100);
    place = mp_arena_save(a);
    q = mp_arena_alloc(a, 9000);
    memset(q, 2, 9000);
    mp_arena_restore(a, place);
    cr_assert_eq(p[99], 1);
    cr_assert_eq(q[0], 0xa5);
    cr_assert_eq(q[8999], 0xa5);
    mp_arena_reset(a);
    cr_assert_eq(p[0], 0xa5);
    cr_assert_eq(p[99], 0xa5);
    cr_assert_eq(mp_arena_alloc(a, 100), p, "untouched, it is given out again");
    mp_arena_destroy(a);
}

Test(mp_arena, writing_after_a_reset_is_seen)
{
    mp_arena_t *a = begin(true);
    char *p = mp_arena_alloc(a, 100);
    uint64_t seen;

    options.abort = false;
    mp_arena_reset(a);
    p[50] = 1;
    seen = probe_passes.invalid_frees;
    mp_arena_alloc(a, 100);
    cr_assert_eq(probe_passes.invalid_frees, seen + 1);
    mp_arena_reset(a);
    p[50] = 1;
    mp_arena_destroy(a);
    cr_assert_eq(probe_passes.invalid_frees, seen + 2);
}

/* ---- property: objects never share a byte, and hold what was written ---- */

enum { OBJECTS = 4000, PLACES = 8 };

struct object {
    unsigned char *p;
    size_t size;
    unsigned char tag;
};

struct shadow {
    struct object object[OBJECTS];
    size_t count;
    struct mp_arena_place place[PLACES];
    size_t counts[PLACES]; /* objects that there were */
    size_t places;
};

static uint64_t random_state;

static size_t below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 11) % n;
}

static void check_objects(const struct shadow *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct object *o = &s->object[i];

        for (size_t at = 0; at < o->size; at += o->size < 300 ? 1 : 97) {
            cr_assert_eq(o->p[at], o->tag, "object %zu, byte %zu", i, at);
        }
        cr_assert(o->size == 0 || o->p[o->size - 1] == o->tag);
    }
}

static void add_object(mp_arena_t *a, struct shadow *s)
{
    static const size_t most[] = {40, 40, 40, 400, 4000, 40000, 300000};
    struct object *o = &s->object[s->count];
    size_t alignment = (size_t)1 << below(below(8) == 0 ? 18 : 6);
    bool is_zeroed = below(8) == 0;

    o->size = below(most[below(sizeof(most) / sizeof(most[0]))]);
    o->p = is_zeroed         ? mp_arena_calloc(a, 1, o->size)
           : alignment <= 16 ? mp_arena_alloc(a, o->size)
                             : mp_arena_aligned_alloc(a, alignment, o->size);
    cr_assert_not_null(o->p);
    cr_assert_eq((uintptr_t)o->p % (is_zeroed ? 16 : alignment), 0);
    for (size_t i = 0; is_zeroed && i < o->size; i++) {
        cr_assert_eq(o->p[i], 0);
    }
    o->tag = (unsigned char)(1 + below(255));
    memset(o->p, o->tag, o->size);
    s->count++;
}

static void step(mp_arena_t *a, struct shadow *s)
{
    switch (below(200)) {
    case 0:
        check_objects(s);
        mp_arena_reset(a);
        s->count = s->places = 0;
        break;
    case 1:
    case 2:
        if (s->places < PLACES) {
            s->place[s->places] = mp_arena_save(a);
            s->counts[s->places++] = s->count;
        }
        break;
    case 3:
    case 4:
        if (s->places > 0) {
            s->places = below(s->places);
            check_objects(s);
            mp_arena_restore(a, s->place[s->places]);
            s->count = s->counts[s->places];
        }
        break;
    default:
        if (s->count < OBJECTS) {
            add_object(a, s);
        }
    }
}

static void follow(uint64_t seed, bool is_careful)
{
    static struct shadow s;
    mp_arena_t *a = begin(is_careful);

    random_state = seed;
    s.count = s.places = 0;
    for (int i = 0; i < 6000; i++) {
        step(a, &s);
        mp_arena_check(a);
    }
    check_objects(&s);
    mp_arena_destroy(a);
}

Test(mp_arena, property_objects_keep_what_was_written)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        follow(seed * 0x9e3779b97f4a7c15u, false);
    }
}

Test(mp_arena, property_the_same_where_mistakes_are_looked_for)
{
    uint64_t seen = probe_passes.invalid_frees;

    for (uint64_t seed = 1; seed <= 4; seed++) {
        follow(seed * 0x9e3779b97f4a7c15u, true);
    }
    cr_assert_eq(probe_passes.invalid_frees, seen);
}
