#include "world.h"

#include <math.h>
#include <string.h>

struct world world;

void begin(enum mp_alert_preset preset)
{
    size_t count;
    const struct mp_alert_rule *rules = mp_alert_rules(preset, &count);

    memset(&world, 0, sizeof(world));
    world.now = 1000000 * S;
    mp_alert_facts_init(&world.facts, world.now);
    world.facts.started_ns = world.now;
    cr_assert_eq(mp_alerts_create(rules, count, &world.alerts), 0);
}

const struct mp_alert *of(const char *rule)
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

void add_point(void)
{
    struct mp_alert_facts *f = &world.facts;

    if (!isnan(f->live_bytes)) {
        cr_assert_lt(f->point_count, 20000);
        world.points[f->point_count++] = (struct mp_alert_point){
            world.now, f->live_bytes, f->live_bytes, f->resident_bytes};
        f->points = world.points;
    }
}

void look(void)
{
    world.facts.time_ns = world.now;
    cr_assert_eq(mp_alerts_look(world.alerts, "p", &world.facts), 0);
}

/* Time passes, with a point and a look every `step`; live grows by so much in each. */
void pass(uint64_t time, uint64_t step, double growth)
{
    for (uint64_t end = world.now + time; world.now < end;) {
        world.now += step;
        world.facts.live_bytes += growth;
        add_point();
        look();
    }
}

void finish(void)
{
    mp_alerts_free(world.alerts);
}

void expect(const char *rule, enum mp_alert_state state)
{
    cr_assert_eq(of(rule)->state, state, "%s is %s: %s", rule,
        mp_alert_state_name(of(rule)->state), of(rule)->text);
}

void begin_with_limit(double live)
{
    begin(MP_PRESET_PRODUCTION);
    world.facts.limit_bytes = 1000 * MIB;
    world.facts.live_bytes = live;
}
