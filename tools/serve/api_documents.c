/*
 * api_documents - what is said of one process, or of all, without names of functions
 */
#include "../document.h"
#include "../document_ps.h"
#include "../document_report.h"
#include "../must.h"
#include "../view.h"
#include "api.h"
#include "api_parts.h"
#include "documents.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

enum { RECENT_S = 60 };

/* ---- the server ---- */

struct own_id {
    unsigned char bytes[64];
    size_t count;
};

/* The first program that is listed is this one. */
static int find_id(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct own_id *id = arg;

    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        const char *at = (const char *)(info->dlpi_addr + h->p_vaddr);
        const char *end = at + h->p_memsz;

        while (h->p_type == PT_NOTE && (size_t)(end - at) > sizeof(ElfW(Nhdr))) {
            const ElfW(Nhdr) *n = (const void *)at;
            const char *name = at + sizeof(*n);
            const char *data = name + ((n->n_namesz + 3u) & ~3u);

            if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4
                && memcmp(name, "GNU", 4) == 0 && n->n_descsz <= sizeof(id->bytes)) {
                id->count = n->n_descsz;
                memcpy(id->bytes, data, id->count);
                return 1;
            }
            at = data + ((n->n_descsz + 3u) & ~3u);
        }
    }
    return 1;
}

static json_t *own_build_id(void)
{
    struct own_id id = {.count = 0};
    char text[2 * sizeof(id.bytes) + 1] = "";

    dl_iterate_phdr(find_id, &id);
    for (size_t i = 0; i < id.count; i++) {
        snprintf(text + 2 * i, 3, "%02x", id.bytes[i]);
    }
    return id.count > 0 ? document_string(text) : json_null();
}

static enum answered handle_version(struct request *r)
{
    const struct serve *s = request_serve(r);
    json_t *d = document_new("version");
    char host[256] = "";

    gethostname(host, sizeof(host) - 1);
    document_set_text(d, "version", CONFIG_VERSION);
    document_set_text(d, "api", "v1");
    document_set(d, "build_id", own_build_id());
    document_set_text(d, "host", host);
    document_set(d, "region_format", json_integer(MP_REGION_VERSION));
    document_set_time(d, "started", s->started_ns);
    document_set(d, "allow_actions", json_boolean(atomic_load(&s->allow_actions)));
    document_set(d, "trusted", json_boolean(request_is_trusted(r)));
    return api_reply(r, d);
}

/* ---- all processes ---- */

static json_t *recent(const mp_image_t *image)
{
    size_t count = mp_image_moment_count(image, 0);
    json_t *all = must(json_array());
    uint64_t last = count > 0 ? mp_image_moment(image, 0, count - 1)->time_ns : 0;

    for (size_t i = count > RECENT_S ? count - RECENT_S : 0; i < count; i++) {
        const struct mp_region_moment *m = mp_image_moment(image, 0, i);

        if (m->time_ns + RECENT_S * UINT64_C(1000000000) > last) {
            document_append(all, json_integer((json_int_t)(m->live_bytes & INT64_MAX)));
        }
    }
    return all;
}

static json_t *row_of(
    struct serve *s, const struct fleet_process *p, const json_t *alerts)
{
    const char *source;
    json_t *row;

    if (p->image == NULL) {
        row = document_ps_damaged(p->path, p->error);
        document_set_text(row, "id", p->id);
        return row;
    }
    row = document_ps_row(p->image, p->kernel.resident_bytes);
    document_set_text(row, "id", p->id);
    document_set_bytes(row, "limit_bytes", view_limit(p->image, &source));
    document_set(row, "alerts", api_count_alerts(alerts, p->id));
    document_set(row, "leaks", api_known_leaks(s, p));
    document_set(row, "recent", recent(p->image));
    return row;
}

json_t *api_processes(struct serve *s)
{
    json_t *d = document_new("processes");
    json_t *rows = must(json_array());
    const struct fleet_list *list = fleet_hold(s->fleet, serve_age_ms(s));
    json_t *alerts = documents.alerts != NULL ? documents.alerts(s) : NULL;

    for (size_t i = 0; i < list->count; i++) {
        document_append(rows, row_of(s, list->at[i], alerts));
    }
    json_decref(alerts);
    fleet_release(s->fleet, list);
    document_set(d, "processes", rows);
    return d;
}

static enum answered handle_processes(struct request *r)
{
    return api_reply(r, api_processes(request_serve(r)));
}

/* ---- one of them ---- */

static json_t *new_document(const char *name, const mp_image_t *image)
{
    json_t *d = document_new(name);

    document_set(d, "process", document_process(image));
    return d;
}

json_t *api_snapshot(const struct fleet_process *p)
{
    return document_snapshot(p->image);
}

static enum answered handle_snapshot(struct request *r)
{
    const struct fleet_process *p = api_process(r);

    return p == NULL ? ANSWERED : api_reply(r, api_snapshot(p));
}

static enum answered handle_components(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    json_t *d;

    if (p == NULL) {
        return ANSWERED;
    }
    d = new_document("components", p->image);
    document_set(d, "components", document_components(p->image));
    return api_reply(r, d);
}

static enum answered handle_classes(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    json_t *d;

    if (p == NULL) {
        return ANSWERED;
    }
    d = new_document("classes", p->image);
    document_set(d, "size_classes", document_size_classes(p->image));
    return api_reply(r, d);
}

static enum answered handle_timeline(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    uint64_t tier;
    json_t *d;

    if (p == NULL
        || !request_number(r, "tier", 0, MP_REGION_TIMELINE_TIERS - 1,
            view_pick_tier(p->image), &tier)) {
        return ANSWERED;
    }
    d = new_document("timeline", p->image);
    document_set(d, "tier", json_integer((json_int_t)tier));
    document_set(d, "points", document_timeline(p->image, (unsigned)tier));
    return api_reply(r, d);
}

static enum answered handle_memory(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    json_t *d;

    if (p == NULL) {
        return ANSWERED;
    }
    d = new_document("memory", p->image);
    document_set_bytes(d, "rss_bytes", p->kernel.resident_bytes);
    document_set_bytes(d, "heap_bytes", mp_image_totals(p->image)->live_bytes);
    document_set_bytes(d, "virtual_bytes", p->kernel.virtual_bytes);
    document_set_time(d, "timestamp", mp_image_totals(p->image)->published_ns);
    return api_reply(r, d);
}

/* ---- one way too many ---- */

/* There is one path for each thing; others that were planned for it lead there. */
static enum answered redirect(struct request *r, const char *path)
{
    const char *id = request_value(r, "process");
    char to[1024];
    size_t used = (size_t)snprintf(to, sizeof(to), "%s", path);

    if (id != NULL) {
        used += (size_t)snprintf(to + used, sizeof(to) - used, "?process=");
        for (; *id != '\0' && used + 4 < sizeof(to); id++) {
            used += (size_t)snprintf(
                to + used, sizeof(to) - used, "%%%02X", (unsigned char)*id);
        }
    }
    reply_header(r, "Location", to);
    return reply_bytes(r, 308, "text/plain; charset=utf-8", "", 0);
}

static enum answered redirect_snapshot(struct request *r)
{
    return redirect(r, "/profiling/snapshot");
}

static enum answered redirect_leaks(struct request *r)
{
    return redirect(r, "/metrics/leaks");
}

static enum answered redirect_allocations(struct request *r)
{
    return redirect(r, "/metrics/allocations");
}

const struct route api_documents_routes[] = {
    {"GET", "/api/v1/version", handle_version, ROUTE_QUICK},
    {"GET", "/api/v1/processes", handle_processes, ROUTE_QUICK},
    {"GET", "/api/v1/processes/{id}/snapshot", handle_snapshot, ROUTE_QUICK},
    {"GET", "/api/v1/processes/{id}/components", handle_components, ROUTE_QUICK},
    {"GET", "/api/v1/processes/{id}/classes", handle_classes, ROUTE_QUICK},
    {"GET", "/api/v1/processes/{id}/timeline", handle_timeline, ROUTE_QUICK},
    {"GET", "/profiling/snapshot", handle_snapshot, ROUTE_QUICK},
    {"GET", "/metrics/memory", handle_memory, ROUTE_QUICK},
    {"GET", "/metrics/memory/snapshot", redirect_snapshot, ROUTE_QUICK},
    {"GET", "/metrics/memory/leaks", redirect_leaks, ROUTE_QUICK},
    {"GET", "/metrics/memory/allocations", redirect_allocations, ROUTE_QUICK},
    {NULL, NULL, NULL, 0},
};
