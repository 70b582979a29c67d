/*
 * api_actions - what changes something in a process: leak check, trim, sampling, baselines
 *
 * The core lets these be asked only with --allow-actions, and by nobody's page but ours. A process
 * answers in its slow path, so each waits; others have the worker's place meanwhile.
 */
#include "../baselines.h"
#include "../cli.h"
#include "../document.h"
#include "../document_baselines.h"
#include "../document_requests.h"
#include "../history.h"
#include "api_parts.h"
#include "workers.h"

#include <string.h>
#include <strings.h>

/* Blocks of a thread that is about to store them look lost: not a second later. */
enum { SCAN_WAIT_MS = 1000, NAME_BYTES = 100 };

static enum answered fail(struct request *r, int code, const struct mp_error *error)
{
    return reply_problem(r, api_status_of_errno(code), "%s",
        error->text[0] != '\0' ? error->text : strerror(-code));
}

/* Its process, and how long it is waited for. */
static const struct fleet_process *begin(
    struct request *r, uint64_t usual_s, unsigned *ret_timeout_ms)
{
    const struct fleet_process *p = api_process(r);
    uint64_t seconds;

    if (p == NULL
        || !request_number(r, "timeout", 1, API_SECONDS_MOST, usual_s, &seconds)) {
        return NULL;
    }
    *ret_timeout_ms = (unsigned)seconds * 1000;
    return p;
}

static enum answered handle_trim(struct request *r)
{
    struct mp_error error = {""};
    unsigned timeout_ms;
    const struct fleet_process *p = begin(r, 2, &timeout_ms);
    uint64_t bytes = 0;
    bool paused;
    int code;

    if (p == NULL) {
        return ANSWERED;
    }
    paused = workers_pause();
    code = mp_trim_request(p->path, timeout_ms, &bytes, &error);
    if (paused) {
        workers_go_on();
    }
    api_forget(r, p);
    return code != 0 ? fail(r, code, &error)
                     : api_reply(r, document_trim(p->path, bytes));
}

/* ---- sampling ---- */

/* {"interval": "64k"}; false: it is something else, and that was answered. */
static bool read_interval(struct request *r, uint64_t *ret)
{
    const char *type = request_header(r, "Content-Type");
    json_error_t error;
    size_t bytes;
    const char *body = request_body(r, &bytes);
    json_t *whole;
    const char *text;
    bool is_good;

    if (type == NULL || strncasecmp(type, "application/json", 16) != 0) {
        reply_problem(r, 415, "send Content-Type: application/json");
        return false;
    }
    whole = json_loadb(body, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (whole == NULL) {
        reply_problem(
            r, 400, "the body is no JSON: line %d: %s", error.line, error.text);
        return false;
    }
    text = json_string_value(json_object_get(whole, "interval"));
    is_good = text != NULL && json_object_size(whole) == 1;
    if (!is_good) {
        reply_problem(r, 400, "send {\"interval\": \"64k\"}, and nothing else");
    } else if (!cli_parse_interval(text, ret)) {
        is_good = false;
        reply_problem(r, 400,
            "interval takes bytes from 1 to 1t such as 64k, or exact, or off; not "
            "\"%.100s\"",
            text);
    }
    json_decref(whole);
    return is_good;
}

static enum answered handle_sample(struct request *r)
{
    struct mp_error error = {""};
    unsigned timeout_ms;
    const struct fleet_process *p = begin(r, 2, &timeout_ms);
    uint64_t wanted;
    uint64_t interval = 0;
    bool paused;
    int code;

    if (p == NULL || !read_interval(r, &wanted)) {
        return ANSWERED;
    }
    paused = workers_pause();
    code = mp_sample_request(p->path, wanted, timeout_ms, &interval, &error);
    if (paused) {
        workers_go_on();
    }
    api_forget(r, p);
    if (code != 0) {
        return fail(r, code, &error);
    }
    if (interval != wanted) {
        return reply_problem(r, 409,
            "the process does not follow: in hardened mode stacks are not sampled");
    }
    return api_reply(r, document_sample(p->path, interval));
}

/* ---- leak check ---- */

static enum answered handle_scan(struct request *r)
{
    struct mp_error error = {""};
    unsigned timeout_ms;
    const struct fleet_process *p = begin(r, 60, &timeout_ms);
    const struct fleet_process *after;
    uint64_t number;
    uint64_t rows;
    bool all;
    bool paused;
    int code;

    if (p == NULL || !api_leaks_asked(r, &rows, &all)) {
        return ANSWERED;
    }
    paused = workers_pause();
    code = mp_leak_request(p->path, SCAN_WAIT_MS, timeout_ms, &number, &error);
    if (paused) {
        workers_go_on();
    }
    api_forget(r, p);
    if (code != 0) {
        return fail(r, code, &error);
    }
    after = fleet_hold_one(request_serve(r)->fleet, p->id, 0);
    if (after == NULL || after->image == NULL) {
        reply_problem(r, 410, "process %s ended after the check", p->id);
    } else {
        api_leaks(r, after, rows, all);
    }
    if (after != NULL) {
        fleet_release_one(request_serve(r)->fleet, after);
    }
    return ANSWERED;
}

/* ---- baselines ---- */

static bool is_name(const char *text)
{
    char escaped[4 * NAME_BYTES + 1];
    size_t length = strlen(text);

    if (length > NAME_BYTES) {
        return false;
    }
    mp_text_escape(escaped, sizeof(escaped), text, length);
    return strcmp(escaped, text) == 0;
}

static enum answered save(struct request *r, const struct fleet_process *p,
    const char *name, const char *label)
{
    struct said said;
    struct said *before = said_keep(&said);
    char build[2 * MP_REGION_BUILD_ID_BYTES + 1];
    struct baseline b;
    sqlite3 *db = NULL;
    int code = history_open("serve", NULL, HISTORY_WRITE, &db);

    if (code == EXIT_FINE) {
        code = baseline_save("serve", db, name, label, p->path);
    }
    baseline_build_id(p->image, build);
    if (code == EXIT_FINE && !baseline_find(db, name, label, build, &b)) {
        code = EXIT_FAILED;
    }
    history_close(db);
    said_keep(before);
    return code != EXIT_FINE
               ? reply_problem(r, api_status_of_code(code), "%s", said.text)
               : api_reply(r, document_baselines(&b, 1, NULL));
}

static enum answered handle_save(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    const char *name = request_part(r, "name");
    const char *label = request_value(r, "label");

    if (p == NULL) {
        return ANSWERED;
    }
    label = label != NULL ? label : "";
    if (name[0] == '\0' || !is_name(name) || !is_name(label)) {
        return reply_problem(r, 400,
            "names and labels have at most %d characters that can be printed",
            NAME_BYTES);
    }
    return save(r, p, name, label);
}

const struct route api_actions_routes[] = {
    {"POST", "/api/v1/processes/{id}/scan", handle_scan, ROUTE_ACTION},
    {"POST", "/api/v1/processes/{id}/trim", handle_trim, ROUTE_ACTION},
    {"POST", "/api/v1/processes/{id}/sample", handle_sample, ROUTE_ACTION},
    {"POST", "/api/v1/processes/{id}/baselines/{name}", handle_save, ROUTE_ACTION},
    {NULL, NULL, NULL, 0},
};
