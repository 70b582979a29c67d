#include "request.h"

#include "../must.h"
#include "serve.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* What pages of ours may do, and nobody else with them. A handler may say otherwise. */
static const struct pair usual[] = {
    {"Content-Security-Policy", "default-src 'self'; img-src 'self' data:; base-uri "
                                "'none'; form-action 'none'; "
                                "frame-ancestors 'none'; object-src 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

static uint64_t mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct request *request_create(struct serve *serve, const char *uri)
{
    struct request *r = must(calloc(1, sizeof(*r)));

    r->serve = serve;
    r->begun_ns = mono_ns();
    if (strlen(uri) <= REQUEST_URI_BYTES) {
        r->uri = must(strdup(uri));
        r->path = r->uri;
    }
    return r;
}

void request_destroy(struct request *r)
{
    if (r->process != NULL) {
        fleet_release_one(r->serve->fleet, r->process);
    }
    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }
    for (size_t i = 0; i < r->reply_count; i++) {
        free(r->reply[i].name);
        free(r->reply[i].value);
    }
    free(r->uri);
    free(r->texts);
    free(r->body);
    free(r);
}

/* ---- what the client said ---- */

struct copying {
    struct request *r;
    size_t used;
    bool is_too_large;
};

static const char *copy_text(struct copying *c, const char *text, size_t length)
{
    char *to = c->r->texts + c->used;

    memcpy(to, text, length);
    to[length] = '\0';
    c->used += length + 1;
    return to;
}

static enum MHD_Result copy_header(
    void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct copying *c = arg;
    size_t name_length = strlen(name);
    size_t value_length = value != NULL ? strlen(value) : 0;

    (void)kind;
    if (c->r->header_count == REQUEST_PAIRS
        || c->used + name_length + value_length + 2 > REQUEST_HEADER_BYTES) {
        c->is_too_large = true;
        return MHD_NO;
    }
    c->r->headers[c->r->header_count].name = copy_text(c, name, name_length);
    c->r->headers[c->r->header_count].value =
        copy_text(c, value != NULL ? value : "", value_length);
    c->r->header_count++;
    return MHD_YES;
}

/* Decoded it is not longer than it was. */
static bool take_query(struct copying *c, const char *query)
{
    struct request *r = c->r;

    while (*query != '\0') {
        size_t length = strcspn(query, "&");
        size_t name_length = strcspn(query, "&=");
        const char *value = query + name_length + (name_length < length);
        char *to[2];

        if (length > 0) {
            if (r->query_count == REQUEST_PAIRS) {
                return false;
            }
            to[0] = r->texts + c->used;
            if (routing_decode(query, name_length, true, to[0], name_length + 1) < 0) {
                return false;
            }
            c->used += name_length + 1;
            to[1] = r->texts + c->used;
            length = (size_t)(query + length - value);
            if (routing_decode(value, length, true, to[1], length + 1) < 0) {
                return false;
            }
            c->used += length + 1;
            r->query[r->query_count++] = (struct pair){to[0], to[1]};
        }
        query = value + strcspn(value, "&");
        query += *query == '&';
    }
    return true;
}

bool request_take_headers(struct request *r, struct MHD_Connection *connection)
{
    struct copying c = {.r = r};
    char *query;

    r->connection = connection;
    r->texts =
        must(malloc(REQUEST_HEADER_BYTES + REQUEST_URI_BYTES + 2 * REQUEST_PAIRS));
    MHD_get_connection_values(connection, MHD_HEADER_KIND, copy_header, &c);
    if (c.is_too_large) {
        reply_problem(r, 431, "at most %d headers of %d KiB in all", REQUEST_PAIRS,
            REQUEST_HEADER_BYTES / 1024);
        return false;
    }
    if (r->uri == NULL) {
        reply_problem(r, 414, "at most %d bytes", REQUEST_URI_BYTES);
        return false;
    }
    query = strchr(r->uri, '?');
    if (query != NULL) {
        *query++ = '\0';
        if (!take_query(&c, query)) {
            reply_problem(r, 400, "the query cannot be read: %.200s", query);
            return false;
        }
    }
    return true;
}

void request_take_body(struct request *r, const char *data, size_t bytes)
{
    if (r->is_body_too_large || bytes > REQUEST_BODY_BYTES - r->body_bytes) {
        r->is_body_too_large = true;
        return;
    }
    r->body = must(realloc(r->body, r->body_bytes + bytes + 1));
    memcpy(r->body + r->body_bytes, data, bytes);
    r->body_bytes += bytes;
    r->body[r->body_bytes] = '\0';
}

struct serve *request_serve(const struct request *r)
{
    return r->serve;
}

const char *request_part(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->routing.part_count; i++) {
        if (strcmp(r->routing.parts[i].name, name) == 0) {
            return r->routing.parts[i].value;
        }
    }
    return NULL;
}

const char *request_value(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->query_count; i++) {
        if (strcmp(r->query[i].name, name) == 0) {
            return r->query[i].value;
        }
    }
    return NULL;
}

const char *request_header(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++) {
        if (strcasecmp(r->headers[i].name, name) == 0) {
            return r->headers[i].value;
        }
    }
    return NULL;
}

const char *request_body(const struct request *r, size_t *ret_bytes)
{
    *ret_bytes = r->body_bytes;
    return r->body != NULL ? r->body : "";
}

bool request_is_trusted(const struct request *r)
{
    return r->is_trusted;
}

bool request_number(struct request *r, const char *name, uint64_t least, uint64_t most,
    uint64_t usual_value, uint64_t *ret)
{
    const char *text = request_value(r, name);
    char *end;

    *ret = usual_value;
    if (text == NULL) {
        return true;
    }
    errno = 0;
    *ret = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || *ret < least
        || *ret > most) {
        reply_problem(r, 400,
            "%s takes a whole number from %" PRIu64 " to %" PRIu64 ", not \"%.100s\"",
            name, least, most, text);
        return false;
    }
    return true;
}

/* The only one that runs, else the only one. */
static const struct fleet_process *only_process(struct request *r)
{
    struct fleet *fleet = r->serve->fleet;
    const struct fleet_list *list = fleet_hold(fleet, serve_age_ms(r->serve));
    const char *only = NULL;
    size_t running = 0;

    for (size_t i = 0; i < list->count; i++) {
        bool runs = list->at[i]->image != NULL && list->at[i]->life == MP_LIFE_RUNNING;

        running += runs;
        only = runs || list->count == 1 ? list->at[i]->id : only;
    }
    if (running == 1 || list->count == 1) {
        r->process = fleet_hold_one(fleet, only, serve_age_ms(r->serve));
    }
    if (r->process == NULL) {
        reply_problem(r, list->count == 0 ? 404 : 400,
            "%zu processes run: say which by process=ID, see /api/v1/processes",
            running);
    }
    fleet_release(fleet, list);
    return r->process;
}

const struct fleet_process *request_process(struct request *r)
{
    const char *id = request_part(r, "id");

    id = id != NULL ? id : request_value(r, "process");
    if (r->process == NULL && id == NULL) {
        return only_process(r);
    }
    if (r->process == NULL) {
        r->process = fleet_hold_one(r->serve->fleet, id, serve_age_ms(r->serve));
    }
    if (r->process == NULL) {
        reply_problem(r, 404,
            "there is no process \"%.200s\", or several have that name: see "
            "/api/v1/processes",
            id);
    }
    return r->process;
}

/* ---- the reply ---- */

void reply_header(struct request *r, const char *name, const char *value)
{
    size_t i = 0;

    while (i < r->reply_count && strcasecmp(r->reply[i].name, name) != 0) {
        i++;
    }
    if (i == REPLY_HEADERS || strpbrk(value, "\r\n") != NULL) {
        return;
    }
    if (i < r->reply_count) {
        free(r->reply[i].value);
    } else {
        r->reply[r->reply_count++].name = must(strdup(name));
    }
    r->reply[i].value = must(strdup(value));
}

static bool has_reply_header(const struct request *r, const char *name)
{
    for (size_t i = 0; i < r->reply_count; i++) {
        if (strcasecmp(r->reply[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

enum answered reply_response(
    struct request *r, unsigned status, struct MHD_Response *response)
{
    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }
    r->response = must(response);
    r->status = status;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (!has_reply_header(r, usual[i].name)) {
            MHD_add_response_header(response, usual[i].name, usual[i].value);
        }
    }
    for (size_t i = 0; i < r->reply_count; i++) {
        MHD_add_response_header(response, r->reply[i].name, r->reply[i].value);
    }
    return ANSWERED;
}

static enum answered reply_owned(
    struct request *r, unsigned status, const char *type, char *data, size_t bytes)
{
    reply_header(r, "Content-Type", type);
    return reply_response(
        r, status, MHD_create_response_from_buffer(bytes, data, MHD_RESPMEM_MUST_FREE));
}

static enum answered reply_document(
    struct request *r, unsigned status, const char *type, json_t *value)
{
    char *text = must(
        json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9)));

    json_decref(value);
    return reply_owned(r, status, type, text, strlen(text));
}

enum answered reply_json(struct request *r, unsigned status, json_t *value)
{
    return reply_document(r, status, "application/json", must(value));
}

/* Invalid UTF-8 of the client comes back escaped. */
enum answered reply_problem(struct request *r, unsigned status, const char *detail, ...)
{
    char text[1024];
    char escaped[2048];
    va_list arguments;
    json_t *problem;

    va_start(arguments, detail);
    vsnprintf(text, sizeof(text), detail, arguments);
    va_end(arguments);
    mp_text_escape(escaped, sizeof(escaped), text, strlen(text));
    problem = must(json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
        MHD_get_reason_phrase_for(status), "status", (int)status, "detail", escaped));
    return reply_document(r, status, "application/problem+json", problem);
}

enum answered reply_bytes(struct request *r, unsigned status, const char *type,
    const void *data, size_t bytes)
{
    char *copy = must(malloc(bytes + 1));

    memcpy(copy, data, bytes);
    return reply_owned(r, status, type, copy, bytes);
}

enum answered reply_static(
    struct request *r, const char *type, const void *data, size_t bytes)
{
    const char *known = request_header(r, "If-None-Match");
    const unsigned char *at = data;
    uint64_t hash = 14695981039346656037u;
    char tag[32];

    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * 1099511628211u;
    }
    snprintf(tag, sizeof(tag), "\"%016" PRIx64 "\"", hash);
    reply_header(r, "ETag", tag);
    reply_header(r, "Cache-Control", "no-cache");
    if (known != NULL && strstr(known, tag) != NULL) {
        return reply_response(
            r, 304, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    }
    reply_header(r, "Content-Type", type);
    return reply_response(r, 200,
        MHD_create_response_from_buffer(bytes, (void *)data, MHD_RESPMEM_PERSISTENT));
}

enum MHD_Result request_queue(struct request *r)
{
    return MHD_queue_response(r->connection, r->status, r->response);
}
