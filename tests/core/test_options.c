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
