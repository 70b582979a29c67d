/*
 * verb_leaks - mpalloc leaks: what grows without end, whose it is, how long there is left
 */
#include "acks.h"
#include "brief.h"
#include "cli.h"
#include "document.h"
#include "document_leaks.h"
#include "leaks_past.h"
#include "render_leaks.h"
#include "report_past.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char help_leaks[] =
    "One verdict for each call stack: lost, growing, suspect, cache-like or fine, with "
    "what\n"
    "speaks for it, the growth per hour and the time until memory is used up. One look "
    "is\n"
    "enough, for the process keeps its past; it is not disturbed, and need not live "
    "any more.\n"
    "\n"
    "  TARGET          a PID, a region, dump or core file, or the name of a process\n"
    "  --name NAME     the process of that name (MPALLOC_SERVICE, or its executable)\n"
    "  --pid-file FILE the process whose number is in FILE\n"
    "  --scan          first look which blocks the program can still reach: two "
    "rounds, a\n"
    "                  second apart; it stands still for milliseconds per GiB in each\n"
    "  --by WHAT       site (a call stack in a component, the default), or component\n"
    "  --all           also what is cache-like or fine\n"
    "  --rows N        the N worst (20)\n"
    "  --since WHEN    what each holds more since then: an earlier dump of the "
    "process, "
    "or a\n"
    "                  time such as 24h, if it is recorded (mpalloc record)\n"
    "  --json          schema tools/schemas/leaks.json\n"
    "  --sarif         SARIF 2.1.0, for code hosts\n"
    "  --junit         JUnit's XML, for builds\n"
    "\n"
    "  --ack ID        the leak of that number is known: it fails no run, and is shown "
    "so\n"
    "  --until DATE    until then, such as 2027-01-31; else for ever\n"
    "  --note TEXT     why\n"
    "                  in $MPALLOC_HISTORY, else ~/.local/state/mpalloc/history.db\n"
    "\n"
    "A core file holds the region where it is a memfd (MPALLOC_REGION=memfd), or bit 3 "
    "of\n"
    "/proc/PID/coredump_filter is set; else it names the file that the process left.\n"
    "\n"
    "Examples:\n"
    "  mpalloc leaks 4711\n"
    "  mpalloc leaks core\n"
    "  mpalloc leaks --scan 4711\n"
    "  mpalloc leaks --since 24h 4711\n"
    "  mpalloc leaks --name shop --json | jq '.leaks[] | {verdict, component, rules}'\n"
    "  mpalloc leaks --ack 0f3a52b1c09d7e44 --until 2027-01-31 --note 'ticket 1203'\n";

enum form { FORM_TEXT, FORM_JSON, FORM_SARIF, FORM_JUNIT };

struct plan {
    enum form form;
    struct render_leaks_options look;
    const char *since;
    int64_t since_s; /* not 0: so long, and no file */
    bool scan;
    const char *ack;
    const char *note;
    const char *until; /* as it was written */
    int64_t until_s;
};

/* ---- options ---- */

/* 30 February is none, though mktime makes a day of March of it. */
static bool is_day(const struct tm *day)
{
    struct tm same = {.tm_isdst = -1,
        .tm_year = day->tm_year,
        .tm_mon = day->tm_mon,
        .tm_mday = day->tm_mday,
        .tm_hour = 12};

    return mktime(&same) != -1 && same.tm_mday == day->tm_mday;
}

static int64_t parse_date(const char *text)
{
    struct tm day = {.tm_isdst = -1};
    const char *end = strptime(text, "%Y-%m-%d", &day);
    int64_t until_s;

    if (end == NULL || *end != '\0' || strspn(text, "0123456789") != 4
        || !is_day(&day)) {
        exit(cli_fail("leaks", EXIT_USAGE,
            "--until takes a date such as 2027-01-31, not \"%s\"", text));
    }
    day.tm_mday++; /* to its end */
    until_s = (int64_t)mktime(&day);
    if (until_s <= time(NULL)) {
        exit(cli_fail("leaks", EXIT_USAGE, "--until %s: that day is over", text));
    }
    return until_s < ACK_UNTIL_MOST ? until_s : INT64_MAX;
}

static void check_id(const char *text)
{
    if (strlen(text) != LEAK_ID_BYTES - 1
        || strspn(text, "0123456789abcdef") != LEAK_ID_BYTES - 1) {
        exit(cli_fail("leaks", EXIT_USAGE,
            "--ack takes the 16 digits that stand beside a verdict, not \"%s\"", text));
    }
}

static bool parse_by(const char *text)
{
    if (strcmp(text, "site") != 0 && strcmp(text, "component") != 0) {
        exit(cli_fail(
            "leaks", EXIT_USAGE, "--by takes site or component, not \"%s\"", text));
    }
    return text[0] == 'c';
}

static void set_form(struct plan *plan, enum form form)
{
    if (plan->form != FORM_TEXT && plan->form != form) {
        exit(cli_fail("leaks", EXIT_USAGE, "takes one of --json, --sarif and --junit"));
    }
    plan->form = form;
}

/* What would be asked for in vain. */
static void check_plan(const struct plan *plan)
{
    if (plan->until != NULL || plan->note != NULL) {
        exit(cli_fail("leaks", EXIT_USAGE, "%s is for --ack ID: give that, too",
            plan->until != NULL ? "--until" : "--note"));
    }
    if (plan->look.by_component
        && (plan->form == FORM_SARIF || plan->form == FORM_JUNIT)) {
        exit(cli_fail("leaks", EXIT_USAGE,
            "--by component is a table, or --json: the others are of call stacks"));
    }
}

/* ---- what is asked for ---- */

static int print(const struct plan *plan, const struct leaks *l)
{
    switch (plan->form) {
    case FORM_JSON:
        return document_print(
            document_leaks(l, plan->look.rows, plan->look.all), false);
    case FORM_SARIF:
        return document_print(document_leaks_sarif(l), false);
    case FORM_JUNIT:
        document_leaks_junit(stdout, l);
        break;
    default:
        render_leaks(stdout, l, &plan->look);
    }
    return fflush(stdout) != 0 || ferror(stdout)
               ? cli_fail("leaks", EXIT_FAILED, "standard output cannot be written: %m")
               : EXIT_FINE;
}

static int judge(const struct plan *plan, const mp_image_t *image)
{
    mp_image_t *earlier = NULL;
    struct leaks *l;
    int code = EXIT_FINE;

    if (plan->since != NULL && plan->since_s == 0) {
        if (access(plan->since, F_OK) != 0 && strpbrk(plan->since, "/.") == NULL) {
            return cli_fail("leaks", EXIT_USAGE,
                "--since takes a time such as 30m, 24h or 7d, or an earlier dump, not "
                "\"%s\"",
                plan->since);
        }
        code = cli_open_file("leaks", plan->since, &earlier);
    }
    if (code != EXIT_FINE) {
        return code;
    }
    l = leaks_create(image, earlier);
    if (plan->since_s != 0) {
        code = leaks_add_past(l, plan->since_s);
    }
    if (code == EXIT_FINE) {
        code = print(plan, l);
    }
    leaks_destroy(l);
    mp_image_free(earlier);
    return code;
}

/* Blocks of a thread that is about to store them look lost: not a second later. */
enum { SCAN_WAIT_MS = 1000, SCAN_TIMEOUT_MS = 60000 };

/* It takes seconds: who waits at a terminal is told so, and nobody else. */
static void tell_progress(bool is_over)
{
    static const char text[] =
        "looking at what the program can reach: two rounds, a second apart";

    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, is_over ? "\r%*s\r" : "%*s", (int)sizeof(text) - 1,
            is_over ? "" : text);
        fflush(stderr);
    }
}

/* Everybody is told that it may take for ever. */
static void say_wait(const char *text, void *arg)
{
    (void)arg;
    tell_progress(true);
    fprintf(stderr, "mpalloc leaks: %s\n", text);
    tell_progress(false);
}

static int scan(struct common *common, char **words)
{
    struct mp_error error = {""};
    struct target target;
    uint64_t number = 0;
    int code = cli_find_target("leaks", common, words, &target);

    if (code != EXIT_FINE) {
        return code;
    }
    tell_progress(false);
    code = mp_leak_request_and_tell(
        target.path, SCAN_WAIT_MS, SCAN_TIMEOUT_MS, say_wait, NULL, &number, &error);
    tell_progress(true);
    return code != 0 ? cli_fail_as("leaks", code, &error) : EXIT_FINE;
}

static int acknowledge(const struct plan *plan)
{
    int code =
        acks_save(plan->ack, plan->until_s, plan->note != NULL ? plan->note : "");

    if (code == EXIT_FINE) {
        printf("%s is acknowledged\n", plan->ack);
    }
    return code;
}

int verb_leaks(int argc, char **argv)
{
    enum { ALL = 1, ROWS, BY, SINCE, SCAN, SARIF, JUNIT, ACK, UNTIL, NOTE };
    static const struct option options[] = {COMMON_OPTIONS,
        {"all", no_argument, NULL, ALL}, {"rows", required_argument, NULL, ROWS},
        {"by", required_argument, NULL, BY}, {"since", required_argument, NULL, SINCE},
        {"scan", no_argument, NULL, SCAN}, {"sarif", no_argument, NULL, SARIF},
        {"junit", no_argument, NULL, JUNIT}, {"ack", required_argument, NULL, ACK},
        {"until", required_argument, NULL, UNTIL},
        {"note", required_argument, NULL, NOTE}, {0}};
    struct common common = {0};
    struct plan plan = {.look = {.rows = 20}, .until_s = INT64_MAX};
    struct target target;
    int code;
    int c;

    while ((c = cli_next_option("leaks", argc, argv, options, false, &common)) != -1) {
        switch (c) {
        case ALL:
            plan.look.all = true;
            break;
        case ROWS:
            plan.look.rows = (size_t)cli_number("leaks", "--rows", optarg, 1, 65536);
            break;
        case BY:
            plan.look.by_component = parse_by(optarg);
            break;
        case SINCE:
            plan.since = optarg;
            if (access(optarg, F_OK) != 0) {
                report_try_since(optarg, &plan.since_s);
            }
            break;
        case SCAN:
            plan.scan = true;
            break;
        case SARIF:
            set_form(&plan, FORM_SARIF);
            break;
        case JUNIT:
            set_form(&plan, FORM_JUNIT);
            break;
        case ACK:
            check_id(plan.ack = optarg);
            break;
        case UNTIL:
            plan.until_s = parse_date(plan.until = optarg);
            break;
        default:
            plan.note = optarg;
        }
    }
    if (common.json) {
        set_form(&plan, FORM_JSON);
    }
    if (plan.ack != NULL) {
        if (argv[optind] != NULL) {
            return cli_fail("leaks", EXIT_USAGE,
                "--ack takes no target: it holds for each process of that build");
        }
        return acknowledge(&plan);
    }
    check_plan(&plan);
    cli_expect_words("leaks", argc, 1);
    if (plan.scan && (code = scan(&common, argv + optind)) != EXIT_FINE) {
        return code;
    }
    brief_memory();
    code = cli_open_target("leaks", &common, argv + optind, &target);
    if (code == EXIT_FINE) {
        code = judge(&plan, target.image);
        mp_image_free(target.image);
    }
    return code;
}
