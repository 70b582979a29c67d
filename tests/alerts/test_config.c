/* The configuration: values, defaults, and what is wrong with one, with its line. */
#include "cli.h"
#include "configuration.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of main.c, which is not linked. */
const struct verb *verb_find(const char *name)
{
    (void)name;
    return NULL;
}

static struct config *read_good(const char *text)
{
    struct mp_error error = {""};
    struct config *c;
    int code = config_parse(text, strlen(text), "t.yaml", NULL, &c, &error);

    cr_assert_eq(code, 0, "%s", error.text);
    return c;
}

static void expect_wrong(const char *text, const char *message)
{
    struct mp_error error = {""};
    struct config *c;
    int code = config_parse(text, strlen(text), "t.yaml", NULL, &c, &error);

    cr_assert_eq(code, -EINVAL, "accepted: %s", text);
    cr_assert_null(c);
    cr_assert(strncmp(error.text, message, strlen(message)) == 0,
        "for\n%s\nsaid:   %s\nwanted: %s", text, error.text, message);
    cr_assert_null(strchr(error.text, '\n'), "one line: %s", error.text);
}

static const struct mp_alert_rule *rule(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->rule_count; i++) {
        if (strcmp(c->rules[i].name, name) == 0) {
            return &c->rules[i];
        }
    }
    cr_assert_fail("no rule %s", name);
    return NULL;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

static void expect_presets_rules(const struct config *c, enum mp_alert_preset preset)
{
    size_t count;
    const struct mp_alert_rule *wanted = mp_alert_rules(preset, &count);

    cr_assert_eq(c->rule_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct mp_alert_rule *r = &c->rules[i];
        const struct mp_alert_rule *w = &wanted[i];

        cr_assert_str_eq(r->name, w->name);
        cr_assert(r->measure == w->measure && r->is_below == w->is_below
                      && is_near(r->threshold, w->threshold)
                      && is_near(r->clears, w->clears) && is_near(r->for_s, w->for_s)
                      && is_near(r->over_s, w->over_s)
                      && is_near(r->minimum, w->minimum) && r->severity == w->severity
                      && r->is_enabled == w->is_enabled && r->matter == w->matter,
            "%s differs", r->name);
    }
}

Test(config, nothing_is_what_is_built_in)
{
    static const char *const texts[] = {"", "# a word\n", "alerts:\nsinks:\n", "{}"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct config *c = read_good(texts[i]);

        expect_presets_rules(c, MP_PRESET_PRODUCTION);
        cr_assert_eq(c->sink_count, 0);
        cr_assert_str_eq(c->serve.listen, "127.0.0.1:9202");
        cr_assert(c->serve.history && !c->serve.allow_actions);
        cr_assert_eq(c->serve.interval_ms, 5000);
        cr_assert_eq(c->metrics.components, 20);
        cr_assert(c->metrics.size_classes);
        cr_assert_null(c->otlp.endpoint);
        config_free(c);
    }
}

/* The file that is shipped says what is built in, of every rule and section. */
Test(config, the_example_is_the_preset_production)
{
    struct mp_error error = {""};
    struct config *c;
    struct config *none = read_good("");
    const char *path = getenv("EXAMPLE");
    FILE *f;
    char *text = calloc(1, 100000);

    cr_assert_not_null(path);
    cr_assert_eq(config_load(path, &c, &error), 0, "%s", error.text);
    expect_presets_rules(c, MP_PRESET_PRODUCTION);
    cr_assert_str_eq(c->serve.listen, none->serve.listen);
    cr_assert_eq(c->serve.interval_ms, none->serve.interval_ms);
    cr_assert_eq(c->serve.history, none->serve.history);
    cr_assert_eq(c->serve.allow_actions, none->serve.allow_actions);
    cr_assert_eq(c->metrics.components, none->metrics.components);
    cr_assert_eq(c->metrics.size_classes, none->metrics.size_classes);
    cr_assert_eq(c->metrics.sites, none->metrics.sites);
    cr_assert_eq(c->otlp.format, none->otlp.format);
    cr_assert_eq(c->otlp.interval_ms, none->otlp.interval_ms);
    cr_assert_eq(c->otlp.profiles, none->otlp.profiles);
    cr_assert(c->sink_count == 0 && c->push_count == 0);
    f = fopen(path, "r");
    cr_assert(f != NULL && fread(text, 1, 99999, f) > 0);
    fclose(f);
    for (size_t i = 0; i < c->rule_count; i++) {
        char named[100];

        snprintf(named, sizeof(named), "{name: %s,", c->rules[i].name);
        cr_assert_not_null(strstr(text, named), "the example leaves %s out", named);
    }
    free(text);
    config_free(c);
    config_free(none);
}

/* What the example has in comments is right, too. */
Test(config, the_examples_in_comments_are_good)
{
    FILE *f = fopen(getenv("EXAMPLE"), "r");
    static char text[100000];
    char line[512];
    size_t at = 0;
    struct config *c;

    cr_assert_not_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        char *mark = strstr(line, "  # ");
        bool is_key =
            mark != NULL && mark == line + strspn(line, " ") - 2
            && (mark[4] == '-' || strchr(mark + 4, ':') != NULL)
            && strchr("-utckdher", mark[4]) != NULL
            && (mark[4] == '-' || strcspn(mark + 4, " ") > strcspn(mark + 4, ":"));

        if (is_key && strstr(line, "MpallocAnomaly, enabled") == NULL) {
            memmove(mark + 2, mark + 4, strlen(mark + 4) + 1);
        }
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", line);
    }
    fclose(f);
    c = read_good(text);
    cr_assert_eq(c->sink_count, 5);
    cr_assert_eq(c->push_count, 1);
    cr_assert_str_eq(c->otlp.endpoint, "http://127.0.0.1:4318");
    cr_assert_str_eq(c->serve.hosts.at[0], "memory.example.net");
    cr_assert(is_near(rule(c, "TooLarge")->threshold, 2.0 * (1 << 30)));
    config_free(c);
}

Test(config, presets)
{
    struct config *c = read_good("preset: development");
    enum mp_alert_preset other = MP_PRESET_PRODUCTION;
    struct mp_error error;

    expect_presets_rules(c, MP_PRESET_DEVELOPMENT);
    config_free(c);
    cr_assert_eq(config_parse("preset: development", 19, "t", &other, &c, &error), 0);
    expect_presets_rules(c, MP_PRESET_PRODUCTION);
    config_free(c);
    expect_wrong("\npreset: prod", "t.yaml:2: preset is production or development");
}

Test(config, rules_are_changed_and_added)
{
    struct config *c = read_good(
        "alerts:\n"
        "  - {name: MpallocMemoryHigh, above: 60%, for: 90s, severity: info}\n"
        "  - {name: MpallocLeakSuspected, enabled: false}\n"
        "  - {name: MpallocLimitSoon, below: 2h}\n"
        "  - {name: Mine, when: growth, above: 100M/h, clears: 64MiB, over: 5m}\n"
        "  - {name: Ratio, when: growth/live, above: 20%/h, over: 30m, for: 1.5h}\n");
    const struct mp_alert_rule *r = rule(c, "MpallocMemoryHigh");

    cr_assert(is_near(r->threshold, 0.6) && is_near(r->clears, 0.6 * 0.75 / 0.8));
    cr_assert(r->for_s == 90 && r->severity == MP_SEVERITY_INFO && r->is_enabled);
    cr_assert_not(rule(c, "MpallocLeakSuspected")->is_enabled);
    r = rule(c, "MpallocLimitSoon");
    cr_assert(r->is_below && r->threshold == 7200 && is_near(r->clears, 9000));
    r = rule(c, "Mine");
    cr_assert(r->measure == MP_MEASURE_GROWTH && r->threshold == 100 * 0x1p20
              && r->clears == 64 * 0x1p20 && r->over_s == 300 && r->for_s == 0
              && r->severity == MP_SEVERITY_WARNING && r->is_enabled);
    r = rule(c, "Ratio");
    cr_assert(
        is_near(r->threshold, 0.2) && r->clears == r->threshold && r->for_s == 5400);
    config_free(c);
}

Test(config, all_sections)
{
    struct config *c = read_good(
        "sinks:\n"
        "  - log: stderr\n"
        "  - exec: [/bin/x, \"{name}\"]\n"
        "    timeout: 500ms\n"
        "  - {webhook: 'https://h/x', headers: {A: b, C: 'd e'}, severity: critical}\n"
        "  - {alertmanager: \"http://127.0.0.1:9093\", labels: {team: m}}\n"
        "serve: {listen: '[::1]:80', unix: /u, token_file: /t, certificate: /c, key: "
        "/k, "
        "allow_actions: true, directories: [/a, /b], interval: 1s, history: false, "
        "hosts: "
        "[h]}\n"
        "metrics: {components: 5, size_classes: false, sites: 7}\n"
        "otlp: {endpoint: 'http://o', format: json, interval: 10s, headers: {x: y}, "
        "resource: {service.name: s}, profiles: true}\n"
        "push:\n"
        "  - {to: pyroscope, url: 'http://p', interval: 2m, labels: {a: b}, tenant: t, "
        "token_file: /f}\n"
        "  - {to: parca, url: 'https://q'}\n");

    cr_assert_eq(c->sink_count, 4);
    cr_assert(c->sinks[0].kind == SINK_LOG && c->sinks[0].timeout_ms == 10000);
    cr_assert(c->sinks[1].kind == SINK_EXEC && c->sinks[1].command.count == 2
              && c->sinks[1].command.at[2] == NULL && c->sinks[1].timeout_ms == 500);
    cr_assert_str_eq(c->sinks[2].headers.at[1].value, "d e");
    cr_assert_eq(c->sinks[2].severity, MP_SEVERITY_CRITICAL);
    cr_assert_str_eq(c->sinks[3].labels.at[0].key, "team");
    cr_assert_str_eq(c->serve.listen, "[::1]:80");
    cr_assert(c->serve.allow_actions && !c->serve.history);
    cr_assert_str_eq(c->serve.directories.at[1], "/b");
    cr_assert(c->metrics.components == 5 && c->metrics.sites == 7
              && !c->metrics.size_classes);
    cr_assert(c->otlp.format == OTLP_JSON && c->otlp.profiles);
    cr_assert_str_eq(c->otlp.resource.at[0].key, "service.name");
    cr_assert(c->pushes[0].interval_ms == 120000 && c->pushes[1].kind == PUSH_PARCA);
    config_free(c);
}

Test(config, what_is_wrong_has_a_line_and_a_cure)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"a: 1",
            "t.yaml:1: there is no key a; there are: preset, alerts, sinks, serve"},
        {"alerts:\n  - name: MpallocMemoryHigh\n    abvoe: 80%\n",
            "t.yaml:3: there is no key abvoe in alerts; there are: name, when, above"},
        {"serve:\n  interval: 5s\n  port: 3\n",
            "t.yaml:3: there is no key port in serve; there are: listen, unix"},
        {"metrics: {components: 1, components: 2}",
            "t.yaml:1: the key components is there twice"},
        {"alerts:\n  - {name: MpallocMemoryHigh, above: 80}",
            "t.yaml:2: MpallocMemoryHigh: above of live/limit is a share, such as 80%, "
            "not \"80\""},
        {"alerts:\n  - name: MpallocMemoryHigh\n    above: 4h",
            "t.yaml:3: MpallocMemoryHigh: above of live/limit is a share"},
        {"alerts:\n  - {name: MpallocLimitSoon, below: 80%}",
            "t.yaml:2: MpallocLimitSoon: below of time-to-limit is a time, such as 4h"},
        {"alerts:\n  - {name: A, when: live, above: 64kb}",
            "t.yaml:2: A: above of live is bytes, such as 64M, not \"64kb\""},
        {"alerts:\n  - {name: A, when: live, above: 64M, for: 5}",
            "t.yaml:2: A: for is a time, such as 90s, 5m or 4h, not \"5\""},
        {"alerts:\n  - {name: A, when: live, above: 64M, for: -5m}",
            "t.yaml:2: A: for is a time"},
        {"alerts:\n  - {name: A, when: live, above: nan}",
            "t.yaml:2: A: above of live"},
        {"alerts:\n  - {name: A, when: leaks, above: 3x}",
            "t.yaml:2: A: above of leaks is a plain number"},
        {"alerts:\n  - {name: A, when: lve, above: 64M}",
            "t.yaml:2: when is one of live/limit, resident/limit"},
        {"alerts:\n  - {name: MpallocMemoryHihg, above: 80%}",
            "t.yaml:2: there is no built-in rule MpallocMemoryHihg"},
        {"alerts:\n  - {name: A, when: live}", "t.yaml:2: A: say above: or below:"},
        {"alerts:\n  - {name: A, when: live, above: 1M, below: 2M}",
            "t.yaml:2: A: it fires above or below, not both"},
        {"alerts:\n  - {name: MpallocMemoryHigh, below: 2%}",
            "t.yaml:2: MpallocMemoryHigh fires above a value: say above:"},
        {"alerts:\n  - {name: MpallocMemoryHigh, when: live, above: 2M}",
            "t.yaml:2: MpallocMemoryHigh is about live/limit"},
        {"alerts:\n  - name: MpallocMemoryHigh\n    above: 80%\n    clears: 85%\n",
            "t.yaml:4: MpallocMemoryHigh fires above 80.0 %, so it has to clear below "
            "that, not at 85.0 %"},
        {"alerts:\n  - name: MpallocLimitSoon\n    clears: 1h\n",
            "t.yaml:3: MpallocLimitSoon fires below 4 h, so it has to clear above "
            "that, "
            "not at 60 min"},
        {"alerts:\n  - name: MpallocMemoryCritical\n    above: 70%\n",
            "t.yaml:3: MpallocMemoryCritical (critical, 70.0 %) would fire before "
            "MpallocMemoryHigh (warning, 80.0 %): set it higher"},
        {"alerts:\n  - name: MpallocMemoryHigh\n    above: 95%\n",
            "t.yaml:3: MpallocMemoryCritical (critical, 90.0 %) would fire before"},
        {"alerts:\n  - {name: A, when: live, above: 1M}\n  - {name: A, above: 2M}\n",
            "t.yaml:3: the rule A is there twice"},
        {"alerts:\n  - {when: live, above: 1M}\n", "t.yaml:2: a rule has a name"},
        {"alerts:\n  - {name: 'a b', when: live, above: 1M}",
            "t.yaml:2: a rule has a name"},
        {"alerts:\n  - {name: A, when: live, above: 1M, over: 5m}",
            "t.yaml:2: A: live is of one moment, and has no over:"},
        {"alerts:\n  - {name: A, when: growth, above: 1M, over: 0s}",
            "t.yaml:2: A: over is 16s or more"},
        {"alerts:\n  - {name: A, when: failures, above: 1, over: 0s}",
            "t.yaml:2: A: over is 1s or more"},
        {"alerts:\n  - {name: A, when: live, above: 1M, severity: high}",
            "t.yaml:2: A: severity is info, warning or critical, not \"high\""},
        {"alerts:\n  - {name: A, when: live, above: 1M, enabled: perhaps}",
            "t.yaml:2: enabled is true or false"},
        {"alerts: 3", "t.yaml:1: alerts wants a list: [ … ]"},
        {"alerts: {name: A}", "t.yaml:1: alerts wants a list"},
        {"serve: [1]", "t.yaml:1: serve wants keys with values"},
        {"preset: [1]", "t.yaml:1: preset wants one value"},
        {"[1]", "t.yaml:1: the file wants keys with values"},
        {"\n\nsinks:\n  - {log: a, webhook: b}",
            "t.yaml:4: a sink is one of log, exec, webhook and alertmanager: this has "
            "2"},
        {"sinks:\n  - {severity: info}", "t.yaml:2: a sink is one of"},
        {"sinks:\n  - webhook: ftp://x\n",
            "t.yaml:2: webhook is an address that begins with http:// or https://"},
        {"sinks:\n  - {exec: []}", "t.yaml:2: "},
        {"sinks:\n  - {exec: ''}", "t.yaml:2: exec wants a list"},
        {"sinks:\n  - {log: x, headers: {a: b}}",
            "t.yaml:2: headers are for webhook and alertmanager"},
        {"sinks:\n  - {webhook: 'http://x', labels: {a: b}}",
            "t.yaml:2: labels are for alertmanager"},
        {"sinks:\n  - {webhook: 'http://x', headers: [a]}",
            "t.yaml:2: headers are pairs, such as {name: value}"},
        {"sinks:\n  - webhook: 'http://x'\n    headers:\n      a: [1]",
            "t.yaml:4: headers are texts"},
        {"sinks:\n  - webhook: 'http://x'\n    headers: {a: 1, a: 2}",
            "t.yaml:3: headers are named once each: a is there twice"},
        {"sinks:\n  - webhook: 'http://x'\n    headers: {\"a\\nb\": 1}",
            "t.yaml:3: the header a\\x0ab is not fit for a request"},
        {"sinks:\n  - {log: x, timeout: 0s}", "t.yaml:2: timeout is at least 1 ms"},
        {"serve: {interval: 5}", "t.yaml:1: interval is a time, such as 30s or 5m"},
        {"serve: {interval: 1ms}", "t.yaml:1: interval is at least 100 ms"},
        {"serve:\n  certificate: /x\n",
            "t.yaml:2: serve wants both certificate: and key:"},
        {"serve: {history: 7}", "t.yaml:1: history is true or false"},
        {"metrics: {components: 20%}",
            "t.yaml:1: components is a whole number up to 1000, not \"20%\""},
        {"otlp: {endpoint: localhost}", "t.yaml:1: endpoint is an address"},
        {"otlp: {format: grpc}", "t.yaml:1: format is protobuf or json, not \"grpc\""},
        {"push: [{to: pyroscope}]", "t.yaml:1: an entry of push has to: and url:"},
        {"push: [{to: x, url: 'http://x'}]", "t.yaml:1: to is pyroscope or parca"},
        {"preset: \"x", "t.yaml:1: this is no YAML: found unexpected end of stream"},
        {"a: b: c", "t.yaml:1: this is no YAML"},
        {"\tpreset: production", "t.yaml:1: this is no YAML"},
        {"preset: production\n---\npreset: development\n",
            "t.yaml:3: one document is read, and here begins a second"},
        {"serve: &a {interval: 5s}\nmetrics: *a", "t.yaml:2: aliases (*name) are not"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_wrong(cases[i].text, cases[i].message);
    }
}

/* Deep and long ones end, with a line. */
Test(config, hostile_texts_are_errors, .timeout = 20)
{
    enum { COUNT = 200000 };
    struct mp_error error;
    struct config *c;
    char *text = malloc(COUNT + 1);

    memset(text, '[', COUNT);
    cr_assert_eq(config_parse(text, COUNT, "t", NULL, &c, &error), -EINVAL);
    memset(text, '\0', COUNT);
    cr_assert_eq(config_parse(text, COUNT, "t", NULL, &c, &error), -EINVAL);
    memset(text, 'a', COUNT);
    cr_assert_eq(config_parse(text, COUNT, "t", NULL, &c, &error), -EINVAL);
    memset(text, 0xff, COUNT);
    cr_assert_eq(config_parse(text, COUNT, "t", NULL, &c, &error), -EINVAL);
    free(text);
}

Test(config, files_are_looked_for_in_order)
{
    char folder[] = "/tmp/mpalloc-config-XXXXXX";
    char path[200];
    char other[200];
    struct mp_error error = {""};
    struct config *c;
    FILE *f;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/mpalloc", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/mpalloc/mpalloc.yaml", folder);
    snprintf(other, sizeof(other), "%s/other.yaml", folder);
    f = fopen(path, "w");
    fputs("preset: development\n", f);
    fclose(f);
    setenv("XDG_CONFIG_HOME", folder, 1);
    unsetenv("MPALLOC_CONFIG");
    cr_assert_eq(config_load(NULL, &c, &error), 0, "%s", error.text);
    cr_assert_str_eq(c->path, path);
    cr_assert_eq(c->preset, MP_PRESET_DEVELOPMENT);
    config_free(c);
    setenv("MPALLOC_CONFIG", other, 1);
    cr_assert_eq(config_load(NULL, &c, &error), -ENOENT);
    cr_assert_not_null(strstr(error.text, other), "%s", error.text);
    cr_assert_eq(config_load(path, &c, &error), 0);
    config_free(c);
    chmod(path, 0602);
    cr_assert_eq(config_load(path, &c, &error), -EPERM);
    cr_assert_eq(config_load(folder, &c, &error), -EINVAL, "%s", error.text);
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
    rmdir(folder);
}
