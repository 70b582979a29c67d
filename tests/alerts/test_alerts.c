/* Rules on limits, pressure and growth: each fires, and does not, by a simulated clock. */
#include "world.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(alerts, .init = NULL, .fini = finish, .timeout = 60);

Test(alerts, memory_high_fires_above_80_percent_after_its_time)
{
    begin_with_limit(801 * MIB);
    pass(9 * MIN, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_PENDING);
    pass(2 * MIN, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocMemoryHigh")->severity, MP_SEVERITY_WARNING);
    expect("MpallocMemoryCritical", MP_ALERT_INACTIVE);
}

Test(alerts, memory_high_does_not_at_80_percent)
{
    begin_with_limit(800 * MIB);
    pass(2 * H, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_INACTIVE);
}

Test(alerts, memory_high_does_not_by_peaks_that_pass)
{
    begin_with_limit(0);
    for (int i = 0; i < 20; i++) {
        world.facts.live_bytes = 850 * MIB;
        pass(8 * MIN, 30 * S, 0);
        expect("MpallocMemoryHigh", MP_ALERT_PENDING);
        world.facts.live_bytes = 500 * MIB;
        pass(1 * MIN, 30 * S, 0);
        expect("MpallocMemoryHigh", MP_ALERT_INACTIVE);
    }
}

Test(alerts, memory_critical_fires_and_does_not)
{
    begin_with_limit(901 * MIB);
    pass(6 * MIN, 30 * S, 0);
    expect("MpallocMemoryCritical", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocMemoryCritical")->severity, MP_SEVERITY_CRITICAL);
    finish();
    begin_with_limit(900 * MIB);
    pass(6 * MIN, 30 * S, 0);
    expect("MpallocMemoryCritical", MP_ALERT_INACTIVE);
}

Test(alerts, without_a_limit_rules_say_why_they_do_not_apply)
{
    static const char *const rules[] = {"MpallocMemoryHigh", "MpallocMemoryCritical",
        "MpallocPeakHigh", "MpallocPressureHigh", "MpallocLimitSoon"};

    begin_with_limit(1e15);
    world.facts.limit_bytes = NAN;
    pass(2 * H, 30 * S, 1e12);
    for (size_t i = 0; i < 5; i++) {
        expect(rules[i], MP_ALERT_INACTIVE);
        cr_assert(isnan(of(rules[i])->value));
        cr_assert_not_null(strstr(of(rules[i])->text, "the process has no limit"),
            "%s: %s", rules[i], of(rules[i])->text);
    }
}

Test(alerts, peak_fires_by_what_was_between_looks)
{
    begin_with_limit(100 * MIB);
    pass(MIN, 30 * S, 0);
    expect("MpallocPeakHigh", MP_ALERT_INACTIVE);
    world.points[world.facts.point_count - 1].high_bytes = 960 * MIB;
    look();
    expect("MpallocPeakHigh", MP_ALERT_FIRING);
    pass(9 * MIN, 30 * S, 0);
    expect("MpallocPeakHigh", MP_ALERT_FIRING);
    pass(2 * MIN, 30 * S, 0); /* it is out of the window */
    expect("MpallocPeakHigh", MP_ALERT_RESOLVED);
}

Test(alerts, peak_does_not_below)
{
    begin_with_limit(100 * MIB);
    pass(MIN, 30 * S, 0);
    world.points[world.facts.point_count - 1].high_bytes = 940 * MIB;
    pass(20 * MIN, 30 * S, 0);
    expect("MpallocPeakHigh", MP_ALERT_INACTIVE);
}

Test(alerts, pressure_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.pressure = 0.75;
    pass(6 * MIN, 30 * S, 0);
    expect("MpallocPressureHigh", MP_ALERT_FIRING);
    expect("MpallocPressureCritical", MP_ALERT_INACTIVE);
    world.facts.pressure = 0.81;
    pass(3 * MIN, 30 * S, 0);
    expect("MpallocPressureCritical", MP_ALERT_FIRING);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.pressure = 0.7;
    pass(H, 30 * S, 0);
    expect("MpallocPressureHigh", MP_ALERT_INACTIVE);
    expect("MpallocPressureCritical", MP_ALERT_INACTIVE);
}

Test(alerts, growth_fires_when_it_lasts)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    pass(20 * MIN, 30 * S, 0.3 * MIB); /* 36 MiB/h of 100 */
    expect("MpallocGrowthHigh", MP_ALERT_INACTIVE);
    cr_assert_not_null(
        strstr(of("MpallocGrowthHigh")->text, "half of the rule's time"));
    pass(30 * MIN, 30 * S, 0.3 * MIB);
    expect("MpallocGrowthHigh", MP_ALERT_PENDING);
    pass(45 * MIN, 30 * S, 0.3 * MIB);
    expect("MpallocGrowthHigh", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocGrowthHigh")->severity, MP_SEVERITY_WARNING);
    pass(65 * MIN, 30 * S, 0); /* it stands still */
    expect("MpallocGrowthHigh", MP_ALERT_RESOLVED);
}

Test(alerts, growth_does_not_when_it_is_small_or_slow_or_noise)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    pass(4 * H, 30 * S, 0.05 * MIB); /* 6 % */
    expect("MpallocGrowthHigh", MP_ALERT_INACTIVE);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 1 * MIB;
    pass(4 * H, 30 * S, 0.002 * MIB); /* 24 %, but less than 1 MiB */
    expect("MpallocGrowthHigh", MP_ALERT_INACTIVE);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    srand(7);
    for (int i = 0; i < 600; i++) {
        world.facts.live_bytes = (100 + rand() % 40) * MIB;
        pass(30 * S, 30 * S, 0);
        expect("MpallocGrowthHigh", MP_ALERT_INACTIVE);
    }
}

Test(alerts, a_start_is_no_growth)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 0;
    pass(2 * MIN, 10 * S, 50 * MIB); /* it loads what it needs, and is done */
    pass(3 * H, 30 * S, 0);
    expect("MpallocGrowthHigh", MP_ALERT_INACTIVE);
    cr_assert_eq(of("MpallocGrowthHigh")->fired_ns, 0);
}

Test(alerts, limit_soon_fires_below_4_hours)
{
    begin_with_limit(100 * MIB);
    pass(65 * MIN, 30 * S, 2.5 * MIB); /* 300 MiB/h: 2 h are left of 425 at most */
    expect("MpallocLimitSoon", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocLimitSoon")->severity, MP_SEVERITY_CRITICAL);
    cr_assert_lt(of("MpallocLimitSoon")->value, 4 * 3600);
}

Test(alerts, limit_soon_does_not_when_there_is_time)
{
    begin_with_limit(100 * MIB);
    pass(2 * H, 30 * S, 0.5 * MIB); /* 60 MiB/h: 13 h are left */
    expect("MpallocLimitSoon", MP_ALERT_INACTIVE);
    cr_assert_gt(of("MpallocLimitSoon")->value, 10 * 3600);
    finish();
    begin_with_limit(900 * MIB); /* near, but it stands still */
    pass(2 * H, 30 * S, 0);
    expect("MpallocLimitSoon", MP_ALERT_INACTIVE);
    cr_assert(isinf(of("MpallocLimitSoon")->value));
}
