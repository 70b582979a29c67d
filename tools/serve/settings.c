#include "settings.h"

#include "../cli.h"
#include "../configuration.h"
#include "../must.h"

#include <string.h>

static void add_word(
    const char *option, const char **all, size_t most, size_t *count, const char *word)
{
    if (*count == most) {
        exit(cli_fail("serve", EXIT_USAGE, "%s: at most %zu of them", option, most));
    }
    all[(*count)++] = word;
}

enum {
    LISTEN = 1,
    UNIX,
    DIR,
    INTERVAL,
    TOKEN_FILE,
    CERTIFICATE,
    KEY,
    HOST,
    ALLOW_ACTIONS,
    DEAD,
    NO_HISTORY,
    CONFIG,
    COMPONENTS,
    SITES,
    VERDICTS,
    TARGETS
};

static void take_word(struct settings *s, int o)
{
    struct serve_options *g = &s->given;

    if (o == LISTEN) {
        add_word("--listen", g->listen, SERVE_SOCKETS, &g->listen_count, optarg);
    } else if (o == DIR) {
        add_word(
            "--dir", s->directories, SETTINGS_WORDS, &g->fleet.directory_count, optarg);
    } else if (o == HOST) {
        add_word("--host", s->hosts, SETTINGS_WORDS, &g->host_count, optarg);
    } else if (o == UNIX) {
        g->unix_path = optarg;
    } else if (o == TOKEN_FILE) {
        g->token_file = optarg;
    } else if (o == CERTIFICATE) {
        g->certificate = optarg;
    } else if (o == KEY) {
        g->key = optarg;
    } else if (o == CONFIG) {
        s->config_path = optarg;
    }
}

static void take_other(struct settings *s, int o)
{
    struct serve_options *g = &s->given;

    if (o == INTERVAL) {
        g->interval_ms = cli_milliseconds("serve", "--interval", optarg, 100, 3600000);
    } else if (o == ALLOW_ACTIONS) {
        g->allow_actions = true;
    } else if (o == DEAD) {
        g->fleet.dead_s =
            cli_milliseconds("serve", "--dead", optarg, 0, 4000000000u) / 1000;
    } else if (o == NO_HISTORY) {
        s->no_history = true;
    }
}

static void take_metrics(struct settings *s, int o)
{
    if (o == COMPONENTS) {
        s->metrics.series.components =
            (unsigned)cli_number("serve", "--components", optarg, 0, 4096);
        s->has_components = true;
    } else if (o == SITES) {
        s->metrics.insights.sites =
            (unsigned)cli_number("serve", "--sites", optarg, 0, METRIC_SITES_MAX);
        s->has_sites = true;
    } else if (o == VERDICTS) {
        s->metrics.insights.every_s =
            cli_milliseconds("serve", "--verdicts", optarg, 1000, 86400000) / 1000;
    } else if (o == TARGETS) {
        s->targets = true;
    }
}

void settings_init(struct settings *s)
{
    *s = (struct settings){
        .given = {.fleet = {.dead_s = 86400}}, .metrics = metrics_usual};
}

void settings_parse(struct settings *s, int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS,
        {"listen", required_argument, NULL, LISTEN},
        {"unix", required_argument, NULL, UNIX}, {"dir", required_argument, NULL, DIR},
        {"interval", required_argument, NULL, INTERVAL},
        {"token-file", required_argument, NULL, TOKEN_FILE},
        {"certificate", required_argument, NULL, CERTIFICATE},
        {"key", required_argument, NULL, KEY}, {"host", required_argument, NULL, HOST},
        {"allow-actions", no_argument, NULL, ALLOW_ACTIONS},
        {"dead", required_argument, NULL, DEAD},
        {"no-history", no_argument, NULL, NO_HISTORY},
        {"config", required_argument, NULL, CONFIG},
        {"components", required_argument, NULL, COMPONENTS},
        {"sites", required_argument, NULL, SITES},
        {"verdicts", required_argument, NULL, VERDICTS},
        {"targets", no_argument, NULL, TARGETS}, {0}};
    struct common common = {0};
    int o;

    settings_init(s);
    while ((o = cli_next_option("serve", argc, argv, options, false, &common)) != -1) {
        take_word(s, o);
        take_other(s, o);
        take_metrics(s, o);
    }
    cli_expect_words("serve", argc, 0);
}

/* ---- the file ---- */

static void join_hosts(struct settings *s, const struct config_serve *c)
{
    struct serve_options *o = &s->options;

    free(s->all_hosts);
    s->all_hosts =
        must(calloc(s->given.host_count + c->hosts.count + 1, sizeof(char *)));
    o->host_count = 0;
    for (size_t i = 0; i < s->given.host_count; i++) {
        s->all_hosts[o->host_count++] = s->hosts[i];
    }
    for (size_t i = 0; i < c->hosts.count; i++) {
        s->all_hosts[o->host_count++] = c->hosts.at[i];
    }
    o->hosts = s->all_hosts;
}

static const char *either(const char *given, const char *of_file)
{
    return given != NULL ? given : of_file;
}

static void join(struct settings *s, const struct config *config)
{
    const struct config_serve *c = &config->serve;
    struct serve_options *o = &s->options;

    *o = s->given;
    o->config = config;
    o->unix_path = either(o->unix_path, c->unix_path);
    o->token_file = either(o->token_file, c->token_file);
    o->certificate = either(o->certificate, c->certificate);
    o->key = either(o->key, c->key);
    o->allow_actions |= c->allow_actions;
    o->history = c->history && !s->no_history;
    o->interval_ms = o->interval_ms != 0 ? o->interval_ms : (unsigned)c->interval_ms;
    if (o->listen_count == 0 && s->given.unix_path == NULL && c->listen != NULL) {
        o->listen[o->listen_count++] = c->listen;
    }
    o->fleet.directories = s->directories;
    if (o->fleet.directory_count == 0) {
        o->fleet.directory_count = c->directories.count;
        o->fleet.directories = (const char *const *)c->directories.at;
    }
    join_hosts(s, c);
    if (!s->has_components) {
        s->metrics.series.components = (unsigned)config->metrics.components;
    }
    if (!s->has_sites) {
        s->metrics.insights.sites = (unsigned)config->metrics.sites;
    }
    s->metrics.series.size_classes = config->metrics.size_classes;
    o->metrics = &s->metrics;
}

bool settings_read(struct settings *s, int *ret_code)
{
    struct config *config;

    *ret_code = config_open("serve", s->config_path, NULL, &config);
    if (*ret_code != EXIT_FINE) {
        return false;
    }
    s->configs =
        must(reallocarray(s->configs, s->config_count + 1, sizeof(struct config *)));
    s->configs[s->config_count++] = config;
    join(s, config);
    return true;
}

void settings_free(struct settings *s)
{
    for (size_t i = 0; i < s->config_count; i++) {
        config_free(s->configs[i]);
    }
    free(s->configs);
    free(s->all_hosts);
}
