/*
 * verb_flame - mpalloc flame: a page with the flame graph of a process
 */
#include "cli.h"
#include "export.h"
#include "format.h"
#include "outfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char help_flame[] =
    "One HTML file that needs nothing else: no network, no server, no other file. "
    "Boxes\n"
    "are as wide as what a function and all that it called hold; click to zoom, hover\n"
    "for figures and how sure they are. What is live, at the peak, allocated and\n"
    "short-lived, in bytes or blocks, by component, searched, inverted.\n"
    "\n"
    "  TARGET          a PID, a region or dump file, or the name of a process\n"
    "  --name NAME     the process of that name\n"
    "  --output FILE   (or -o FILE) write there, whole or not at all, instead of "
    "standard\n"
    "                  output\n"
    "  --value V       what is shown first: live-bytes (the default), live-blocks,\n"
    "                  peak-, allocated- or short-bytes, or -blocks\n"
    "\n"
    "Examples:\n"
    "  mpalloc flame -o heap.html 4711\n"
    "  mpalloc flame --name redis-server --value allocated-bytes -o redis.html\n"
    "  mpalloc flame -o killed.html /dev/shm/mpalloc-1000/4711-8125521.mp\n"
    "  ssh host mpalloc flame 4711 > heap.html\n";

static int write_file(
    const struct profile *p, enum profile_value value, const char *path)
{
    struct outfile file;
    int code = outfile_open(&file, path);

    if (code == 0) {
        code = outfile_close(&file, export_html(file.out, p, value));
    }
    if (code != 0) {
        return cli_fail(
            "flame", EXIT_FAILED, "%s cannot be written: %s", path, strerror(-code));
    }
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "%s: %s, open it in a browser\n", path,
            format_bytes((double)file.bytes).text);
    }
    return EXIT_FINE;
}

int verb_flame(int argc, char **argv)
{
    enum { VALUE = 1, OUTPUT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"value", required_argument, NULL, VALUE},
        {"output", required_argument, NULL, OUTPUT}, {0}};
    struct common common = {false, NULL};
    enum profile_value value = PROFILE_LIVE_BYTES;
    const char *path = NULL;
    struct profile *profile;
    struct target target;
    int code;
    int c;

    while ((c = cli_next_option("flame", argc, argv, options, false, &common)) != -1) {
        if (c == VALUE && !export_find_value(optarg, &value)) {
            return cli_fail("flame", EXIT_USAGE, "--value takes one of %s, not \"%s\"",
                export_value_list, optarg);
        } else if (c == OUTPUT) {
            path = optarg;
        }
    }
    cli_expect_words("flame", argc, 1);
    if (path == NULL && isatty(STDOUT_FILENO)) {
        return cli_fail("flame", EXIT_USAGE,
            "a page is not for terminals: use -o FILE.html, or a pipe");
    }
    code = cli_open_target("flame", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    profile = profile_create(target.image);
    if (export_prepare(profile, false) != 0) {
        code = cli_fail("flame", EXIT_FAILED, "no memory for the page");
    } else if (path != NULL) {
        code = write_file(profile, value, path);
    } else if (export_html(stdout, profile, value) != 0) {
        code = cli_fail("flame", EXIT_FAILED, "no memory for the page");
    }
    profile_destroy(profile);
    mp_image_free(target.image);
    return code;
}
