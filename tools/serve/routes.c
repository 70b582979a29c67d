#include "routes.h"

#include "api.h"
#include "basic.h"
#include "documents.h"
#include "events.h"
#include "metrics.h"
#include "page.h"
#include "rounds.h"

const struct route *const routes[] = {
    api_actions_routes,
    api_alerts_routes,
    api_documents_routes,
    api_files_routes,
    api_insight_routes,
    api_past_routes,
    api_profile_routes,
    basic_routes,
    events_routes,
    metrics_routes,
    page_routes,
    NULL,
};

const struct documents documents = {
    .processes = api_processes,
    .snapshot = api_snapshot,
    .alerts = rounds_alerts,
};
