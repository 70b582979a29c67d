#include "comparison.h"

#include "format.h"
#include "must.h"
#include "view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void comparison_set_side(struct comparison *c, unsigned side, const char *label,
    mp_image_t *image, struct site_names *names)
{
    struct comparison_side *s = &c->side[side];
    const struct mp_region_totals *t = mp_image_totals(image);

    s->image = image;
    s->names = names;
    s->time_ns =
        t->published_ns != 0 ? t->published_ns : mp_image_process(image)->started_ns;
    mp_text_escape(s->label, sizeof(s->label), label, strlen(label));
}

void comparison_lend_side(
    struct comparison *c, unsigned side, const char *label, const mp_image_t *image)
{
    comparison_set_side(c, side, label, (mp_image_t *)(uintptr_t)image, NULL);
    c->side[side].is_lent = true;
}

static struct site_names *names_of(const struct comparison *c, unsigned side)
{
    struct comparison_side *s = (struct comparison_side *)&c->side[side];

    if (s->names == NULL) {
        s->names = site_names_create(s->image);
    }
    return s->names;
}

/* ---- builds ---- */

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Whether a module of the name is in both, in other builds: then offsets say nothing. */
static bool has_other_builds(const mp_image_t *a, const mp_image_t *b)
{
    for (size_t i = 0; i < mp_image_module_count(a); i++) {
        const struct mp_region_module *m = mp_image_module(a, i);
        bool is_found = false;

        for (size_t k = 0; k < mp_image_module_count(b) && !is_found; k++) {
            const struct mp_region_module *o = mp_image_module(b, k);

            is_found = m->build_id_bytes == o->build_id_bytes
                       && memcmp(m->build_id, o->build_id, sizeof(m->build_id)) == 0
                       && (m->build_id_bytes > 0
                           || strcmp(file_name(m->path), file_name(o->path)) == 0);
        }
        if (!is_found && strncmp(file_name(m->path), "libmpalloc.so", 13) != 0) {
            return true;
        }
    }
    return false;
}

/* ---- notes ---- */

enum { NEAR_S = 60 }; /* what nobody means by another time */

__attribute__((format(printf, 3, 4))) static void note(
    struct comparison *c, const char *key, const char *format, ...)
{
    va_list args;

    if (c->note_count < COMPARISON_NOTES) {
        c->note[c->note_count].key = key;
        va_start(args, format);
        vsnprintf(c->note[c->note_count].text, sizeof(c->note[0].text), format, args);
        va_end(args);
        c->note_count++;
    }
}

static const char *rate_text(const mp_image_t *image, char ret[40])
{
    uint64_t r = mp_image_sampling(image)->interval_bytes;

    snprintf(ret, 40, "%s",
        r == MP_SAMPLING_EXACT ? "every allocation"
        : r == MP_SAMPLING_OFF ? "none"
                               : format_block(r).text);
    return ret;
}

static void add_notes(struct comparison *c, bool by_names)
{
    unsigned flags = mp_diff_flags(c->diff);
    const mp_image_t *a = c->side[0].image;
    const mp_image_t *b = c->side[1].image;
    char x[256];
    char y[256];

    if ((flags & MP_DIFF_OTHER_PROGRAM) != 0) {
        note(c, "other_program",
            "two programs, %s and %s: totals and size classes compare; components and "
            "stacks do where names are the same",
            format_name(x, sizeof(x), file_name(mp_image_process(a)->exe), 40),
            format_name(y, sizeof(y), file_name(mp_image_process(b)->exe), 40));
    } else if ((flags & MP_DIFF_OTHER_BUILD) != 0) {
        note(c, "other_build", "two builds of the program");
    }
    if (c->began_baseline) {
        note(c, "new_baseline",
            "this build had no baseline and begins one with what it holds now; this is "
            "against the one before");
    }
    if (llabs(c->asked_s - c->found_s) > NEAR_S) {
        note(c, "nearest_moment", "of %s nothing is kept: the nearest moment is %s %s",
            format_time((uint64_t)c->asked_s * 1000000000u).text,
            format_seconds((double)llabs(c->asked_s - c->found_s)).text,
            c->found_s > c->asked_s ? "later" : "earlier");
    }
    if (by_names) {
        note(c, "by_names",
            "stacks are matched by the names of modules and functions: where a "
            "function "
            "was renamed, its stack counts as gone and another as new");
    }
    if ((flags & (MP_DIFF_OTHER_RATE | MP_DIFF_SAME_RUN)) == MP_DIFF_OTHER_RATE) {
        note(c, "other_rate",
            "sampled at other intervals, %s and %s: stacks compare, with the wider "
            "interval of the coarser one",
            rate_text(a, (char[40]){0}), rate_text(b, (char[40]){0}));
    }
    if ((flags & MP_DIFF_NO_STACKS) != 0) {
        note(c, "no_stacks",
            "one was never sampled: only totals, components and size classes compare");
    }
    if ((flags & MP_DIFF_SAME_RUN) == 0
        && (c->judged == MP_DIFF_ALLOCATED_BYTES
            || c->judged == MP_DIFF_ALLOCATED_BLOCKS)) {
        note(c, "other_start",
            "two runs, of %s and %s: what was allocated counts from the start of each, "
            "and is more of the longer one",
            format_seconds(view_ran_seconds(a)).text,
            format_seconds(view_ran_seconds(b)).text);
    }
    if ((flags & MP_DIFF_BACKWARDS) != 0) {
        note(c, "backwards", "the second is the older one: what grew is shown as less");
    }
    if ((flags & MP_DIFF_OTHER_MOMENT) != 0) {
        note(c, "other_moment",
            "one had run to its end, the other had not: what is live does not compare "
            "(--value peak or allocated does)");
    }
}

/* ---- the whole ---- */

void comparison_make(struct comparison *c, enum mp_diff_figure judged)
{
    struct mp_diff_options o = {.judged = judged};
    bool by_names = has_other_builds(c->side[0].image, c->side[1].image);
    uint64_t *keys[2] = {NULL, NULL};

    if (judged == MP_DIFF_FIGURES) {
        o.judged = view_is_ended(c->side[0].image) && view_is_ended(c->side[1].image)
                       ? MP_DIFF_PEAK_BYTES
                       : MP_DIFF_LIVE_BYTES;
    }
    c->judged = o.judged;
    for (unsigned i = 0; i < 2 && by_names; i++) {
        o.key[i] = keys[i] = site_names_keys(names_of(c, i));
    }
    if (mp_diff_make(c->side[0].image, c->side[1].image, &o, &c->diff) != 0) {
        must(NULL);
    }
    free(keys[0]);
    free(keys[1]);
    add_notes(c, by_names);
    for (size_t i = 0; i < mp_diff_count(c->diff, MP_DIFF_SITE); i++) {
        c->significant += mp_diff_at(c->diff, MP_DIFF_SITE, i)->is_significant;
    }
    c->drift = mp_diff_drift(c->diff, &c->drift_by, &c->drift_row);
}

void comparison_fini(struct comparison *c)
{
    mp_diff_free(c->diff);
    for (unsigned i = 0; i < 2; i++) {
        site_names_destroy(c->side[i].names);
        if (!c->side[i].is_lent) {
            mp_image_free(c->side[i].image);
        }
    }
}

bool comparison_parse_drift(const char *text, double *ret)
{
    char *end = NULL;
    double value = strtod(text, &end);

    *ret = value / 100;
    return end != text && strcmp(end, "%") == 0 && text[0] >= '0' && text[0] <= '9'
           && isfinite(value);
}

bool comparison_fails(const struct comparison *c)
{
    return !isnan(c->fail_drift) && c->drift > c->fail_drift;
}

const char *comparison_judged(const struct comparison *c)
{
    return c->judged == MP_DIFF_PEAK_BYTES        ? "peak"
           : c->judged == MP_DIFF_ALLOCATED_BYTES ? "allocated"
                                                  : "live";
}

/* ---- rows ---- */

/* The later image knows it, or the earlier one does. */
static unsigned side_of(const struct mp_difference *r)
{
    return r->number[1] != UINT32_MAX ? 1 : 0;
}

static const char *class_name(
    const mp_image_t *image, uint32_t number, char *ret, size_t size)
{
    const struct mp_region_class *k = mp_image_class(image, number);

    snprintf(ret, size, "%s%s", k->kind == MP_CLASS_LARGE ? "up to " : "",
        k->block_bytes == UINT64_MAX ? "any size" : format_block(k->block_bytes).text);
    return ret;
}

const char *comparison_name(const struct comparison *c, enum mp_diff_by by,
    const struct mp_difference *r, char *ret, size_t size)
{
    unsigned side = side_of(r);
    const mp_image_t *image = c->side[side].image;
    uint32_t number = r->number[side];

    if (number == UINT32_MAX) {
        snprintf(ret, size, by == MP_DIFF_SITE ? "(not in stacks)" : "(not known)");
        return ret;
    }
    if (by == MP_DIFF_CLASS) {
        return class_name(image, number, ret, size);
    }
    if (by == MP_DIFF_SITE) {
        number = mp_image_site(image, number)->component;
    }
    return format_name(ret, size, mp_image_component(image, number)->name, 60);
}

size_t comparison_stack(const struct comparison *c, const struct mp_difference *r,
    struct mp_line ret[SITE_LINES_MAX])
{
    unsigned side = side_of(r);

    if (r->number[side] == UINT32_MAX) {
        return 0;
    }
    return site_names_stack(names_of(c, side),
        mp_image_site(c->side[side].image, r->number[side])->frame, ret);
}
