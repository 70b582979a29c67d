/* The other rules: each fires, and does not; and the table of them. */
#include "world.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(alert_rules, .init = NULL, .fini = finish, .timeout = 60);

Test(alert_rules, leaks_fire_as_severe_as_they_are)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.has_slow = true;
    world.facts.leaks = 1;
    world.facts.leak_severity = MP_SEVERITY_WARNING;
    strcpy(world.facts.leak, "the fastest, in x, is growing");
    pass(16 * MIN, 30 * S, 0);
    expect("MpallocLeakSuspected", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocLeakSuspected")->severity, MP_SEVERITY_WARNING);
    cr_assert_not_null(strstr(of("MpallocLeakSuspected")->text, "in x, is growing"));
    world.facts.leak_severity = MP_SEVERITY_CRITICAL; /* the limit is near */
    pass(30 * S, 30 * S, 0);
    cr_assert_eq(of("MpallocLeakSuspected")->severity, MP_SEVERITY_CRITICAL);
    cr_assert_eq(of("MpallocLeakSuspected")->event, MP_EVENT_WORSE);
}

Test(alert_rules, leaks_do_not_without_one_and_hold_between_looks)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.has_slow = true;
    world.facts.leaks = 0;
    pass(H, 30 * S, 0);
    expect("MpallocLeakSuspected", MP_ALERT_INACTIVE);
    world.facts.leaks = 1;
    look();
    world.facts.has_slow = false; /* not made each time */
    world.facts.leaks = NAN;
    pass(16 * MIN, 30 * S, 0);
    expect("MpallocLeakSuspected", MP_ALERT_FIRING);
    world.facts.has_slow = true;
    world.facts.leaks = 0; /* somebody acknowledged it */
    look();
    expect("MpallocLeakSuspected", MP_ALERT_RESOLVED);
}

Test(alert_rules, drift_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    pass(MIN, 30 * S, 0);
    cr_assert_not_null(
        strstr(of("MpallocBaselineDrift")->text, "there is no baseline"));
    world.facts.drift = 0.5;
    pass(2 * H, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_INACTIVE);
    world.facts.drift = 0.6;
    pass(61 * MIN, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_FIRING);
    expect("MpallocBaselineDriftCritical", MP_ALERT_INACTIVE);
    world.facts.drift = 1.1;
    pass(31 * MIN, 30 * S, 0);
    expect("MpallocBaselineDriftCritical", MP_ALERT_FIRING);
}

Test(alert_rules, drift_of_a_component_fires_with_its_name)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.drift = 0.1; /* of all it is little */
    strcpy(world.facts.baseline, "warm, of today");
    world.facts.component_drift = 0.5;
    strcpy(world.facts.drift_component, "shop/cart from 3 MiB to 4.5 MiB");
    pass(2 * H, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_INACTIVE);
    world.facts.component_drift = 0.6;
    pass(61 * MIN, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_FIRING);
    cr_assert_not_null(
        strstr(of("MpallocBaselineDrift")->text,
            ": component shop/cart from 3 MiB to 4.5 MiB; baseline warm, of"),
        "%s", of("MpallocBaselineDrift")->text);
    world.facts.component_drift = INFINITY; /* there was none */
    pass(31 * MIN, 30 * S, 0);
    expect("MpallocBaselineDriftCritical", MP_ALERT_FIRING);
    world.facts.drift = 3; /* all of it grew, and more */
    world.facts.component_drift = 2;
    pass(30 * S, 30 * S, 0);
    cr_assert_null(strstr(of("MpallocBaselineDriftCritical")->text, "shop/cart"));
    world.facts.drift = world.facts.component_drift = 0;
    pass(30 * S, 30 * S, 0);
    expect("MpallocBaselineDrift", MP_ALERT_RESOLVED);
}

Test(alert_rules, reclaim_storm_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.heap_bytes = 100 * MIB;
    world.facts.purged_bytes = 0;
    for (int i = 0; i < 15; i++) {
        world.facts.purged_bytes += 30 * 20 * MIB; /* 20 MiB of 100 each second */
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocReclaimStorm", MP_ALERT_FIRING);
    for (int i = 0; i < 15; i++) {
        world.facts.purged_bytes += 30 * 4 * MIB;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocReclaimStorm", MP_ALERT_RESOLVED);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.heap_bytes = 10 * MIB; /* all of it each second, but that is little */
    world.facts.purged_bytes = 0;
    for (int i = 0; i < 30; i++) {
        world.facts.purged_bytes += 30 * 10 * MIB;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocReclaimStorm", MP_ALERT_INACTIVE);
}

Test(alert_rules, fragmentation_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.has_slow = true;
    world.facts.heap_bytes = 100 * MIB;
    world.facts.efficiency = (struct mp_estimate){0.4, 0.38, 0.42};
    pass(31 * MIN, 30 * S, 0);
    expect("MpallocFragmentationHigh", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocFragmentationHigh")->severity, MP_SEVERITY_WARNING);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.has_slow = true;
    world.facts.heap_bytes = 100 * MIB;
    world.facts.efficiency = (struct mp_estimate){0.48, 0.43, 0.53}; /* perhaps */
    pass(31 * MIN, 30 * S, 0);
    expect("MpallocFragmentationHigh", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocFragmentationHigh")->severity, MP_SEVERITY_INFO);
    cr_assert_not_null(strstr(of("MpallocFragmentationHigh")->text, "not sure"));
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.has_slow = true;
    world.facts.heap_bytes = 10 * MIB; /* little is wasted of little */
    world.facts.efficiency = (struct mp_estimate){0.1, 0.1, 0.1};
    pass(2 * H, 30 * S, 0);
    expect("MpallocFragmentationHigh", MP_ALERT_INACTIVE);
    world.facts.heap_bytes = 100 * MIB;
    world.facts.efficiency = (struct mp_estimate){0.6, 0.55, 0.65};
    pass(2 * H, 30 * S, 0);
    expect("MpallocFragmentationHigh", MP_ALERT_INACTIVE);
}

Test(alert_rules, anomaly_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    pass(2 * H, 30 * S, 0);
    expect("MpallocAnomaly", MP_ALERT_INACTIVE);
    world.facts.live_bytes = 104 * MIB; /* below 5 % */
    pass(10 * MIN, 30 * S, 0);
    expect("MpallocAnomaly", MP_ALERT_INACTIVE);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    pass(2 * H, 30 * S, 0);
    world.facts.live_bytes = 1000 * MIB;
    pass(3 * MIN, 30 * S, 0);
    expect("MpallocAnomaly", MP_ALERT_PENDING);
}

/* In an hour's window nothing stays unusual for 15 minutes unless it goes further and further. */
Test(alert_rules, anomaly_fires_when_it_goes_on)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.live_bytes = 100 * MIB;
    pass(2 * H, 30 * S, 0);
    for (int i = 0; i < 36; i++) {
        world.facts.live_bytes *= 1.2;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocAnomaly", MP_ALERT_FIRING);
    cr_assert_eq(of("MpallocAnomaly")->severity, MP_SEVERITY_INFO);
}

Test(alert_rules, failures_fire_at_once_and_pass)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.failures = 0;
    pass(H, 30 * S, 0);
    expect("MpallocAllocFailures", MP_ALERT_INACTIVE);
    world.facts.failures = 1;
    pass(30 * S, 30 * S, 0);
    expect("MpallocAllocFailures", MP_ALERT_FIRING);
    pass(10 * MIN, 30 * S, 0);
    expect("MpallocAllocFailures", MP_ALERT_RESOLVED);
}

/* Of one that ran for an hour it is not known at the first look when they were. */
Test(alert_rules, old_failures_do_not_fire)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.failures = 5;
    world.now += H;
    look();
    expect("MpallocAllocFailures", MP_ALERT_INACTIVE);
    cr_assert(isnan(of("MpallocAllocFailures")->value));
    pass(H, 30 * S, 0);
    expect("MpallocAllocFailures", MP_ALERT_INACTIVE);
    cr_assert_eq(of("MpallocAllocFailures")->value, 0);
}

Test(alert_rules, overhead_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.profiler_seconds = world.facts.cpu_seconds = 0;
    for (int i = 0; i < 40; i++) {
        world.facts.profiler_seconds += 0.6; /* of 20 in 30 */
        world.facts.cpu_seconds += 20;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocProfilerOverBudget", MP_ALERT_FIRING);
    cr_assert_float_eq(of("MpallocProfilerOverBudget")->value, 0.03, 1e-9);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.profiler_seconds = world.facts.cpu_seconds = 0;
    for (int i = 0; i < 60; i++) {
        world.facts.profiler_seconds += 0.3; /* 1.5 % */
        world.facts.cpu_seconds += 20;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocProfilerOverBudget", MP_ALERT_INACTIVE);
}

Test(alert_rules, blind_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.samples = world.facts.dropped = 0;
    for (int i = 0; i < 60; i++) {
        world.facts.samples += 80;
        world.facts.dropped += 20;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocProfilerBlind", MP_ALERT_FIRING);
    finish();
    begin(MP_PRESET_PRODUCTION);
    world.facts.samples = world.facts.dropped = 0;
    for (int i = 0; i < 60; i++) {
        world.facts.samples += 95;
        world.facts.dropped += 5;
        pass(30 * S, 30 * S, 0);
    }
    expect("MpallocProfilerBlind", MP_ALERT_INACTIVE);
}

Test(alert_rules, component_over_limit_fires_and_does_not)
{
    begin(MP_PRESET_PRODUCTION);
    pass(MIN, 30 * S, 0);
    cr_assert_not_null(
        strstr(of("MpallocComponentOverLimit")->text, "no component has a limit"));
    strcpy(world.facts.component, "cache");
    world.facts.component_ratio = 0.99;
    pass(10 * MIN, 30 * S, 0);
    expect("MpallocComponentOverLimit", MP_ALERT_INACTIVE);
    world.facts.component_ratio = 1.2;
    pass(6 * MIN, 30 * S, 0);
    expect("MpallocComponentOverLimit", MP_ALERT_FIRING);
    cr_assert_not_null(strstr(of("MpallocComponentOverLimit")->text, "cache"));
}

/* Measures of rules that people make. */
Test(alert_rules, plain_bytes_and_resident)
{
    static const struct mp_alert_rule rules[] = {
        {"Live", MP_MEASURE_LIVE, false, 10 * MIB, 5 * MIB, 0, 0, 0, 1, true, 0},
        {"Resident", MP_MEASURE_RESIDENT, false, 10 * MIB, 5 * MIB, 0, 0, 0, 1, true,
            0},
        {"Ratio", MP_MEASURE_RESIDENT_RATIO, false, 0.5, 0.4, 0, 0, 0, 1, true, 0},
        {"Growth", MP_MEASURE_GROWTH, false, 10 * MIB, 5 * MIB, 0, 600, 0, 1, true, 0},
        {"Off", MP_MEASURE_LIVE, false, 0, 0, 0, 0, 0, 1, false, 0},
    };
    size_t count;

    begin(MP_PRESET_PRODUCTION);
    mp_alerts_free(world.alerts);
    cr_assert_eq(mp_alerts_create(rules, 5, &world.alerts), 0);
    world.facts.live_bytes = 9 * MIB;
    world.facts.resident_bytes = 11 * MIB;
    world.facts.limit_bytes = 20 * MIB;
    pass(MIN, 30 * S, 0);
    mp_alerts_of(world.alerts, "p", &count);
    cr_assert_eq(count, 4, "the one that is switched off is left out");
    expect("Live", MP_ALERT_INACTIVE);
    expect("Resident", MP_ALERT_FIRING);
    expect("Ratio", MP_ALERT_FIRING);
    pass(20 * MIN, 30 * S, 0.1 * MIB); /* 12 MiB/h */
    expect("Live", MP_ALERT_FIRING);
    expect("Growth", MP_ALERT_FIRING);
}

Test(alert_rules, presets_make_sense, .init = NULL)
{
    size_t count;

    begin(MP_PRESET_PRODUCTION);
    for (unsigned p = 0; p < MP_PRESETS; p++) {
        const struct mp_alert_rule *r = mp_alert_rules((enum mp_alert_preset)p, &count);

        for (size_t i = 0; i < count; i++) {
            size_t others;

            cr_assert_str_eq(
                r[i].name, mp_alert_rules(MP_PRESET_PRODUCTION, &others)[i].name);
            cr_assert_neq(mp_alert_rule_text(r[i].name)[0], '\0');
            cr_assert(r[i].is_below ? r[i].clears >= r[i].threshold
                                    : r[i].clears <= r[i].threshold,
                "%s", r[i].name);
            cr_assert_eq(
                mp_measure_has_window(r[i].measure), r[i].over_s > 0, "%s", r[i].name);
        }
    }
    cr_assert_str_empty(mp_alert_rule_text("Mine"));
}

Test(alert_rules, values_are_written_in_their_unit)
{
    static const struct {
        enum mp_alert_measure measure;
        double value;
        const char *text;
    } cases[] = {{MP_MEASURE_LIVE_RATIO, 0.813, "81.3 %"},
        {MP_MEASURE_LIVE, 12 * MIB, "12.0 MiB"},
        {MP_MEASURE_GROWTH, 12 * MIB, "12.0 MiB/h"},
        {MP_MEASURE_GROWTH_RATIO, 0.1, "10.0 %/h"},
        {MP_MEASURE_RECLAIM, 0.1, "10.0 %/s"}, {MP_MEASURE_TIME_TO_LIMIT, 7200, "2 h"},
        {MP_MEASURE_TIME_TO_LIMIT, INFINITY, "never"}, {MP_MEASURE_LEAKS, 2, "2"},
        {MP_MEASURE_DRIFT, INFINITY, "without bound"},
        {MP_MEASURE_DRIFT, NAN, "not known"}};
    char text[64];
    enum mp_alert_measure found;

    begin(MP_PRESET_PRODUCTION);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mp_measure_format(cases[i].measure, cases[i].value, text, sizeof(text));
        cr_assert_str_eq(text, cases[i].text);
    }
    for (unsigned i = 0; i < MP_MEASURES; i++) {
        cr_assert(mp_measure_find(mp_measure_name((enum mp_alert_measure)i), &found));
        cr_assert_eq(found, i);
    }
    cr_assert_not(mp_measure_find("lve", &found));
}
