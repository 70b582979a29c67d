/*
 * verb_flame - mpalloc flame: a page with the flame graph of a process
 */
#include "brief.h"
#include "capture.h"
#include "cli.h"
#include "format.h"

#include <stdio.h>
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
    "  --pid-file FILE the process whose number is in FILE\n"
    "  --output FILE   (or -o FILE) write there, whole or not at all, instead of "
    "standard\n"
    "                  output\n"
    "  --value V       what is shown first: live-bytes (the default; peak-bytes of\n"
    "                  a program that ended), live-blocks,\n"
    "                  peak-, allocated- or short-bytes, or -blocks\n"
    "\n"
    "Examples:\n"
    "  mpalloc flame -o heap.html 4711\n"
    "  mpalloc flame --name redis-server --value allocated-bytes -o redis.html\n"
    "  mpalloc flame -o killed.html /dev/shm/mpalloc-1000/4711-8125521.mp\n"
    "  ssh host mpalloc flame 4711 > heap.html\n";

int verb_flame(int argc, char **argv)
{
    enum { VALUE = 1, OUTPUT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"value", required_argument, NULL, VALUE},
        {"output", required_argument, NULL, OUTPUT}, {0}};
    struct capture capture = {.verb = "flame", .format = capture_html()};
    struct common common = {0};
    struct target target;
    uint64_t bytes = 0;
    int code;
    int c;

    while ((c = cli_next_option("flame", argc, argv, options, false, &common)) != -1) {
        if (c == VALUE) {
            capture_set_value(&capture, optarg);
        } else if (c == OUTPUT) {
            capture.path = optarg;
        }
    }
    cli_expect_words("flame", argc, 1);
    code = capture_check_terminal(&capture);
    if (code == EXIT_FINE) {
        brief_memory();
        code = cli_open_target("flame", &common, argv + optind, &target);
    }
    if (code == EXIT_FINE) {
        code = capture_write(&capture, target.image, &bytes);
        mp_image_free(target.image);
    }
    if (code == EXIT_FINE && capture.path != NULL && isatty(STDERR_FILENO)) {
        fprintf(stderr, "%s: %s, open it in a browser\n", capture.path,
            format_bytes((double)bytes).text);
    }
    return code;
}
