/*
 * api - the HTTP API of mpalloc serve: documents of processes, profiles, actions (openapi.yaml)
 *
 * Owns: what is answered. Documents are those of the verbs, made by the same functions
 * (document_*.h). Nothing here ends the process, but for want of memory, or says a line; what verbs
 * would say is the answer. Does not own: requests (http.h), processes (fleet.h).
 */
#ifndef API_H
#define API_H

#include "http.h"

extern const struct route api_actions_routes[], api_alerts_routes[],
    api_documents_routes[], api_files_routes[], api_insight_routes[], api_past_routes[],
    api_profile_routes[];

/* Before other threads are there: ends the process without memory. */
struct api *api_create(const struct serve *s);
void api_destroy(struct api *a);

/*
 * Documents of GET /api/v1/processes and …/snapshot, for events, too. What a request that is not
 * trusted (request_is_trusted) must not see is taken out by api_redact: frames of call stacks,
 * command lines, and what alerts say of functions.
 */
json_t *api_processes(struct serve *s);
json_t *api_snapshot(const struct fleet_process *p);
void api_redact(json_t *document);

#endif
