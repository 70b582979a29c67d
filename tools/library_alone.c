/*
 * library_alone - what the command takes from its configuration and its history, in libmpexport
 *
 * The library has neither: alerts are by the rules of production, and nobody acknowledged a leak. It
 * takes the place of report_alerts.c and acks.c.
 */
#include "acks.h"
#include "must.h"
#include "report_alerts.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

/* ---- leaks that somebody knows of ---- */

struct acks *acks_load(void)
{
    return NULL;
}

void acks_free(struct acks *acks)
{
    (void)acks;
}

const struct ack *acks_find(const struct acks *acks, const char *id, int64_t now_s)
{
    (void)acks;
    (void)id;
    (void)now_s;
    return NULL;
}

/* ---- alerts ---- */

/* Verdicts take 0.2 ms for each stack: of more, leaks have a page of their own. */
enum { SITES_MOST = 2000 };

static int compare_notices(const void *a, const void *b)
{
    const struct alert_notice *x = a;
    const struct alert_notice *y = b;
    int order = (int)y->severity - (int)x->severity;

    return order != 0 ? order : strcmp(x->name, y->name);
}

static void look(mp_alerts_t *engine, const char *id, const mp_image_t *image)
{
    enum mp_life life = mp_image_life(image);
    bool runs = life == MP_LIFE_RUNNING || life == MP_LIFE_ELSEWHERE;
    mp_verdicts_t *verdicts = NULL;
    struct mp_alert_facts facts;
    struct mp_proc kernel;
    bool is_known = life == MP_LIFE_RUNNING
                    && mp_proc_read(mp_image_process(image)->pid, &kernel) == 0;

    if ((mp_image_site_count(image) <= SITES_MOST
            && mp_verdicts_make(image, NULL, &verdicts) != 0)
        || mp_alert_facts_make(image, is_known ? &kernel : NULL, NULL, verdicts, NULL,
               NULL, 0, runs ? view_now_ns() : mp_image_totals(image)->published_ns,
               &facts)
               != 0
        || mp_alerts_look(engine, id, &facts) != 0) {
        must_fail();
    }
    mp_alert_facts_fini(&facts);
    mp_verdicts_free(verdicts);
}

struct alert_notice *report_alerts_make(const mp_image_t *image, size_t *ret_count)
{
    size_t count;
    const struct mp_alert_rule *rules = mp_alert_rules(MP_PRESET_PRODUCTION, &count);
    struct alert_process who;
    struct alert_notice *list;
    const struct mp_alert *all;
    mp_alerts_t *engine;

    if (mp_alerts_create(rules, count, &engine) != 0) {
        must_fail();
    }
    alert_process_make(&who, image);
    look(engine, who.id, image);
    all = mp_alerts_of(engine, who.id, &count);
    list = must(calloc(count + 1, sizeof(*list)));
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].state == MP_ALERT_FIRING && all[i].silenced_by == NULL) {
            alert_notice_make(&list[(*ret_count)++], &all[i], &who);
        }
    }
    qsort(list, *ret_count, sizeof(*list), compare_notices);
    mp_alerts_free(engine);
    return list;
}
