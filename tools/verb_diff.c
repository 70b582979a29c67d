/*
 * verb_diff - mpalloc diff: what changed from one capture to another, and what is only noise
 */
#include "capture.h"
#include "cli.h"
#include "comparison_baseline.h"
#include "comparison_moment.h"
#include "comparison_profile.h"
#include "document.h"
#include "document_diff.h"
#include "history.h"
#include "render_diff.h"
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char help_diff[] =
    "What changed from BEFORE to AFTER: live bytes and blocks, what was allocated, the "
    "peak;\n"
    "by component and size class exactly, by call stack with the changes that are more "
    "than\n"
    "noise of sampling. Two moments of one process are told apart best: what lived "
    "through\n"
    "both does not blur them. Other builds are matched by names of functions.\n"
    "\n"
    "  BEFORE, AFTER       each a PID, a region or dump file, or the name of a "
    "process\n"
    "                      baseline:NAME, or baseline:NAME:BUILD, is a baseline\n"
    "  --baseline NAME     a baseline as BEFORE, of the build of AFTER; a build "
    "without "
    "one is\n"
    "                      compared with the last one before, and begins its own\n"
    "  --label K=V         the baseline of that load\n"
    "  --since WHEN        what the process was then, as BEFORE, out of the history: "
    "30m,\n"
    "                      24h or 7d ago, or 2026-01-31T12:00:00Z; the nearest moment "
    "that\n"
    "                      mpalloc serve or mpalloc record kept\n"
    "  --name NAME         the process of that name, instead of AFTER\n"
    "  --by WHAT           component, class or site (a call stack in a component)\n"
    "  --value WHAT        live, allocated or peak (live; peak if both ran to their "
    "ends)\n"
    "  --all               also what did not change, and what is noise\n"
    "  --rows N            the N largest changes of each table (10)\n"
    "  --format F          a picture: html (a flame graph to zoom and search) or svg; "
    "red came,\n"
    "                      blue went, grey is not sure\n"
    "  --output FILE       (or -o FILE) write that there, whole or not at all\n"
    "  --fail-on drift=P   exit 3 if the whole, a component, or a stack surely grew "
    "by\n"
    "                      more than P of what the whole was, such as 20%\n"
    "  --json              schema tools/schemas/diff.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc diff monday.mp 4711\n"
    "  mpalloc diff --since 2h 4711\n"
    "  mpalloc diff --since 2h 4711 --format html -o since.html\n"
    "  mpalloc diff old.mp new.mp --by site --json | jq '.stacks[] | "
    "select(.significant)'\n"
    "  mpalloc diff --fail-on drift=20% main.mp branch.mp    in CI, after two runs "
    "with "
    "MPALLOC_KEEP=1\n";

struct plan {
    struct render_diff_options look;
    enum mp_diff_figure judged; /* MP_DIFF_FIGURES: what suits */
    const char *baseline;
    const char *label; /* NULL: none */
    const char *since; /* NULL: none */
    double fail_drift;
    struct capture picture; /* format NULL: none */
};

/* ---- options ---- */

static void parse_by(struct plan *plan, const char *text)
{
    static const char *const names[MP_DIFF_BYS] = {"component", "class", "site"};

    for (unsigned i = 0; i < MP_DIFF_BYS; i++) {
        if (strcmp(text, names[i]) == 0) {
            plan->look.by[i] = true;
            return;
        }
    }
    exit(cli_fail(
        "diff", EXIT_USAGE, "--by takes component, class or site, not \"%s\"", text));
}

static enum mp_diff_figure parse_value(const char *text)
{
    if (strcmp(text, "live") == 0) {
        return MP_DIFF_LIVE_BYTES;
    }
    if (strcmp(text, "allocated") == 0) {
        return MP_DIFF_ALLOCATED_BYTES;
    }
    if (strcmp(text, "peak") == 0) {
        return MP_DIFF_PEAK_BYTES;
    }
    exit(cli_fail(
        "diff", EXIT_USAGE, "--value takes live, allocated or peak, not \"%s\"", text));
}

/* "drift=20%", of what there was. Without the sign 20 would be taken for 2,000 % by some. */
static double parse_fail_on(const char *text)
{
    double value;

    if (strncmp(text, "drift=", strlen("drift=")) == 0
        && comparison_parse_drift(text + strlen("drift="), &value)) {
        return value;
    }
    exit(cli_fail("diff", EXIT_USAGE,
        "--fail-on takes a drift such as drift=20%%, not \"%s\"", text));
}

static const struct export_format *parse_format(const char *text)
{
    const struct export_format *f = export_find_format(text);

    if (f == NULL || export_difference(f) != EXPORT_OF_COMPARISON) {
        exit(cli_fail(
            "diff", EXIT_USAGE, "--format takes html or svg, not \"%s\"", text));
    }
    return f;
}

/* ---- what is compared ---- */

/* "baseline:NAME", "baseline:NAME:BUILD" */
static int open_named(
    struct comparison *c, unsigned side, const struct plan *plan, const char *word)
{
    struct baseline b;
    sqlite3 *db;
    int code = history_open("diff", NULL, HISTORY_READ, &db);

    if (code != EXIT_FINE) {
        return code;
    }
    code = comparison_find_baseline("diff", db, word, plan->label, &b);
    if (code == EXIT_FINE) {
        code = comparison_open_baseline("diff", c, side, db, &b);
    }
    history_close(db);
    return code;
}

static bool is_baseline(const char *word)
{
    return word != NULL && strncmp(word, "baseline:", strlen("baseline:")) == 0;
}

static int open_side(struct comparison *c, unsigned side, const struct plan *plan,
    const struct common *common, char *word)
{
    static const struct common no_name;
    char *words[] = {word, NULL};
    struct target target;
    int code;

    if (is_baseline(word)) {
        return open_named(c, side, plan, word + strlen("baseline:"));
    }
    code = cli_open_target("diff", word != NULL ? &no_name : common, words, &target);
    if (code == EXIT_FINE) {
        comparison_set_side(c, side,
            word != NULL           ? word
            : common->name != NULL ? common->name
                                   : common->pid_file,
            target.image, NULL);
    }
    return code;
}

/* That of the build; else the last one before it, and the build begins its own. */
static int open_its_baseline(
    struct comparison *c, const struct plan *plan, bool is_kept)
{
    const mp_image_t *after = c->side[1].image;
    const char *label = plan->label != NULL ? plan->label : "";
    struct baseline b;
    sqlite3 *db;
    int code = history_open("diff", NULL, HISTORY_WRITE, &db);

    if (code != EXIT_FINE) {
        return code;
    }
    code = comparison_its_baseline(
        "diff", db, plan->baseline, label, after, &b, &c->began_baseline);
    if (code == EXIT_FINE) {
        code = comparison_open_baseline("diff", c, 0, db, &b);
    }
    c->began_baseline &= !is_kept; /* what is kept is one already */
    if (code == EXIT_FINE && c->began_baseline) {
        code = baseline_save("diff", db, plan->baseline, label, mp_image_path(after));
    }
    history_close(db);
    return code;
}

/* What AFTER was at a time. */
static int open_earlier(struct comparison *c, const struct plan *plan)
{
    int64_t time_s;
    sqlite3 *db;
    int code;

    if (!comparison_try_time(
            plan->since, (int64_t)(view_now_ns() / 1000000000u), &time_s)) {
        return cli_fail("diff", EXIT_USAGE, "--since takes %s, not \"%s\"",
            COMPARISON_TIMES, plan->since);
    }
    code = history_open("diff", NULL, HISTORY_READ, &db);
    if (code == EXIT_FINE) {
        code = comparison_open_moment("diff", c, 0, db, c->side[1].image, time_s);
        history_close(db);
    }
    return code;
}

static int open_sides(struct comparison *c, const struct plan *plan,
    const struct common *common, char **words)
{
    bool has_before = plan->baseline == NULL && plan->since == NULL;
    bool has_name = common->name != NULL || common->pid_file != NULL;
    char *after = has_before && words[0] != NULL ? words[1] : words[0];
    int code;

    if (plan->baseline != NULL && plan->since != NULL) {
        return cli_fail("diff", EXIT_USAGE, "takes --baseline or --since, not both");
    }
    if ((has_before && words[0] == NULL) || (after == NULL) != has_name
        || (!has_before && after != NULL && words[1] != NULL)) {
        return cli_fail("diff", EXIT_USAGE,
            "takes two: what there was before, and what there is (mpalloc diff "
            "--help)");
    }
    code = open_side(c, 1, plan, common, after);
    if (code == EXIT_FINE) {
        code = has_before            ? open_side(c, 0, plan, common, words[0])
               : plan->since != NULL ? open_earlier(c, plan)
                                     : open_its_baseline(c, plan, is_baseline(after));
    }
    return code;
}

static int print(
    const struct plan *plan, const struct common *common, const struct comparison *c)
{
    if (plan->picture.format != NULL) {
        return capture_write_profile(
            &plan->picture, comparison_profile_create(c), NULL);
    }
    if (common->json) {
        return document_print(
            document_diff(c, plan->look.by, plan->look.all, plan->look.rows), false);
    }
    render_diff(stdout, c, &plan->look);
    return fflush(stdout) != 0 || ferror(stdout)
               ? cli_fail("diff", EXIT_FAILED, "standard output cannot be written: %m")
               : EXIT_FINE;
}

/* --value as pictures have it. */
static int check_picture(struct plan *plan, const struct common *common)
{
    static const enum profile_value values[MP_DIFF_FIGURES + 1] = {
        [MP_DIFF_LIVE_BYTES] = PROFILE_LIVE_BYTES,
        [MP_DIFF_ALLOCATED_BYTES] = PROFILE_ALLOCATED_BYTES,
        [MP_DIFF_PEAK_BYTES] = PROFILE_PEAK_BYTES,
        [MP_DIFF_FIGURES] = PROFILE_LIVE_BYTES};
    struct capture *p = &plan->picture;

    if (p->format == NULL) {
        return p->path == NULL ? EXIT_FINE
                               : cli_fail("diff", EXIT_USAGE,
                                   "--output is for pictures: --format html or svg");
    }
    if (common->json) {
        return cli_fail("diff", EXIT_USAGE, "takes --format or --json, not both");
    }
    p->has_value = true;
    p->value = values[plan->judged];
    if (!export_differs_by(p->format, p->value)) {
        return cli_fail("diff", EXIT_USAGE,
            "%s shows what is live: take --format svg for others", p->format->name);
    }
    return capture_check_terminal(p);
}

int verb_diff(int argc, char **argv)
{
    enum { BY = 1, VALUE, ALL, ROWS, FAIL_ON, BASELINE, LABEL, SINCE, FORMAT, OUTPUT };
    static const struct option options[] = {COMMON_OPTIONS,
        {"by", required_argument, NULL, BY}, {"value", required_argument, NULL, VALUE},
        {"all", no_argument, NULL, ALL}, {"rows", required_argument, NULL, ROWS},
        {"fail-on", required_argument, NULL, FAIL_ON},
        {"baseline", required_argument, NULL, BASELINE},
        {"label", required_argument, NULL, LABEL},
        {"since", required_argument, NULL, SINCE},
        {"format", required_argument, NULL, FORMAT},
        {"output", required_argument, NULL, OUTPUT}, {0}};
    struct common common = {0};
    struct plan plan = {.look = {.rows = 10},
        .judged = MP_DIFF_FIGURES,
        .fail_drift = NAN,
        .picture = {.verb = "diff"}};
    struct comparison c = {.fail_drift = NAN};
    int code;
    int o;

    while ((o = cli_next_option("diff", argc, argv, options, false, &common)) != -1) {
        switch (o) {
        case BY:
            parse_by(&plan, optarg);
            break;
        case VALUE:
            plan.judged = parse_value(optarg);
            break;
        case ALL:
            plan.look.all = true;
            break;
        case ROWS:
            plan.look.rows = (size_t)cli_number("diff", "--rows", optarg, 1, 1000000);
            break;
        case BASELINE:
            plan.baseline = optarg;
            break;
        case LABEL:
            plan.label = optarg;
            break;
        case SINCE:
            plan.since = optarg;
            break;
        case FORMAT:
            plan.picture.format = parse_format(optarg);
            break;
        case OUTPUT:
            plan.picture.path = optarg;
            break;
        default:
            plan.fail_drift = parse_fail_on(optarg);
        }
    }
    if (!plan.look.by[0] && !plan.look.by[1] && !plan.look.by[2]) {
        plan.look.by[0] = plan.look.by[1] = plan.look.by[2] = true;
    }
    cli_expect_words("diff", argc, 2);
    code = check_picture(&plan, &common);
    if (code == EXIT_FINE) {
        code = open_sides(&c, &plan, &common, argv + optind);
    }
    if (code == EXIT_FINE) {
        c.fail_drift = plan.fail_drift;
        comparison_make(&c, plan.judged);
        code = print(&plan, &common, &c);
        if (code == EXIT_FINE && comparison_fails(&c)) {
            code = EXIT_CONDITION;
        }
    }
    comparison_fini(&c);
    return code;
}
