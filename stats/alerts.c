/*
 * alerts - which rules fire, of which processes, since when
 *
 * Owns: the state of each rule for each process, what is to be told, and which alert silences
 * which. Does not own: what is measured (alert_values.h), the rules (alert_rules.c), who is told.
 */
#include "alert_values.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLAYS_MAX = 256 };

#define HOLD_NS                                                                        \
    300000000000u /* a value that is not known any more is believed so long */
#define RESOLVED_NS 3600000000000u /* and an alert is shown as resolved so long */
#define GAP_NS      900000000000u /* who waits is looked at so often, or twice in its wait */

/* Of one process. */
struct watched {
    char process[MP_ALERT_PROCESS_BYTES];
    bool is_looked_at;
    struct alert_past past;
    /* What was said last of what takes long. */
    struct mp_alert_facts slow;
    uint64_t slow_ns;
    struct mp_alert *alert; /* one for each rule */
    uint64_t *known_ns;     /* when the value was known last */
};

struct mp_alerts {
    size_t rule_count;
    struct mp_alert_rule *rules;
    double longest_window_s;
    double longest_wait_s;
    size_t count;
    struct watched **watched;
};

/* ---- rules and processes ---- */

int mp_alerts_create(const struct mp_alert_rule *rules, size_t count, mp_alerts_t **ret)
{
    mp_alerts_t *a = calloc(1, sizeof(*a));

    *ret = NULL;
    if (a == NULL) {
        return -ENOMEM;
    }
    a->rules = calloc(count + 1, sizeof(*a->rules));
    if (a->rules == NULL) {
        free(a);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (rules[i].is_enabled) {
            a->rules[a->rule_count++] = rules[i];
            a->longest_window_s = fmax(a->longest_window_s, rules[i].over_s);
            a->longest_wait_s = fmax(a->longest_wait_s, rules[i].for_s);
        }
    }
    *ret = a;
    return 0;
}

static void free_watched(struct watched *w)
{
    if (w != NULL) {
        free(w->alert);
        free(w->known_ns);
        free(w);
    }
}

void mp_alerts_free(mp_alerts_t *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->count; i++) {
        free_watched(a->watched[i]);
    }
    free(a->watched);
    free(a->rules);
    free(a);
}

static struct watched *find(const mp_alerts_t *a, const char *process)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->watched[i]->process, process) == 0) {
            return a->watched[i];
        }
    }
    return NULL;
}

static int get(mp_alerts_t *a, const char *process, struct watched **ret)
{
    struct watched *w = find(a, process);
    struct watched **all;

    *ret = w;
    if (w != NULL) {
        return 0;
    }
    if (strlen(process) >= MP_ALERT_PROCESS_BYTES) {
        return -ENAMETOOLONG;
    }
    all = reallocarray(a->watched, a->count + 1, sizeof(struct watched *));
    if (all == NULL) {
        return -ENOMEM;
    }
    a->watched = all;
    w = calloc(1, sizeof(*w));
    if (w == NULL || (w->alert = calloc(a->rule_count + 1, sizeof(*w->alert))) == NULL
        || (w->known_ns = calloc(a->rule_count + 1, sizeof(*w->known_ns))) == NULL) {
        free_watched(w);
        return -ENOMEM;
    }
    strcpy(w->process, process);
    for (size_t i = 0; i < a->rule_count; i++) {
        w->alert[i].rule = &a->rules[i];
        w->alert[i].severity = a->rules[i].severity;
        w->alert[i].value = NAN;
        strcpy(w->alert[i].process, process);
    }
    a->watched[a->count++] = w;
    *ret = w;
    return 0;
}

void mp_alerts_forget(mp_alerts_t *a, const char *process)
{
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->watched[i]->process, process) == 0) {
            free_watched(a->watched[i]);
            a->watched[i] = a->watched[--a->count];
            return;
        }
    }
}

/* ---- from one state to the next ---- */

static bool is_beyond(const struct mp_alert_rule *rule, double value, double threshold)
{
    return rule->is_below ? value < threshold : value > threshold;
}

static bool is_bad(const struct mp_alert *al, const struct alert_value *v)
{
    const struct mp_alert_rule *rule = al->rule;

    return v->counts
           && is_beyond(rule, v->value,
               al->state == MP_ALERT_FIRING ? rule->clears : rule->threshold);
}

static enum mp_severity severity_of(const struct mp_alert_rule *rule,
    const struct alert_value *v, const struct mp_alert_facts *f)
{
    if (rule->measure == MP_MEASURE_LEAKS) {
        return rule->severity == MP_SEVERITY_WARNING ? f->leak_severity
                                                     : rule->severity;
    }
    return is_beyond(rule, v->sure, rule->threshold) || rule->severity == 0
               ? rule->severity
               : rule->severity - 1;
}

static void fire(struct mp_alert *al, enum mp_severity severity, uint64_t fired_ns)
{
    al->state = MP_ALERT_FIRING;
    al->severity = severity;
    al->fired_ns = fired_ns;
    al->resolved_ns = 0;
}

static void resolve(struct mp_alert *al, uint64_t now_ns)
{
    if (al->state == MP_ALERT_FIRING) {
        al->state = MP_ALERT_RESOLVED;
        al->resolved_ns = now_ns;
        if (al->is_told) {
            al->event = MP_EVENT_RESOLVED;
            al->is_told = false;
        }
    } else if (al->state == MP_ALERT_PENDING) {
        al->state = al->resolved_ns != 0 ? MP_ALERT_RESOLVED : MP_ALERT_INACTIVE;
    }
    al->since_ns = 0;
    if (al->state == MP_ALERT_RESOLVED && now_ns - al->resolved_ns >= RESOLVED_NS
        && now_ns > al->resolved_ns) {
        al->state = MP_ALERT_INACTIVE;
        al->resolved_ns = 0;
    }
}

/* Nothing of what was is later than now, when the clock went back. */
static void follow_clock(struct mp_alert *al, uint64_t now_ns)
{
    if (al->since_ns > now_ns) {
        al->since_ns = now_ns;
    }
    if (al->fired_ns > now_ns) {
        al->fired_ns = now_ns;
    }
    if (al->resolved_ns > now_ns) {
        al->resolved_ns = now_ns;
    }
}

static void step(
    struct mp_alert *al, const struct alert_value *v, const struct mp_alert_facts *f)
{
    uint64_t now_ns = f->time_ns;
    uint64_t wait_ns = (uint64_t)(al->rule->for_s * 1e9);
    enum mp_severity severity;

    follow_clock(al, now_ns);
    if (al->state == MP_ALERT_PENDING && al->seen_ns != 0 && now_ns > al->seen_ns
        && now_ns - al->seen_ns > (2 * wait_ns > GAP_NS ? 2 * wait_ns : GAP_NS)) {
        al->since_ns = 0; /* what was meanwhile, nobody saw */
    }
    if (!is_bad(al, v)) {
        resolve(al, now_ns);
        if (al->state != MP_ALERT_FIRING) {
            al->severity = al->rule->severity;
        }
        return;
    }
    severity = severity_of(al->rule, v, f);
    if (al->since_ns == 0) {
        al->since_ns = now_ns;
    }
    if (al->state == MP_ALERT_FIRING) {
        if (severity > al->severity) {
            al->severity = severity;
            al->event = al->is_told ? MP_EVENT_WORSE : al->event;
        }
    } else if (now_ns - al->since_ns >= wait_ns) {
        fire(al, severity, now_ns);
    } else {
        al->state = MP_ALERT_PENDING;
        al->severity = severity;
    }
}

/* ---- words ---- */

static void add_detail(
    const struct mp_alert *al, const struct mp_alert_facts *f, char *ret, size_t size)
{
    bool is_drift = al->rule->measure == MP_MEASURE_DRIFT;
    bool is_part =
        is_drift && !isnan(f->component_drift) && !(f->drift >= f->component_drift);
    const char *what = al->rule->measure == MP_MEASURE_LEAKS             ? f->leak
                       : al->rule->measure == MP_MEASURE_COMPONENT_RATIO ? f->component
                       : is_drift                                        ? f->baseline
                                                                         : "";

    snprintf(ret, size, "%s%s%s%s%s", what[0] != '\0' ? ": " : "",
        is_part ? "component " : "", is_part ? f->drift_component : "",
        is_part ? "; baseline " : "", what);
}

static void describe(
    struct mp_alert *al, const struct alert_value *v, const struct mp_alert_facts *f)
{
    const struct mp_alert_rule *rule = al->rule;
    char value[64];
    char threshold[64];
    char detail[2 * MP_ALERT_DETAIL_BYTES + 32];
    bool is_held;

    if (isnan(v->value)) {
        snprintf(al->text, sizeof(al->text), "%s: %s", mp_measure_text(rule->measure),
            v->why);
        return;
    }
    mp_measure_format(rule->measure, v->value, value, sizeof(value));
    is_held =
        al->state == MP_ALERT_FIRING
        && !is_beyond(rule, v->value, rule->threshold); /* fires until it clears */
    mp_measure_format(rule->measure, is_held ? rule->clears : rule->threshold,
        threshold, sizeof(threshold));
    add_detail(al, f, detail, sizeof(detail));
    snprintf(al->text, sizeof(al->text), "%s %s, %s%s %s%s%.200s%s",
        mp_measure_text(rule->measure), value,
        is_held          ? "still "
        : !is_bad(al, v) ? "not "
                         : "",
        rule->is_below ? "below" : "above", threshold,
        !v->counts && is_beyond(rule, v->value, rule->threshold)
            ? ", but too little, or not sure enough, to count"
            : "",
        is_bad(al, v) ? detail : "",
        al->state == MP_ALERT_FIRING && al->severity < rule->severity
                && rule->measure != MP_MEASURE_LEAKS
            ? " (likely, not sure)"
            : "");
}

/* ---- one look ---- */

/* What takes long and was not made this time is as it was; for a while. */
static void remember_slow(struct watched *w, struct mp_alert_facts *f)
{
    if (f->has_slow) {
        w->slow = *f;
        w->slow.points = NULL;
        w->slow_ns = f->time_ns;
    } else if (w->slow_ns != 0) {
        f->efficiency = w->slow.efficiency;
        f->leaks = w->slow.leaks;
        f->leak_severity = w->slow.leak_severity;
        memcpy(f->leak, w->slow.leak, sizeof(f->leak));
    }
}

static void judge(
    struct watched *w, size_t i, const struct mp_alert_facts *f, bool is_replay)
{
    struct mp_alert *al = &w->alert[i];
    struct alert_value v = alert_value_of(al->rule, f, &w->past);

    if (isnan(v.value)) {
        bool is_held = al->state == MP_ALERT_FIRING && f->time_ns >= w->known_ns[i]
                       && f->time_ns - w->known_ns[i] < HOLD_NS;

        if (is_held) {
            return;
        }
        follow_clock(al, f->time_ns);
        resolve(al, f->time_ns);
    } else {
        w->known_ns[i] = f->time_ns;
        step(al, &v, f);
    }
    al->value = v.value;
    if (!is_replay) {
        al->seen_ns = f->time_ns;
        describe(al, &v, f);
    }
}

/* As if it had been looked at, at points of the past: as many as need be to know how long. */
static void replay(
    const mp_alerts_t *a, struct watched *w, const struct mp_alert_facts *f)
{
    uint64_t back_ns = (uint64_t)(2 * a->longest_wait_s * 1e9);
    uint64_t from = f->time_ns > back_ns ? f->time_ns - back_ns : 0;
    size_t first = 0;
    size_t stride;

    while (first < f->point_count && f->points[first].time_ns < from) {
        first++;
    }
    stride = (f->point_count - first) / REPLAYS_MAX + 1;
    for (size_t k = first; k < f->point_count; k += stride) {
        const struct mp_alert_point *p = &f->points[k];
        struct mp_alert_facts then = *f;

        if (p->time_ns >= f->time_ns) {
            break;
        }
        then.time_ns = p->time_ns;
        then.live_bytes = p->live_bytes;
        then.resident_bytes = p->resident_bytes;
        then.point_count = k + 1;
        for (size_t i = 0; i < a->rule_count; i++) {
            if (alert_is_of_points(a->rules[i].measure) && w->alert[i].seen_ns == 0) {
                judge(w, i, &then, true);
            }
        }
    }
}

static void silence(const mp_alerts_t *a, struct watched *w)
{
    for (size_t i = 0; i < a->rule_count; i++) {
        struct mp_alert *al = &w->alert[i];

        al->silenced_by = NULL;
        for (size_t k = 0; k < a->rule_count && al->state == MP_ALERT_FIRING; k++) {
            const struct mp_alert *other = &w->alert[k];

            if (al->rule->matter != 0 && other->rule->matter == al->rule->matter
                && other->state == MP_ALERT_FIRING && other->severity > al->severity) {
                al->silenced_by = other->rule;
                break;
            }
        }
        if (al->state == MP_ALERT_FIRING && !al->is_told && al->silenced_by == NULL) {
            al->event = MP_EVENT_FIRED;
            al->is_told = true;
        } else if (al->silenced_by != NULL && al->event == MP_EVENT_WORSE) {
            al->event = MP_EVENT_NONE;
        }
    }
}

int mp_alerts_look(
    mp_alerts_t *a, const char *process, const struct mp_alert_facts *facts)
{
    struct mp_alert_facts f = *facts;
    struct watched *w;
    int code = get(a, process, &w);

    if (code != 0) {
        return code;
    }
    for (size_t i = 0; i < a->rule_count; i++) {
        w->alert[i].event = MP_EVENT_NONE;
    }
    remember_slow(w, &f);
    alert_past_add(&w->past, &f, a->longest_window_s);
    if (!w->is_looked_at) {
        replay(a, w, &f);
    }
    w->is_looked_at = true;
    for (size_t i = 0; i < a->rule_count; i++) {
        judge(w, i, &f, false);
    }
    silence(a, w);
    return 0;
}

void mp_alerts_end(mp_alerts_t *a, const char *process, uint64_t time_ns)
{
    struct watched *w = find(a, process);

    for (size_t i = 0; w != NULL && i < a->rule_count; i++) {
        struct mp_alert *al = &w->alert[i];

        al->event = MP_EVENT_NONE;
        al->silenced_by = NULL;
        if (al->state == MP_ALERT_FIRING) {
            snprintf(al->text, sizeof(al->text), "the process ended");
        }
        follow_clock(al, time_ns);
        resolve(al, time_ns);
        al->seen_ns = time_ns;
    }
}

int mp_alerts_restore(mp_alerts_t *a, const char *rule_name, const struct mp_alert *was)
{
    struct watched *w;
    int code = get(a, was->process, &w);

    for (size_t i = 0; code == 0 && i < a->rule_count; i++) {
        struct mp_alert *al = &w->alert[i];

        if (strcmp(al->rule->name, rule_name) == 0) {
            al->state = was->state;
            al->severity = was->severity;
            al->is_told = was->is_told;
            al->since_ns = was->since_ns;
            al->fired_ns = was->fired_ns;
            al->resolved_ns = was->resolved_ns;
            al->seen_ns = was->seen_ns;
            al->value = was->value;
            w->known_ns[i] = was->seen_ns;
        }
    }
    return code;
}

/* ---- asking ---- */

const struct mp_alert *mp_alerts_of(
    const mp_alerts_t *a, const char *process, size_t *ret_count)
{
    struct watched *w = find(a, process);

    *ret_count = w != NULL ? a->rule_count : 0;
    return w != NULL ? w->alert : NULL;
}

size_t mp_alerts_count(const mp_alerts_t *a)
{
    return a->count * a->rule_count;
}

const struct mp_alert *mp_alerts_at(const mp_alerts_t *a, size_t number)
{
    return number < a->count * a->rule_count
               ? &a->watched[number / a->rule_count]->alert[number % a->rule_count]
               : NULL;
}

const char *mp_alert_state_name(enum mp_alert_state state)
{
    static const char *const names[] = {"inactive", "pending", "firing", "resolved"};

    return (unsigned)state < 4 ? names[state] : "";
}
