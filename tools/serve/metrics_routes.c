/*
 * metrics_routes - GET /metrics, GET /sd, and GET /runbook, which alerts point to
 */
#include "../document.h"
#include "../must.h"
#include "../push/push.h"
#include "metrics.h"
#include "runbook_page.h"
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values are those of the scrape, but for scrapers that come all at once. */
enum { SCRAPE_AGE_MS = 200, TARGETS_AGE_MS = 2000 };

/* pushes: room for PUSH_TOS */
static struct metrics_server server_figures(
    struct serve *s, struct metrics_push *pushes)
{
    return (struct metrics_server){
        .requests_total = atomic_load(&s->cost.requests_total),
        .refused_total = atomic_load(&s->cost.refused_total),
        .failed_total = atomic_load(&s->cost.failed_total),
        .connections_total = atomic_load(&s->cost.connections_total),
        .request_seconds_total = (double)atomic_load(&s->cost.request_ns_total) / 1e9,
        .pushes = pushes,
        .push_count = serve_pushes(s, pushes),
    };
}

/* A list of the one that was asked for: the others are not even looked at. */
static enum answered reply_metrics(
    struct request *r, const struct fleet_list *list, const struct fleet_process *only)
{
    struct serve *s = request_serve(r);
    struct metrics_push pushes[PUSH_TOS];
    struct metrics_server server = server_figures(s, pushes);
    struct metric_text text = {.form = metric_text_choose(request_header(r, "Accept"))};
    enum answered done;

    metrics_write(serve_metrics(s), list, only, &server, request_is_trusted(r), &text);
    reply_header(r, "Vary", "Accept");
    done = reply_bytes(r, 200, metric_text_type(text.form), text.data, text.count);
    free(text.data);
    return done;
}

static enum answered handle_metrics(struct request *r)
{
    struct fleet *fleet = request_serve(r)->fleet;
    const char *id = request_value(r, "process");
    const struct fleet_list *list;
    const struct fleet_process *p = NULL;
    enum answered done;

    if (id != NULL) {
        p = fleet_hold_one(fleet, id, SCRAPE_AGE_MS);
        if (p == NULL) {
            return reply_problem(r, 404,
                "there is no process \"%s\", or not one alone: /api/v1/processes lists "
                "them",
                id);
        }
        if (p->image == NULL) {
            done = reply_problem(r, 502, "%s", p->error);
            fleet_release_one(fleet, p);
            return done;
        }
    }
    list = fleet_hold(fleet, p != NULL ? 60000 : SCRAPE_AGE_MS);
    done = reply_metrics(r, list, p);
    fleet_release(fleet, list);
    if (p != NULL) {
        fleet_release_one(fleet, p);
    }
    return done;
}

/* ---- discovery ---- */

static void set_label(json_t *labels, const char *key, const char *value)
{
    document_set(labels, key, document_string(value));
}

static void set_number(json_t *labels, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    set_label(labels, key, text);
}

/*
 * Each has labels of its own: of two with one address, Prometheus would take one only. What has
 * __meta_ is for relabelling, and is gone after it.
 */
static json_t *target_of(const struct fleet_process *p, const char *address)
{
    const struct mp_region_process *facts = mp_image_process(p->image);
    json_t *target = must(json_object());
    json_t *addresses = must(json_array());
    json_t *labels = must(json_object());
    char text[4 * 256 + 1];

    document_append(addresses, document_string(address));
    document_set(target, "targets", addresses);
    set_label(labels, "__metrics_path__", "/metrics");
    set_label(labels, "__param_process", p->id);
    set_label(labels, "process", p->name);
    set_number(labels, "pid", p->pid);
    set_label(labels, "__meta_mpalloc_id", p->id);
    set_label(labels, "__meta_mpalloc_process", p->name);
    set_number(labels, "__meta_mpalloc_pid", p->pid);
    set_number(labels, "__meta_mpalloc_uid", p->uid);
    mp_text_escape(text, sizeof(text), facts->exe, 256);
    set_label(labels, "__meta_mpalloc_exe", text);
    document_set(target, "labels", labels);
    return target;
}

json_t *metrics_targets(const struct fleet_list *list, const char *address)
{
    json_t *all = must(json_array());

    for (size_t i = 0; i < list->count; i++) {
        const struct fleet_process *p = list->at[i];

        if (p->image != NULL
            && (p->life == MP_LIFE_RUNNING || p->life == MP_LIFE_ELSEWHERE)) {
            document_append(all, target_of(p, address));
        }
    }
    return all;
}

static enum answered handle_sd(struct request *r)
{
    struct fleet *fleet = request_serve(r)->fleet;
    const char *host = request_header(r, "Host");
    const struct fleet_list *list;
    json_t *targets;

    if (host == NULL || host[0] == '\0') {
        return reply_problem(r, 400, "/sd needs the header Host: targets are there");
    }
    list = fleet_hold(fleet, TARGETS_AGE_MS);
    targets = metrics_targets(list, host);
    fleet_release(fleet, list);
    return reply_json(r, 200, targets);
}

static enum answered handle_runbook(struct request *r)
{
    return reply_static(
        r, "text/html; charset=utf-8", runbook_page, sizeof(runbook_page) - 1);
}

const struct route metrics_routes[] = {
    {"GET", "/metrics", handle_metrics, ROUTE_QUICK},
    {"GET", "/runbook", handle_runbook, ROUTE_QUICK | ROUTE_OPEN},
    {"GET", "/sd", handle_sd, ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
