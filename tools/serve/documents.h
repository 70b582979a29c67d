/*
 * documents - what the parts of mpalloc serve say of the same thing, so that they say the same
 */
#ifndef DOCUMENTS_H
#define DOCUMENTS_H

#include "http.h"

/* Each makes a new document; may be called by any thread. */
struct documents {
    json_t *(*processes)(struct serve *s); /* GET /api/v1/processes */
    json_t *(*snapshot)(
        const struct fleet_process *p); /* …/{id}/snapshot; it has an image */
    json_t *(*alerts)(struct serve *s); /* GET /api/v1/alerts; NULL: none yet */
};

extern const struct documents documents; /* routes.c */

#endif
