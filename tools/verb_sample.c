/*
 * verb_sample - mpalloc sample: how often a running process samples its call stacks
 */
#include "cli.h"
#include "document.h"
#include "document_requests.h"
#include "format.h"

#include <stdio.h>

const char help_sample[] =
    "RATE is the mean number of bytes between two samples, such as 64k, or `exact` "
    "(every\n"
    "allocation), or `off`. The process takes it in its next slow path; its other "
    "threads\n"
    "follow in theirs. What was sampled before stays.\n"
    "\n"
    "  TARGET           a PID, a region file, or the name of a process\n"
    "  --name NAME      the process of that name\n"
    "  --pid-file FILE  the process whose number is in FILE\n"
    "  --timeout TIME   wait so long for the answer (default 2s)\n"
    "  --json           schema tools/schemas/sample.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc sample 4711 64k\n"
    "  mpalloc sample --name redis-server off\n";

/* Into ret; returns it. */
static const char *describe(uint64_t interval, char *ret, size_t size)
{
    if (interval == MP_SAMPLING_EXACT || interval == MP_SAMPLING_OFF) {
        snprintf(ret, size, "%s",
            interval == MP_SAMPLING_OFF ? "nothing" : "every allocation");
    } else {
        snprintf(ret, size, "one allocation in %s", format_block(interval).text);
    }
    return ret;
}

int verb_sample(int argc, char **argv)
{
    struct common common = {0};
    struct mp_error error = {""};
    struct target target;
    unsigned timeout_ms = cli_request_options("sample", argc, argv, &common);
    bool is_named = common.name != NULL || common.pid_file != NULL;
    int words = is_named ? 1 : 2; /* a target, unless it is named, and RATE */
    char text[80];
    uint64_t wanted;
    uint64_t interval = 0;
    int code;

    cli_expect_words("sample", argc, words);
    if (argc - optind < words) {
        return cli_fail(
            "sample", EXIT_USAGE, "needs a target and a rate: mpalloc sample 4711 64k");
    }
    wanted = cli_interval("sample", "RATE", argv[argc - 1]);
    argv[argc - 1] = NULL; /* what is before it is the target */
    code = cli_find_target("sample", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    code = mp_sample_request(target.path, wanted, timeout_ms, &interval, &error);
    if (code != 0) {
        return cli_fail_as("sample", code, &error);
    }
    if (interval != wanted) {
        return cli_fail("sample", EXIT_FAILED,
            "the process does not follow: it samples %s (in hardened mode stacks are "
            "not "
            "sampled)",
            describe(interval, text, sizeof(text)));
    }
    if (common.json) {
        return document_print(document_sample(target.path, interval), false);
    }
    printf("samples %s from now on\n", describe(interval, text, sizeof(text)));
    return EXIT_FINE;
}
