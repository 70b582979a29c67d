#include "report_past.h"

#include "document.h"
#include "document_past.h"
#include "history.h"
#include "past.h"
#include "past_sheet.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DAY_S = 86400,
    ENOUGH = 16, /* points: with less the region itself knows more */
};

bool report_try_since(const char *text, int64_t *ret)
{
    double value;

    if (!cli_parse_time(text, &value) || !(value >= 1) || !(value <= 3660.0 * DAY_S)) {
        return false;
    }
    *ret = (int64_t)value;
    return true;
}

int64_t report_parse_since(const char *text)
{
    int64_t since_s = 0;

    if (!report_try_since(text, &since_s)) {
        exit(cli_fail("report", EXIT_USAGE,
            "--since takes a time such as 30m, 24h or 7d, not \"%s\"", text));
    }
    return since_s;
}

/* By name or process id; of a file, or by --pid-file, that very run. */
static bool find_past(struct past *past, sqlite3 *db, const struct common *common,
    char **words, int64_t since_s, int64_t now_s)
{
    struct past_of of = {.name = common->name != NULL ? common->name : words[0]};
    struct target target = {.image = NULL};
    bool is_found;

    if (of.name == NULL || access(of.name, F_OK) == 0) {
        if (cli_open_target("report", common, words, &target) != EXIT_FINE) {
            return false;
        }
        of = (struct past_of){.run_id = mp_image_process(target.image)->run_id};
    } else if (of.name[strspn(of.name, "0123456789")] == '\0') {
        of = (struct past_of){.pid = strtoull(of.name, NULL, 10)};
    }
    is_found = past_load(past, db, &of, since_s, now_s);
    mp_image_free(target.image);
    return is_found;
}

/* What was not recorded, or hardly, the region itself may know: it has a timeline. */
static int load_past(struct past *past, const struct common *common, char **words,
    int64_t since_s, int64_t now_s, bool must_be_recorded)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    struct target target;
    bool is_found = false;
    int code = EXIT_FINE;

    if (words[0] == NULL && common->name == NULL && common->pid_file == NULL) {
        return cli_fail(
            "report", EXIT_USAGE, "needs a PID, a region file or --name NAME");
    }
    if (must_be_recorded
        || (history_find_path(path, sizeof(path)) && history_is_there(path))) {
        code = history_open("report", NULL, HISTORY_READ, &db);
    }
    if (code == EXIT_FINE && db != NULL) {
        is_found = find_past(past, db, common, words, since_s, now_s);
    }
    history_close(db);
    if (code != EXIT_FINE
        || (is_found && (must_be_recorded || past->point_count >= ENOUGH))) {
        return code;
    }
    past_fini(past);
    if (must_be_recorded) {
        return cli_fail("report", EXIT_NO_PROCESS,
            "nothing was recorded of %s in that time (mpalloc record)",
            words[0] != NULL       ? words[0]
            : common->name != NULL ? common->name
                                   : common->pid_file);
    }
    code = cli_open_target("report", common, words, &target);
    if (code == EXIT_FINE) {
        past_from_image(past, target.image, since_s, now_s);
        mp_image_free(target.image);
        if (past->point_count == 0) {
            code = cli_fail("report", EXIT_FAILED, "it ran for no second yet");
        }
    }
    return code;
}

bool report_past_of(
    struct past *past, const mp_image_t *image, int64_t since_s, int64_t now_s)
{
    struct past_of of = {.run_id = mp_image_process(image)->run_id};
    char path[PATH_MAX];
    sqlite3 *db = NULL;
    bool is_enough = false;

    *past = (struct past){0};
    if (history_find_path(path, sizeof(path)) && history_is_there(path)
        && history_open("report", path, HISTORY_READ, &db) == EXIT_FINE) {
        is_enough =
            past_load(past, db, &of, since_s, now_s) && past->point_count >= ENOUGH;
    }
    history_close(db);
    if (!is_enough) {
        past_fini(past);
        past_from_image(past, image, since_s, now_s);
    }
    return past->point_count > 0;
}

static void put_sheet(const struct past *past, enum past_format format)
{
    struct sheet *s = past_sheet_create(past);

    (format == PAST_HTML ? sheet_put_html : sheet_put_markdown)(s, stdout);
    sheet_destroy(s);
}

int report_past(const struct common *common, char **words, int64_t since_s,
    bool with_forecast, enum past_format format, const char *path)
{
    struct past past = {0};
    int64_t now_s = (int64_t)(view_now_ns() / 1000000000u);
    bool is_whole = since_s > 0;
    int code = load_past(
        &past, common, words, now_s - (is_whole ? since_s : DAY_S), now_s, is_whole);

    if (code == EXIT_FINE && path != NULL && freopen(path, "we", stdout) == NULL) {
        code = cli_fail("report", EXIT_FAILED, "%s cannot be written: %m", path);
    }
    if (code == EXIT_FINE && common->json) {
        code = document_print(document_past(&past), false);
    } else if (code == EXIT_FINE) {
        if (format == PAST_TEXT) {
            past_render(stdout, &past, with_forecast && !is_whole);
        } else {
            put_sheet(&past, format);
        }
        code = fflush(stdout) != 0 || ferror(stdout) ? cli_fail("report", EXIT_FAILED,
                   "%s cannot be written: %m", path != NULL ? path : "standard output")
                                                     : EXIT_FINE;
    }
    past_fini(&past);
    return code;
}
