#include "options.h"

#include <criterion/criterion.h>
#include <string.h>

static void read_one(char *text)
{
    char *environment[] = {text, NULL};

    options_read(environment);
}

Test(options, defaults_hold_before_anything_is_read)
{
    cr_assert_eq(options.region, REGION_FILE);
    cr_assert_eq(options.purge_delay_ms, 1000);
    cr_assert(options.abort);
}

Test(options, times_have_units)
{
    read_one("MPALLOC_PURGE_DELAY=250ms");
    cr_assert_eq(options.purge_delay_ms, 250);
    read_one("MPALLOC_PURGE_DELAY=2s");
    cr_assert_eq(options.purge_delay_ms, 2000);
    read_one("MPALLOC_PURGE_DELAY=never");
    cr_assert_eq(options.purge_delay_ms, PURGE_NEVER);
    read_one("MPALLOC_PURGE_DELAY=0");
    cr_assert_eq(options.purge_delay_ms, 0);
}

Test(options, distances_of_guarded_samples_have_units)
{
    static const struct {
        char *text;
        uint64_t bytes;
    } good[] = {{"MPALLOC_GUARD=0", 0}, {"MPALLOC_GUARD=1", 4 << 20},
        {"MPALLOC_GUARD=2", 2}, {"MPALLOC_GUARD=64k", 64 << 10},
        {"MPALLOC_GUARD=1M", 1 << 20}, {"MPALLOC_GUARD=1024g", (uint64_t)1 << 40}};
    static char *const bad[] = {"MPALLOC_GUARD=", "MPALLOC_GUARD=k",
        "MPALLOC_GUARD=12x", "MPALLOC_GUARD=12kk", "MPALLOC_GUARD=1025g",
        "MPALLOC_GUARD=-1", "MPALLOC_GUARD=99999999999999999999"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        read_one(good[i].text);
        cr_assert_eq(options.guard_bytes, good[i].bytes, "%s", good[i].text);
    }
    read_one("MPALLOC_GUARD=77");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        read_one(bad[i]);
        cr_assert_eq(options.guard_bytes, 77, "%s", bad[i]);
    }
}

Test(options, limits_have_names_and_sizes)
{
    static char *const bad[] = {"MPALLOC_LIMITS=a", "MPALLOC_LIMITS==1m",
        "MPALLOC_LIMITS=a=1m,", "MPALLOC_LIMITS=a=1m,,b=2m", "MPALLOC_LIMITS=a=1x",
        "MPALLOC_LIMITS=a=2m:1m",
        "MPALLOC_LIMITS=a=1m:", "MPALLOC_LIMITS=a=", "MPALLOC_LIMITS=a=1m:2m:3m",
        "MPALLOC_LIMITS=a=-1"};
    struct option_limit l;
    const char *at = options.limits;

    read_one("MPALLOC_LIMITS=a=1m,b/c=:2g,d=3k:4k");
    cr_assert(options_next_limit(&at, &l));
    cr_assert_str_eq(l.name, "a");
    cr_assert(l.soft == 1 << 20 && l.hard == 0);
    cr_assert(options_next_limit(&at, &l));
    cr_assert_str_eq(l.name, "b/c");
    cr_assert(l.soft == 0 && l.hard == (uint64_t)2 << 30);
    cr_assert(options_next_limit(&at, &l));
    cr_assert(l.soft == 3 << 10 && l.hard == 4 << 10);
    cr_assert_not(options_next_limit(&at, &l));
    cr_assert_str_eq(at, "");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        read_one(bad[i]);
        cr_assert_str_eq(options.limits, "a=1m,b/c=:2g,d=3k:4k", "%s", bad[i]);
    }
}

Test(options, refused_values_leave_the_default)
{
    static char *const bad[] = {"MPALLOC_PURGE_DELAY=soon", "MPALLOC_PURGE_DELAY=2h",
        "MPALLOC_PURGE_DELAY=", "MPALLOC_PURGE_DELAY=-1",
        "MPALLOC_PURGE_DELAY=99999999999999999999", "MPALLOC_REGION=disk",
        "MPALLOC_DIR=relative/path", "MPALLOC_KEEP=yes"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        read_one(bad[i]);
    }
    cr_assert_eq(options.purge_delay_ms, 1000);
    cr_assert_eq(options.region, REGION_FILE);
    cr_assert_str_eq(options.dir, "");
    cr_assert_not(options.keep);
}

Test(options, views_say_where_a_value_comes_from)
{
    bool seen = false;

    read_one("MPALLOC_KEEP=1");
    for (size_t i = 0; i < options_count(); i++) {
        struct option_view v = options_view(i);

        if (strcmp(v.name, "KEEP") == 0) {
            seen = v.origin == ORIGIN_ENVIRONMENT && strcmp(v.value, "1") == 0;
        } else {
            cr_assert_eq(v.origin, ORIGIN_DEFAULT);
        }
    }
    cr_assert(seen);
}
