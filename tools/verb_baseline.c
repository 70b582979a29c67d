/*
 * verb_baseline - mpalloc baseline: captures kept under a name, to compare with
 */
#include "baselines.h"
#include "cli.h"
#include "document.h"
#include "document_baselines.h"
#include "format.h"
#include "history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char help_baseline[] =
    "Keeps what a process holds under a name, to be compared with later: mpalloc diff\n"
    "--baseline. Save one when the program is warm. It is of the build that runs (the "
    "build id\n"
    "of the executable) and of a label, for each load has its own. A new build begins "
    "a "
    "new one\n"
    "by itself when it is first compared; the old one stays.\n"
    "\n"
    "  save NAME TARGET   keep it; one of that name, label and build is replaced\n"
    "  list [NAME]        those there are\n"
    "  reset NAME         forget them, of all builds: after that nothing drifts\n"
    "\n"
    "  TARGET             a PID, a region or dump file, or the name of a process\n"
    "  --name NAME        the process of that name\n"
    "  --label TEXT       the load that it is of, such as load=high\n"
    "  --json             schema tools/schemas/baseline.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc baseline save nightly 4711 --label load=high\n"
    "  mpalloc diff --baseline nightly --label load=high 4711 --fail-on drift=20%\n"
    "  mpalloc baseline reset nightly        the growth was meant: begin anew\n";

static int print_list(
    const struct common *common, const struct baseline *all, size_t count)
{
    if (!common->json) {
        if (count == 0) {
            printf("no baselines (mpalloc baseline save NAME TARGET makes one)\n");
        } else {
            printf("%-16s %-14s %-20s %-14s %-12s %10s %10s\n", "name", "label", "made",
                "program", "build", "live", "kept");
        }
        for (size_t i = 0; i < count; i++) {
            printf("%-16s %-14s %-20s %-14s %-12.12s %10s %10s\n", all[i].name,
                all[i].label[0] != '\0' ? all[i].label : "-",
                format_time((uint64_t)all[i].made_s * 1000000000u).text, all[i].program,
                all[i].build_id[0] != '\0' ? all[i].build_id : "-",
                format_bytes((double)all[i].live_bytes).text,
                format_bytes((double)all[i].kept_bytes).text);
        }
        return EXIT_FINE;
    }
    return document_print(document_baselines(all, count, NULL), false);
}

static int fail_none(const char *name)
{
    return cli_fail("baseline", EXIT_NO_PROCESS,
        "there is no baseline %s (mpalloc baseline list)", name);
}

static int list(const struct common *common, const char *name, const char *label)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    struct baseline *all;
    size_t count;
    int code;

    /* Without a history there are none: that is no failure. */
    if (!history_find_path(path, sizeof(path)) || !history_is_there(path)) {
        return name != NULL ? fail_none(name) : print_list(common, NULL, 0);
    }
    code = history_open("baseline", path, HISTORY_READ, &db);
    if (code != EXIT_FINE) {
        return code;
    }
    all = baseline_list(db, name, label, &count);
    code =
        count == 0 && name != NULL ? fail_none(name) : print_list(common, all, count);
    free(all);
    history_close(db);
    return code;
}

static int save(
    const struct common *common, const char *name, const char *label, char **words)
{
    sqlite3 *db = NULL;
    struct target target;
    int code = cli_find_target("baseline", common, words, &target);

    if (code == EXIT_FINE) {
        code = history_open("baseline", NULL, HISTORY_WRITE, &db);
    }
    if (code == EXIT_FINE) {
        code = baseline_save("baseline", db, name, label, target.path);
        if (code == EXIT_FINE) {
            struct baseline b;

            baseline_find(db, name, label, "", &b);
            code = common->json ? print_list(common, &b, 1) : EXIT_FINE;
            if (!common->json) {
                printf("baseline %s: %s live, build %.12s\n", b.name,
                    format_bytes((double)b.live_bytes).text,
                    b.build_id[0] != '\0' ? b.build_id : "without an id");
            }
        }
        history_close(db);
    }
    return code;
}

static int reset(const struct common *common, const char *name, const char *label)
{
    sqlite3 *db = NULL;
    struct baseline *all;
    size_t count = 0;
    int code = history_open("baseline", NULL, HISTORY_WRITE, &db);

    if (code != EXIT_FINE) {
        return code;
    }
    all = baseline_list(db, name, label, &count);
    if (count == 0) {
        code = fail_none(name);
    } else {
        code = baseline_remove("baseline", db, name, label);
    }
    if (code == EXIT_FINE) {
        code = common->json ? print_list(common, all, count) : EXIT_FINE;
        if (!common->json) {
            printf("%zu baseline%s %s forgotten\n", count, count == 1 ? "" : "s", name);
        }
    }
    free(all);
    history_close(db);
    return code;
}

int verb_baseline(int argc, char **argv)
{
    enum { LABEL = 1 };
    static const struct option options[] = {
        COMMON_OPTIONS, {"label", required_argument, NULL, LABEL}, {0}};
    struct common common = {0};
    const char *label = NULL;
    const char *what;
    char **words;

    while (cli_next_option("baseline", argc, argv, options, false, &common) != -1) {
        label = optarg;
    }
    words = argv + optind;
    what = words[0] != NULL ? words[0] : "";
    if (strlen(label != NULL ? label : "") > 100
        || (words[0] != NULL && words[1] != NULL && strlen(words[1]) > 100)) {
        return cli_fail(
            "baseline", EXIT_USAGE, "names and labels have at most 100 characters");
    }
    if (words[0] != NULL && words[1] != NULL && words[1][0] == '\0') {
        return cli_fail("baseline", EXIT_USAGE, "the name of the baseline is empty");
    }
    if (strcmp(what, "save") == 0 && words[1] != NULL
        && strchr(words[1], ':') != NULL) {
        return cli_fail("baseline", EXIT_USAGE,
            "names have no colon: behind one stands the build, baseline:NAME:BUILD");
    }
    if (strcmp(what, "list") == 0) {
        cli_expect_words("baseline", argc, 2);
        return list(&common, words[1], label);
    }
    if (strcmp(what, "save") == 0 && words[1] != NULL) {
        cli_expect_words("baseline", argc, 3);
        return save(&common, words[1], label != NULL ? label : "", words + 2);
    }
    if (strcmp(what, "reset") == 0 && words[1] != NULL) {
        cli_expect_words("baseline", argc, 2);
        return reset(&common, words[1], label);
    }
    return cli_fail("baseline", EXIT_USAGE,
        "takes save NAME TARGET, list, or reset NAME (mpalloc baseline --help)");
}
