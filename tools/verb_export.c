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
    "What each component holds, by size class: as stacks of the parts of its name, "
    "with\n"
    "the class as the last. All counts are exact. Call stacks are not sampled yet.\n"
    "\n"
    "  TARGET          a PID, a region or dump file, or the name of a process\n"
    "  --name NAME     the process of that name\n"
    "  --format F      pprof      go tool pprof, Pyroscope, Parca, Perfetto; gzipped\n"
    "                  collapsed  flamegraph.pl, inferno: one stack a line\n"
    "                  speedscope speedscope.app, npx speedscope\n"
    "                  svg        a flame graph, for browsers and documents\n"
    "                  html       the page of mpalloc flame\n"
    "                  massif     ms_print, massif-visualizer: live bytes over time\n"
    "                  openmetrics  Prometheus and its kin: all counters\n"
    "  --value V       live-bytes (the default), live-blocks, allocated-bytes,\n"
    "                  allocated-blocks: what collapsed and svg have, what others show "
    "first\n"
    "  --output FILE   write there, or nothing at all, instead of standard output\n"
    "\n"
    "Examples:\n"
    "  mpalloc export --format pprof --output heap.pb.gz 4711 && go tool pprof -top "
    "heap.pb.gz\n"
    "  mpalloc export --format svg --output heap.svg redis-server\n"
    "  mpalloc export --format collapsed redis-server | inferno-flamegraph > "
    "redis.svg\n";

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
    enum { FORMAT = 1, VALUE, OUTPUT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"format", required_argument, NULL, FORMAT},
        {"value", required_argument, NULL, VALUE},
        {"output", required_argument, NULL, OUTPUT}, {0}};
    struct common common = {false, NULL};
    const struct export_format *format;
    enum profile_value value = PROFILE_LIVE_BYTES;
    const char *format_name = NULL;
    const char *path = NULL;
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
        }
    }
    format = find_format(format_name);
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
    if (path != NULL) {
        code = write_file(format, profile, value, path);
    } else if (format->write(stdout, profile, value) != 0) {
        code = cli_fail("export", EXIT_FAILED, "no memory for the document");
    }
    profile_destroy(profile);
    mp_image_free(target.image);
    return code;
}
