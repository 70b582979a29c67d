/*
 * api_insight - what figures of one process mean: reports, call stacks, leaks, advice
 */
#include "../advice.h"
#include "../document.h"
#include "../document_advice.h"
#include "../document_leaks.h"
#include "../document_report.h"
#include "../document_stacks.h"
#include "../leaks.h"
#include "../must.h"
#include "../render_tops.h"
#include "../tops.h"
#include "api_parts.h"

#include <math.h>
#include <string.h>

enum { STACKS_MOST = 4000, TOP_COMPONENTS = 10 };

/* Of one image, for one who is trusted or not. */
struct asked {
    struct serve *serve;
    const struct fleet_process *process;
    bool is_trusted;
    size_t rows;
    bool all;
    enum top_key key;
    enum profile_value sort;
};

static struct asked ask(struct request *r, const struct fleet_process *p)
{
    return (struct asked){
        .serve = request_serve(r), .process = p, .is_trusted = request_is_trusted(r)};
}

/* ---- reports ---- */

static void make_report(struct made *made, void *arg)
{
    const struct asked *a = arg;

    api_made_document(made, document_report(a->process->image, a->rows), a->is_trusted);
}

static enum answered handle_report(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    struct asked a = ask(r, p);
    uint64_t stacks;
    char key[64];

    if (p == NULL
        || !request_number(r, "stacks", 1, STACKS_MOST, DOCUMENT_STACKS, &stacks)) {
        return ANSWERED;
    }
    a.rows = (size_t)stacks;
    snprintf(key, sizeof(key), "report %zu", a.rows);
    return api_reply_made(r, p, key, make_report, &a);
}

static void make_sites(struct made *made, void *arg)
{
    const struct asked *a = arg;

    api_made_document(made, document_tops(a->process->image, a->key, a->sort, a->rows),
        a->is_trusted);
}

static enum answered handle_sites(struct request *r)
{
    static const char *const keys[] = {
        "site", "function", "component", "operation", "thread", NULL};
    static const char *const sorts[] = {
        "live", "allocated", "count", "peak", "short", NULL};
    const struct fleet_process *p = api_process(r);
    struct asked a = ask(r, p);
    unsigned by;
    unsigned sort;
    uint64_t rows;
    char key[64];

    if (p == NULL || !api_word(r, "by", keys, 0, &by)
        || !api_word(r, "sort", sorts, 0, &sort)
        || !request_number(r, "limit", 1, 4098, 12, &rows)
        || !top_key_find(keys[by], &a.key) || !top_sort_find(sorts[sort], &a.sort)
        || ((a.key == TOP_SITE || a.key == TOP_FUNCTION) && !api_may_see_code(r))) {
        return ANSWERED;
    }
    a.rows = (size_t)rows;
    snprintf(key, sizeof(key), "sites %s %s %zu", keys[by], sorts[sort], a.rows);
    return api_reply_made(r, p, key, make_sites, &a);
}

/* ---- leaks ---- */

static struct leaks *find_leaks(const struct asked *a)
{
    struct leaks *l = leaks_create(a->process->image, NULL);

    api_note_leaks(a->serve, a->process, l->of_kind);
    return l;
}

static void make_leaks(struct made *made, void *arg)
{
    const struct asked *a = arg;
    struct leaks *l = find_leaks(a);

    api_made_document(made, document_leaks(l, a->rows, a->all), a->is_trusted);
    leaks_destroy(l);
}

static bool counts(const struct leak *k)
{
    return k->verdict->kind <= MP_VERDICT_GROWING && k->ack == NULL;
}

static size_t row_of(const struct leak *k)
{
    return k->verdict->component < MP_REGION_COMPONENT_ROWS ? k->verdict->component
                                                            : MP_REGION_COMPONENT_ROWS;
}

/* Of what is lost or grows, the component whose lower limits of growth are the largest. */
static const char *find_worst(const struct leaks *l)
{
    double *sum = must(calloc(MP_REGION_COMPONENT_ROWS + 1, sizeof(*sum)));
    const struct leak *worst = NULL;

    for (size_t i = 0; i < l->count; i++) {
        double low = l->all[i].verdict->bytes_per_hour.low;

        if (counts(&l->all[i]) && isfinite(low)) {
            sum[row_of(&l->all[i])] += low;
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        const struct leak *k = &l->all[i];

        if (counts(k) && (worst == NULL || sum[row_of(k)] > sum[row_of(worst)])) {
            worst = k;
        }
    }
    free(sum);
    return worst != NULL ? worst->component : NULL;
}

static void make_summary(struct made *made, void *arg)
{
    const struct asked *a = arg;
    struct leaks *l = find_leaks(a);
    struct mp_estimate growth = mp_verdicts_growth(l->verdicts);
    const char *worst = find_worst(l);
    json_t *d = document_new("leaks_summary");

    document_set(d, "process", document_process(a->process->image));
    document_set_bytes(d, "potential_leak_count", leaks_failing(l, true));
    document_set(d, "growth_bytes_per_hour", document_estimate(&growth));
    document_set(d, "highest_risk_component",
        worst != NULL ? document_string(worst) : json_null());
    leaks_destroy(l);
    api_made_document(made, d, a->is_trusted);
}

static enum answered reply_summary(struct request *r, const struct fleet_process *p)
{
    struct asked a = ask(r, p);

    return api_reply_made(r, p, "leaks summary", make_summary, &a);
}

bool api_leaks_asked(struct request *r, uint64_t *ret_rows, bool *ret_all)
{
    return request_number(r, "rows", 1, 65536, 20, ret_rows)
           && api_flag(r, "all", ret_all);
}

enum answered api_leaks(
    struct request *r, const struct fleet_process *p, uint64_t rows, bool all)
{
    struct asked a = ask(r, p);
    char key[64];

    a.rows = (size_t)rows;
    a.all = all;
    snprintf(key, sizeof(key), "leaks %zu %d", a.rows, a.all);
    return api_reply_made(r, p, key, make_leaks, &a);
}

static enum answered handle_leaks(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    uint64_t rows;
    bool is_summary;
    bool all;

    if (p == NULL || !api_flag(r, "summary", &is_summary)
        || !api_leaks_asked(r, &rows, &all)) {
        return ANSWERED;
    }
    return is_summary ? reply_summary(r, p) : api_leaks(r, p, rows, all);
}

static enum answered handle_summary(struct request *r)
{
    const struct fleet_process *p = api_process(r);

    return p == NULL ? ANSWERED : reply_summary(r, p);
}

/* ---- advice ---- */

static void make_advice(struct made *made, void *arg)
{
    const struct asked *a = arg;
    json_t *d = document_new("advice");

    document_set(d, "process", document_process(a->process->image));
    document_add_advice(d, a->process->image);
    api_made_document(made, d, a->is_trusted);
}

static enum answered handle_advice(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    struct asked a = ask(r, p);

    return p == NULL ? ANSWERED : api_reply_made(r, p, "advice", make_advice, &a);
}

static int compare_live(const void *a, const void *b)
{
    json_int_t x =
        json_integer_value(json_object_get(*(json_t *const *)a, "live_bytes"));
    json_int_t y =
        json_integer_value(json_object_get(*(json_t *const *)b, "live_bytes"));

    return (x < y) - (x > y);
}

static json_t *largest_components(const mp_image_t *image)
{
    json_t *all = document_components(image);
    json_t *list = must(json_array());
    size_t count = json_array_size(all);
    json_t **order = must(calloc(count + 1, sizeof(json_t *)));

    for (size_t i = 0; i < count; i++) {
        order[i] = json_array_get(all, i);
    }
    qsort(order, count, sizeof(json_t *), compare_live);
    for (size_t i = 0; i < count && i < TOP_COMPONENTS; i++) {
        document_append(list, json_incref(order[i]));
    }
    free(order);
    json_decref(all);
    return list;
}

static void make_allocations(struct made *made, void *arg)
{
    const struct asked *a = arg;
    const mp_image_t *image = a->process->image;
    json_t *insight = must(json_object());
    json_t *d = document_new("allocations");

    document_add_advice(insight, image);
    document_set(d, "process", document_process(image));
    document_set(d, "top_allocators", largest_components(image));
    document_set(d, "efficiency_score",
        json_incref(json_object_get(json_object_get(insight, "efficiency"), "ratio")));
    document_set(d, "recommendations", json_incref(json_object_get(insight, "advice")));
    json_decref(insight);
    api_made_document(made, d, a->is_trusted);
}

static enum answered handle_allocations(struct request *r)
{
    const struct fleet_process *p = api_process(r);
    struct asked a = ask(r, p);

    return p == NULL ? ANSWERED
                     : api_reply_made(r, p, "allocations", make_allocations, &a);
}

const struct route api_insight_routes[] = {
    {"GET", "/api/v1/processes/{id}/report", handle_report, 0},
    {"GET", "/api/v1/processes/{id}/sites", handle_sites, 0},
    {"GET", "/api/v1/processes/{id}/leaks", handle_leaks, 0},
    {"GET", "/api/v1/processes/{id}/advice", handle_advice, 0},
    {"GET", "/profiling/report", handle_report, 0},
    {"GET", "/metrics/leaks", handle_summary, 0},
    {"GET", "/metrics/allocations", handle_allocations, 0},
    {NULL, NULL, NULL, 0},
};
