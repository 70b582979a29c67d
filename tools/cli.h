/*
 * cli - what all verbs of the command share: errors, exit codes, options, targets
 *
 * Owns: one-line errors on stderr, the table of verbs (main.c), how a target is found.
 * Does not own: what is printed; each verb is a file of its own, verb_NAME.c.
 */
#ifndef CLI_H
#define CLI_H

#include <mpstats.h>

#include <getopt.h>
#include <limits.h>

/* Exit codes; other tools rely on them. `run` passes the program's own through. */
enum exit_code {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CONDITION = 3, /* of --fail-on */
    EXIT_NO_PROCESS = 4,
    EXIT_NOT_PERMITTED = 5,
    EXIT_DAMAGED = 6,
};

struct verb {
    const char *name;
    const char *arguments; /* "[--json] TARGET" */
    const char *summary;   /* one line */
    const char *help;      /* options and examples */
    int (*run)(int argc, char **argv);
};

/* The verbs in the order of `mpalloc help`; the last has no name. main.c */
extern const struct verb verbs[];
const struct verb *verb_find(const char *name);

/* What every verb understands. */
struct common {
    bool json;
    const char *name;     /* --name, NULL */
    const char *pid_file; /* --pid-file, NULL */
};

/* Values of the common options in getopt tables; those of a verb are below. */
enum { OPT_HELP = 1000, OPT_JSON, OPT_COLOR, OPT_NAME, OPT_PID_FILE };
#define COMMON_OPTIONS                                                                 \
    {"help", no_argument, NULL, OPT_HELP}, {"json", no_argument, NULL, OPT_JSON},      \
        {"color", required_argument, NULL, OPT_COLOR},                                 \
        {"name", required_argument, NULL, OPT_NAME},                                   \
    {                                                                                  \
        "pid-file", required_argument, NULL, OPT_PID_FILE                              \
    }

/*
 * The next option as getopt_long gives it, the common ones dealt with: -1 at the end. On
 * a wrong one, or --help, the process ends here with a line, or with the help.
 * verb: for messages. Stops at the first word that is no option when `stop` is set.
 * -o is short for --output where the verb has that.
 */
int cli_next_option(const char *verb, int argc, char **argv,
    const struct option *options, bool stop, struct common *common);

/* The end of the options of verbs that take at most `most` words. */
void cli_expect_words(const char *verb, int argc, int most);

/* "mpalloc VERB: …" on stderr; returns code. */
__attribute__((format(printf, 3, 4))) int cli_fail(
    const char *verb, enum exit_code code, const char *format, ...);

/* The exit code for a negative errno of libmpstats. */
enum exit_code cli_code(int error);

/* The same with a line that says what libmpstats says. */
enum exit_code cli_fail_as(const char *verb, int code, const struct mp_error *error);

/*
 * How times are written everywhere: "500ms", "2s", "30m" (or "30min"), "24h", "7d"; a number alone is
 * of seconds. False if it is none; nothing is said then.
 */
bool cli_parse_time(const char *text, double *ret_s);

/* A whole number, "1500", or a time: usage error if not. */
uint64_t cli_number(const char *verb, const char *option, const char *text,
    uint64_t least, uint64_t most);
unsigned cli_milliseconds(const char *verb, const char *option, const char *text,
    unsigned least, unsigned most);

/*
 * An interval of sampling, as MPALLOC_SAMPLE takes it: "64k", "exact", "off". MP_SAMPLING_EXACT
 * and MP_SAMPLING_OFF for these. Exits with a line for anything else.
 */
uint64_t cli_interval(const char *verb, const char *option, const char *text);

/* The same; false for anything else. */
bool cli_parse_interval(const char *text, uint64_t *ret);

/* The options of verbs that ask a process for something: returns how long they wait. */
unsigned cli_request_options(
    const char *verb, int argc, char **argv, struct common *common);

struct target {
    char path[PATH_MAX];
    mp_image_t *image;
};

/*
 * What the words after the options name: a PID, a file, or the name of a service; or --name, or
 * --pid-file. Finds the region and reads it. 0, or an exit code after a line on stderr.
 */
int cli_open_target(
    const char *verb, const struct common *common, char **words, struct target *ret);

/* Only counters, without call stacks (mp_image_open_counters); all of a core file. */
int cli_open_counters(
    const char *verb, const struct common *common, char **words, struct target *ret);

/* As cli_open_target, of a path: a region, a dump, or a core file. */
int cli_open_file(const char *verb, const char *path, mp_image_t **ret);

/* Only where it is, for what asks a process that runs: no core file. */
int cli_find_target(
    const char *verb, const struct common *common, char **words, struct target *ret);

int verb_run(int argc, char **argv);
int verb_ps(int argc, char **argv);
int verb_top(int argc, char **argv);
int verb_snapshot(int argc, char **argv);
int verb_report(int argc, char **argv);
int verb_leaks(int argc, char **argv);
int verb_flame(int argc, char **argv);
int verb_diff(int argc, char **argv);
int verb_alerts(int argc, char **argv);
int verb_record(int argc, char **argv);
int verb_baseline(int argc, char **argv);
int verb_export(int argc, char **argv);
int verb_push(int argc, char **argv);
int verb_trim(int argc, char **argv);
int verb_sample(int argc, char **argv);
int verb_serve(int argc, char **argv);
int verb_options(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_completion(int argc, char **argv);
/* One a line: what --help says of each. */
extern const char help_alerts[];
extern const char help_baseline[];
extern const char help_completion[];
extern const char help_diff[];
extern const char help_doctor[];
extern const char help_export[];
extern const char help_flame[];
extern const char help_leaks[];
extern const char help_options[];
extern const char help_ps[];
extern const char help_push[];
extern const char help_record[];
extern const char help_report[];
extern const char help_run[];
extern const char help_sample[];
extern const char help_serve[];
extern const char help_snapshot[];
extern const char help_top[];
extern const char help_trim[];

#endif
