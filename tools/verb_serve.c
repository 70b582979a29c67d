/*
 * verb_serve - mpalloc serve: the processes of this machine, over HTTP
 */
#include "cli.h"
#include "document.h"
#include "serve/httpd.h"
#include "serve/metrics.h"
#include "serve/notify.h"
#include "serve/serve.h"
#include "view.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char help_serve[] =
    "Shows all processes on mpalloc to browsers, Prometheus, profile viewers and "
    "scripts: a\n"
    "page at /, /metrics, /api/v1/…, /debug/pprof/. It reads regions only; the "
    "processes are not\n"
    "disturbed. Processes that start later are found; those that were killed are "
    "shown, too.\n"
    "\n"
    "  --listen ADDR:PORT   there (127.0.0.1:9202); again for more; port 0: any that "
    "is "
    "free,\n"
    "                       printed on standard error. Beyond loopback set a token or "
    "TLS\n"
    "  --unix PATH          also a socket, for its owner only\n"
    "  --dir DIR            regions there, instead of $MPALLOC_DIR or "
    "/dev/shm/mpalloc-UID;\n"
    "                       again for more\n"
    "  --interval T         figures are at most so old (5s); requests ask for 1 s\n"
    "  --token-file FILE    its first line is asked for: Authorization: Bearer TOKEN\n"
    "  --certificate FILE, --key FILE   TLS, PEM\n"
    "  --host NAME          a name by which it is called, besides localhost and "
    "addresses;\n"
    "                       again for more\n"
    "  --allow-actions      also what changes a process: leak check, trim, sampling\n"
    "  --dead T             those that ended are shown so long (24h)\n"
    "  --components N       series of components in /metrics, for each process (20)\n"
    "  --sites N            the same of call stacks (0), at most 100\n"
    "  --verdicts T         verdicts in /metrics are made anew so often (60s)\n"
    "  --targets            prints the processes as a file of targets for Prometheus "
    "that are\n"
    "                       scraped at --listen, and ends\n"
    "\n"
    "SIGHUP reads token and certificate again. SIGTERM ends it after what was asked is "
    "answered.\n"
    "systemd: Type=notify, WatchdogSec and sockets are supported.\n"
    "\n"
    "Examples:\n"
    "  mpalloc serve                       then open http://127.0.0.1:9202/\n"
    "  mpalloc serve --listen '[::]:9202' --token-file /etc/mpalloc/token\n"
    "  mpalloc serve --unix /run/mpalloc.sock --allow-actions\n"
    "  mpalloc serve --targets --listen app1:9202 > /etc/prometheus/mpalloc.json\n";

enum { PATIENCE_MS = 5000, HOSTS = 64, DIRECTORIES = 64 };

struct words {
    struct serve_options options;
    const char *hosts[HOSTS];
    const char *directories[DIRECTORIES];
    struct metrics_options metrics;
    bool targets;
};

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
    COMPONENTS,
    SITES,
    VERDICTS,
    TARGETS
};

static void take_option(struct words *w, int o)
{
    struct serve_options *s = &w->options;

    if (o == LISTEN) {
        add_word("--listen", s->listen, SERVE_SOCKETS, &s->listen_count, optarg);
    } else if (o == UNIX) {
        s->unix_path = optarg;
    } else if (o == DIR) {
        add_word(
            "--dir", w->directories, DIRECTORIES, &s->fleet.directory_count, optarg);
    } else if (o == INTERVAL) {
        s->interval_ms = cli_milliseconds("serve", "--interval", optarg, 100, 3600000);
    } else if (o == TOKEN_FILE) {
        s->token_file = optarg;
    } else if (o == CERTIFICATE) {
        s->certificate = optarg;
    } else if (o == KEY) {
        s->key = optarg;
    } else if (o == HOST) {
        add_word("--host", w->hosts, HOSTS, &s->host_count, optarg);
    } else if (o == ALLOW_ACTIONS) {
        s->allow_actions = true;
    } else if (o == DEAD) {
        s->fleet.dead_s =
            cli_milliseconds("serve", "--dead", optarg, 0, 4000000000u) / 1000;
    } else if (o == COMPONENTS) {
        w->metrics.series.components =
            (unsigned)cli_number("serve", "--components", optarg, 0, 4096);
    } else if (o == SITES) {
        w->metrics.insights.sites =
            (unsigned)cli_number("serve", "--sites", optarg, 0, METRIC_SITES_MAX);
    } else if (o == VERDICTS) {
        w->metrics.insights.every_s =
            cli_milliseconds("serve", "--verdicts", optarg, 1000, 86400000) / 1000;
    } else if (o == TARGETS) {
        w->targets = true;
    }
}

/* Until it is asked to end; signals are blocked in all threads, and waited for here. */
static void run(struct serve *s, const sigset_t *signals)
{
    uint64_t watchdog_ms = notify_watchdog_ms();
    uint64_t told_ns = 0;
    int number = 0;

    while (number != SIGTERM && number != SIGINT) {
        uint64_t wait_ms = watchdog_ms > 0 && watchdog_ms < 1000 ? watchdog_ms : 1000;
        struct timespec t = {
            (time_t)(wait_ms / 1000), (long)(wait_ms % 1000) * 1000000};

        number = sigtimedwait(signals, NULL, &t);
        if (number == SIGHUP) {
            notify_say("RELOADING=1");
            serve_reload(s);
            notify_say("READY=1");
        }
        httpd_tend(s->httpd);
        if (watchdog_ms > 0 && view_now_ns() - told_ns >= watchdog_ms * 500000u) {
            told_ns = view_now_ns();
            notify_say("WATCHDOG=1");
        }
    }
}

static int print_targets(const struct words *w)
{
    struct mp_error error = {""};
    const struct fleet_list *list;
    struct fleet *fleet;
    json_t *targets;

    if (fleet_create(&w->options.fleet, &fleet, &error) != 0) {
        return cli_fail("serve", EXIT_FAILED, "%s", error.text);
    }
    list = fleet_hold(fleet, 0);
    targets = metrics_targets(list, w->options.listen[0]);
    fleet_release(fleet, list);
    fleet_destroy(fleet);
    return document_print(targets, false);
}

int verb_serve(int argc, char **argv)
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
        {"components", required_argument, NULL, COMPONENTS},
        {"sites", required_argument, NULL, SITES},
        {"verdicts", required_argument, NULL, VERDICTS},
        {"targets", no_argument, NULL, TARGETS}, {0}};
    struct common common = {0};
    struct words w = {.options = {.interval_ms = 5000, .fleet = {.dead_s = 86400}},
        .metrics = metrics_usual};
    struct serve *s;
    sigset_t signals;
    int code;
    int o;

    while ((o = cli_next_option("serve", argc, argv, options, false, &common)) != -1) {
        take_option(&w, o);
    }
    cli_expect_words("serve", argc, 0);
    w.options.hosts = w.hosts;
    w.options.fleet.directories = w.directories;
    if (w.options.listen_count == 0 && w.options.unix_path == NULL) {
        w.options.listen[w.options.listen_count++] = "127.0.0.1:9202";
    }
    if (w.targets) {
        return print_targets(&w);
    }
    w.options.metrics = &w.metrics;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    code = serve_start(&w.options, &s);
    if (code != EXIT_FINE) {
        return code;
    }
    notify_say("READY=1");
    run(s, &signals);
    notify_say("STOPPING=1");
    serve_stop(s, PATIENCE_MS);
    return EXIT_FINE;
}
