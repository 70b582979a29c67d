/*
 * world - a process whose figures a test sets, looked at by a clock that the test moves on
 */
#ifndef WORLD_H
#define WORLD_H

#include <mpstats.h>

#include <criterion/criterion.h>

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

extern struct world world;

void begin(enum mp_alert_preset preset);
const struct mp_alert *of(const char *rule);
void add_point(void);
void look(void);
void pass(uint64_t time, uint64_t step, double growth);
void finish(void);
void expect(const char *rule, enum mp_alert_state state);
void begin_with_limit(double live);

#endif
