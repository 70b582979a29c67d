/* Rules, states, hysteresis and silencing, by a simulated clock. */
#include <mpstats.h>

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define S   1000000000ull
#define MIN (60 * S)
#define H   (60 * MIN)
#define MIB 1048576.0

/* A process whose figures the test sets, looked at every so often. */
struct world {
    mp_alerts_t *alerts;
    struct mp_alert_facts facts;
    struct mp_alert_point points[20000];
    uint64_t now;
};

static struct world world;

static void begin(enum mp_alert_preset preset)
{
    size_t count;
    const struct mp_alert_rule *rules = mp_alert_rules(preset, &count);

    memset(&world, 0, sizeof(world));
    world.now = 1000000 * S;
    mp_alert_facts_init(&world.facts, world.now);
    world.facts.started_ns = world.now;
    cr_assert_eq(mp_alerts_create(rules, count, &world.alerts), 0);
}

static const struct mp_alert *of(const char *rule)
{
    size_t count;
    const struct mp_alert *all = mp_alerts_of(world.alerts, "p", &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].rule->name, rule) == 0) {
            return &all[i];
        }
    }
    cr_assert_fail("no alert %s", rule);
    return NULL;
}

static void add_point(void)
{
    struct mp_alert_facts *f = &world.facts;

    if (!isnan(f->live_bytes)) {
        cr_assert_lt(f->point_count, 20000);
        world.points[f->point_count++] = (struct mp_alert_point){
            world.now, f->live_bytes, f->live_bytes, f->resident_bytes};
        f->points = world.points;
    }
}

static void look(void)
{
    world.facts.time_ns = world.now;
    cr_assert_eq(mp_alerts_look(world.alerts, "p", &world.facts), 0);
}

/* Time passes, with a point and a look every `step`; live grows by so much in each. */
static void pass(uint64_t time, uint64_t step, double growth)
{
    for (uint64_t end = world.now + time; world.now < end;) {
        world.now += step;
        world.facts.live_bytes += growth;
        add_point();
        look();
    }
}

static void finish(void)
{
    mp_alerts_free(world.alerts);
}

static void expect(const char *rule, enum mp_alert_state state)
{
    cr_assert_eq(of(rule)->state, state, "%s is %s: %s", rule,
        mp_alert_state_name(of(rule)->state), of(rule)->text);
}

TestSuite(alerts, .init = NULL, .fini = finish, .timeout = 60);

/* ---- each built-in rule fires, and does not ---- */

static void begin_with_limit(double live)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.limit_bytes = 1000 * MIB;
    world.facts.live_bytes = live;
}

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

Test(alerts, leaks_fire_as_severe_as_they_are)
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

Test(alerts, leaks_do_not_without_one_and_hold_between_looks)
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

Test(alerts, drift_fires_and_does_not)
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

Test(alerts, reclaim_storm_fires_and_does_not)
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

Test(alerts, fragmentation_fires_and_does_not)
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

Test(alerts, anomaly_fires_and_does_not)
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
Test(alerts, anomaly_fires_when_it_goes_on)
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

Test(alerts, failures_fire_at_once_and_pass)
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
Test(alerts, old_failures_do_not_fire)
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

Test(alerts, overhead_fires_and_does_not)
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

Test(alerts, blind_fires_and_does_not)
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

Test(alerts, component_over_limit_fires_and_does_not)
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
Test(alerts, plain_bytes_and_resident)
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

/* ---- hysteresis, silence, time ---- */

Test(alerts, what_fires_clears_only_at_its_other_threshold)
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

Test(alerts, the_worse_one_silences_the_lesser)
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

Test(alerts, what_was_silent_to_its_end_is_not_told_at_all)
{
    begin_with_limit(950 * MIB);
    pass(20 * MIN, 30 * S, 0);
    world.facts.live_bytes = 100 * MIB;
    pass(30 * S, 30 * S, 0);
    cr_assert_eq(of("MpallocMemoryCritical")->event, MP_EVENT_RESOLVED);
    expect("MpallocMemoryHigh", MP_ALERT_RESOLVED);
    cr_assert_eq(of("MpallocMemoryHigh")->event, MP_EVENT_NONE);
}

Test(alerts, limit_soon_silences_growth)
{
    begin_with_limit(10 * MIB);
    pass(100 * MIN, 30 * S, 2.5 * MIB);
    expect("MpallocLimitSoon", MP_ALERT_FIRING);
    expect("MpallocGrowthHigh", MP_ALERT_FIRING);
    cr_assert_str_eq(of("MpallocGrowthHigh")->silenced_by->name, "MpallocLimitSoon");
}

/* One look at a process that has a past is enough. */
Test(alerts, the_first_look_knows_what_the_timeline_knows)
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

Test(alerts, growth_is_known_of_the_past_too)
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

Test(alerts, a_value_that_is_lost_holds_for_a_while)
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

Test(alerts, a_clock_that_goes_back_or_stands_still)
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

Test(alerts, nobody_knows_what_was_in_a_long_gap)
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

Test(alerts, the_end_of_a_process_resolves)
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

Test(alerts, what_is_restored_goes_on)
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

Test(alerts, processes_are_apart)
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

/* ---- the table ---- */

Test(alerts, presets_make_sense, .init = NULL)
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

Test(alerts, values_are_written_in_their_unit)
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
