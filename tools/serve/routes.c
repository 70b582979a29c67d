#include "routes.h"

#include "basic.h"
#include "documents.h"
#include "events.h"
#include "metrics.h"
#include "page.h"

const struct route *const routes[] = {
    basic_routes,
    events_routes,
    metrics_routes,
    page_routes,
    NULL,
};

const struct documents documents = {
    .processes = basic_processes,
    .snapshot = basic_snapshot,
    .alerts = NULL,
};
