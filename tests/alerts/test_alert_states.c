/* Hysteresis, silence, what is known of the past: states of alerts, by a simulated clock. */
#include "world.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(alert_states, .init = NULL, .fini = finish, .timeout = 60);

Test(alert_states, what_fires_clears_only_at_its_other_threshold)
{
    begin_with_limit(850 * MIB);
    pass(11 * MIN, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_FIRING);
    for (int i = 0; i < 20; i++) {
        world.facts.live_bytes = (i % 2 == 0 ? 790 : 810) * MIB;
        pass(MIN, 30 * S, 0);
        expect("MpallocMemoryHigh", MP_ALERT_FIRING);
        cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_NONE, "told once");
    }
    world.facts.live_bytes = 740 * MIB;
    pass(30 * S, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_RESOLVED);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_RESOLVED);
    world.facts.live_bytes = 790 * MIB; /* above clears alone does not fire */
    pass(30 * MIN, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_RESOLVED);
    pass(H, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_INACTIVE);
}

Test(alert_states, the_worse_one_silences_the_lesser)
{
    begin_with_limit(950 * MIB);
    pass(6 * MIN, 30 * S, 0);
    expect("MpallocMemoryCritical", MP_ALERT_FIRING);
    expect("MpallocMemoryHigh", MP_ALERT_PENDING);
    pass(10 * MIN, 30 * S, 0);
    expect("MpallocMemoryHigh", MP_ALERT_FIRING);
    cr_assert_str_eq(
        of("MpallocMemoryHigh")->silenced_by->name, "MpallocMemoryCritical");
    cr_assert_not(of("MpallocMemoryHigh")->is_told, "nobody is told of it");
    world.facts.live_bytes = 840 * MIB; /* no more critical: now the other counts */
    pass(30 * S, 30 * S, 0);
    expect("MpallocMemoryCritical", MP_ALERT_RESOLVED);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_FIRED);
    cr_assert_null(of("MpallocMemoryHigh")->silenced_by);
    world.facts.live_bytes = 100 * MIB;
    pass(30 * S, 30 * S, 0);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_RESOLVED);
}

Test(alert_states, what_was_silent_to_its_end_is_not_told_at_all)
{
    begin_with_limit(950 * MIB);
    pass(20 * MIN, 30 * S, 0);
    world.facts.live_bytes = 100 * MIB;
    pass(30 * S, 30 * S, 0);
    cr_assert_eq(of("MpallocMemoryCritical")->event, MP_EVENT_RESOLVED);
    expect("MpallocMemoryHigh", MP_ALERT_RESOLVED);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_NONE);
}

Test(alert_states, limit_soon_silences_growth)
{
    begin_with_limit(10 * MIB);
    pass(100 * MIN, 30 * S, 2.5 * MIB);
    expect("MpallocLimitSoon", MP_ALERT_FIRING);
    expect("MpallocGrowthHigh", MP_ALERT_FIRING);
    cr_assert_str_eq(of("MpallocGrowthHigh")->silenced_by->name, "MpallocLimitSoon");
}

/* One look at a process that has a past is enough. */
Test(alert_states, the_first_look_knows_what_the_timeline_knows)
{
    begin_with_limit(850 * MIB);
    for (int i = 0; i < 30; i++) {
        world.now += 30 * S;
        add_point();
    }
    look();
    expect("MpallocMemoryHigh", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_FIRED);
    cr_assert_eq(of("MpallocMemoryHigh")->since_ns, world.points[0].time_ns);
    cr_assert_eq(of("MpallocMemoryHigh")->fired_ns, world.points[20].time_ns);
    finish();
    begin_with_limit(850 * MIB); /* it was lower in between */
    for (int i = 0; i < 30; i++) {
        world.now += 30 * S;
        world.facts.live_bytes = (i == 20 ? 500 : 850) * MIB;
        add_point();
    }
    look();
    expect("MpallocMemoryHigh", MP_ALERT_PENDING);
    cr_assert_eq(of("MpallocMemoryHigh")->since_ns, world.points[21].time_ns);
    finish();
    begin_with_limit(850 * MIB); /* and it was, but is no more */
    for (int i = 0; i < 30; i++) {
        world.now += 30 * S;
        world.facts.live_bytes = (i < 25 ? 850 : 500) * MIB;
        add_point();
    }
    look();
    expect("MpallocMemoryHigh", MP_ALERT_RESOLVED);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_NONE);
    cr_assert_eq(of("MpallocMemoryHigh")->resolved_ns, world.points[25].time_ns);
}

Test(alert_states, growth_is_known_of_the_past_too)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    for (int i = 0; i < 360; i++) {
        world.now += 30 * S;
        world.facts.live_bytes += 0.3 * MIB;
        add_point();
    }
    look();
    expect("MpallocGrowthHigh", MP_ALERT_FIRING);
}

Test(alert_states, a_value_that_is_lost_holds_for_a_while)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.pressure = 0.9;
    pass(3 * MIN, 30 * S, 0);
    expect("MpallocPressureCritical", MP_ALERT_FIRING);
    world.facts.pressure = NAN;
    pass(4 * MIN, 30 * S, 0);
    expect("MpallocPressureCritical", MP_ALERT_FIRING);
    pass(2 * MIN, 30 * S, 0);
    expect("MpallocPressureCritical", MP_ALERT_RESOLVED);
}

Test(alert_states, a_clock_that_goes_back_or_stands_still)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.pressure = 0.9;
    world.facts.failures = world.facts.purged_bytes = 0;
    world.facts.heap_bytes = 1;
    pass(1 * MIN, 30 * S, 0);
    world.now -= H;
    look();
    look();
    expect("MpallocPressureCritical", MP_ALERT_PENDING);
    cr_assert_eq(of("MpallocPressureCritical")->since_ns, world.now);
    pass(3 * MIN, 30 * S, 0);
    expect("MpallocPressureCritical", MP_ALERT_FIRING);
    world.now -= H;
    look();
    expect("MpallocPressureCritical", MP_ALERT_FIRING);
    world.facts.pressure = 0;
    look();
    expect("MpallocPressureCritical", MP_ALERT_RESOLVED);
}

Test(alert_states, nobody_knows_what_was_in_a_long_gap)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.drift = 0.6; /* for: 1h */
    look();
    world.now += 10 * H; /* the machine slept */
    look();
    expect("MpallocBaselineDrift", MP_ALERT_PENDING);
    pass(61 * MIN, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_FIRING);
}

Test(alert_states, the_end_of_a_process_resolves)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.pressure = 0.9;
    pass(3 * MIN, 30 * S, 0);
    mp_alerts_end(world.alerts, "p", world.now);
    expect("MpallocPressureCritical", MP_ALERT_RESOLVED);
    cr_assert_eq(of("MpallocPressureCritical")->event, MP_EVENT_RESOLVED);
    mp_alerts_forget(world.alerts, "p");
    cr_assert_eq(mp_alerts_count(world.alerts), 0);
}

Test(alert_states, what_is_restored_goes_on)
{
    struct mp_alert was;

    begin(MP_PRESET_PRODUCTION);
    world.facts.drift = 0.6;
    pass(30 * MIN, 30 * S, 0);
    was = *of("MpallocBaselineDrift");
    cr_assert_eq(was.state, MP_ALERT_PENDING);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.now = was.seen_ns + 10 * MIN;
    world.facts.drift = 0.6;
    cr_assert_eq(mp_alerts_restore(world.alerts, was.rule->name, &was), 0);
    cr_assert_eq(mp_alerts_restore(world.alerts, "NoSuch", &was), 0);
    look();
    expect("MpallocBaselineDrift", MP_ALERT_PENDING);
    cr_assert_eq(of("MpallocBaselineDrift")->since_ns, was.since_ns);
    pass(21 * MIN, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_FIRING);
}

Test(alert_states, processes_are_apart)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.pressure = 0.9;
    pass(3 * MIN, 30 * S, 0);
    world.facts.pressure = 0.1;
    cr_assert_eq(mp_alerts_look(world.alerts, "q", &world.facts), 0);
    expect("MpallocPressureCritical", MP_ALERT_FIRING);
    cr_assert_eq(mp_alerts_look(world.alerts,
                     "0123456789012345678901234567890123456789012345678901234567890123",
                     &world.facts),
        -ENAMETOOLONG);
}
