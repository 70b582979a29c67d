/*
 * verb_trim - mpalloc trim: ask a process to give its free memory back, now
 */
#include "cli.h"
#include "document.h"
#include "format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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
    enum { TIMEOUT = 1 };
    static const struct option options[] = {
        COMMON_OPTIONS, {"timeout", required_argument, NULL, TIMEOUT}, {0}};
    struct common common = {false, NULL};
    struct mp_error error = {""};
    struct target target;
    unsigned timeout_ms = 2000;
    uint64_t bytes = 0;
    int code;

    while (
        (code = cli_next_option("trim", argc, argv, options, false, &common)) != -1) {
        if (code == TIMEOUT) {
            timeout_ms = cli_milliseconds("trim", "--timeout", optarg, 1, 3600000);
        }
    }
    cli_expect_words("trim", argc, 1);
    code = cli_find_target("trim", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    code = mp_trim_request(target.path, timeout_ms, &bytes, &error);
    if (code != 0) {
        return cli_fail("trim", cli_code(code), "%s",
            error.text[0] != '\0' ? error.text : strerror(-code));
    }
    if (common.json) {
        json_t *d = document_new("trim");

        document_set_text(d, "region", target.path);
        document_set_bytes(d, "trimmed_bytes", bytes);
        return document_print(d, false);
    }
    printf("%s given back to the kernel\n", format_bytes((double)bytes).text);
    return EXIT_FINE;
}
