#include "document_diff.h"

#include "document.h"

#include <math.h>
#include <stdlib.h>

static const char *const keys[MP_DIFF_FIGURES] = {"live_bytes", "live_blocks",
    "allocated_bytes_total", "allocated_blocks_total", "live_peak_bytes"};

static void put_figures(json_t *o, const struct mp_difference *r, bool has_peak)
{
    for (unsigned f = 0; f < MP_DIFF_FIGURES; f++) {
        const struct mp_change *c = &r->figure[f];
        json_t *change = json_object();

        if (f == MP_DIFF_PEAK_BYTES && !has_peak) {
            json_decref(change);
            continue;
        }
        document_set_bytes(change, "before", c->before);
        document_set_bytes(change, "after", c->after);
        document_set(change, "value", document_number(c->change));
        document_set(change, "low", document_number(c->low));
        document_set(change, "high", document_number(c->high));
        document_set(o, keys[f], change);
    }
}

static json_t *frames_of(const struct comparison *c, const struct mp_difference *r)
{
    struct mp_line line[SITE_LINES_MAX];
    size_t depth = comparison_stack(c, r, line);
    json_t *frames = json_array();

    for (size_t i = 0; i < depth; i++) {
        json_t *frame = json_object();

        document_set_text(frame, "function", line[i].function);
        document_set_text(frame, "module", line[i].module);
        document_set(frame, "file",
            line[i].file != NULL ? document_string(line[i].file) : json_null());
        document_set(frame, "line",
            line[i].line != 0 ? json_integer(line[i].line) : json_null());
        json_array_append_new(frames, frame);
    }
    return frames;
}

static json_t *row_of(
    const struct comparison *c, enum mp_diff_by by, const struct mp_difference *r)
{
    bool is_rest = r->number[0] == UINT32_MAX && r->number[1] == UINT32_MAX;
    json_t *o = json_object();
    char name[512];

    document_set_text(o, by == MP_DIFF_SITE ? "component" : "name",
        comparison_name(c, by, r, name, sizeof(name)));
    document_set(o, "in",
        document_string(is_rest                      ? "neither"
                        : r->number[0] == UINT32_MAX ? "after"
                        : r->number[1] == UINT32_MAX ? "before"
                                                     : "both"));
    put_figures(o, r, by != MP_DIFF_CLASS && !is_rest);
    document_set(o, "significant", json_boolean(r->is_significant));
    if (by == MP_DIFF_SITE) {
        document_set_bytes(o, "samples", r->samples);
        document_set(o, "p", document_number(r->p));
        document_set(o, "frames", frames_of(c, r));
    }
    return o;
}

static bool is_wanted(enum mp_diff_by by, const struct mp_difference *r)
{
    bool has_changed = false;

    if (by == MP_DIFF_SITE && (r->number[0] & r->number[1]) != UINT32_MAX) {
        return r->is_significant;
    }
    for (unsigned f = 0; f < MP_DIFF_FIGURES; f++) {
        has_changed |= r->figure[f].change != 0;
    }
    return has_changed;
}

static json_t *rows_of(
    const struct comparison *c, enum mp_diff_by by, bool all, size_t rows)
{
    json_t *list = json_array();

    for (size_t i = 0; i < mp_diff_count(c->diff, by); i++) {
        const struct mp_difference *r = mp_diff_at(c->diff, by, i);

        if ((all || is_wanted(by, r)) && json_array_size(list) < rows) {
            json_array_append_new(list, row_of(c, by, r));
        }
    }
    return list;
}

static json_t *side_of(const struct comparison_side *s)
{
    json_t *o = document_process(s->image);

    document_set_text(o, "label", s->label);
    return o;
}

static json_t *drift_of(const struct comparison *c)
{
    static const char *const what[] = {"component", "size_class", "stack"};
    json_t *o = json_object();
    char name[512];

    document_set(o, "ratio", document_number(c->drift));
    document_set_text(o, "of", comparison_judged(c));
    document_set(
        o, "by", document_string(c->drift_row == NULL ? "total" : what[c->drift_by]));
    document_set(o, "name",
        c->drift_row == NULL ? json_null()
                             : document_string(comparison_name(
                                 c, c->drift_by, c->drift_row, name, sizeof(name))));
    document_set(o, "allowed_ratio", document_number(c->fail_drift));
    document_set(o, "failed", json_boolean(comparison_fails(c)));
    return o;
}

json_t *document_diff(
    const struct comparison *c, const bool by[MP_DIFF_BYS], bool all, size_t rows)
{
    static const char *const names[MP_DIFF_BYS] = {
        "components", "size_classes", "stacks"};
    unsigned flags = mp_diff_flags(c->diff);
    json_t *d = document_new("diff");
    json_t *notes = json_array();

    document_set(d, "before", side_of(&c->side[0]));
    document_set(d, "after", side_of(&c->side[1]));
    document_set(d, "same_run", json_boolean((flags & MP_DIFF_SAME_RUN) != 0));
    document_set(d, "exact", json_boolean((flags & MP_DIFF_EXACT) != 0));
    for (size_t i = 0; i < c->note_count; i++) {
        json_t *note = json_object();

        document_set_text(note, "name", c->note[i].key);
        document_set_text(note, "text", c->note[i].text);
        json_array_append_new(notes, note);
    }
    document_set(d, "notes", notes);
    put_figures(d, mp_diff_total(c->diff), true);
    for (unsigned i = 0; i < MP_DIFF_BYS; i++) {
        if (by[i]) {
            document_set(d, names[i], rows_of(c, (enum mp_diff_by)i, all, rows));
        }
    }
    document_set_bytes(d, "significant_stacks", c->significant);
    document_set(d, "drift", drift_of(c));
    return d;
}
