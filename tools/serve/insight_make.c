#include "insight_make.h"

#include "../baselines.h"
#include "../cli.h"
#include "../history.h"
#include "../stack_names.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- leaks ---- */

static bool is_seen(const struct insight_seen *seen, const char *id)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (strcmp(seen->id[i], id) == 0) {
            return true;
        }
    }
    return false;
}

/* db NULL: nothing was acknowledged. */
static bool is_acknowledged(sqlite3 *db, const char *id)
{
    sqlite3_stmt *s = db != NULL ? history_prepare(
                          db, "SELECT 1 FROM acks WHERE id = ? AND until_s > ?")
                                 : NULL;
    bool is_found = false;

    if (s != NULL) {
        sqlite3_bind_text(s, 1, id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, (int64_t)time(NULL));
        is_found = sqlite3_step(s) == SQLITE_ROW;
    }
    sqlite3_finalize(s);
    return is_found;
}

static void add_leaks(const mp_image_t *image, const mp_verdicts_t *verdicts,
    sqlite3 *db, struct insight_seen *seen, struct metric_insight *k)
{
    double growth = mp_verdicts_growth(verdicts).low / 3600;

    for (size_t i = 0; i < mp_verdicts_count(verdicts); i++) {
        const struct mp_verdict *v = mp_verdicts_at(verdicts, i);
        char id[STACK_ID_BYTES];

        if (v->kind > MP_VERDICT_GROWING) {
            continue;
        }
        stack_id(image, v->component, v->frame, id);
        if (is_acknowledged(db, id)) {
            continue;
        }
        k->suspects[v->severity]++;
        if (seen->count < INSIGHT_LEAKS_MAX && !is_seen(seen, id)) {
            memcpy(seen->id[seen->count++], id, sizeof(id));
            seen->detections[v->severity]++;
        }
    }
    memcpy(k->detections, seen->detections, sizeof(k->detections));
    k->growth_bytes_per_second = isfinite(growth) && growth > 0 ? growth : 0;
}

static void add_advice(
    const mp_image_t *image, const mp_verdicts_t *verdicts, struct metric_insight *k)
{
    mp_findings_t *findings;
    struct mp_efficiency e;

    if (mp_findings_make(image, verdicts, NULL, &findings) == 0) {
        for (size_t i = 0; i < mp_findings_count(findings); i++) {
            k->advice[mp_findings_at(findings, i)->code]++;
        }
        mp_findings_free(findings);
    }
    k->has_efficiency = mp_efficiency_make(image, &e) == 0 && e.heap_bytes > 0;
    if (k->has_efficiency) {
        k->efficiency_ratio = e.ratio;
        k->slack_bytes = e.slack.value;
    }
}

/* ---- sites ---- */

static int compare_sites(const void *a, const void *b)
{
    double x = (*(const struct mp_verdict *const *)a)->live_bytes.value;
    double y = (*(const struct mp_verdict *const *)b)->live_bytes.value;

    return (x < y) - (x > y);
}

/* The name that it had a minute ago, or that of the innermost frame. */
static void add_name(const mp_image_t *image, struct symbols **symbols, uint32_t frame,
    const struct metric_insight *before, struct metric_site *s)
{
    struct stack_name *frames = NULL;

    for (size_t i = 0; before != NULL && i < before->site_count; i++) {
        if (strcmp(before->site[i].id, s->id) == 0) {
            memcpy(s->function, before->site[i].function, sizeof(s->function));
            return;
        }
    }
    if (*symbols == NULL) {
        *symbols = symbols_create(image);
    }
    if (stack_names_find(image, *symbols, frame, &frames) > 0) {
        snprintf(s->function, sizeof(s->function), "%s", frames[0].function);
        /* What is cut may end within a character. */
        mp_text_escape(
            s->function, sizeof(s->function), s->function, strlen(s->function));
    }
    free(frames);
}

static void add_sites(const mp_image_t *image, const mp_verdicts_t *verdicts,
    unsigned most, const struct metric_insight *before, struct metric_insight *k)
{
    size_t count = mp_verdicts_count(verdicts);
    const struct mp_verdict **all = calloc(count + 1, sizeof(*all));
    struct symbols *symbols = NULL;
    uint64_t rest = mp_image_totals(image)->live_bytes;

    if (all == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = mp_verdicts_at(verdicts, i);
    }
    qsort(all, count, sizeof(*all), compare_sites);
    most = most < METRIC_SITES_MAX ? most : METRIC_SITES_MAX;
    for (size_t i = 0; i < count && k->site_count < most; i++) {
        struct metric_site *s = &k->site[k->site_count];
        bool is_known = all[i]->live_bytes.value < 1;

        stack_id(image, all[i]->component, all[i]->frame, s->id);
        for (size_t n = 0; n < k->site_count; n++) {
            is_known |= strcmp(k->site[n].id, s->id) == 0;
        }
        if (is_known) {
            continue;
        }
        s->live_bytes = (uint64_t)fmin(all[i]->live_bytes.value, 1e18);
        rest = rest > s->live_bytes ? rest - s->live_bytes : 0;
        add_name(image, &symbols, all[i]->frame, before, s);
        k->site_count++;
    }
    k->other_sites_bytes = rest;
    if (symbols != NULL) {
        symbols_destroy(symbols);
    }
    free(all);
}

/* ---- baselines ---- */

/* Stacks that hold something else, beyond noise; -1: cannot be told. */
static int64_t count_significant(
    const mp_image_t *image, sqlite3 *db, const struct baseline *b)
{
    struct site_names *names = NULL;
    mp_image_t *before = NULL;
    mp_diff_t *diff = NULL;
    int64_t count = -1;

    if (baseline_load("serve", db, b, &before, &names) != EXIT_FINE) {
        return -1;
    }
    if (mp_diff_make(before, image, NULL, &diff) == 0
        && (mp_diff_flags(diff) & MP_DIFF_NO_STACKS) == 0) {
        count = 0;
        for (size_t i = 0; i < mp_diff_count(diff, MP_DIFF_SITE); i++) {
            count += mp_diff_at(diff, MP_DIFF_SITE, i)->is_significant;
        }
    }
    mp_diff_free(diff);
    site_names_destroy(names);
    mp_image_free(before);
    return count;
}

/*
 * Those of the program; of one name, the one of this build, else the youngest. Of another build
 * only the sum is compared: its stacks have other addresses.
 */
static void add_baseline(const mp_image_t *image, sqlite3 *db, const struct baseline *b,
    struct metric_insight *k)
{
    char build[2 * MP_REGION_BUILD_ID_BYTES + 1];
    struct metric_baseline *m = NULL;
    double live = (double)mp_image_totals(image)->live_bytes;
    bool is_same;

    baseline_build_id(image, build);
    is_same = strcmp(build, b->build_id) == 0;
    for (size_t i = 0; i < k->baseline_count; i++) {
        if (strcmp(k->baseline[i].name, b->name) == 0) {
            m = &k->baseline[i];
        }
    }
    if (m != NULL && m->significant_sites >= 0 && !is_same) {
        return;
    }
    if (m == NULL && k->baseline_count == METRIC_BASELINES_MAX) {
        return;
    }
    m = m != NULL ? m : &k->baseline[k->baseline_count++];
    snprintf(m->name, sizeof(m->name), "%s", b->name);
    m->bytes = live - (double)b->live_bytes;
    m->ratio = b->live_bytes > 0 ? m->bytes / (double)b->live_bytes : NAN;
    m->significant_sites = is_same ? count_significant(image, db, b) : -1;
}

/* The history that there is, or NULL; without a word when there is none. */
static sqlite3 *open_history(const char *given)
{
    char path[PATH_MAX];
    sqlite3 *db = NULL;

    if (given == NULL && !history_find_path(path, sizeof(path))) {
        return NULL;
    }
    given = given != NULL ? given : path;
    if (!history_is_there(given) || access(given, R_OK) != 0
        || history_open("serve", given, HISTORY_READ, &db) != EXIT_FINE) {
        return NULL;
    }
    return db;
}

static void add_baselines(
    const mp_image_t *image, sqlite3 *db, struct metric_insight *k)
{
    const struct mp_region_process *p = mp_image_process(image);
    char program[4 * MP_REGION_NAME_BYTES + 1];
    struct baseline *all;
    size_t count;

    mp_text_escape(program, sizeof(program), p->service, sizeof(p->service));
    all = baseline_list(db, NULL, NULL, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].program, program) == 0) {
            add_baseline(image, db, &all[i], k);
        }
    }
    free(all);
}

bool insight_make(const mp_image_t *image, const struct insights_options *options,
    const struct metric_insight *before, struct insight_seen *seen,
    struct metric_insight *ret)
{
    mp_verdicts_t *verdicts;
    sqlite3 *db;

    memset(ret, 0, sizeof(*ret));
    if (mp_verdicts_make(image, NULL, &verdicts) != 0) {
        return false;
    }
    if (options->lock != NULL) {
        options->lock(options->lock_arg, true);
    }
    db = open_history(options->history_path);
    add_leaks(image, verdicts, db, seen, ret);
    if (options->sites > 0) {
        add_sites(image, verdicts, options->sites, before, ret);
    }
    if (db != NULL) {
        add_baselines(image, db, ret);
    }
    history_close(db);
    if (options->lock != NULL) {
        options->lock(options->lock_arg, false);
    }
    add_advice(image, verdicts, ret);
    mp_verdicts_free(verdicts);
    return true;
}
