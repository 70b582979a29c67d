/* The fast clock beside the kernel's. Where the counter is not trusted they are the same. */
#include "clock.h"

#include <criterion/criterion.h>
#include <time.h>

enum {
    MS = 1000 * 1000,
    APART_NS = 1 * MS
}; /* half of it: a thread may lose its processor */

static void sleep_ms(long ms)
{
    struct timespec t = {0, ms * MS};

    nanosleep(&t, NULL);
}

/* The least of some looks: what is more was an interruption. */
static int64_t apart(void)
{
    int64_t least = INT64_MAX;

    for (unsigned i = 0; i < 20; i++) {
        int64_t before = (int64_t)os_monotonic_ns();
        int64_t fast = (int64_t)clock_ns();
        int64_t after = (int64_t)os_monotonic_ns();
        int64_t off = fast < before ? before - fast : fast > after ? fast - after : 0;

        least = off < least ? off : least;
    }
    return least;
}

Test(clock, begins_as_the_kernels)
{
    clock_start();
    cr_assert_null(clock_line);
    cr_assert_eq(apart(), 0);
}

Test(clock, stays_with_the_kernels_and_never_goes_back)
{
    uint64_t last = 0;

    clock_start();
    for (unsigned tick = 0; tick < 60; tick++) {
        clock_compare();
        for (unsigned i = 0; i < 1000; i++) {
            uint64_t now = clock_ns();

            cr_assert_geq(
                now, last, "tick %u: %lu ns less", tick, (unsigned long)(last - now));
            last = now;
        }
        cr_assert_lt(apart(), APART_NS, "tick %u: %ld ns", tick, (long)apart());
        sleep_ms(10);
    }
    if (arch_has_ticks() && os_trusts_ticks()) {
        cr_assert_not_null(clock_line, "it is used");
        cr_assert_lt(apart(), 50 * 1000, "%ld ns", (long)apart());
    }
}

Test(clock, begins_anew_after_a_leap)
{
    static struct clock_line wrong;

    clock_start();
    for (unsigned tick = 0; tick < 4; tick++) {
        clock_compare();
        sleep_ms(30);
    }
    if (clock_line == NULL) {
        return; /* not trusted */
    }
    wrong = *clock_line;
    wrong.ns += UINT64_C(3600) * 1000 * MS; /* as if it had slept for an hour */
    store_release(&clock_line, &wrong);
    sleep_ms(120);
    clock_compare();
    cr_assert_lt(apart(), APART_NS);
}
