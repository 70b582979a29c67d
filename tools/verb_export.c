/*
 * verb_export - mpalloc export: who holds memory, in the formats of other tools
 */
#include "brief.h"
#include "capture.h"
#include "cli.h"
#include "export_rules.h"

#include <stddef.h>
#include <string.h>

const char help_export[] =
    "Who holds memory, as call stacks where they were sampled, else as the parts of\n"
    "the names of components with the size class as the last. Values of sampled\n"
    "stacks are estimates for all allocations, scaled already; documents say so.\n"
    "\n"
    "  TARGET          a PID, a region or dump file, or the name of a process\n"
    "  --name NAME     the process of that name\n"
    "  --pid-file FILE the process whose number is in FILE\n"
    "  --format F      pprof      go tool pprof, Pyroscope, Parca, Perfetto; gzipped\n"
    "                  collapsed  flamegraph.pl, inferno: one stack a line\n"
    "                  speedscope speedscope.app, npx speedscope\n"
    "                  svg        a flame graph, for browsers and documents\n"
    "                  html       the page of mpalloc flame\n"
    "                  dhat       dh_view.html of valgrind, profiler.firefox.com\n"
    "                  massif     ms_print, massif-visualizer: live bytes over time\n"
    "                  heaptrack  heaptrack_gui, heaptrack_print: calls in a made-up\n"
    "                             order with the same sums; of more than 2,000,000\n"
    "                             one stands for several, as the command line says\n"
    "                  heap       google-pprof, jeprof, go tool pprof: addresses, for\n"
    "                             readers that look up names in the files\n"
    "                  jeprof     the same, with threads, as jemalloc writes it\n"
    "                  json       all of it, with intervals (schemas/profile.json)\n"
    "                  openmetrics  Prometheus and its kin: all counters\n"
    "  rules           instead of a TARGET: alert rules for Prometheus, by the preset "
    "or\n"
    "                  the configuration (--preset P, --config FILE), with --warn "
    "80%,\n"
    "                  --critical 90% of the limit, --job NAME of the scrapes, "
    "--runbook\n"
    "                  URL, --interval T of evaluation\n"
    "  --value V       live-bytes (the default), live-blocks, allocated-bytes,\n"
    "                  allocated-blocks, peak-bytes, peak-blocks, short-bytes,\n"
    "                  short-blocks: what collapsed and svg have, and others show\n"
    "                  first\n"
    "  --by-component  put the parts of the component's name below each stack\n"
    "  --output FILE   write there, or nothing at all, instead of standard output\n"
    "\n"
    "  DEBUGINFOD_URLS (environment)  servers of debug information, for functions of\n"
    "                  files without it, or that are not here; asked for 30 s at "
    "most,\n"
    "                  or DEBUGINFOD_MAXTIME\n"
    "\n"
    "Examples:\n"
    "  mpalloc export --format pprof --output heap.pb.gz 4711\n"
    "  go tool pprof -top heap.pb.gz\n"
    "  mpalloc export --format svg --by-component --output heap.svg redis-server\n"
    "  mpalloc export --format heap 4711 > x.prof; google-pprof --text /bin/x x.prof\n"
    "  mpalloc export --format collapsed redis-server | inferno-flamegraph > r.svg\n"
    "  mpalloc export rules --warn 70% > /etc/prometheus/mpalloc.rules.yml\n";

int verb_export(int argc, char **argv)
{
    enum { FORMAT = 1, VALUE, OUTPUT, BY_COMPONENT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"format", required_argument, NULL, FORMAT},
        {"value", required_argument, NULL, VALUE},
        {"output", required_argument, NULL, OUTPUT},
        {"by-component", no_argument, NULL, BY_COMPONENT}, {0}};
    struct capture capture = {.verb = "export"};
    struct common common = {0};
    const char *format = NULL;
    struct target target;
    int code;
    int c;

    if (argc > 1 && strcmp(argv[1], "rules") == 0) {
        return export_rules(argc - 1, argv + 1);
    }
    while ((c = cli_next_option("export", argc, argv, options, false, &common)) != -1) {
        if (c == FORMAT) {
            format = optarg;
        } else if (c == VALUE) {
            capture_set_value(&capture, optarg);
        } else if (c == OUTPUT) {
            capture.path = optarg;
        } else if (c == BY_COMPONENT) {
            capture.by_component = true;
        }
    }
    capture.format =
        capture_find_format("export", format == NULL && common.json ? "json" : format);
    cli_expect_words("export", argc, 1);
    code = capture_check_terminal(&capture);
    if (code == EXIT_FINE) {
        brief_memory();
        code = cli_open_target("export", &common, argv + optind, &target);
    }
    if (code == EXIT_FINE) {
        code = capture_write(&capture, target.image, NULL);
        mp_image_free(target.image);
    }
    return code;
}
