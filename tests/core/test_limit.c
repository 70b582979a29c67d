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
