#include "check.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <signal.h>
#include <string.h>

Test(check, format_writes_all_kinds)
{
    char out[128];
    size_t n = check_format(out, sizeof(out), "%s %d %u %zu %lu %x %p %c %%", "text",
        -5, 7u, (size_t)8, (unsigned long)UINT64_MAX, 0xbeefu, (void *)0x10, 'z');

    cr_assert_str_eq(out, "text -5 7 8 18446744073709551615 beef 0x10 z %");
    cr_assert_eq(n, strlen(out));
}

Test(check, format_cuts_and_terminates)
{
    char out[8];

    cr_assert_eq(check_format(out, sizeof(out), "%s", "0123456789"), 7);
    cr_assert_str_eq(out, "0123456");
}

Test(check, die_aborts, .signal = SIGABRT)
{
    check_die("%s", "on purpose");
}
