/*
 * api_files - the description of the API and the schemas that it refers to, as they are shipped
 */
#include "api_parts.h"

#include <string.h>

struct embedded {
    const char *name;
    const unsigned char *data;
    size_t bytes;
};

#include "serve/api_embedded.h"

static enum answered reply_file(struct request *r, const char *name, const char *type)
{
    for (const struct embedded *e = api_embedded; e->name != NULL; e++) {
        if (strcmp(e->name, name) == 0) {
            return reply_static(r, type, e->data, e->bytes);
        }
    }
    return reply_problem(r, 404, "there is no schema \"%.100s\"", name);
}

static enum answered handle_openapi(struct request *r)
{
    return reply_file(r, "openapi.yaml", "application/yaml");
}

static enum answered handle_schema(struct request *r)
{
    const char *name = request_part(r, "name");
    size_t length = strlen(name);

    if (length < 5 || strcmp(name + length - 5, ".json") != 0) {
        return reply_problem(r, 404, "there is no schema \"%.100s\"", name);
    }
    return reply_file(r, name, "application/schema+json");
}

const struct route api_files_routes[] = {
    {"GET", "/openapi.yaml", handle_openapi, ROUTE_QUICK},
    {"GET", "/schemas/{name}", handle_schema, ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
