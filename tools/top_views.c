#include "top_views.h"

#include "configuration.h"
#include "format.h"
#include "leaks.h"
#include "must.h"
#include "render_advice.h"
#include "render_leaks.h"
#include "view.h"

#include <math.h>
#include <string.h>

enum { ROWS = 20, BAR = 10 };

struct page {
    char *text; /* NULL: not made yet */
    uint64_t made_ns;
    uint64_t took_ns;
};

struct top_views {
    struct page pages[TOP_TABLES];
    mp_alerts_t *alerts; /* NULL: not asked for yet, or no rules */
    char error[320];     /* why there are none */
};

bool top_is_text(enum top_table table)
{
    return table != TOP_COMPONENTS && table != TOP_CLASSES;
}

struct top_views *top_views_create(void)
{
    return must(calloc(1, sizeof(struct top_views)));
}

void top_views_destroy(struct top_views *v)
{
    if (v == NULL) {
        return;
    }
    for (unsigned i = 0; i < TOP_TABLES; i++) {
        free(v->pages[i].text);
    }
    mp_alerts_free(v->alerts);
    free(v);
}

/* ---- the ledger ---- */

static void put_bar(FILE *out, double share)
{
    int filled = share > 0 ? (int)(share * BAR + 0.5) : 0;

    for (int i = 0; i < BAR; i++) {
        fputs(i < filled ? (format_has_blocks() ? "█" : "#") : " ", out);
    }
}

static void put_ledger(FILE *out, const mp_image_t *image)
{
    struct mp_ledger l;
    char total[128];

    mp_ledger_make(image, &l);
    fprintf(out, "%11s  100.0 %%  %*s  %s\n", format_bytes((double)l.total_bytes).text,
        BAR, "", view_ledger_total(&l, total, sizeof(total)));
    for (size_t i = 0; i < l.count; i++) {
        const struct mp_ledger_part *p = &l.part[i];

        if (p->bytes == 0) {
            continue;
        }
        fprintf(out, "%11s  %7s  ", format_bytes((double)p->bytes).text,
            format_percent((double)p->bytes, (double)l.total_bytes).text);
        put_bar(out, l.total_bytes > 0 ? (double)p->bytes / (double)l.total_bytes : 0);
        fprintf(out, "  %s\n", p->label);
    }
}

/* ---- leaks ---- */

static void put_leaks(FILE *out, const mp_image_t *image)
{
    struct render_leaks_options o = {.rows = ROWS};
    struct leaks *l = leaks_create(image, NULL);

    render_leaks(out, l, &o);
    leaks_destroy(l);
}

/* ---- alerts ---- */

/* By the rules of the configuration, or those that are built in. */
static void make_alerts(struct top_views *v)
{
    struct mp_error error = {""};
    struct config *config;

    if (v->alerts != NULL || v->error[0] != '\0') {
        return;
    }
    if (config_load(NULL, &config, &error) != 0) {
        snprintf(v->error, sizeof(v->error), "%s", error.text);
        return;
    }
    if (mp_alerts_create(config->rules, config->rule_count, &v->alerts) != 0) {
        must(NULL);
    }
    config_free(config);
}

/* For each verdict, whether somebody acknowledged it. */
static bool *find_known(const struct leaks *l)
{
    size_t count = mp_verdicts_count(l->verdicts);
    bool *known = must(calloc(count + 1, sizeof(*known)));

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < l->count; k++) {
            if (l->all[k].verdict == mp_verdicts_at(l->verdicts, i)) {
                known[i] = l->all[k].ack != NULL;
            }
        }
    }
    return known;
}

static void look(struct top_views *v, const mp_image_t *image)
{
    struct leaks *l = leaks_create(image, NULL);
    bool *known = find_known(l);
    struct mp_alert_facts facts;
    struct mp_proc kernel;
    bool has_kernel = mp_image_life(image) == MP_LIFE_RUNNING
                      && mp_proc_read(mp_image_process(image)->pid, &kernel) == 0;

    if (mp_alert_facts_make(image, has_kernel ? &kernel : NULL, NULL, l->verdicts,
            known, NULL, 0, view_now_ns(), &facts)
            != 0
        || mp_alerts_look(v->alerts, "this", &facts) != 0) {
        must(NULL);
    }
    mp_alert_facts_fini(&facts);
    free(known);
    leaks_destroy(l);
}

static const char *state_of(const struct mp_alert *a)
{
    return a->state == MP_ALERT_INACTIVE && isnan(a->value)
               ? "not known"
               : mp_alert_state_name(a->state);
}

static void put_alert(FILE *out, const struct mp_alert *a)
{
    char value[64];

    fprintf(out, "%-9s  %-8s  %-29s ", state_of(a), mp_severity_name(a->severity),
        a->rule->name);
    if (isnan(a->value)) {
        fprintf(out, "%s\n", a->text); /* why it is not known */
        return;
    }
    mp_measure_format(a->rule->measure, a->value, value, sizeof(value));
    fputs(value, out);
    if (a->state == MP_ALERT_FIRING && a->fired_ns != 0) {
        fprintf(out, " since %s", format_time(a->fired_ns).text);
    }
    fputc('\n', out);
    if (a->state != MP_ALERT_INACTIVE && a->text[0] != '\0') {
        fprintf(out, "             %s\n", a->text);
    }
}

/* Its place in the list: what fires first, what is not known last. */
static unsigned rank(const struct mp_alert *a)
{
    return a->state == MP_ALERT_FIRING     ? 0
           : a->state == MP_ALERT_PENDING  ? 1
           : a->state == MP_ALERT_RESOLVED ? 2
           : !isnan(a->value)              ? 3
                                           : 4;
}

static void put_alerts(struct top_views *v, FILE *out, const mp_image_t *image)
{
    const struct mp_alert *alerts;
    size_t count = 0;

    make_alerts(v);
    if (v->alerts == NULL) {
        fprintf(out, "no rules: %s\n", v->error);
        return;
    }
    look(v, image);
    alerts = mp_alerts_of(v->alerts, "this", &count);
    for (unsigned k = 0; k <= 4; k++) {
        for (size_t i = 0; i < count; i++) {
            if (rank(&alerts[i]) == k) {
                put_alert(out, &alerts[i]);
            }
        }
    }
}

/* ---- pages ---- */

static void make(struct top_views *v, const struct top *top, enum top_table table)
{
    struct page *page = &v->pages[table];
    uint64_t began_ns = view_now_ns();
    size_t bytes = 0;
    FILE *out;

    free(page->text);
    page->text = NULL;
    out = must(open_memstream(&page->text, &bytes));
    switch (table) {
    case TOP_LEDGER:
        put_ledger(out, top->now);
        break;
    case TOP_LEAKS:
        put_leaks(out, top->now);
        break;
    case TOP_ADVICE:
        render_advice(out, top->now, true);
        break;
    case TOP_ALERTS:
        put_alerts(v, out, top->now);
        break;
    case TOP_COMPONENTS:
    case TOP_CLASSES:
    case TOP_TABLES:
        break;
    }
    if (fclose(out) != 0) {
        must(NULL);
    }
    page->made_ns = view_now_ns();
    page->took_ns = page->made_ns > began_ns ? page->made_ns - began_ns : 0;
}

const char *top_views_text(
    struct top_views *v, const struct top *top, enum top_table table)
{
    struct page *page = &v->pages[table];
    uint64_t least_ns = table == TOP_LEDGER ? 1000000000u : 5000000000u;
    uint64_t now_ns = view_now_ns();

    if (20 * page->took_ns > least_ns) {
        least_ns = 20 * page->took_ns;
    }
    if (page->text == NULL || now_ns < page->made_ns
        || now_ns - page->made_ns >= least_ns) {
        make(v, top, table);
    }
    return page->text;
}
