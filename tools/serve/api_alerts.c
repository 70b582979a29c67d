/*
 * api_alerts - what fires, of all processes or of one
 *
 * Alerts are evaluated in rounds, by whoever documents.alerts belongs to; here they are only picked.
 */
#include "../document.h"
#include "../must.h"
#include "api_parts.h"
#include "documents.h"

#include <string.h>

static json_t *find_alerts(struct request *r)
{
    if (documents.alerts == NULL) {
        reply_problem(r, 503, "this server evaluates no alerts");
        return NULL;
    }
    return documents.alerts(request_serve(r));
}

static bool is_of(const json_t *alert, const char *id)
{
    const char *of =
        json_string_value(json_object_get(json_object_get(alert, "process"), "id"));

    return of != NULL && strcmp(of, id) == 0;
}

static enum answered handle_all(struct request *r)
{
    json_t *d = find_alerts(r);

    return d == NULL ? ANSWERED : api_reply(r, d);
}

static enum answered handle_of_one(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    json_t *d = p != NULL ? find_alerts(r) : NULL;
    json_t *all = json_object_get(d, "alerts");

    if (d == NULL) {
        return ANSWERED;
    }
    for (size_t i = json_array_size(all); i > 0; i--) {
        if (!is_of(json_array_get(all, i - 1), p->id)) {
            json_array_remove(all, i - 1);
        }
    }
    return api_reply(r, d);
}

json_t *api_count_alerts(const json_t *document, const char *id)
{
    static const char *const states[] = {"firing", "pending"};
    json_t *counts = must(json_object());
    const json_t *all = json_object_get(document, "alerts");

    for (size_t s = 0; s < sizeof(states) / sizeof(*states); s++) {
        uint64_t count = 0;

        for (size_t i = 0; i < json_array_size(all); i++) {
            const json_t *alert = json_array_get(all, i);
            const char *state = json_string_value(json_object_get(alert, "state"));

            count += is_of(alert, id) && state != NULL && strcmp(state, states[s]) == 0;
        }
        document_set_bytes(counts, states[s], count);
    }
    return counts;
}

const struct route api_alerts_routes[] = {
    {"GET", "/api/v1/alerts", handle_all, ROUTE_QUICK},
    {"GET", "/api/v1/processes/{id}/alerts", handle_of_one, ROUTE_QUICK},
    {"GET", "/profiling/alerts", handle_of_one, ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
