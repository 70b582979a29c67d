#include "alert_baseline.h"

#include "baselines.h"
#include "cli.h"
#include "format.h"
#include "must.h"
#include "view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A component counts that grew by this part of the whole baseline: less is noise of a small one. */
static const double least_share = 0.05;

struct alert_baseline_component {
    char name[4 * MP_REGION_NAME_BYTES + 1];
    double live;
};

void alert_baseline_fini(struct alert_baseline *b)
{
    free(b->components);
    *b = (struct alert_baseline){0};
}

/* The first word behind the program that is no option: of an interpreter, its script. */
static void script_of(const mp_image_t *image, char *ret, size_t size)
{
    const char *at = mp_image_process(image)->command;

    ret[0] = '\0';
    at += strcspn(at, " ");
    while (*at == ' ') {
        size_t length = strcspn(++at, " ");

        if (length > 0 && at[0] != '-') {
            snprintf(ret, size, "%.*s", (int)length, at);
            return;
        }
        at += length;
    }
}

static bool compares(const mp_image_t *before, const mp_image_t *now)
{
    char a[512];
    char b[512];

    script_of(before, a, sizeof(a));
    script_of(now, b, sizeof(b));
    return view_is_ended(before) == view_is_ended(now) && strcmp(a, b) == 0;
}

static void name_of(const mp_image_t *image, size_t row, char *ret, size_t size)
{
    const struct mp_region_component *c = mp_image_component(image, row);

    mp_text_escape(ret, size, c->name, sizeof(c->name));
}

static void take(
    struct alert_baseline *b, const struct baseline *from, const mp_image_t *image)
{
    size_t count = mp_image_component_count(image);

    b->live = (double)from->live_bytes;
    snprintf(b->text, sizeof(b->text), "%.80s, of %s", from->name,
        format_time((uint64_t)from->made_s * 1000000000u).text);
    free(b->components);
    b->components = must(calloc(count + 1, sizeof(*b->components)));
    b->count = count;
    for (size_t i = 0; i < count; i++) {
        struct alert_baseline_component *c = &b->components[i];

        name_of(image, i, c->name, sizeof(c->name));
        c->live = (double)mp_image_component(image, i)->live_bytes;
    }
}

/* The youngest of those that are of its program and build, older than one of age `than`. */
static const struct baseline *next_of(const struct baseline *all, size_t count,
    const mp_image_t *image, const struct baseline *than)
{
    char build_id[2 * MP_REGION_BUILD_ID_BYTES + 1];
    const struct baseline *found = NULL;

    baseline_build_id(image, build_id);
    for (size_t i = 0; i < count; i++) {
        const struct baseline *c = &all[i];
        bool is_older = than == NULL || c->made_s < than->made_s
                        || (c->made_s == than->made_s && c->id < than->id);
        bool is_younger = found == NULL || c->made_s > found->made_s
                          || (c->made_s == found->made_s && c->id > found->id);

        if (is_older && is_younger && strcmp(c->build_id, build_id) == 0
            && strcmp(c->program, mp_image_process(image)->service) == 0) {
            found = c;
        }
    }
    return found;
}

void alert_baseline_find(struct alert_baseline *b, sqlite3 *db, const mp_image_t *image)
{
    size_t count;
    struct baseline *all = baseline_list(db, NULL, NULL, &count);
    const struct baseline *at = next_of(all, count, image, NULL);
    int64_t youngest = at != NULL ? at->id : 0;
    int64_t made_s = at != NULL ? at->made_s : 0;

    if (youngest != b->youngest || made_s != b->made_s) { /* numbers are used again */
        alert_baseline_fini(b);
        b->youngest = youngest;
        b->made_s = made_s;
    } else {
        at = NULL; /* as last time */
    }
    while (at != NULL && b->live == 0) {
        struct site_names *names = NULL;
        mp_image_t *before = NULL;

        if (baseline_load("alerts", db, at, &before, &names) == EXIT_FINE
            && compares(before, image)) {
            take(b, at, before);
        }
        site_names_destroy(names);
        mp_image_free(before);
        at = next_of(all, count, image, at);
    }
    free(all);
}

static double before_of(const struct alert_baseline *b, const char *name)
{
    double live = 0;

    for (size_t i = 0; i < b->count; i++) {
        live += strcmp(b->components[i].name, name) == 0 ? b->components[i].live : 0;
    }
    return live;
}

void alert_baseline_compare(
    const struct alert_baseline *b, const mp_image_t *image, struct mp_alert_facts *ret)
{
    unsigned more = 0;

    if (!(b->live > 0)) {
        return;
    }
    ret->drift = ret->live_bytes / b->live - 1;
    snprintf(ret->baseline, sizeof(ret->baseline), "%s", b->text);
    ret->component_drift = 0;
    for (size_t i = 0; i < mp_image_component_count(image); i++) {
        double now = (double)mp_image_component(image, i)->live_bytes;
        char name[4 * MP_REGION_NAME_BYTES + 1];
        double before;
        double drift;

        name_of(image, i, name, sizeof(name));
        before = before_of(b, name);
        if (now - before < least_share * b->live) {
            continue;
        }
        drift = before > 0 ? now / before - 1 : INFINITY;
        more += drift > ret->drift;
        if (drift > ret->component_drift) {
            ret->component_drift = drift;
            snprintf(ret->drift_component, sizeof(ret->drift_component),
                "%.60s from %.20s to %.20s", name, format_bytes(before).text,
                format_bytes(now).text);
        }
    }
    if (more > 1 && ret->component_drift > ret->drift) {
        size_t length = strlen(ret->drift_component);

        snprintf(ret->drift_component + length, sizeof(ret->drift_component) - length,
            ", and %u more", more - 1);
    }
}
