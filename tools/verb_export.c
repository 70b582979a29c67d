/*
 * verb_export - mpalloc export: who holds memory, in the formats of other tools
 */
#include "cli.h"
#include "export.h"
#include "outfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char help_export[] =
    "Who holds memory, as call stacks where they were sampled, else as the parts of\n"
    "the names of components with the size class as the last. Values of sampled\n"
    "stacks are estimates for all allocations, scaled already; documents say so.\n"
    "\n"
    "  TARGET          a PID, a region or dump file, or the name of a process\n"
    "  --name NAME     the process of that name\n"
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
    "  --value V       live-bytes (the default), live-blocks, allocated-bytes,\n"
    "                  allocated-blocks, peak-bytes, peak-blocks, short-bytes,\n"
    "                  short-blocks: what collapsed and svg have, and others show\n"
    "                  first\n"
    "  --by-component  put the parts of the component's name below each stack\n"
    "  --output FILE   write there, or nothing at all, instead of standard output\n"
    "\n"
    "Examples:\n"
    "  mpalloc export --format pprof --output heap.pb.gz 4711\n"
    "  go tool pprof -top heap.pb.gz\n"
    "  mpalloc export --format svg --by-component --output heap.svg redis-server\n"
    "  mpalloc export --format heap 4711 > x.prof; google-pprof --text /bin/x x.prof\n"
    "  mpalloc export --format collapsed redis-server | inferno-flamegraph > r.svg\n";

static const struct export_format *find_format(const char *name)
{
    char known[256] = "";

    for (const struct export_format *f = export_formats; f->name != NULL; f++) {
        if (name != NULL && strcmp(f->name, name) == 0) {
            return f;
        }
        strcat(strcat(known, known[0] != '\0' ? ", " : ""), f->name);
    }
    if (name == NULL) {
        exit(cli_fail("export", EXIT_USAGE, "needs --format: one of %s", known));
    }
    exit(cli_fail(
        "export", EXIT_USAGE, "there is no format %s; one of %s", name, known));
}

static int write_file(const struct export_format *format, const struct profile *p,
    enum profile_value value, const char *path)
{
    struct outfile file;
    int code = outfile_open(&file, path);

    if (code == 0) {
        code = outfile_close(&file, format->write(file.out, p, value));
    }
    if (code != 0) {
        return cli_fail(
            "export", EXIT_FAILED, "%s cannot be written: %s", path, strerror(-code));
    }
    return EXIT_FINE;
}

int verb_export(int argc, char **argv)
{
    enum { FORMAT = 1, VALUE, OUTPUT, BY_COMPONENT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"format", required_argument, NULL, FORMAT},
        {"value", required_argument, NULL, VALUE},
        {"output", required_argument, NULL, OUTPUT},
        {"by-component", no_argument, NULL, BY_COMPONENT}, {0}};
    struct common common = {false, NULL};
    const struct export_format *format;
    enum profile_value value = PROFILE_LIVE_BYTES;
    const char *format_name = NULL;
    const char *path = NULL;
    bool by_component = false;
    struct profile *profile;
    struct target target;
    int code;
    int c;

    while ((c = cli_next_option("export", argc, argv, options, false, &common)) != -1) {
        if (c == FORMAT) {
            format_name = optarg;
        } else if (c == VALUE && !export_find_value(optarg, &value)) {
            return cli_fail("export", EXIT_USAGE, "--value takes one of %s, not \"%s\"",
                export_value_list, optarg);
        } else if (c == OUTPUT) {
            path = optarg;
        } else if (c == BY_COMPONENT) {
            by_component = true;
        }
    }
    format = find_format(format_name == NULL && common.json ? "json" : format_name);
    cli_expect_words("export", argc, 1);
    if (path == NULL && isatty(STDOUT_FILENO)
        && (format->write == export_pprof || format->write == export_html)) {
        return cli_fail("export", EXIT_USAGE,
            "%s is not for terminals: use --output FILE, or a pipe", format->name);
    }
    code = cli_open_target("export", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    profile = profile_create(target.image);
    if (export_prepare(profile, by_component) != 0) {
        code = cli_fail("export", EXIT_FAILED, "no memory for the document");
    } else if (path != NULL) {
        code = write_file(format, profile, value, path);
    } else if (format->write(stdout, profile, value) != 0) {
        code = cli_fail("export", EXIT_FAILED, "no memory for the document");
    }
    profile_destroy(profile);
    mp_image_free(target.image);
    return code;
}
