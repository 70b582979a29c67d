/*
 * api_past - what a process was: its history, baselines, and what changed since
 */
#include "../cli.h"
#include "../comparison_baseline.h"
#include "../document.h"
#include "../document_baselines.h"
#include "../document_diff.h"
#include "../document_moments.h"
#include "../document_past.h"
#include "../history.h"
#include "../report_past.h"
#include "../view.h"
#include "api_parts.h"
#include "api_sides.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- history ---- */

struct asked_past {
    const mp_image_t *image;
    int64_t since_s;
    bool is_trusted;
};

static void make_past(struct made *made, void *arg)
{
    const struct asked_past *a = arg;
    int64_t now_s = (int64_t)(view_now_ns() / 1000000000u);
    struct past past;

    if (report_past_of(&past, a->image, now_s - a->since_s, now_s)) {
        api_made_document(made, document_past(&past), a->is_trusted);
    } else {
        api_made_problem(made, 404, "nothing is known of that time (mpalloc record)");
    }
    past_fini(&past);
}

static enum answered handle_history(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    const char *since = request_value(r, "since");
    struct asked_past a = {.is_trusted = request_is_trusted(r)};
    char key[64];

    if (p == NULL) {
        return ANSWERED;
    }
    if (!report_try_since(since != NULL ? since : "1h", &a.since_s)) {
        return reply_problem(
            r, 400, "since takes a time such as 30m, 24h or 7d, not \"%.100s\"", since);
    }
    a.image = p->image;
    snprintf(key, sizeof(key), "history %lld", (long long)a.since_s);
    return api_reply_made(r, p, key, make_past, &a);
}

/* ---- baselines ---- */

/* NULL where there is no history, which is no failure. False: that was answered. */
static bool open_history(struct request *r, sqlite3 **ret)
{
    struct said said;
    struct said *before = said_keep(&said);
    char path[PATH_MAX];
    int code = EXIT_FINE;

    *ret = NULL;
    if (history_find_path(path, sizeof(path)) && history_is_there(path)) {
        code = history_open("serve", path, HISTORY_READ, ret);
    }
    said_keep(before);
    if (code != EXIT_FINE) {
        reply_problem(r, api_status_of_code(code), "%s", said.text);
    }
    return code == EXIT_FINE;
}

static enum answered reply_baselines(struct request *r, const char *program)
{
    struct baseline *all = NULL;
    size_t count = 0;
    sqlite3 *db;

    if (!open_history(r, &db)) {
        return ANSWERED;
    }
    if (db != NULL) {
        all = baseline_list(db, NULL, request_value(r, "label"), &count);
        history_close(db);
    }
    api_reply(r, document_baselines(all, count, program));
    free(all);
    return ANSWERED;
}

static enum answered handle_all_baselines(struct request *r)
{
    return reply_baselines(r, NULL);
}

static enum answered handle_baselines(struct request *r)
{
    const struct fleet_process *p = api_process(r);

    return p == NULL ? ANSWERED : reply_baselines(r, p->name);
}

/* ---- moments ---- */

static enum answered handle_moments(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    struct moment *all = NULL;
    size_t count = 0;
    sqlite3 *db;

    if (p == NULL || !open_history(r, &db)) {
        return ANSWERED;
    }
    if (db != NULL) {
        all = moment_list(db, p->image, &count);
        history_close(db);
    }
    api_reply(r, document_moments(p->image, all, count));
    free(all);
    return ANSWERED;
}

/* ---- differences ---- */

struct asked_diff {
    const struct sides *sides;
    const char *label;
    enum mp_diff_figure judged;
    bool all;
    size_t rows;
    bool is_trusted;
};

static void make_diff(struct made *made, void *arg)
{
    static const bool by[MP_DIFF_BYS] = {true, true, true};
    const struct asked_diff *a = arg;
    struct comparison c = {.fail_drift = NAN};

    if (sides_open_kept(a->sides, &c, made)) {
        if (a->sides->before != NULL) {
            comparison_lend_side(&c, 0, a->label, a->sides->before);
        }
        comparison_lend_side(&c, 1, a->label, a->sides->after);
        comparison_make(&c, a->judged);
        api_made_document(made, document_diff(&c, by, a->all, a->rows), a->is_trusted);
    }
    comparison_fini(&c);
}

static enum answered handle_diff(struct request *r)
{
    static const char *const values[] = {"live", "allocated", "peak", NULL};
    static const enum mp_diff_figure figures[] = {MP_DIFF_LIVE_BYTES,
        MP_DIFF_ALLOCATED_BYTES, MP_DIFF_PEAK_BYTES, MP_DIFF_FIGURES};
    struct asked_diff a = {.is_trusted = request_is_trusted(r)};
    struct sides sides;
    unsigned value;
    uint64_t rows;
    char key[512];

    if (!sides_ask(r, &sides) || !api_word(r, "value", values, 3, &value)
        || !request_number(r, "rows", 1, 1000000, 10, &rows)
        || !api_flag(r, "all", &a.all)) {
        return ANSWERED;
    }
    if (!sides_are_two(&sides)) {
        return reply_problem(r, 400,
            "say what to compare with: baseline=NAME, since=2h, or seconds=N to wait "
            "for");
    }
    if (!sides_take(r, &sides)) {
        return ANSWERED;
    }
    a.sides = &sides;
    a.label = request_part(r, "id") != NULL ? request_part(r, "id") : sides.process->id;
    a.judged = figures[value];
    a.rows = (size_t)rows;
    snprintf(key, sizeof(key), "diff %u %zu %d %s", value, a.rows, a.all, sides.key);
    api_reply_made(r, sides.process, key, make_diff, &a);
    sides_release(r, &sides);
    return ANSWERED;
}

const struct route api_past_routes[] = {
    {"GET", "/api/v1/baselines", handle_all_baselines, 0},
    {"GET", "/api/v1/processes/{id}/history", handle_history, 0},
    {"GET", "/api/v1/processes/{id}/baselines", handle_baselines, 0},
    {"GET", "/api/v1/processes/{id}/moments", handle_moments, 0},
    {"GET", "/api/v1/processes/{id}/diff", handle_diff, 0},
    {NULL, NULL, NULL, 0},
};
