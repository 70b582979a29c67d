/*
 * verb_report - mpalloc snapshot, mpalloc report: one image, whole
 */
#include "brief.h"
#include "cli.h"
#include "dead.h"
#include "document.h"
#include "document_report.h"
#include "document_stacks.h"
#include "format.h"
#include "render.h"
#include "render_tops.h"
#include "report_past.h"
#include "report_sheet.h"
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
    "  --by WHAT       one table: component, site, function, operation or thread\n"
    "  --sort WHAT     of that: live (default), allocated, count, peak or short\n"
    "  --since T       what it was for the last T (30m, 24h, 7d), out of what mpalloc "
    "record\n"
    "                  kept: what it held, where resident memory was, then and now and "
    "over\n"
    "                  time; also of a process that is gone, by name all that had it\n"
    "  --forecast      how fast it grows, and when it reaches its limit\n"
    "                  (--json of these two: schema tools/schemas/history.json)\n"
    "  --dead          the newest region of a process that died: how, as far as known, "
    "what "
    "was\n"
    "                  live, and what grew last; TARGET is a PID, a name, or nothing: "
    "of "
    "all\n"
    "                  (schema tools/schemas/dead.json; exit code 4: there is none)\n"
    "  --format F      text (default), md, html: one page that needs nothing else, "
    "json\n"
    "  --output FILE   write there instead of standard output\n"
    "  --json          the same as --format json; schema tools/schemas/report.json\n"
    "\n"
    "  Advice: POOL, ARENA, BATCH, CHUNK, RESIZE, TRIM, SPREAD, BOUND, HANDLER, "
    "CYCLE,\n"
    "          THREAD, SHRINK, HOT, RESERVE, ALIGN\n"
    "\n"
    "Examples:\n"
    "  mpalloc report 4711\n"
    "  mpalloc report 4711 --by function --sort count\n"
    "  mpalloc report 4711 --format html -o report.html\n"
    "  mpalloc report shop --since 24h\n"
    "  mpalloc report --dead shop\n"
    "  mpalloc report 4711 --forecast\n"
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

/* What was asked for. */
enum report_format { FORMAT_TEXT, FORMAT_MARKDOWN, FORMAT_HTML };

struct asked {
    struct common common;
    enum report_format format;
    struct render_options look;
    const char *path;
    bool is_by; /* one table, of these two */
    enum top_key key;
    enum profile_value sort;
    int64_t since_s; /* 0: now */
    bool with_forecast;
    bool is_dead;
    bool has_rows;
};

static void read_format(const char *name, struct asked *a)
{
    if (strcmp(name, "json") == 0) {
        a->common.json = true;
    } else if (strcmp(name, "md") == 0 || strcmp(name, "markdown") == 0) {
        a->format = FORMAT_MARKDOWN;
    } else if (strcmp(name, "html") == 0) {
        a->format = FORMAT_HTML;
    } else if (strcmp(name, "text") != 0) {
        exit(cli_fail("report", EXIT_USAGE,
            "--format takes text, md, html or json, not '%s'", name));
    }
}

static void read_options(int argc, char **argv, struct asked *a)
{
    enum { ALL = 1, ROWS, OUTPUT, BY, SORT, FORMAT, SINCE, FORECAST, DEAD };
    static const struct option options[] = {COMMON_OPTIONS,
        {"all", no_argument, NULL, ALL}, {"rows", required_argument, NULL, ROWS},
        {"output", required_argument, NULL, OUTPUT},
        {"by", required_argument, NULL, BY}, {"sort", required_argument, NULL, SORT},
        {"format", required_argument, NULL, FORMAT},
        {"since", required_argument, NULL, SINCE},
        {"forecast", no_argument, NULL, FORECAST}, {"dead", no_argument, NULL, DEAD},
        {0}};
    bool has_sort = false;
    int c;

    while (
        (c = cli_next_option("report", argc, argv, options, false, &a->common)) != -1) {
        if (c == ALL) {
            a->look.all = true;
        } else if (c == ROWS) {
            a->look.rows = (unsigned)cli_number("report", "--rows", optarg, 1, 4098);
            a->has_rows = true;
        } else if (c == OUTPUT) {
            a->path = optarg;
        } else if (c == FORMAT) {
            read_format(optarg, a);
        } else if (c == SINCE) {
            a->since_s = report_parse_since(optarg);
        } else if (c == FORECAST) {
            a->with_forecast = true;
        } else if (c == DEAD) {
            a->is_dead = true;
        } else if (c == BY) {
            a->is_by = top_key_find(optarg, &a->key);
            if (!a->is_by) {
                exit(cli_fail("report", EXIT_USAGE,
                    "--by takes component, site, function, operation or thread, not "
                    "'%s'",
                    optarg));
            }
        } else if (c == SORT) {
            has_sort = true;
            if (!top_sort_find(optarg, &a->sort)) {
                exit(cli_fail("report", EXIT_USAGE,
                    "--sort takes live, allocated, count, peak or short, not '%s'",
                    optarg));
            }
        }
    }
    if (has_sort && !a->is_by) {
        exit(cli_fail("report", EXIT_USAGE, "--sort needs --by: a table to sort"));
    }
    if (a->is_by && a->format != FORMAT_TEXT) {
        exit(cli_fail("report", EXIT_USAGE, "--by is shown as text or JSON only"));
    }
    if (a->is_dead
        && (a->is_by || a->format != FORMAT_TEXT || a->since_s > 0
            || a->with_forecast)) {
        exit(cli_fail("report", EXIT_USAGE,
            "--dead is shown as text or JSON only, without --by, --since, --forecast"));
    }
    if ((a->since_s > 0 || a->with_forecast) && a->is_by) {
        exit(cli_fail(
            "report", EXIT_USAGE, "--since and --forecast are shown without --by"));
    }
}

static int print_report(FILE *out, const mp_image_t *image, const struct asked *a)
{
    size_t most = a->look.all ? SIZE_MAX : a->look.rows;

    if (a->common.json) {
        return document_print(
            a->is_by ? document_tops(image, a->key, a->sort, most)
                     : document_report(image, a->look.all   ? SIZE_MAX
                                              : a->has_rows ? a->look.rows
                                                            : DOCUMENT_STACKS),
            false);
    }
    if (a->format != FORMAT_TEXT) {
        struct sheet *s = report_sheet_create(image, most);

        (a->format == FORMAT_HTML ? sheet_put_html : sheet_put_markdown)(s, out);
        sheet_destroy(s);
    } else if (a->is_by) {
        render_tops(out, image, a->key, a->sort, most);
    } else {
        render_report(out, image, &a->look);
    }
    return finish("report", out, a->path);
}

int verb_report(int argc, char **argv)
{
    struct asked a = {.look = {.rows = 12}, .sort = PROFILE_LIVE_BYTES};
    struct target target;
    FILE *out = stdout;
    int code;

    read_options(argc, argv, &a);
    cli_expect_words("report", argc, 1);
    if (a.is_dead) {
        return report_dead(
            &a.common, argv + optind, a.look.all ? SIZE_MAX : a.look.rows, a.path);
    }
    if (a.since_s > 0 || a.with_forecast) {
        return report_past(&a.common, argv + optind, a.since_s, a.with_forecast,
            a.format == FORMAT_HTML       ? PAST_HTML
            : a.format == FORMAT_MARKDOWN ? PAST_MARKDOWN
                                          : PAST_TEXT,
            a.path);
    }
    brief_memory();
    code = cli_open_target("report", &a.common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    if (a.path != NULL
        && (a.common.json ? freopen(a.path, "we", stdout) : (out = fopen(a.path, "we")))
               == NULL) {
        code = cli_fail("report", EXIT_FAILED, "%s cannot be written: %m", a.path);
    } else {
        code = print_report(out, target.image, &a);
    }
    mp_image_free(target.image);
    return code;
}

static void print_line(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    char name[256];

    printf("%s %llu %s  live %s in %s blocks  peak %s",
        format_name(name, sizeof(name), p->service, 40), (unsigned long long)p->pid,
        mp_life_name(mp_image_life(image)), format_bytes((double)t->live_bytes).text,
        format_count((double)t->live_blocks).text,
        format_bytes((double)t->live_peak_bytes).text);
    if (mp_image_life(image) == MP_LIFE_RUNNING) {
        printf("  RSS %s", format_known(mp_proc_resident(p->pid)).text);
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
    if (common.json) {
        brief_memory();
    }
    code = (common.json ? cli_open_target : cli_open_counters)(
        "snapshot", &common, argv + optind, &target);
    if (code != EXIT_FINE) {
        return code;
    }
    if (common.json) {
        code = document_print(document_snapshot(target.image), false);
    } else {
        print_line(target.image);
        code = finish("snapshot", stdout, NULL);
    }
    mp_image_free(target.image);
    return code;
}
