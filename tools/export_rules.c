#include "export_rules.h"

#include "cli.h"
#include "configuration.h"
#include "prometheus_rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct words {
    const char *config;
    bool has_preset;
    enum mp_alert_preset preset;
    double warn; /* 0: as the rules say */
    double critical;
    struct prometheus_options options;
};

static double take_ratio(const char *option, const char *text)
{
    double value;

    if (!config_read_ratio(text, &value) || value <= 0 || value > 1) {
        exit(cli_fail("export", EXIT_USAGE,
            "%s takes a share of the limit such as 80%%, not \"%s\"", option, text));
    }
    return value;
}

enum { CONFIG = 1, PRESET, WARN, CRITICAL, JOB, RUNBOOK, INTERVAL };

static void take_option(struct words *w, int o)
{
    if (o == CONFIG) {
        w->config = optarg;
    } else if (o == PRESET) {
        w->has_preset = config_find_preset(optarg, &w->preset);
        if (!w->has_preset) {
            exit(cli_fail("export", EXIT_USAGE,
                "--preset takes production or development, not \"%s\"", optarg));
        }
    } else if (o == WARN) {
        w->warn = take_ratio("--warn", optarg);
    } else if (o == CRITICAL) {
        w->critical = take_ratio("--critical", optarg);
    } else if (o == JOB) {
        w->options.job = optarg;
    } else if (o == RUNBOOK) {
        w->options.runbook = optarg;
    } else if (o == INTERVAL) {
        w->options.interval_s =
            cli_milliseconds("export", "--interval", optarg, 1000, 3600000) / 1000;
    }
}

/* --warn and --critical: of the rules about the limit. */
static int set_thresholds(const struct words *w, struct mp_alert_rule *rules, size_t n)
{
    double warn = NAN;
    double critical = NAN;

    for (size_t i = 0; i < n; i++) {
        struct mp_alert_rule *r = &rules[i];

        if (strcmp(r->name, "MpallocMemoryHigh") == 0 && w->warn > 0) {
            r->threshold = w->warn;
        } else if (strcmp(r->name, "MpallocMemoryCritical") == 0 && w->critical > 0) {
            r->threshold = w->critical;
        }
        warn = strcmp(r->name, "MpallocMemoryHigh") == 0 ? r->threshold : warn;
        critical =
            strcmp(r->name, "MpallocMemoryCritical") == 0 ? r->threshold : critical;
    }
    return warn > critical ? cli_fail("export", EXIT_USAGE,
               "it would warn at %.3g %% of the limit, and be critical at %.3g %% "
               "already: give a smaller --warn or a greater --critical",
               warn * 100, critical * 100)
                           : EXIT_FINE;
}

int export_rules(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS,
        {"config", required_argument, NULL, CONFIG},
        {"preset", required_argument, NULL, PRESET},
        {"warn", required_argument, NULL, WARN},
        {"critical", required_argument, NULL, CRITICAL},
        {"job", required_argument, NULL, JOB},
        {"runbook", required_argument, NULL, RUNBOOK},
        {"interval", required_argument, NULL, INTERVAL}, {0}};
    struct common common = {0};
    struct words w = {.options = {.job = "mpalloc", .interval_s = 30}};
    struct mp_alert_rule *rules;
    struct config *config = NULL;
    const struct mp_alert_rule *built_in;
    size_t count;
    int code;
    int o;

    while ((o = cli_next_option("export", argc, argv, options, false, &common)) != -1) {
        take_option(&w, o);
    }
    cli_expect_words("export", argc, 0);
    if (w.options.job[strcspn(w.options.job, "\"\\'\n{}")] != '\0') {
        return cli_fail("export", EXIT_USAGE, "--job takes a name of a job");
    }
    built_in = mp_alert_rules(w.preset, &count);
    if (w.config != NULL) {
        code =
            config_open("export", w.config, w.has_preset ? &w.preset : NULL, &config);

        if (code != EXIT_FINE) {
            return code;
        }
        built_in = config->rules;
        count = config->rule_count;
    }
    rules = calloc(count + 1, sizeof(*rules));
    if (rules == NULL) {
        return cli_fail("export", EXIT_FAILED, "no memory");
    }
    memcpy(rules, built_in, count * sizeof(*rules));
    code = set_thresholds(&w, rules, count);
    if (code == EXIT_FINE) {
        prometheus_rules_write(stdout, rules, count, &w.options);
    }
    free(rules);
    if (config != NULL) {
        config_free(config);
    }
    if (code == EXIT_FINE && (fflush(stdout) != 0 || ferror(stdout))) {
        return cli_fail("export", EXIT_FAILED, "standard output cannot be written");
    }
    return code;
}
