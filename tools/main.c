/*
 * main - the mpalloc command: finds the verb and runs it
 *
 * Compiled twice: for bin/mpalloc, which starts quickly, and for the module that has all verbs.
 */
#include "cli.h"
#include "outfile.h"
#include "serve/beside.h"
#include "whole.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static int verb_help(int argc, char **argv);
static int verb_version(int argc, char **argv);

static const char help_help[] = "Examples:\n  mpalloc help report\n";
static const char help_version[] = "Examples:\n  mpalloc version\n";

/* What only the module has. A constant chooses, so that the linker takes nothing else along. */
#define WHOLE(there, here) (MAIN_IS_WHOLE ? (there) : (here))

const struct beside_calls *const beside = WHOLE(&beside_calls, NULL);

const struct verb verbs[] = {
    {"run", "[--format F] [--report[=PATH]] [OPTIONS] -- PROGRAM [ARGUMENTS]",
        "Run a program on mpalloc, and write its profile", help_run, verb_run},
    {"ps", "[OPTIONS]", "List the processes on mpalloc, live and dead", help_ps,
        verb_ps},
    {"top", "[OPTIONS] TARGET", "Watch a process: components and size classes, live",
        help_top, verb_top},
    {"snapshot", "[--json] TARGET", "Show the counters of a process now", help_snapshot,
        verb_snapshot},
    {"report", "[OPTIONS] TARGET", "Explain the memory of a process", help_report,
        verb_report},
    {"leaks", "[OPTIONS] TARGET", "Say what leaks, how fast, and how sure that is",
        help_leaks, verb_leaks},
    {"flame", "-o FILE.html [OPTIONS] TARGET",
        "Draw who holds memory: a flame graph, as one web page", help_flame,
        verb_flame},
    {"diff", "[OPTIONS] BEFORE AFTER", "Say what changed, and what of it is only noise",
        help_diff, verb_diff},
    {"baseline", "save | list | reset [OPTIONS] [NAME] [TARGET]",
        "Keep a capture under a name, to compare with", help_baseline, verb_baseline},
    {"alerts", "[OPTIONS] [TARGET]",
        "Say what is wrong with processes, and tell others", WHOLE(help_alerts, ""),
        WHOLE(verb_alerts, whole_run)},
    {"record", "[OPTIONS] [TARGET...]",
        "Keep the history of processes: what they held, and when", help_record,
        verb_record},
    {"export", "--format F [OPTIONS] TARGET",
        "Write who holds memory in the format of another tool", help_export,
        verb_export},
    {"push", "[OPTIONS] [TARGET] --to KIND --url URL",
        "Send figures and profiles to OTLP receivers, Pyroscope, Parca",
        WHOLE(help_push, ""), WHOLE(verb_push, whole_run)},
    {"serve", "[--listen ADDR:PORT] [OPTIONS]",
        "Show all processes over HTTP: a page, metrics, an API", WHOLE(help_serve, ""),
        WHOLE(verb_serve, whole_run)},
    {"trim", "[OPTIONS] TARGET", "Make a process give free memory back to the kernel",
        help_trim, verb_trim},
    {"sample", "[OPTIONS] TARGET RATE", "Set how often a process samples call stacks",
        help_sample, verb_sample},
    {"options", "[--json] [TARGET]",
        "List the options of libmpalloc, or those in force", help_options,
        verb_options},
    {"doctor", "[OPTIONS] [PID | PROGRAM]", "Say what would hinder mpalloc here",
        WHOLE(help_doctor, ""), WHOLE(verb_doctor, whole_run)},
    {"completion", "bash | zsh", "Print a completion script for the shell",
        WHOLE(help_completion, ""), WHOLE(verb_completion, whole_run)},
    {"help", "[VERB]", "Explain a verb", help_help, verb_help},
    {"version", "", "Print the version", help_version, verb_version},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        if (strcmp(v->name, name) == 0) {
            return v;
        }
    }
    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("mpalloc - see what the memory of a process is, without stopping it\n\n"
          "  mpalloc VERB [OPTIONS] [TARGET]\n\n",
        out);
    for (const struct verb *v = verbs; v->name != NULL; v++) {
        fprintf(out, "  %-11s %s\n", v->name, v->summary);
    }
    fputs("\nA TARGET is a PID (also of a process that died and left its region), a "
          "region,\n"
          "dump or core file, or the name of a process.\n\n"
          "Exit codes: 0 fine, 1 failed, 2 usage, 3 a --fail-on condition is met, 4 no "
          "such\n"
          "process or not on mpalloc, 5 not permitted, 6 damaged file; run passes the\n"
          "program's own through.\n\n"
          "  mpalloc run --report -- python3 job.py     the first thing to try\n"
          "  mpalloc VERB --help                        options and examples\n",
        out);
}

static int verb_help(int argc, char **argv)
{
    const struct verb *v;
    char help[] = "--help";
    char *words[] = {argv[1], help, NULL};

    if (argc < 2) {
        print_overview(stdout);
        return EXIT_FINE;
    }
    v = verb_find(argv[1]);
    if (v == NULL) {
        return cli_fail("help", EXIT_USAGE,
            "there is no verb %s (mpalloc help lists them)", argv[1]);
    }
    if (v->run == verb_help || v->run == verb_version) {
        printf(
            "mpalloc %s %s\n\n%s.\n\n%s", v->name, v->arguments, v->summary, v->help);
        return EXIT_FINE;
    }
    return v->run(2, words);
}

static int verb_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("mpalloc %s\nregion format %d\n", CONFIG_VERSION, MP_REGION_VERSION);
    return EXIT_FINE;
}

/* What was printed must have arrived, or scripts would believe half a list. */
static int finish(int code)
{
    int lost = outfile_flush(stdout);

    if (lost != 0 && code == EXIT_FINE) {
        fprintf(stderr, "mpalloc: standard output cannot be written: %s\n",
            strerror(-lost));
        return EXIT_FAILED;
    }
    return code;
}

/* All that is seen of the module. */
__attribute__((visibility("default"))) int main(int argc, char **argv)
{
    const struct verb *v;
    const char *name = argc > 1 ? argv[1] : "";

    setlocale(LC_CTYPE, "");
    if (name[0] == '\0') {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    name = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 ? "help"
           : strcmp(name, "--version") == 0                       ? "version"
                                                                  : name;
    v = verb_find(name);
    if (v == NULL) {
        fprintf(
            stderr, "mpalloc: there is no verb %s (mpalloc help lists them)\n", name);
        return EXIT_USAGE;
    }
    return finish(v->run(argc - 1, argv + 1));
}
