/*
 * verb_run - mpalloc run: a program on mpalloc, with a report at its end if wanted
 *
 * Without --report the command becomes the program (exec). With it, the command waits:
 * signals to the terminal's group reach both and are the program's to answer; those sent
 * to the command alone are passed on.
 */
#include "cli.h"
#include "document.h"
#include "document_stacks.h"
#include "preload.h"
#include "render.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

const char help_run[] =
    "Preloads libmpalloc into PROGRAM and everything that it starts. The exit code is "
    "the\n"
    "program's own; 128 + N after signal N; 127 when it cannot be found.\n"
    "\n"
    "  --report[=PATH]   when it ends, its report on standard error, or in the file "
    "PATH\n"
    "  --json            that report as JSON (schema tools/schemas/report.json)\n"
    "  --keep            keep the region after a clean exit, for mpalloc report PID\n"
    "  --service NAME    the name of the process in ps, reports and metrics\n"
    "  --set OPTION=V    any option of `mpalloc options`, such as PURGE_DELAY=10s\n"
    "  --sample RATE     call stacks of one allocation in so many bytes, such as 64k; "
    "or\n"
    "                    `exact`: of every one; or `off` (default 512k)\n"
    "\n"
    "Examples:\n"
    "  mpalloc run -- redis-server --port 7777\n"
    "  mpalloc run --report -- python3 job.py\n"
    "  mpalloc run --report=/tmp/job.txt --set PURGE_DELAY=never -- make -j2\n";

struct plan {
    bool report;
    bool keep_all;    /* every region, of children too */
    const char *path; /* of the report, NULL: standard error */
};

static volatile sig_atomic_t child_pid;

/* What the terminal sends to the group has reached the program already. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (child_pid > 0 && info->si_code <= 0) { /* sent by kill or sigqueue */
        kill((pid_t)child_pid, number);
    }
}

static const int passed[] = {
    SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT};
enum { PASSED = sizeof(passed) / sizeof(passed[0]) };

static void set_signals(void)
{
    struct sigaction action = {.sa_flags = SA_RESTART | SA_SIGINFO};

    action.sa_sigaction = pass_on;
    for (size_t i = 0; i < PASSED; i++) {
        sigaction(passed[i], &action, NULL);
    }
}

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

/* Before the program runs: afterwards its figures would be lost. */
static bool can_write(const char *path)
{
    FILE *f = fopen(path, "ae");

    return f != NULL && fclose(f) == 0;
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

static int exec_program(const char *path, char **words)
{
    int code;

    execv(path, words);
    if (errno == ENOEXEC) { /* a script without its first line */
        execvp(words[0], words);
    }
    code = errno;
    cli_fail("run", EXIT_FAILED, "%s: %s", words[0], strerror(code));
    return code == ENOENT ? 127 : 126;
}

/* ---- the report ---- */

static int print_report(const struct plan *plan, const mp_image_t *image, bool json)
{
    struct render_options look = {.rows = 12};
    FILE *out = stderr;

    if (plan->path != NULL) {
        out = fopen(plan->path, "we");
        if (out == NULL) {
            return cli_fail("run", EXIT_FAILED,
                "the report cannot be written to %s: %m", plan->path);
        }
    }
    if (json) {
        json_t *d = document_new("report");

        document_add_snapshot(d, image);
        document_add_history(d, image);
        document_add_stacks(d, image, DOCUMENT_STACKS);
        json_dumpf(d, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        fputc('\n', out);
        json_decref(d);
    } else {
        if (out == stderr) {
            fputc('\n', out);
        }
        render_report(out, image, &look);
    }
    if (out != stderr && fclose(out) != 0) {
        return cli_fail(
            "run", EXIT_FAILED, "the report cannot be written to %s: %m", plan->path);
    }
    return EXIT_FINE;
}

/* The process is a zombie still: nobody else can have its number. */
static void report_on(const struct plan *plan, pid_t pid, bool json)
{
    struct mp_error error = {""};
    char path[PATH_MAX];
    mp_image_t *image;
    int code = mp_find_pid((uint64_t)pid, path, sizeof(path), &error);

    if (code == 0) {
        code = mp_image_open(path, &image, &error);
    }
    if (code != 0) {
        cli_fail("run", EXIT_FAILED,
            "no report: process %d left no region (mpalloc doctor PROGRAM says why)",
            (int)pid);
        return;
    }
    print_report(plan, image, json);
    if (!plan->keep_all && mp_image_life(image) == MP_LIFE_EXITED) {
        unlink(path);
    }
    mp_image_free(image);
}

/* Die of what the program died of, without a second core file. */
static int end_as(int status)
{
    if (WIFSIGNALED(status)) {
        struct rlimit none = {0, 0};

        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(status), SIG_DFL);
        kill(getpid(), WTERMSIG(status));
        return 128 + WTERMSIG(status);
    }
    return WEXITSTATUS(status);
}

static int run_and_report(
    const struct plan *plan, const char *program, char **words, bool json)
{
    siginfo_t info;
    sigset_t all;
    sigset_t before;
    int status = 0;
    pid_t pid;

    sigfillset(&all); /* none is lost between fork and handlers */
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0) {
        char number[32];

        if (!plan->keep_all) { /* of this process, not of its children */
            snprintf(number, sizeof(number), "%d", (int)getpid());
            setenv("MPALLOC_KEEP", number, 1);
        }
        sigprocmask(SIG_SETMASK, &before, NULL);
        _exit(exec_program(program, words));
    }
    child_pid = pid;
    set_signals();
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        return cli_fail("run", EXIT_FAILED, "no process for %s: %m", words[0]);
    }
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    report_on(plan, pid, json);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return end_as(status);
}

int verb_run(int argc, char **argv)
{
    enum { REPORT = 1, KEEP, SERVICE, SET, SAMPLE };
    static const struct option options[] = {COMMON_OPTIONS,
        {"report", optional_argument, NULL, REPORT}, {"keep", no_argument, NULL, KEEP},
        {"service", required_argument, NULL, SERVICE},
        {"set", required_argument, NULL, SET},
        {"sample", required_argument, NULL, SAMPLE}, {0}};
    struct common common = {false, NULL};
    struct plan plan = {.path = NULL};
    char library[PATH_MAX];
    char program[PATH_MAX * 2];
    const char *keep = getenv("MPALLOC_KEEP");
    enum preload_obstacle obstacle;
    int c;

    while ((c = cli_next_option("run", argc, argv, options, true, &common)) != -1) {
        if (c == REPORT) {
            plan.report = true;
            plan.path = optarg;
        } else if (c == KEEP) {
            plan.keep_all = true;
        } else if (c == SERVICE) {
            setenv("MPALLOC_SERVICE", optarg, 1);
        } else if (c == SET) {
            set_option(optarg);
        } else if (c == SAMPLE) {
            cli_interval("run", "--sample", optarg); /* it leaves if that is none */
            setenv("MPALLOC_SAMPLE", optarg, 1);
        }
    }
    if (argv[optind] == NULL) {
        return cli_fail("run", EXIT_USAGE,
            "needs a program: mpalloc run [OPTIONS] -- "
            "PROGRAM [ARGUMENTS]");
    }
    if (preload_find_library(library, sizeof(library)) != 0) {
        return cli_fail("run", EXIT_FAILED,
            "%s: no such library; set MPALLOC_LIBRARY to libmpalloc.so", library);
    }
    c = preload_find_program(argv[optind], program, sizeof(program));
    if (c != 0) {
        cli_fail("run", EXIT_FAILED, "%s: %s", argv[optind],
            c == -ENOENT ? "no such program" : strerror(-c));
        return c == -ENOENT ? 127 : 126;
    }
    obstacle = preload_check(program);
    if (preload_advice(obstacle)[0] != '\0') {
        cli_fail("run", EXIT_FINE, "%s: %s", program, preload_advice(obstacle));
    }
    plan.keep_all |= keep != NULL && strcmp(keep, "1") == 0;
    if (plan.keep_all) {
        setenv("MPALLOC_KEEP", "1", 1);
    }
    if (common.json && !plan.report) {
        return cli_fail("run", EXIT_USAGE, "--json is the form of --report: give both");
    }
    if (plan.path != NULL && !can_write(plan.path)) {
        return cli_fail(
            "run", EXIT_FAILED, "the report cannot be written to %s: %m", plan.path);
    }
    set_preload(library);
    return plan.report ? run_and_report(&plan, program, argv + optind, common.json)
                       : exec_program(program, argv + optind);
}
