#include "basic.h"

#include "../document.h"
#include "serve.h"

#include <mpalloc/region.h>
#include <string.h>

json_t *basic_processes(struct serve *s)
{
    json_t *d = document_new("processes");
    json_t *rows = json_array();
    const struct fleet_list *list = fleet_hold(s->fleet, serve_age_ms(s));

    for (size_t i = 0; i < list->count; i++) {
        const struct fleet_process *p = list->at[i];
        json_t *row;

        if (p->image != NULL) {
            const struct mp_region_totals *t = mp_image_totals(p->image);

            row = document_process(p->image);
            document_set_bytes(row, "live_bytes", t->live_bytes);
            document_set_bytes(row, "live_blocks", t->live_blocks);
            document_set_bytes(row, "live_peak_bytes", t->live_peak_bytes);
            document_set_bytes(row, "rss_bytes", p->kernel.resident_bytes);
            document_set_bytes(row, "threads", t->threads);
        } else {
            row = json_object();
            document_set_text(row, "state", "damaged");
            document_set_text(row, "region", p->path);
            document_set_text(row, "error", p->error);
        }
        document_set_text(row, "id", p->id);
        document_append(rows, row);
    }
    fleet_release(s->fleet, list);
    document_set(d, "processes", rows);
    return d;
}

json_t *basic_snapshot(const struct fleet_process *p)
{
    json_t *d = document_new("snapshot");

    document_add_snapshot(d, p->image);
    return d;
}

static enum answered handle_health(struct request *r)
{
    return reply_bytes(r, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

/* Ready: the directories were looked at, and it is not about to end. */
static enum answered handle_ready(struct request *r)
{
    struct serve *s = request_serve(r);

    if (atomic_load(&s->is_ending)) {
        return reply_problem(r, 503, "the server ends");
    }
    fleet_release(s->fleet, fleet_hold(s->fleet, 60000));
    return reply_bytes(r, 200, "text/plain; charset=utf-8", "ready\n", 6);
}

static enum answered handle_version(struct request *r)
{
    json_t *d = document_new("version");

    document_set_text(d, "version", CONFIG_VERSION);
    document_set(d, "region_format", json_integer(MP_REGION_VERSION));
    document_set_time(d, "started", request_serve(r)->started_ns);
    document_set(d, "actions", json_boolean(request_serve(r)->options.allow_actions));
    return reply_json(r, 200, d);
}

static enum answered handle_processes(struct request *r)
{
    return reply_json(r, 200, basic_processes(request_serve(r)));
}

static enum answered handle_snapshot(struct request *r)
{
    const struct fleet_process *p = request_process(r);

    if (p == NULL) {
        return ANSWERED;
    }
    if (p->image == NULL) {
        return reply_problem(r, 502, "%s", p->error);
    }
    return reply_json(r, 200, basic_snapshot(p));
}

const struct route basic_routes[] = {
    {"GET", "/healthz", handle_health, ROUTE_OPEN | ROUTE_QUICK},
    {"GET", "/readyz", handle_ready, ROUTE_OPEN | ROUTE_QUICK},
    {"GET", "/api/v1/version", handle_version, ROUTE_QUICK},
    {"GET", "/api/v1/processes", handle_processes, ROUTE_QUICK},
    {"GET", "/api/v1/processes/{id}/snapshot", handle_snapshot, ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
