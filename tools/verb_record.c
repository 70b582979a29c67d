/*
 * verb_record - mpalloc record: keeps the history of processes, point by point
 */
#include "cli.h"
#include "document.h"
#include "format.h"
#include "must.h"
#include "recording.h"
#include "view.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

const char help_record[] =
    "Looks at processes now and then and keeps what they hold: totals, the largest "
    "components\n"
    "and call stacks, what leaks. mpalloc report --since shows it, also of processes "
    "that are\n"
    "gone. Kept are points every 10 s for an hour, every minute for a day, every 10 "
    "minutes for\n"
    "30 days: at most 50 MiB for each process. The processes are not disturbed.\n"
    "\n"
    "  TARGET       a PID, a region file, or the name of a process; none: all of "
    "yours, "
    "also\n"
    "               those that start later\n"
    "  --name NAME  the process of that name\n"
    "  --every T    so often (10s)\n"
    "  --for T      end after that, such as 30m; else when the processes end, or with "
    "ctrl-c\n"
    "  --db FILE    there, instead of $MPALLOC_HISTORY, or "
    "~/.local/state/mpalloc/history.db\n"
    "  --json       at the end what was recorded, schema tools/schemas/record.json\n"
    "\n"
    "A full disk makes it pause until there is room again; a damaged database is moved "
    "aside.\n"
    "\n"
    "Examples:\n"
    "  mpalloc record                         all of yours\n"
    "  mpalloc record 4711 --every 1s --for 10m\n"
    "  mpalloc report 4711 --since 24h        shows it\n";

enum { TARGETS_MAX = 256 };

struct recorder {
    const char *db_path; /* NULL: the usual one */
    struct recording into;
    unsigned every_ms;
    uint64_t for_ms; /* 0: without end */
    size_t target_count;
    char (*targets)[PATH_MAX]; /* NULL: all */
    bool ended[TARGETS_MAX];
};

static volatile sig_atomic_t is_asked_to_end;

static void ask_to_end(int number)
{
    (void)number;
    is_asked_to_end = 1;
}

/* ---- one look ---- */

/* False: it cannot go on. */
static bool record_one(struct recorder *r, const char *path, bool *ret_ended)
{
    struct mp_error error = {""};
    mp_image_t *image;
    bool goes_on;

    *ret_ended = true;
    if (mp_image_open(path, &image, &error) != 0) {
        return true; /* it ended in order, and took its region with it */
    }
    goes_on = recording_add(&r->into, image, mp_image_life(image), ret_ended);
    mp_image_free(image);
    return goes_on;
}

static bool record_targets(struct recorder *r)
{
    bool goes_on = true;

    for (size_t i = 0; goes_on && i < r->target_count; i++) {
        if (!r->ended[i]) {
            goes_on = record_one(r, r->targets[i], &r->ended[i]);
        }
    }
    return goes_on;
}

static bool record_all(struct recorder *r)
{
    struct mp_paths paths;
    bool goes_on = true;
    bool ended;

    mp_find_all(NULL, true, &paths, NULL);
    for (size_t i = 0; goes_on && i < paths.count; i++) {
        goes_on = record_one(r, paths.path[i], &ended);
    }
    mp_paths_free(&paths);
    return goes_on;
}

static bool look(struct recorder *r)
{
    bool goes_on;

    if (!recording_follow(&r->into)) {
        return false;
    }
    recording_begin(&r->into, (int64_t)(view_now_ns() / 1000000000u));
    goes_on = r->targets != NULL ? record_targets(r) : record_all(r);
    return goes_on && recording_end(&r->into);
}

static bool is_over(const struct recorder *r)
{
    for (size_t i = 0; i < r->target_count; i++) {
        if (!r->ended[i]) {
            return false;
        }
    }
    return r->targets != NULL;
}

static int record(struct recorder *r)
{
    uint64_t begun_ns = view_now_ns();

    while (!is_asked_to_end) {
        uint64_t ran_ms;
        uint64_t wait_ms = r->every_ms;

        if (!look(r)) {
            return EXIT_FAILED;
        }
        ran_ms = (view_now_ns() - begun_ns) / 1000000u;
        if (is_over(r) || (r->for_ms > 0 && ran_ms >= r->for_ms)) {
            break;
        }
        /* At whole multiples: how long a look takes does not shift the next. */
        wait_ms -= ran_ms % r->every_ms;
        if (r->for_ms > 0 && wait_ms >= r->for_ms - ran_ms) {
            poll(NULL, 0, (int)(r->for_ms - ran_ms));
            break;
        }
        poll(NULL, 0, (int)wait_ms);
    }
    return EXIT_FINE;
}

/* ---- the verb ---- */

static int print_end(const struct recorder *r, bool json)
{
    struct stat st = {0};
    json_t *d;

    stat(r->into.path, &st);
    if (!json) {
        printf("recorded %llu points in %s, %s\n", (unsigned long long)r->into.points,
            r->into.path, format_bytes((double)st.st_size).text);
        return EXIT_FINE;
    }
    d = document_new("record");
    document_set_text(d, "history", r->into.path);
    document_set_bytes(d, "points", r->into.points);
    document_set_bytes(d, "pauses", r->into.pauses);
    document_set_bytes(d, "history_bytes", (uint64_t)st.st_size);
    return document_print(d, false);
}

static int find_targets(struct recorder *r, const struct common *common, char **words)
{
    static const struct common none;
    struct target target;
    int code = EXIT_FINE;

    if (words[0] == NULL && common->name == NULL && common->pid_file == NULL) {
        return EXIT_FINE;
    }
    r->targets = must(calloc(TARGETS_MAX, sizeof(*r->targets)));
    if (common->name != NULL || common->pid_file != NULL) {
        code = cli_find_target("record", common, words, &target);
        if (code == EXIT_FINE) {
            strcpy(r->targets[r->target_count++], target.path);
        }
        return code;
    }
    for (; *words != NULL && code == EXIT_FINE && r->target_count < TARGETS_MAX;
         words++) {
        char *one[] = {*words, NULL};

        code = cli_open_target("record", &none, one, &target);
        if (code == EXIT_FINE) {
            mp_image_free(target.image);
            strcpy(r->targets[r->target_count++], target.path);
        }
    }
    return code;
}

int verb_record(int argc, char **argv)
{
    enum { EVERY = 1, FOR, DB };
    static const struct option options[] = {COMMON_OPTIONS,
        {"every", required_argument, NULL, EVERY},
        {"for", required_argument, NULL, FOR}, {"db", required_argument, NULL, DB},
        {0}};
    struct common common = {0};
    struct recorder r = {.every_ms = 10000};
    int code;
    int o;

    while ((o = cli_next_option("record", argc, argv, options, false, &common)) != -1) {
        if (o == EVERY) {
            r.every_ms = cli_milliseconds("record", "--every", optarg, 1000, 86400000);
        } else if (o == FOR) {
            r.for_ms = cli_milliseconds("record", "--for", optarg, 1, 4000000000u);
        } else {
            r.db_path = optarg;
        }
    }
    code = find_targets(&r, &common, argv + optind);
    if (code == EXIT_FINE) {
        code = recording_open(&r.into, "record", r.db_path);
    }
    if (code == EXIT_FINE) {
        struct sigaction end = {.sa_handler = ask_to_end};

        sigaction(SIGINT, &end, NULL);
        sigaction(SIGTERM, &end, NULL);
        signal(SIGXFSZ, SIG_IGN); /* a limit on files is a full disk */
        fprintf(stderr, "recording %s into %s, every %s\n",
            r.targets != NULL ? "until they end" : "all processes", r.into.path,
            format_seconds(r.every_ms / 1e3).text);
        code = record(&r);
        recording_close(&r.into);
        if (code == EXIT_FINE) {
            code = print_end(&r, common.json);
        }
    }
    free(r.targets);
    return code;
}
