/*
 * verb_trim - mpalloc trim: ask a process to give its free memory back, now
 */
#include "cli.h"
#include "document.h"
#include "document_requests.h"
#include "format.h"

#include <stdio.h>

const char help_trim[] =
    "The process does it in its next slow path; its other threads follow in theirs. "
    "One\n"
    "that sleeps does nothing: then the request waits for it, and the command says "
    "so.\n"
    "\n"
    "  TARGET           a PID, a region file, or the name of a process\n"
    "  --timeout TIME   wait so long for the answer (default 2s)\n"
    "  --json           schema tools/schemas/trim.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc trim 4711\n"
    "  mpalloc trim --name redis-server --timeout 10s\n";

int verb_trim(int argc, char **argv)
{
    struct common common = {0};
    struct mp_error error = {""};
    struct target target;
    unsigned timeout_ms = cli_request_options("trim", argc, argv, &common);
    uint64_t bytes = 0;
    int code;

    cli_expect_words("trim", argc, 1);
    code = cli_find_target("trim", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    code = mp_trim_request(target.path, timeout_ms, &bytes, &error);
    if (code != 0) {
        return cli_fail_as("trim", code, &error);
    }
    if (common.json) {
        return document_print(document_trim(target.path, bytes), false);
    }
    printf("%s given back to the kernel\n", format_bytes((double)bytes).text);
    return EXIT_FINE;
}
