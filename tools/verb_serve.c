/*
 * verb_serve - mpalloc serve: the processes of this machine, over HTTP
 */
#include "cli.h"
#include "document.h"
#include "serve/metrics.h"
#include "serve/running.h"
#include "serve/settings.h"

#include <stdio.h>
#include <string.h>

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
    "  --unix PATH          at a socket, for its owner only; with --listen: there, "
    "too\n"
    "  --dir DIR            regions there, instead of $MPALLOC_DIR or "
    "/dev/shm/mpalloc-UID;\n"
    "                       again for more\n"
    "  --interval T         so often all is looked at by itself (5s)\n"
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
    "  --no-history         add nothing to the history (mpalloc record)\n"
    "  --config FILE        alerts, sinks, OTLP, push, and the above; the command line "
    "counts\n"
    "                       more. Else $MPALLOC_CONFIG, "
    "~/.config/mpalloc/mpalloc.yaml,\n"
    "                       /etc/mpalloc/mpalloc.yaml\n"
    "\n"
    "SIGHUP reads configuration, token and certificate again. SIGTERM ends it after "
    "what was\n"
    "asked is answered. systemd: Type=notify, WatchdogSec and sockets are supported.\n"
    "\n"
    "Examples:\n"
    "  mpalloc serve                       then open http://127.0.0.1:9202/\n"
    "  mpalloc serve --listen '[::]:9202' --token-file /etc/mpalloc/token\n"
    "  mpalloc serve --unix /run/mpalloc.sock --allow-actions\n"
    "  mpalloc serve --targets --listen app1:9202 > /etc/prometheus/mpalloc.json\n";

static void reload(struct serve *s, void *arg)
{
    struct settings *settings = arg;
    int code;

    if (settings_read(settings, &code)) {
        serve_reload(s, &settings->options);
    } else {
        fprintf(stderr, "mpalloc serve: what was before is kept\n");
    }
}

static int print_targets(const struct settings *s)
{
    struct mp_error error = {""};
    const struct fleet_list *list;
    struct fleet *fleet;
    json_t *targets;

    if (fleet_create(&s->options.fleet, &fleet, &error) != 0) {
        return cli_fail("serve", EXIT_FAILED, "%s", error.text);
    }
    list = fleet_hold(fleet, 0);
    targets = metrics_targets(list, s->options.listen[0]);
    fleet_release(fleet, list);
    fleet_destroy(fleet);
    return document_print(targets, false);
}

int verb_serve(int argc, char **argv)
{
    struct settings settings;
    struct serve *s;
    int code;

    settings_parse(&settings, argc, argv);
    if (!settings_read(&settings, &code)) {
        settings_free(&settings);
        return code;
    }
    if (settings.targets && settings.options.listen_count == 0) {
        settings_free(&settings);
        return cli_fail("serve", EXIT_USAGE,
            "--targets says where to scrape: add --listen ADDR:PORT, a socket is no "
            "address");
    }
    if (settings.targets) {
        code = print_targets(&settings);
        settings_free(&settings);
        return code;
    }
    running_prepare();
    code = serve_start(&settings.options, &s);
    if (code == EXIT_FINE) {
        running_until_end(s, reload, &settings);
    }
    settings_free(&settings);
    return code;
}
