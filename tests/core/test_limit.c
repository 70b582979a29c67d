#include "limit.h"

#include "malloc.h"

#include <criterion/criterion.h>
#include <errno.h>

/* Blocks of c until it gets no more, or has `most` bytes; a list of them. */
static size_t fill(struct mp_component *c, size_t size, size_t most, void **ret_list)
{
    size_t bytes = 0;
    void **p = NULL;

    while (bytes < most && (p = malloc_alloc(c, size)) != NULL) {
        *p = *ret_list;
        *ret_list = p;
        bytes += malloc_usable(p);
    }
    return bytes;
}

static void free_all(void **list)
{
    while (*list != NULL) {
        void **p = *list;

        *list = *p;
        malloc_free(p);
    }
}

Test(limit, budgets_cover_what_is_below)
{
    struct mp_component *c = component_intern("a/b/c");
    struct mp_component *top = component_intern("a");
    struct mp_component *other = component_intern("ab");
    struct budget *of_c;
    struct budget *of_top;

    cr_assert_eq(limit_set(c, 0, MIB), 0);
    cr_assert_eq(limit_set(top, 0, MIB), 0);
    of_c = c->budget;
    of_top = top->budget;
    cr_assert_eq(of_c->component, c);
    cr_assert_eq(of_c->above, of_top);
    cr_assert_eq(c->parent->budget, of_top);
    cr_assert_eq(component_intern("a/late")->budget, of_top);
    cr_assert(budget_covers(of_top, c) && budget_covers(of_c, c));
    cr_assert_not(budget_covers(of_c, c->parent));
    cr_assert_not(budget_covers(of_top, other));
    cr_assert_eq(limit_set(c->parent, 0, MIB), 0); /* between the two */
    cr_assert_eq(of_c->above, c->parent->budget);
    cr_assert_eq(c->parent->budget->above, of_top);
}

Test(limit, no_limit_needs_no_budget)
{
    struct mp_component *c = component_intern("none");

    cr_assert_eq(limit_set(c, 0, 0), 0);
    cr_assert_null(c->budget);
    cr_assert_eq(limit_set(c, 2, 1), -EINVAL);
    cr_assert_null(c->budget);
}

/* The room lasts until it is used up; then it is what live bytes leave of the limit. */
Test(limit, room_is_what_is_left)
{
    struct mp_component *c = component_intern("room");
    void *list = NULL;
    size_t bytes = fill(c, 1000, 2 * MIB, &list);

    cr_assert_eq(limit_set(c, 0, 8 * MIB), 0);
    cr_assert_leq(limit_room(c, SIZE_MAX), 8 * MIB - bytes + 64 * KIB);
    cr_assert_geq(limit_room(c, SIZE_MAX), 8 * MIB - bytes - 64 * KIB);
    free_all(&list);
    cr_assert_leq(limit_room(c, SIZE_MAX), 8 * MIB - bytes + 64 * KIB);
    bytes = fill(c, 1000, SIZE_MAX, &list);
    cr_assert_gt(bytes, 8 * MIB - 128 * KIB);
    cr_assert_leq(bytes, 8 * MIB + 8 * MIB / 64 + 64 * KIB);
    free_all(&list);
}

/* Slabs are found again that were given back, and then used by others. */
Test(limit, slabs_that_go_are_forgotten)
{
    struct mp_component *c = component_intern("goes");
    struct mp_component *other = component_intern("comes");
    void *list = NULL;
    void *others = NULL;

    cr_assert_eq(limit_set(c, 0, 8 * MIB), 0);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_gt(fill(c, 700, SIZE_MAX, &list), 7 * MIB);
        free_all(&list);
        malloc_trim_all();
        fill(other, 700, 16 * MIB, &others); /* in the same spans */
        cr_assert_gt(fill(c, 300, SIZE_MAX, &list), 7 * MIB);
        free_all(&list);
        free_all(&others);
        malloc_trim_all();
    }
}

static void note(struct mp_component *c, size_t live, void *arg)
{
    (void)c;
    *(size_t *)arg = live;
}

Test(limit, crossings_are_told_with_what_was_live)
{
    struct mp_component *c = component_intern("told");
    size_t live = 0;
    void *list = NULL;
    size_t bytes;

    limit_tell(note, &live);
    cr_assert_eq(limit_set(c, MIB, 0), 0);
    bytes = fill(c, 5000, MIB - 64 * KIB, &list);
    cr_assert_eq(live, 0);
    bytes += fill(c, 5000, 128 * KIB, &list);
    cr_assert_gt(live, MIB - 64 * KIB);
    cr_assert_leq(live, bytes);
    free_all(&list);
}

/* A block that cannot grow where it is needs room for its copy, and for nothing else. */
Test(limit, a_copy_is_charged_once)
{
    struct mp_component *c = component_intern("once");
    void *p, *in_the_way;

    cr_assert_eq(limit_set(c, 0, 16 * MIB), 0);
    p = malloc_alloc(c, MIB);
    in_the_way = malloc_alloc(c, MIB);
    p = malloc_resize(c, p, 3 * MIB);
    cr_assert(p != NULL && in_the_way != NULL);
    cr_assert_eq(limit_room(c, SIZE_MAX), 11 * MIB); /* frees give nothing back */
    p = malloc_resize(c, p, 3 * MIB + 64 * KIB);     /* in place */
    cr_assert_eq(limit_room(c, SIZE_MAX), 11 * MIB - 64 * KIB);
    malloc_free(p);
    malloc_free(in_the_way);
}

/* Huge ones: in place or moved, and what does not fit at all. */
Test(limit, huge_blocks_take_what_they_grow_by)
{
    struct mp_component *c = component_intern("huge");
    struct mp_component *other = component_intern("huge/other");
    char *p;

    cr_assert_eq(limit_set(c, 0, 160 * MIB), 0);
    cr_assert_eq(limit_set(other, 0, 96 * MIB), 0);
    p = malloc_alloc(c, 64 * MIB);
    p = malloc_resize(c, p, 80 * MIB);
    cr_assert_not_null(p);
    cr_assert_geq(limit_room(c, SIZE_MAX), 160 * MIB - 80 * MIB - 64 * KIB);
    cr_assert_null(malloc_resize(c, p, 161 * MIB));
    cr_assert_null(malloc_resize(c, p, SIZE_MAX - 100));
    cr_assert_null(malloc_resize(c, p, PTRDIFF_MAX - 100));
    cr_assert_null(malloc_alloc(c, SIZE_MAX - 100));
    p = malloc_resize(c, p, 40 * MIB);
    cr_assert_not_null(p);
    p = malloc_resize(other, p, 90 * MIB);
    cr_assert_not_null(p);
    cr_assert_null(malloc_resize(other, p, 97 * MIB));
    cr_assert_eq(((struct budget *)c->budget)->pending, 0);
    cr_assert_eq(((struct budget *)other->budget)->pending, 0);
    malloc_free(p);
    cr_assert_not_null(p = malloc_alloc(c, 159 * MIB)); /* nothing stays behind */
    malloc_free(p);
}

/* What one has taken is no one else's, not after a count either, until it turns out to be nothing. */
Test(limit, what_was_taken_is_on_its_way)
{
    struct mp_component *top = component_intern("way");
    struct mp_component *c = component_intern("way/below");
    struct limit_taken first, second;

    cr_assert_eq(limit_set(top, 0, 8 * MIB), 0);
    cr_assert_eq(limit_set(c, 0, 6 * MIB), 0);
    cr_assert(limit_take(c, 5 * MIB, true, &first));
    cr_assert_not(limit_take(c, 2 * MIB, true, &second));   /* refused by c */
    cr_assert_not(limit_take(top, 4 * MIB, true, &second)); /* by top */
    cr_assert_eq(limit_set(top, 0, 8 * MIB), 0);            /* counts */
    cr_assert_eq(limit_room(top, SIZE_MAX), 3 * MIB);
    cr_assert(limit_take(c, MIB, true, &second)); /* taken from both */
    limit_settle(&first, false);
    limit_settle(&second, false);
    cr_assert_eq(limit_room(c, SIZE_MAX), 6 * MIB);
    cr_assert_eq(limit_room(top, SIZE_MAX), 8 * MIB);
}
