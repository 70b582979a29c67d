/*
 * verb_report - mpalloc snapshot, mpalloc report: one image, whole
 */
#include "cli.h"
#include "document.h"
#include "document_stacks.h"
#include "format.h"
#include "render.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char help_report[] =
    "Totals, where resident memory is, components, size classes, call stacks that "
    "hold\n"
    "most, the timeline, and what mpalloc itself costs. The process is not disturbed, "
    "and\n"
    "need not live any more.\n"
    "\n"
    "  TARGET          a PID, a region, dump or core file, or the name of a process\n"
    "  --name NAME     the process of that name (MPALLOC_SERVICE, or its executable)\n"
    "  --pid-file FILE the process whose number is in FILE\n"
    "  --all           every component, size class and call stack, not only the "
    "largest\n"
    "  --rows N        the largest N\n"
    "  --output FILE   write there instead of standard output\n"
    "  --json          schema tools/schemas/report.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc report 4711\n"
    "  mpalloc report --name redis-server --json | jq .rss_ledger\n"
    "  mpalloc report /dev/shm/mpalloc-1000/4711-8125521.mp    after it was killed\n";

const char help_snapshot[] =
    "One line of the main figures; with --json all counters.\n"
    "\n"
    "  TARGET        a PID, a region, dump or core file, or the name of a process\n"
    "  --name NAME   the process of that name\n"
    "  --pid-file FILE the process whose number is in FILE\n"
    "  --json        schema tools/schemas/snapshot.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc snapshot 4711\n"
    "  mpalloc snapshot 4711 --json | jq '.components[] | {name, live_bytes}'\n";

/* stacks: how many; 0 for a snapshot, which has no history either. */
static int print_json(const char *name, const mp_image_t *image, size_t stacks)
{
    json_t *d = document_new(name);

    document_add_snapshot(d, image);
    if (stacks > 0) {
        document_add_history(d, image);
        document_add_stacks(d, image, stacks);
    }
    return document_print(d, false);
}

static int finish(const char *verb, FILE *out, const char *path)
{
    bool bad = fflush(out) != 0 || ferror(out);

    if (out != stdout) {
        bad |= fclose(out) != 0;
    }
    return bad ? cli_fail(verb, EXIT_FAILED, "%s cannot be written: %m",
               path != NULL ? path : "standard output")
               : EXIT_FINE;
}

int verb_report(int argc, char **argv)
{
    enum { ALL = 1, ROWS, OUTPUT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"all", no_argument, NULL, ALL}, {"rows", required_argument, NULL, ROWS},
        {"output", required_argument, NULL, OUTPUT}, {0}};
    struct common common = {0};
    struct render_options look = {.rows = 12};
    const char *path = NULL;
    struct target target;
    FILE *out = stdout;
    int code;
    int c;

    while ((c = cli_next_option("report", argc, argv, options, false, &common)) != -1) {
        if (c == ALL) {
            look.all = true;
        } else if (c == ROWS) {
            look.rows = (unsigned)cli_number("report", "--rows", optarg, 1, 4098);
        } else if (c == OUTPUT) {
            path = optarg;
        }
    }
    cli_expect_words("report", argc, 1);
    code = cli_open_target("report", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    if (path != NULL
        && (common.json ? freopen(path, "we", stdout) : (out = fopen(path, "we")))
               == NULL) {
        code = cli_fail("report", EXIT_FAILED, "%s cannot be written: %m", path);
    } else if (common.json) {
        code =
            print_json("report", target.image, look.all ? SIZE_MAX : DOCUMENT_STACKS);
    } else {
        render_report(out, target.image, &look);
        code = finish("report", out, path);
    }
    mp_image_free(target.image);
    return code;
}

static void print_line(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    struct mp_proc k;
    char name[256];

    printf("%s %llu %s  live %s in %s blocks  peak %s",
        format_name(name, sizeof(name), p->service, 40), (unsigned long long)p->pid,
        mp_life_name(mp_image_life(image)), format_bytes((double)t->live_bytes).text,
        format_count((double)t->live_blocks).text,
        format_bytes((double)t->live_peak_bytes).text);
    if (mp_image_life(image) == MP_LIFE_RUNNING && mp_proc_read(p->pid, &k) == 0) {
        printf("  RSS %s", format_known(k.resident_bytes).text);
    }
    printf("  cached %s  dirty %s  age %s\n",
        format_bytes((double)t->cached_bytes).text,
        format_bytes((double)t->dirty_bytes).text,
        format_seconds(view_age_seconds(image)).text);
}

int verb_snapshot(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS, {0}};
    struct common common = {0};
    struct target target;
    int code;

    while (cli_next_option("snapshot", argc, argv, options, false, &common) != -1) {
    }
    cli_expect_words("snapshot", argc, 1);
    code = cli_open_target("snapshot", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    if (common.json) {
        code = print_json("snapshot", target.image, 0);
    } else {
        print_line(target.image);
        code = finish("snapshot", stdout, NULL);
    }
    mp_image_free(target.image);
    return code;
}
