/*
 * verb_alerts - mpalloc alerts: what of processes is to be told to somebody, and who is told
 */
#include "alerting.h"
#include "cli.h"
#include "configuration.h"
#include "document.h"
#include "document_alerts.h"
#include "format.h"
#include "history.h"
#include "must.h"
#include "render_alerts.h"
#include "view.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char help_alerts[] =
    "Says which alerts fire now, and which wait, by rules with thresholds. What has to "
    "last for\n"
    "a time fires at once where the process's own timeline, or the history, reaches "
    "back; else\n"
    "it waits from now on. With --watch it says what changes, and tells the sinks of "
    "the\n"
    "configuration: a log, a program, a webhook, Alertmanager. The processes are not "
    "disturbed.\n"
    "\n"
    "  TARGET           a PID, a region or dump file, or the name of a process; none: "
    "all of\n"
    "                   yours\n"
    "  --name NAME      the process of that name\n"
    "  --pid-file FILE  the process whose number is in FILE\n"
    "  --all            also rules that do not fire, with their values, and why they "
    "do not\n"
    "                   apply\n"
    "  --watch          go on, print changes, and tell the sinks; ends with the "
    "process, or\n"
    "                   with ctrl-c\n"
    "  --every T        look so often (10s)\n"
    "  --for T          end after that\n"
    "  --config FILE    instead of $MPALLOC_CONFIG, ~/.config/mpalloc/mpalloc.yaml, "
    "or\n"
    "                   /etc/mpalloc/mpalloc.yaml\n"
    "  --preset P       production or development, whatever the configuration says\n"
    "  --db FILE        the history, instead of $MPALLOC_HISTORY, or\n"
    "                   ~/.local/state/mpalloc/history.db\n"
    "  --fail-on firing[=SEVERITY]\n"
    "                   exit 3 if an alert fires, of SEVERITY (warning, critical) or "
    "worse\n"
    "  --rules          the rules in force, and end\n"
    "  --check-config FILE\n"
    "                   say what is wrong with a configuration, and end\n"
    "  --json           schema tools/schemas/alerts.json; with --watch a line for each "
    "change\n"
    "\n"
    "Presets: production waits for minutes to an hour and warns early, since it wakes "
    "people;\n"
    "development says at once, and only what is far off. Both have the same rules:\n"
    "  MpallocMemoryHigh, MpallocMemoryCritical     live bytes near the limit\n"
    "  MpallocPeakHigh                              they were, for a moment\n"
    "  MpallocPressureHigh, MpallocPressureCritical memory is short\n"
    "  MpallocGrowthHigh                            grows by a share of itself per "
    "hour\n"
    "  MpallocLimitSoon                             the limit is hours away\n"
    "  MpallocLeakSuspected                         stacks that grow or are lost\n"
    "  MpallocBaselineDrift, MpallocBaselineDriftCritical\n"
    "                                               more than the baseline\n"
    "  MpallocReclaimStorm                          memory goes to the kernel and "
    "back\n"
    "  MpallocFragmentationHigh                     much of the heap is not in use\n"
    "  MpallocAnomaly                               unusual for this process\n"
    "  MpallocAllocFailures                         malloc returned NULL\n"
    "  MpallocProfilerOverBudget, MpallocProfilerBlind\n"
    "                                               profiling costs much, or misses "
    "much\n"
    "  MpallocComponentOverLimit                    a component beyond its soft limit\n"
    "runbook.md (installed in share/mpalloc) has a section on each: what it means, "
    "what "
    "to look\n"
    "at, what to do. A worse alert silences a lesser one of the same matter.\n"
    "\n"
    "Examples:\n"
    "  mpalloc alerts                                  of all processes, now\n"
    "  mpalloc alerts 4711 --all\n"
    "  mpalloc alerts --watch --config alerts.yaml     goes on, and tells others\n"
    "  mpalloc alerts --name shop --fail-on firing=critical\n"
    "  mpalloc alerts --rules --preset development\n"
    "  mpalloc alerts --check-config /etc/mpalloc/mpalloc.yaml\n";

enum { SLOW_MS = 60000, PATIENCE_MS = 5000 };

struct plan {
    struct common common;
    char **words;
    bool all;
    bool watch;
    bool rules;
    unsigned every_ms;
    uint64_t for_ms; /* 0: without end */
    const char *config_path;
    const char *db_path;
    bool has_preset;
    enum mp_alert_preset preset;
    bool fails;
    enum mp_severity fail_severity;
    struct config *config;
    struct alerting *alerting;
    char path[PATH_MAX]; /* of the only target; "": all */
    mp_image_t *image;   /* of a target, for the first look */
    size_t process_count;
};

static volatile sig_atomic_t is_asked_to_end;
static volatile sig_atomic_t is_asked_to_reload;

static void ask_to_end(int number)
{
    if (number == SIGHUP) {
        is_asked_to_reload = 1;
    } else {
        is_asked_to_end = 1;
    }
}

/* ---- one round ---- */

/* Those that are gone say nothing new; of a target that is, its last figures are looked at. */
static bool look_at(struct plan *p, const mp_image_t *image)
{
    enum mp_life life = mp_image_life(image);
    bool runs = life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE;
    uint64_t now_ns = view_now_ns();

    if (!runs) {
        if (p->watch || p->path[0] == '\0') {
            return false;
        }
        now_ns = mp_image_totals(image)->published_ns;
    }
    p->process_count++;
    alerting_look(p->alerting, image, NULL, NULL, now_ns);
    return runs;
}

static bool look_at_path(struct plan *p, const char *path)
{
    mp_image_t *image = p->image;
    bool runs;

    p->image = NULL;
    if (image == NULL && mp_image_open(path, &image, NULL) != 0) {
        return false;
    }
    runs = look_at(p, image);
    mp_image_free(image);
    return runs;
}

/* False: the only target ended. */
static bool look(struct plan *p)
{
    bool goes_on = true;

    p->process_count = 0;
    alerting_begin(p->alerting);
    if (p->path[0] != '\0') {
        goes_on = look_at_path(p, p->path);
    } else {
        struct mp_paths paths;

        mp_find_all(NULL, true, &paths, NULL);
        for (size_t i = 0; i < paths.count && !is_asked_to_end; i++) {
            look_at_path(p, paths.path[i]);
        }
        mp_paths_free(&paths);
    }
    alerting_end(p->alerting, view_now_ns());
    return goes_on;
}

static bool is_failed(const struct plan *p)
{
    size_t count;
    struct alert_notice *list = alerting_list(p->alerting, false, &count);
    bool is_so = false;

    for (size_t i = 0; p->fails && i < count; i++) {
        is_so |=
            list[i].state == MP_ALERT_FIRING && list[i].severity >= p->fail_severity;
    }
    free(list);
    return is_so;
}

/* ---- once, and on and on ---- */

static int print_now(struct plan *p)
{
    size_t count;
    struct alert_notice *list;
    int code = EXIT_FINE;

    look(p);
    list = alerting_list(p->alerting, p->all, &count);
    if (p->common.json) {
        code = document_print(document_alerts(list, count), false);
    } else {
        render_alerts(stdout, list, count, p->process_count);
    }
    free(list);
    return code != EXIT_FINE ? code : is_failed(p) ? EXIT_CONDITION : EXIT_FINE;
}

static int print_events(struct plan *p)
{
    size_t count;
    const struct alert_notice *events = alerting_events(p->alerting, &count);
    int code = EXIT_FINE;

    for (size_t i = 0; i < count && code == EXIT_FINE; i++) {
        if (p->common.json) {
            code = document_print(document_alerts(&events[i], 1), true);
        } else {
            render_alert_event(stdout, &events[i], view_now_ns());
        }
    }
    return fflush(stdout) != 0 ? EXIT_FAILED : code;
}

static void reload(struct plan *p)
{
    struct config *c;

    is_asked_to_reload = 0;
    if (config_open("alerts", p->config_path, p->has_preset ? &p->preset : NULL, &c)
        != EXIT_FINE) {
        fprintf(stderr, "mpalloc alerts: goes on with the configuration it has\n");
        return;
    }
    alerting_reload(p->alerting, c);
    config_free(p->config);
    p->config = c;
}

static int watch(struct plan *p)
{
    uint64_t begun_ns = view_now_ns();
    int code = EXIT_FINE;

    while (!is_asked_to_end && code == EXIT_FINE) {
        bool goes_on = look(p);
        uint64_t ran_ms;
        uint64_t wait_ms = p->every_ms;

        code = print_events(p);
        if (code == EXIT_FINE && is_failed(p)) {
            code = EXIT_CONDITION;
        }
        ran_ms = (view_now_ns() - begun_ns) / 1000000u;
        if (!goes_on || code != EXIT_FINE || (p->for_ms > 0 && ran_ms >= p->for_ms)) {
            break;
        }
        wait_ms -= ran_ms % p->every_ms;
        if (p->for_ms > 0 && wait_ms > p->for_ms - ran_ms) {
            wait_ms = p->for_ms - ran_ms;
        }
        if (!is_asked_to_end && !is_asked_to_reload) {
            poll(NULL, 0, (int)wait_ms);
        }
        if (is_asked_to_reload) {
            reload(p);
        }
    }
    return code;
}

/* ---- the verb ---- */

static int check_config(const char *path)
{
    struct config *c;
    int code = config_open("alerts", path, NULL, &c);

    if (code == EXIT_FINE) {
        printf("%s is fine: preset %s, %zu rules, %zu sinks\n", path,
            mp_preset_name(c->preset), c->rule_count, c->sink_count);
        config_free(c);
    }
    return code;
}

static void read_fail_on(const char *text, struct plan *p)
{
    p->fails = true;
    if (strcmp(text, "firing") == 0) {
        p->fail_severity = MP_SEVERITY_INFO;
    } else if (strcmp(text, "firing=warning") == 0) {
        p->fail_severity = MP_SEVERITY_WARNING;
    } else if (strcmp(text, "firing=critical") == 0) {
        p->fail_severity = MP_SEVERITY_CRITICAL;
    } else {
        exit(cli_fail("alerts", EXIT_USAGE,
            "--fail-on takes firing, firing=warning or firing=critical, not \"%s\"",
            text));
    }
}

static void read_preset(const char *text, struct plan *p)
{
    p->has_preset = true;
    if (!config_find_preset(text, &p->preset)) {
        exit(cli_fail("alerts", EXIT_USAGE,
            "--preset takes production or development, not \"%s\"", text));
    }
}

/* One look adds to a history that is there, and begins none; and does without a damaged one. */
static int open_history(struct plan *p, sqlite3 **ret)
{
    char usual[PATH_MAX];
    const char *path = p->db_path;
    struct stat st;

    *ret = NULL;
    if (path == NULL && history_find_path(usual, sizeof(usual))) {
        path = usual;
    }
    if (!p->watch && (path == NULL || stat(path, &st) != 0)) {
        return EXIT_FINE;
    }
    return history_open("alerts", path, HISTORY_WRITE, ret);
}

static int find_target(struct plan *p)
{
    struct target target;
    int code;

    if (p->words[0] == NULL && p->common.name == NULL && p->common.pid_file == NULL) {
        return EXIT_FINE;
    }
    code = cli_open_target("alerts", &p->common, p->words, &target);
    if (code == EXIT_FINE) {
        memcpy(p->path, target.path, sizeof(p->path));
        p->image = target.image;
    }
    return code;
}

static void handle_signals(void)
{
    struct sigaction end = {.sa_handler = ask_to_end};

    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGHUP, &end, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static int run(struct plan *p)
{
    sqlite3 *db = NULL;
    int code = find_target(p);

    if (code == EXIT_FINE) {
        code = open_history(p, &db);
    }
    if (code == EXIT_FINE) {
        p->alerting = alerting_create(&(struct alerting_options){.config = p->config,
            .db = db,
            .keeps = db != NULL,
            .post = p->watch ? alert_sinks_http() : NULL,
            .slow_ms = p->watch && p->every_ms < SLOW_MS ? SLOW_MS : 0});
        if (p->watch) {
            handle_signals();
            fprintf(stderr, "watching %s, every %s\n",
                p->path[0] != '\0' ? "until it ends" : "all processes",
                format_seconds(p->every_ms / 1e3).text);
        }
        code = p->watch ? watch(p) : print_now(p);
        alerting_destroy(p->alerting, PATIENCE_MS);
    }
    mp_image_free(p->image);
    history_close(db);
    return code;
}

int verb_alerts(int argc, char **argv)
{
    enum { ALL = 1, WATCH, EVERY, FOR, CONFIG, PRESET, DB, FAIL_ON, RULES, CHECK };
    static const struct option options[] = {COMMON_OPTIONS,
        {"all", no_argument, NULL, ALL}, {"watch", no_argument, NULL, WATCH},
        {"every", required_argument, NULL, EVERY},
        {"for", required_argument, NULL, FOR},
        {"config", required_argument, NULL, CONFIG},
        {"preset", required_argument, NULL, PRESET},
        {"db", required_argument, NULL, DB},
        {"fail-on", required_argument, NULL, FAIL_ON},
        {"rules", no_argument, NULL, RULES},
        {"check-config", required_argument, NULL, CHECK}, {0}};
    struct plan p = {.every_ms = 10000};
    int code;
    int o;

    while (
        (o = cli_next_option("alerts", argc, argv, options, false, &p.common)) != -1) {
        switch (o) {
        case ALL:
            p.all = true;
            break;
        case WATCH:
            p.watch = true;
            break;
        case EVERY:
            p.every_ms = cli_milliseconds("alerts", "--every", optarg, 100, 3600000);
            break;
        case FOR:
            p.for_ms = cli_milliseconds("alerts", "--for", optarg, 1, 4000000000u);
            break;
        case CONFIG:
            p.config_path = optarg;
            break;
        case PRESET:
            read_preset(optarg, &p);
            break;
        case DB:
            p.db_path = optarg;
            break;
        case FAIL_ON:
            read_fail_on(optarg, &p);
            break;
        case RULES:
            p.rules = true;
            break;
        default:
            return check_config(optarg);
        }
    }
    cli_expect_words("alerts", argc, 1);
    p.words = argv + optind;
    if (p.for_ms > 0 && !p.watch) {
        return cli_fail("alerts", EXIT_USAGE, "--for is for --watch: give that, too");
    }
    code = config_open(
        "alerts", p.config_path, p.has_preset ? &p.preset : NULL, &p.config);
    if (code != EXIT_FINE) {
        return code;
    }
    if (p.rules && p.common.json) {
        code = document_print(document_rules(p.config), false);
    } else if (p.rules) {
        render_rules(stdout, p.config);
    } else {
        code = run(&p);
    }
    config_free(p.config);
    return code;
}
