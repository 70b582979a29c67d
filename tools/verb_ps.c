/*
 * verb_ps - mpalloc ps: all processes of the user that are on mpalloc, live and dead
 */
#include "cli.h"
#include "document.h"
#include "document_ps.h"
#include "format.h"
#include "view.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char help_ps[] =
    "Every process that left a region: running, ended and kept, or killed. Regions "
    "that\n"
    "cannot be read are listed with the reason.\n"
    "\n"
    "  --running     only those that run\n"
    "  --forked      forked children that ended, too\n"
    "  --all         of all users (root); default: your own\n"
    "  --dir DIR     look there instead of $MPALLOC_DIR or /dev/shm/mpalloc-UID\n"
    "  --json        schema tools/schemas/ps.json\n"
    "\n"
    "Examples:\n"
    "  mpalloc ps\n"
    "  mpalloc ps --json | jq -r '.processes[] | select(.state == \"died\") | "
    ".region'\n";

struct listing {
    const char *verb;
    bool running;
    bool forked;
    size_t hidden;
    json_t *rows; /* NULL: text */
    size_t shown;
    size_t damaged;
};

static void list_text(const mp_image_t *image, uint64_t resident)
{
    const struct mp_region_process *p = mp_image_process(image);
    const struct mp_region_totals *t = mp_image_totals(image);
    enum mp_life life = mp_image_life(image);
    char name[256];

    printf("%8llu  %s%-9s%s  %11s  %11s  %11s  %8s  %12s  %s%s\n",
        (unsigned long long)p->pid,
        format_begin(life == MP_LIFE_RUNNING ? STYLE_GREEN : STYLE_YELLOW),
        mp_life_name(life), format_end(), format_bytes((double)t->live_bytes).text,
        format_bytes((double)t->live_peak_bytes).text,
        resident == MP_UNKNOWN ? "-" : format_bytes((double)resident).text,
        format_seconds(life == MP_LIFE_EXITED
                           ? (double)(view_now_ns() - p->ended_ns) / 1e9
                           : view_age_seconds(image))
            .text,
        format_seconds(view_ran_seconds(image)).text,
        format_name(name, sizeof(name), p->service, 40), p->forked ? " (forked)" : "");
}

static void list_damaged(
    struct listing *l, const char *path, const struct mp_error *error)
{
    l->damaged++;
    if (l->rows != NULL) {
        document_append(l->rows, document_ps_damaged(path, error->text));
        return;
    }
    cli_fail("ps", EXIT_FINE, "%s", error->text);
}

static void list_one(struct listing *l, const char *path)
{
    struct mp_error error = {""};
    uint64_t resident = MP_UNKNOWN;
    mp_image_t *image;
    enum mp_life life;

    if (mp_image_open_counters(path, &image, &error) != 0) {
        if (access(path, F_OK) == 0) { /* else it ended cleanly meanwhile */
            list_damaged(l, path, &error);
        }
        return;
    }
    life = mp_image_life(image);
    if (life != MP_LIFE_RUNNING && mp_image_process(image)->forked && !l->forked
        && l->rows == NULL) {
        l->hidden++;
    } else if (!l->running || life == MP_LIFE_RUNNING) {
        if (life == MP_LIFE_RUNNING) {
            resident = mp_proc_resident(mp_image_process(image)->pid);
        }
        if (l->rows != NULL) {
            document_append(l->rows, document_ps_row(image, resident));
        } else {
            if (l->shown == 0) {
                printf("%s%8s  %-9s  %11s  %11s  %11s  %8s  %12s  %s%s\n",
                    format_begin(STYLE_BOLD), "PID", "STATE", "LIVE", "PEAK", "RSS",
                    "AGE", "RAN", "NAME", format_end());
            }
            list_text(image, resident);
        }
        l->shown++;
    }
    mp_image_free(image);
}

static int list_directory(struct listing *l, const char *directory)
{
    struct mp_paths paths;
    struct mp_error error = {""};
    int code = mp_find_all(directory, directory == NULL, &paths, &error);

    for (size_t i = 0; code == 0 && i < paths.count; i++) {
        list_one(l, paths.path[i]);
    }
    mp_paths_free(&paths);
    return code == 0 ? EXIT_FINE : cli_fail("ps", cli_code(code), "%s", error.text);
}

static int list_all_users(struct listing *l)
{
    glob_t found;
    int code = list_directory(l, NULL);
    char own[PATH_MAX] = "";

    mp_find_directory(geteuid(), own, sizeof(own));
    if (code == EXIT_FINE && glob("/dev/shm/mpalloc-*", 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            int one = strcmp(found.gl_pathv[i], own) == 0
                          ? EXIT_FINE
                          : list_directory(l, found.gl_pathv[i]);

            code = code == EXIT_FINE ? one : code;
        }
        globfree(&found);
    }
    return code;
}

int verb_ps(int argc, char **argv)
{
    enum { RUNNING = 1, ALL, DIR, FORKED };
    static const struct option options[] = {COMMON_OPTIONS,
        {"running", no_argument, NULL, RUNNING}, {"all", no_argument, NULL, ALL},
        {"forked", no_argument, NULL, FORKED}, {"dir", required_argument, NULL, DIR},
        {0}};
    struct common common = {0};
    struct listing l = {.verb = "ps"};
    const char *directory = NULL;
    bool all = false;
    json_t *document = NULL;
    int code;
    int c;

    while ((c = cli_next_option("ps", argc, argv, options, false, &common)) != -1) {
        l.running |= c == RUNNING;
        all |= c == ALL;
        l.forked |= c == FORKED;
        directory = c == DIR ? optarg : directory;
    }
    cli_expect_words("ps", argc, 0);
    if (common.json) {
        document = document_new("ps");
        l.rows = json_array();
    }
    if (directory != NULL && access(directory, F_OK) != 0) {
        return cli_fail("ps", EXIT_FAILED, "%s: %m", directory);
    }
    code = all ? list_all_users(&l) : list_directory(&l, directory);
    if (common.json) {
        document_set(document, "processes", l.rows);
        c = document_print(document, false);
        return code != EXIT_FINE ? code : c;
    }
    if (l.hidden != 0) {
        printf("%zu forked children that ended are not shown (--forked)\n", l.hidden);
    }
    if (l.shown == 0 && l.hidden == 0 && code == EXIT_FINE) {
        fprintf(stderr,
            "no process is on mpalloc; start one with: mpalloc run -- PROGRAM\n");
    }
    return code;
}
