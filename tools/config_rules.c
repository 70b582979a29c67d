/*
 * config_rules - the section alerts: built-in rules as the file changes them, and its own
 */
#include "config_values.h"
#include "must.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RULES_MAX = 512 };

/* One rule of the file, while it is read. */
struct reading {
    struct config_text *text;
    yaml_node_t *node;
    const struct raw_rule *raw;
    struct mp_alert_rule rule;
    bool is_builtin;
};

static unsigned line_of(struct reading *r, const char *key)
{
    return config_text_key_line(r->text, r->node, key);
}

/* ---- values ---- */

static const char *wanted(enum mp_alert_unit unit)
{
    switch (unit) {
    case MP_UNIT_RATIO:
        return "a share, such as 80%";
    case MP_UNIT_RATIO_PER_HOUR:
        return "a share per hour, such as 10%";
    case MP_UNIT_RATIO_PER_SECOND:
        return "a share per second, such as 10%";
    case MP_UNIT_BYTES:
        return "bytes, such as 64M";
    case MP_UNIT_BYTES_PER_HOUR:
        return "bytes per hour, such as 100M";
    case MP_UNIT_SECONDS:
        return "a time, such as 4h";
    default:
        return "a plain number, such as 3";
    }
}

/* "10%/h" is 10 %: what it is per is the measure's. */
static void drop_suffix(char *text, enum mp_alert_unit unit)
{
    size_t length = strlen(text);
    const char *suffix =
        unit == MP_UNIT_RATIO_PER_HOUR || unit == MP_UNIT_BYTES_PER_HOUR ? "/h"
        : unit == MP_UNIT_RATIO_PER_SECOND                               ? "/s"
                                                                         : NULL;

    if (suffix != NULL && length > 2 && strcmp(text + length - 2, suffix) == 0) {
        text[length - 2] = '\0';
    }
}

static bool read_threshold(const char *given, enum mp_alert_unit unit, double *ret)
{
    char text[64];
    char *end;

    if (strlen(given) >= sizeof(text)) {
        return false;
    }
    strcpy(text, given);
    drop_suffix(text, unit);
    switch (unit) {
    case MP_UNIT_BYTES:
    case MP_UNIT_BYTES_PER_HOUR:
        return config_read_bytes(text, ret);
    case MP_UNIT_SECONDS:
        return config_read_duration(text, ret);
    case MP_UNIT_COUNT:
        *ret = strtod(text, &end);
        return strspn(text, "0123456789.") == strlen(text) && end != text
               && *end == '\0';
    default:
        return config_read_ratio(text, ret);
    }
}

/* False after a message; unchanged when it is not given. */
static bool take(struct reading *r, const char *key, const char *value, double *ret)
{
    enum mp_alert_unit unit = mp_measure_unit(r->rule.measure);

    return value == NULL || read_threshold(value, unit, ret)
           || config_text_fail(r->text, line_of(r, key),
               "%s: %s of %s is %s, not \"%s\"", r->rule.name, key,
               mp_measure_name(r->rule.measure), wanted(unit), value);
}

static bool take_time(
    struct reading *r, const char *key, const char *value, double *ret_s)
{
    return value == NULL || config_read_duration(value, ret_s)
           || config_text_fail(r->text, line_of(r, key),
               "%s: %s is a time, such as 90s, 5m or 4h, not \"%s\"", r->rule.name, key,
               value);
}

/* ---- what it measures, and against what ---- */

static void list_measures(char *ret, size_t size)
{
    size_t at = 0;

    for (unsigned i = 0; i < MP_MEASURES && at < size - 1; i++) {
        int n = snprintf(ret + at, size - at, "%s%s", i > 0 ? ", " : "",
            mp_measure_name((enum mp_alert_measure)i));

        at += n > 0 ? (size_t)n : 0;
    }
}

static bool take_measure(struct reading *r)
{
    enum mp_alert_measure measure;
    char names[230];

    if (r->raw->when == NULL) {
        return r->is_builtin
               || config_text_fail(r->text, config_text_line(r->node),
                   "there is no built-in rule %s (mpalloc alerts --rules lists them); "
                   "a "
                   "rule of your own says when:, and above: or below:",
                   r->rule.name);
    }
    if (!mp_measure_find(r->raw->when, &measure)) {
        list_measures(names, sizeof(names));
        return config_text_fail(
            r->text, line_of(r, "when"), "when is one of %s", names);
    }
    if (r->is_builtin && measure != r->rule.measure) {
        return config_text_fail(r->text, line_of(r, "when"),
            "%s is about %s: give the rule another name, or leave out when:",
            r->rule.name, mp_measure_name(r->rule.measure));
    }
    r->rule.measure = measure;
    return true;
}

/* A built-in rule that is moved keeps the distance, in proportion. */
static void move_clears(struct mp_alert_rule *rule, double before, bool was_below)
{
    if (was_below != rule->is_below || !(before > 0)) {
        rule->clears = rule->threshold;
    } else {
        rule->clears = rule->threshold * (rule->clears / before);
    }
}

static bool take_thresholds(struct reading *r)
{
    const struct raw_rule *raw = r->raw;
    struct mp_alert_rule *rule = &r->rule;
    double before = rule->threshold;
    bool was_below = rule->is_below;
    const char *key = raw->below != NULL ? "below" : "above";

    if (raw->above != NULL && raw->below != NULL) {
        return config_text_fail(r->text, line_of(r, "below"),
            "%s: it fires above or below, not both: remove one", rule->name);
    }
    if (raw->above == NULL && raw->below == NULL && !r->is_builtin) {
        return config_text_fail(r->text, config_text_line(r->node),
            "%s: say above: or below: which value it fires", rule->name);
    }
    if (r->is_builtin && (was_below ? raw->above : raw->below) != NULL) {
        return config_text_fail(r->text, line_of(r, was_below ? "above" : "below"),
            "%s fires %s a value: say %s:", rule->name, was_below ? "below" : "above",
            was_below ? "below" : "above");
    }
    if (raw->above != NULL || raw->below != NULL) {
        rule->is_below = raw->below != NULL;
        if (!take(r, key, rule->is_below ? raw->below : raw->above, &rule->threshold)) {
            return false;
        }
        move_clears(rule, before, was_below);
    }
    if (!take(r, "clears", raw->clears, &rule->clears)) {
        return false;
    }
    if (rule->is_below ? rule->clears < rule->threshold
                       : rule->clears > rule->threshold) {
        char clears[64];
        char threshold[64];

        mp_measure_format(rule->measure, rule->clears, clears, sizeof(clears));
        mp_measure_format(rule->measure, rule->threshold, threshold, sizeof(threshold));
        return config_text_fail(r->text,
            line_of(r, raw->clears != NULL ? "clears" : key),
            "%s fires %s %s, so it has to clear %s that, not at %s", rule->name,
            rule->is_below ? "below" : "above", threshold,
            rule->is_below ? "above" : "below", clears);
    }
    return true;
}

/* A trend needs 16 points, and there is one a second. */
static double least_window_s(enum mp_alert_measure measure)
{
    return measure == MP_MEASURE_GROWTH || measure == MP_MEASURE_GROWTH_RATIO
                   || measure == MP_MEASURE_TIME_TO_LIMIT
                   || measure == MP_MEASURE_ANOMALY
               ? 16
               : 1;
}

static bool take_rest(struct reading *r)
{
    const struct raw_rule *raw = r->raw;
    struct mp_alert_rule *rule = &r->rule;

    if (!take_time(r, "for", raw->wait, &rule->for_s)
        || !take_time(r, "over", raw->over, &rule->over_s)) {
        return false;
    }
    if (raw->over != NULL && !mp_measure_has_window(rule->measure)) {
        return config_text_fail(r->text, line_of(r, "over"),
            "%s: %s is of one moment, and has no over:", rule->name,
            mp_measure_name(rule->measure));
    }
    if (mp_measure_has_window(rule->measure)
        && !(rule->over_s >= least_window_s(rule->measure))) {
        return config_text_fail(r->text, line_of(r, "over"), "%s: over is %gs or more",
            rule->name, least_window_s(rule->measure));
    }
    if (raw->minimum != NULL && !config_read_bytes(raw->minimum, &rule->minimum)) {
        return config_text_fail(r->text, line_of(r, "minimum"),
            "%s: minimum is bytes, such as 64M, not \"%s\"", rule->name, raw->minimum);
    }
    if (raw->severity != NULL
        && !config_read_severity(raw->severity, &rule->severity)) {
        return config_text_fail(r->text, line_of(r, "severity"),
            "%s: severity is info, warning or critical, not \"%s\"", rule->name,
            raw->severity);
    }
    return config_take_bool(
        r->text, r->node, "enabled", raw->enabled, &rule->is_enabled);
}

/* ---- one rule ---- */

static bool is_name(const char *name)
{
    return strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
               == strlen(name)
           && strlen(name) < MP_ALERT_NAME_BYTES && name[0] != '\0'
           && (name[0] < '0' || name[0] > '9');
}

static struct mp_alert_rule *find_rule(struct config *c, const char *name)
{
    for (size_t i = 0; i < c->rule_count; i++) {
        if (strcmp(c->rules[i].name, name) == 0) {
            return &c->rules[i];
        }
    }
    return NULL;
}

static bool read_rule(struct config *c, size_t builtin_count, struct reading *r)
{
    const char *name = r->raw->name;
    struct mp_alert_rule *place;

    if (name == NULL || !is_name(name)) {
        return config_text_fail(r->text,
            name == NULL ? config_text_line(r->node) : line_of(r, "name"),
            "a rule has a name of letters, digits and _, such as MpallocMemoryHigh");
    }
    place = find_rule(c, name);
    r->is_builtin = place != NULL && place < c->rules + builtin_count;
    if (place != NULL) {
        r->rule = *place;
    } else {
        r->rule = (struct mp_alert_rule){
            .severity = MP_SEVERITY_WARNING, .is_enabled = true, .over_s = 3600};
        strcpy(r->rule.name, name);
    }
    if (!take_measure(r) || !take_thresholds(r) || !take_rest(r)) {
        return false;
    }
    if (place == NULL) {
        c->rules = must(reallocarray(c->rules, c->rule_count + 1, sizeof(*c->rules)));
        place = &c->rules[c->rule_count++];
    }
    *place = r->rule;
    return true;
}

static bool check_twice(const struct raw_config *raw, size_t number,
    struct config_text *text, yaml_node_t *node)
{
    for (size_t i = 0; i < number; i++) {
        if (raw->alerts[i].name != NULL && raw->alerts[number].name != NULL
            && strcmp(raw->alerts[i].name, raw->alerts[number].name) == 0) {
            return config_text_fail(text, config_text_key_line(text, node, "name"),
                "the rule %s is there twice: make it one", raw->alerts[number].name);
        }
    }
    return true;
}

/* ---- rules that contradict each other ---- */

/* Of one matter and measure: what is worse has to be further out. */
static bool is_contradiction(
    const struct mp_alert_rule *worse, const struct mp_alert_rule *lesser)
{
    return worse->matter != 0 && worse->matter == lesser->matter
           && worse->measure == lesser->measure && worse->is_below == lesser->is_below
           && worse->is_enabled && lesser->is_enabled
           && worse->severity > lesser->severity
           && (worse->is_below ? worse->threshold > lesser->threshold
                               : worse->threshold < lesser->threshold);
}

static unsigned line_of_rule(
    const struct raw_config *raw, struct config_text *text, const char *name)
{
    yaml_node_t *list = config_text_key(text, config_text_root(text), "alerts");

    for (unsigned i = 0; i < raw->alerts_count; i++) {
        if (strcmp(raw->alerts[i].name, name) == 0) {
            yaml_node_t *node = config_text_item(text, list, i);

            return config_text_key_line(text, node,
                raw->alerts[i].above != NULL   ? "above"
                : raw->alerts[i].below != NULL ? "below"
                                               : "name");
        }
    }
    return 0;
}

static bool check_pairs(
    const struct config *c, const struct raw_config *raw, struct config_text *text)
{
    for (size_t i = 0; i < c->rule_count; i++) {
        for (size_t k = 0; k < c->rule_count; k++) {
            const struct mp_alert_rule *worse = &c->rules[i];
            const struct mp_alert_rule *lesser = &c->rules[k];
            unsigned a;
            unsigned b;
            char x[64];
            char y[64];

            if (!is_contradiction(worse, lesser)) {
                continue;
            }
            mp_measure_format(worse->measure, worse->threshold, x, sizeof(x));
            mp_measure_format(lesser->measure, lesser->threshold, y, sizeof(y));
            a = line_of_rule(raw, text, worse->name);
            b = line_of_rule(raw, text, lesser->name);
            return config_text_fail(text, a > b ? a : b,
                "%s (%s, %s) would fire before %s (%s, %s): set it %s", worse->name,
                mp_severity_name(worse->severity), x, lesser->name,
                mp_severity_name(lesser->severity), y,
                worse->is_below ? "lower" : "higher");
        }
    }
    return true;
}

bool config_make_rules(
    struct config *c, const struct raw_config *raw, struct config_text *text)
{
    yaml_node_t *list = config_text_key(text, config_text_root(text), "alerts");
    size_t builtin_count;
    const struct mp_alert_rule *builtin = mp_alert_rules(c->preset, &builtin_count);

    c->rules = must(calloc(builtin_count, sizeof(*c->rules)));
    memcpy(c->rules, builtin, builtin_count * sizeof(*c->rules));
    c->rule_count = builtin_count;
    if (raw->alerts_count > RULES_MAX) {
        return config_text_fail(
            text, config_text_line(list), "at most %d rules", RULES_MAX);
    }
    for (unsigned i = 0; i < raw->alerts_count; i++) {
        struct reading r = {.text = text,
            .node = config_text_item(text, list, i),
            .raw = &raw->alerts[i]};

        if (!check_twice(raw, i, text, r.node) || !read_rule(c, builtin_count, &r)) {
            return false;
        }
    }
    return check_pairs(c, raw, text);
}
