/*
 * verb_run - mpalloc run: a program on mpalloc, with a profile or a report of it if wanted
 *
 * Without either the command becomes the program (exec). With one it waits (child.h).
 */
#include "capture.h"
#include "child.h"
#include "cli.h"
#include "document.h"
#include "document_report.h"
#include "document_stacks.h"
#include "fail_on.h"
#include "format.h"
#include "outfile.h"
#include "preload.h"
#include "presets.h"
#include "render.h"
#include "serve/beside.h"
#include "whole.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char help_run[] =
    "Preloads libmpalloc into PROGRAM and everything that it starts. The exit code is "
    "the\n"
    "program's own; 128 + N after signal N; 127 when it cannot be found; 0 when --for "
    "ended\n"
    "it; 1 when it succeeded, but its profile could not be written; 3 when it\n"
    "succeeded, and leaks or drifted (--fail-on).\n"
    "\n"
    "  --format F        when it ends, its profile: any format of `mpalloc export`, "
    "or\n"
    "                    `flame` (that is html). Of PROGRAM itself, not of its "
    "children;\n"
    "                    however it ends, by a signal or Ctrl-C too\n"
    "  --output FILE     (or -o FILE) where; else in PROGRAM.PID.ENDING in this "
    "folder\n"
    "  --value V, --by-component   as those of `mpalloc export`\n"
    "  --for TIME        such as 30s, 500ms or 5m: the profile, and the report, are of "
    "that\n"
    "                    moment; then PROGRAM is ended by SIGTERM, and SIGKILL 5 s "
    "later.\n"
    "                    One that is to run on can be looked at from outside, at any\n"
    "                    time: mpalloc export\n"
    "  --report[=PATH]   when it ends, its report on standard error, or in the file "
    "PATH\n"
    "  --json            that report as JSON (schema tools/schemas/report.json)\n"
    "  --fail-on leak[=definite|growing]   exit 3 if something leaks at its end, with "
    "what\n"
    "                    and where on standard error: for builds. Growth needs some "
    "100\n"
    "                    blocks that are sampled: see --sample; definite: blocks that\n"
    "                    nothing points to when it ends in order. Not those that are\n"
    "                    acknowledged, or in the file of MPALLOC_LEAK_SUPPRESSIONS\n"
    "  --fail-on drift=P[:NAME]   exit 3, with the table, if the whole, a component or "
    "a\n"
    "                    stack surely grew by more than P of what the whole was in "
    "the\n"
    "                    baseline NAME (that of PROGRAM): at the peak, if both ran to\n"
    "                    their ends. The first run becomes the baseline, and the "
    "first\n"
    "                    of each build that did not drift. Both: leak,drift=20%\n"
    "  --label K=V       the baseline of that load\n"
    "  --serve ADDR:PORT show it there while it runs, as mpalloc serve does: for "
    "containers\n"
    "  --keep            keep the region after a clean exit, for mpalloc report PID\n"
    "  --service NAME    the name of the process in ps, reports and metrics\n"
    "  --set OPTION=V    any option of `mpalloc options`, such as PURGE_DELAY=10s\n"
    "  --preset P        options that belong together, where nothing else is said of "
    "them:\n"
    "                    dev: a sample each 64k, guards, leaks at the end, the region "
    "kept;\n"
    "                    prod: each 512k, no guards, no check; ci: as dev, but leaks "
    "fail\n"
    "                    with 23. `mpalloc options PID` says what is in force\n"
    "  --sample RATE     call stacks of one allocation in so many bytes, such as 64k; "
    "or\n"
    "                    `exact`: of every one; or `off`. Default: 512k, but exact "
    "with\n"
    "                    --format dhat and heaptrack, whose own tools are exact\n"
    "\n"
    "Examples:\n"
    "  mpalloc run -- redis-server --port 7777\n"
    "  mpalloc run --report -- python3 job.py\n"
    "  mpalloc run --format pprof -o job.pb.gz -- python3 job.py\n"
    "  mpalloc run --fail-on leak,drift=20% -- ./tests      in CI\n"
    "  mpalloc run --for 30s --format dhat -- redis-server --port 7777\n"
    "  mpalloc run --report=/tmp/job.txt --set PURGE_DELAY=never -- make -j2\n";

struct plan {
    bool report;
    bool json;              /* the report */
    struct fail_on fail_on; /* exit 3 if that is found at its end */
    bool keep_all;          /* every region, of children too */
    const char *path;       /* of the report, NULL: standard error */
    struct capture capture; /* its format is NULL: no profile is wanted */
    const char *for_format; /* an option that was given, and wants one; NULL: none */
    const char *preset;     /* NULL: none */
    const char *serve;      /* an address to show it at; NULL: none */
    unsigned limit_ms;      /* 0: the program runs to its end */
};

enum { PATIENCE_MS = 5000, LIMIT_MOST_MS = 86400000 };

static bool is_option(const char *name, size_t length)
{
    static const char *const names[] = {
#define OPTION(name, NAME, type, standard, range, help) NAME,
#include <mpalloc/options.def>
#undef OPTION
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

static void set_option(const char *text)
{
    const char *equals = strchr(text, '=');
    char name[64];

    if (equals == NULL || !is_option(text, (size_t)(equals - text))) {
        exit(cli_fail("run", EXIT_USAGE,
            "--set takes OPTION=VALUE, such as PURGE_DELAY=10s, not \"%s\" (mpalloc "
            "options)",
            text));
    }
    snprintf(name, sizeof(name), "MPALLOC_%.*s", (int)(equals - text), text);
    setenv(name, equals + 1, 1);
}

/* In front of what is preloaded already: the first malloc found wins. */
static void set_preload(const char *library)
{
    const char *before = getenv("LD_PRELOAD");
    char *all;

    if (before == NULL || before[0] == '\0') {
        setenv("LD_PRELOAD", library, 1);
    } else if (asprintf(&all, "%s:%s", library, before) > 0) {
        setenv("LD_PRELOAD", all, 1);
        free(all);
    }
}

/* ---- the report ---- */

static int print_report(const struct plan *plan, const mp_image_t *image)
{
    struct render_options look = {.rows = 12};
    struct outfile file = {.out = stderr};
    int code = plan->path != NULL ? outfile_open(&file, plan->path) : 0;

    if (code == 0 && plan->json) {
        json_t *d = document_report(image, DOCUMENT_STACKS);

        json_dumpf(d, file.out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        fputc('\n', file.out);
        json_decref(d);
    } else if (code == 0) {
        if (plan->path == NULL) {
            fputc('\n', file.out);
        }
        render_report(file.out, image, &look);
    }
    if (code == 0 && plan->path != NULL) {
        code = outfile_close(&file, 0);
    }
    if (code != 0) {
        return cli_fail("run", EXIT_FAILED, "the report cannot be written to %s: %s",
            plan->path, strerror(-code));
    }
    return EXIT_FINE;
}

/* ---- the profile ---- */

/* Where it goes: FILE of --output, or PROGRAM.PID.ENDING in this folder. */
static void name_profile(
    const struct plan *plan, const char *program, int pid, char *ret, size_t size)
{
    const char *slash = strrchr(program, '/');

    if (plan->capture.path != NULL) {
        snprintf(ret, size, "%s", plan->capture.path);
    } else {
        snprintf(ret, size, "%.*s.%d.%s", NAME_MAX / 2,
            slash != NULL ? slash + 1 : program, pid, plan->capture.format->ending);
    }
}

/* A line says where it is, when nobody would know otherwise. */
static int write_profile(
    const struct plan *plan, const mp_image_t *image, const char *program, pid_t pid)
{
    struct capture capture = plan->capture;
    char path[PATH_MAX];
    uint64_t bytes = 0;
    int code;

    name_profile(plan, program, (int)pid, path, sizeof(path));
    capture.path = path;
    code = capture_write(&capture, image, &bytes);
    if (code == EXIT_FINE && (plan->capture.path == NULL || isatty(STDERR_FILENO))) {
        fprintf(stderr, "mpalloc run: the %s profile is in %s (%s)\n",
            capture.format->name, capture.path, format_bytes((double)bytes).text);
    }
    return code;
}

/* ---- the program ---- */

/* What is known of it by now: the documents that are wanted. */
static int look(const struct plan *plan, const mp_image_t *image, const char *program,
    const struct child *child)
{
    int code = EXIT_FINE;

    signal(SIGPIPE,
        SIG_IGN); /* a reader that has enough: the region is removed all the same */
    if (plan->capture.format != NULL) {
        code = write_profile(plan, image, program, child->pid);
    }
    if (plan->report && print_report(plan, image) != EXIT_FINE) {
        code = EXIT_FAILED;
    }
    if (fail_on_any(&plan->fail_on) && code == EXIT_FINE) {
        code = fail_on_check(&plan->fail_on, image);
    }
    return code;
}

static int open_region(pid_t pid, char *path, size_t size, mp_image_t **ret)
{
    struct mp_error error = {""};
    int code = mp_find_pid((uint64_t)pid, path, size, &error);

    *ret = NULL;
    if (code == 0) {
        code = mp_image_open(path, ret, &error);
    }
    if (code != 0) {
        return cli_fail("run", EXIT_FAILED,
            "nothing is known of process %d: it left no region (mpalloc doctor PROGRAM "
            "says why)",
            (int)pid);
    }
    return EXIT_FINE;
}

/*
 * Runs it to its end, or for as long as it may; what it leaves is read while it is a zombie,
 * and nobody else can have its number. What runs on is looked at before it is asked to end,
 * as it would free much of what it holds.
 */
static int run_and_look(const struct plan *plan, const char *program, char **words)
{
    struct child child;
    char path[PATH_MAX];
    mp_image_t *image;
    struct beside *server = NULL;
    bool has_ended;
    int end;
    int code = child_start(&child, program, words, !plan->keep_all);

    if (code != EXIT_FINE) {
        return code;
    }
    if (plan->serve != NULL) {
        code = beside->start(plan->serve, (uint64_t)child.pid, &server);
    }
    if (code != EXIT_FINE) {
        child_stop(&child, PATIENCE_MS);
        child_end(&child);
        return code;
    }
    has_ended = child_wait(&child, plan->limit_ms);
    if (server != NULL) {
        beside->stop(server);
    }
    code = open_region(child.pid, path, sizeof(path), &image);
    if (code == EXIT_FINE) {
        code = look(plan, image, words[0], &child);
    }
    if (!has_ended) {
        child_stop(&child, PATIENCE_MS);
    }
    if (image != NULL && !plan->keep_all
        && (!has_ended || mp_image_life(image) == MP_LIFE_EXITED)) {
        unlink(path);
    }
    mp_image_free(image);
    child_end(&child);
    if (!has_ended) {
        return code;
    }
    end = child_end_as(&child);
    return end == 0 && (plan->capture.format != NULL || fail_on_any(&plan->fail_on))
               ? code
               : end;
}

/* ---- the command line ---- */

/* What is wrong with it, before the program runs: afterwards its figures would be lost. */
static int check_plan(const struct plan *plan, const char *program)
{
    bool has_profile = plan->capture.format != NULL;
    char path[PATH_MAX];
    int code;

    if (plan->json && !plan->report) {
        return cli_fail("run", EXIT_USAGE, "--json is the form of --report: give both");
    }
    if (plan->for_format != NULL && !has_profile) {
        return cli_fail("run", EXIT_USAGE, "%s is for a profile: give --format, too",
            plan->for_format);
    }
    if (plan->limit_ms != 0 && !has_profile && !plan->report && plan->serve == NULL
        && !fail_on_any(&plan->fail_on)) {
        return cli_fail("run", EXIT_USAGE,
            "--for is for a profile or a report: give --format or --report, too");
    }
    if (plan->path != NULL && (code = outfile_check(plan->path)) != 0) {
        return cli_fail("run", EXIT_FAILED, "the report cannot be written to %s: %s",
            plan->path, strerror(-code));
    }
    if (plan->serve != NULL && (code = beside->check(plan->serve)) != EXIT_FINE) {
        return code;
    }
    if (plan->fail_on.label != NULL && !plan->fail_on.has_drift) {
        return cli_fail("run", EXIT_USAGE,
            "--label is of a baseline: give --fail-on drift=20%%, too");
    }
    if (has_profile) {
        name_profile(plan, program, (int)getpid(), path, sizeof(path));
        code = outfile_check(path);
        if (code != 0) {
            return cli_fail("run", EXIT_FAILED,
                "the profile cannot be written to %s: %s", path, strerror(-code));
        }
    }
    return EXIT_FINE;
}

/* The library and the file of the program, which are PATH_MAX and twice that long. */
static int find_both(const char *name, char *ret_library, char *ret_program)
{
    enum preload_obstacle obstacle;
    int code;

    if (preload_find_library(ret_library, PATH_MAX) != 0) {
        return cli_fail("run", EXIT_FAILED,
            "%s: no such library; set MPALLOC_LIBRARY to libmpalloc.so", ret_library);
    }
    code = preload_find_program(name, ret_program, 2 * (size_t)PATH_MAX);
    if (code != 0) {
        cli_fail("run", EXIT_FAILED, "%s: %s", name,
            code == -ENOENT ? "no such program" : strerror(-code));
        return code == -ENOENT ? 127 : 126;
    }
    obstacle = preload_check(ret_program);
    if (preload_advice(obstacle)[0] != '\0') {
        cli_fail("run", EXIT_FINE, "%s: %s", ret_program, preload_advice(obstacle));
    }
    return EXIT_FINE;
}

enum {
    REPORT = 1,
    KEEP,
    SERVICE,
    SET,
    SAMPLE,
    FORMAT,
    FOR,
    FAIL_ON,
    LABEL,
    VALUE,
    OUTPUT,
    BY_COMPONENT,
    PRESET,
    SERVE
};

static void take_option(struct plan *plan, int c)
{
    if (c == REPORT) {
        plan->report = true;
        plan->path = optarg;
    } else if (c == KEEP) {
        plan->keep_all = true;
    } else if (c == SERVICE) {
        setenv("MPALLOC_SERVICE", optarg, 1);
    } else if (c == SET) {
        set_option(optarg);
    } else if (c == PRESET) {
        plan->preset = optarg;
        if (!preset_is_known(optarg)) {
            exit(cli_fail("run", EXIT_USAGE,
                "--preset takes dev, prod or ci, not \"%s\"", optarg));
        }
    } else if (c == SAMPLE) {
        cli_interval("run", "--sample", optarg); /* it leaves if that is none */
        setenv("MPALLOC_SAMPLE", optarg, 1);
    } else if (c == FORMAT) {
        plan->capture.format =
            capture_find_format("run", strcmp(optarg, "flame") == 0 ? "html" : optarg);
    } else if (c == FOR) {
        plan->limit_ms = cli_milliseconds("run", "--for", optarg, 1, LIMIT_MOST_MS);
    } else if (c == FAIL_ON) {
        fail_on_add(&plan->fail_on, optarg);
    } else if (c == LABEL) {
        plan->fail_on.label = optarg;
    } else if (c == VALUE) {
        capture_set_value(&plan->capture, optarg);
        plan->for_format = "--value";
    } else if (c == OUTPUT) {
        plan->capture.path = optarg;
        plan->for_format = "--output";
    } else if (c == SERVE) {
        plan->serve = optarg;
    } else if (c == BY_COMPONENT) {
        plan->capture.by_component = true;
        plan->for_format = "--by-component";
    }
}

int verb_run(int argc, char **argv)
{
    static const struct option options[] = {COMMON_OPTIONS,
        {"report", optional_argument, NULL, REPORT}, {"keep", no_argument, NULL, KEEP},
        {"service", required_argument, NULL, SERVICE},
        {"set", required_argument, NULL, SET},
        {"preset", required_argument, NULL, PRESET},
        {"sample", required_argument, NULL, SAMPLE},
        {"format", required_argument, NULL, FORMAT},
        {"for", required_argument, NULL, FOR},
        {"fail-on", required_argument, NULL, FAIL_ON},
        {"label", required_argument, NULL, LABEL},
        {"value", required_argument, NULL, VALUE},
        {"output", required_argument, NULL, OUTPUT},
        {"by-component", no_argument, NULL, BY_COMPONENT},
        {"serve", required_argument, NULL, SERVE}, {0}};
    struct common common = {0};
    struct plan plan = {.capture = {.verb = "run"}};
    char library[PATH_MAX];
    char program[PATH_MAX * 2];
    const char *keep;
    int c;

    while ((c = cli_next_option("run", argc, argv, options, true, &common)) != -1) {
        take_option(&plan, c);
    }
    if (plan.serve != NULL && beside == NULL) {
        return whole_run(argc, argv);
    }
    if (plan.preset != NULL) {
        preset_apply(plan.preset);
    }
    keep = getenv("MPALLOC_KEEP");
    plan.json = common.json;
    if (argv[optind] == NULL) {
        return cli_fail("run", EXIT_USAGE,
            "needs a program: mpalloc run [OPTIONS] -- "
            "PROGRAM [ARGUMENTS]");
    }
    c = find_both(argv[optind], library, program);
    if (c == EXIT_FINE) {
        c = check_plan(&plan, argv[optind]);
    }
    if (c == EXIT_FINE && fail_on_any(&plan.fail_on)) {
        c = fail_on_prepare(&plan.fail_on, argv[optind]);
    }
    if (c != EXIT_FINE) {
        return c;
    }
    plan.keep_all |= keep != NULL && strcmp(keep, "1") == 0;
    if (plan.keep_all) {
        setenv("MPALLOC_KEEP", "1", 1);
    }
    if (plan.capture.format != NULL && plan.capture.format->is_exact) {
        setenv("MPALLOC_SAMPLE", "exact", 0); /* unless it was said otherwise */
    }
    if (plan.fail_on.lost) {
        setenv("MPALLOC_LEAK_CHECK", "quiet", 0); /* we say what it finds, with lines */
        setenv("MPALLOC_LEAK_EXIT", "0", 1);
    }
    set_preload(library);
    return plan.report || plan.serve != NULL || plan.capture.format != NULL
                   || fail_on_any(&plan.fail_on)
               ? run_and_look(&plan, program, argv + optind)
               : child_exec(program, argv + optind);
}
