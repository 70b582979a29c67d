#include "component.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(component, same_name_same_component)
{
    struct mp_component *a = component_intern("cache");

    cr_assert_eq(a, component_intern("cache"));
    cr_assert_neq(a, component_intern("cach"));
    cr_assert_neq(a, component_intern("cache2"));
    cr_assert_eq(component_by_row(a->row), a);
}

Test(component, no_name_is_untagged)
{
    cr_assert_eq(component_intern(NULL)->row, COMPONENT_UNTAGGED);
    cr_assert_eq(component_intern("")->row, COMPONENT_UNTAGGED);
}

Test(component, paths_make_their_parents_with_lower_rows)
{
    struct mp_component *c = component_intern("a/b/c");

    cr_assert_str_eq(c->parent->name, "a/b");
    cr_assert_str_eq(c->parent->parent->name, "a");
    cr_assert_null(c->parent->parent->parent);
    cr_assert_lt(c->parent->row, c->row);
    cr_assert_eq(c->parent->parent, component_intern("a"));
}

Test(component, odd_slashes_make_no_nameless_parents)
{
    cr_assert_null(component_intern("/x")->parent);
    cr_assert_str_eq(component_intern("p//q")->parent->name, "p");
}

Test(component, long_names_are_cut)
{
    char name[200];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    cr_assert_eq(strlen(component_intern(name)->name), COMPONENT_NAME_BYTES - 1);
}

Test(component, one_too_many_goes_to_overflow_and_is_counted)
{
    char name[32];
    struct mp_component *last = NULL;

    for (int i = 0; i < 4096; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        last = component_intern(name);
        cr_assert_neq(last->row, COMPONENT_OVERFLOW, "component %d", i);
    }
    cr_assert_eq(component_refused(), 0);
    cr_assert_eq(component_intern("one more")->row, COMPONENT_OVERFLOW);
    cr_assert_eq(component_refused(), 1);
    cr_assert_eq(component_intern("c4095"), last);
    cr_assert_eq(component_count(), COMPONENT_ROWS);
}
