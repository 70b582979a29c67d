#include "basic.h"

#include "serve.h"

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

const struct route basic_routes[] = {
    {"GET", "/healthz", handle_health, ROUTE_OPEN | ROUTE_QUICK},
    {"GET", "/readyz", handle_ready, ROUTE_OPEN | ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
