/*
 * api_profile - who holds memory, for other tools: mpalloc export, and as Go programs tell it
 */
#include "../capture.h"
#include "../comparison_profile.h"
#include "../export.h"
#include "../profile_difference.h"
#include "api_sides.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
    const struct sides *sides;
    struct capture capture;
    const char *type;
};

/* ---- types ---- */

/* A page of ours, but whatever a program put into its names, it is no page of this server. */
static const char sandbox[] =
    "sandbox allow-scripts; default-src 'none'; script-src "
    "'unsafe-inline'; style-src 'unsafe-inline'; img-src data:";

static const struct {
    const char *ending;
    const char *type;
} types[] = {
    {"pb.gz", "application/octet-stream"},
    {"json", "application/json"},
    {"html", "text/html; charset=utf-8"},
    {"svg", "image/svg+xml"},
    {"openmetrics", "application/openmetrics-text; version=1.0.0; charset=utf-8"},
};

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text);
    size_t m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static const char *type_of(const struct export_format *f)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (ends_in(f->ending, types[i].ending)) {
            return types[i].type;
        }
    }
    return "text/plain; charset=utf-8";
}

/* ---- making ---- */

/* Takes over the profile. */
static void write_profile(
    struct made *made, const struct asked *a, struct profile *profile)
{
    size_t bytes = 0;
    char *data = NULL;
    FILE *out = open_memstream(&data, &bytes);
    int code = out != NULL ? export_prepare(profile, a->capture.by_component) : -1;

    if (code == 0) {
        code =
            a->capture.format->write(out, profile, capture_value(&a->capture, profile));
    }
    if (out != NULL && fclose(out) != 0) {
        code = -1;
    }
    profile_destroy(profile);
    if (code != 0) {
        free(data);
        api_made_problem(made, 500, "no memory for the document");
        return;
    }
    made->status = 200;
    made->type = a->type;
    made->data = data;
    made->bytes = bytes;
}

static struct profile *subtract(struct profile *before, struct profile *after)
{
    struct profile *d = profile_difference_create(before, after);

    profile_destroy(before);
    profile_destroy(after);
    return d;
}

/* With intervals. Takes over nothing; `c` may have side 0. */
static struct profile *compare(const struct asked *a, struct comparison *c)
{
    const struct sides *s = a->sides;

    char label[40];

    if (s->before != NULL) {
        snprintf(label, sizeof(label), "what it was %llu s before",
            (unsigned long long)s->seconds);
        comparison_lend_side(c, 0, label, s->before);
    }
    comparison_lend_side(c, 1, s->process->id, s->after);
    comparison_make(c, MP_DIFF_LIVE_BYTES);
    return comparison_profile_create(c);
}

static void make_profile(struct made *made, void *arg)
{
    const struct asked *a = arg;
    const struct sides *s = a->sides;
    struct comparison c = {.fail_drift = NAN};
    struct profile *profile = NULL;
    bool has_sides = !sides_are_kept(s) || sides_open_kept(s, &c, made);

    if (has_sides && sides_are_two(s)
        && export_difference(a->capture.format) == EXPORT_OF_COMPARISON) {
        profile = compare(a, &c);
    } else if (has_sides && sides_are_kept(s)) {
        profile = subtract(s->baseline != NULL
                               ? profile_create_named(c.side[0].image, c.side[0].names)
                               : profile_create(c.side[0].image),
            profile_create(s->after));
    } else if (s->before != NULL) {
        profile = subtract(profile_create(s->before), profile_create(s->after));
        profile->before_ns =
            s->process->read_ns; /* a quiet process published nothing */
        profile->after_ns = s->later->read_ns;
    } else if (!sides_are_kept(s)) {
        profile = profile_create(s->after);
    }
    if (profile != NULL) {
        write_profile(made, a, profile);
    }
    comparison_fini(&c);
}

/* ---- /profile ---- */

static bool ask_format(struct request *r, struct asked *a, bool is_difference)
{
    const char *name = request_value(r, "format");
    const char *value = request_value(r, "value");
    char known[256];

    a->capture.format = export_find_format(name != NULL ? name : "pprof");
    if (a->capture.format == NULL) {
        reply_problem(r, 400, "there is no format \"%.100s\"; one of %s", name,
            export_list_formats(known));
        return false;
    }
    if (is_difference && export_difference(a->capture.format) == EXPORT_NO_DIFFERENCE) {
        reply_problem(r, 400,
            "%s has no differences: take pprof, collapsed, json, svg or html for them",
            a->capture.format->name);
        return false;
    }
    a->capture.has_value = value != NULL;
    if (value != NULL && !export_find_value(value, &a->capture.value)) {
        reply_problem(
            r, 400, "value takes one of %s, not \"%.100s\"", export_value_list, value);
        return false;
    }
    if (is_difference && value != NULL
        && !export_differs_by(a->capture.format, a->capture.value)) {
        reply_problem(
            r, 400, "%s has no differences of %s", a->capture.format->name, value);
        return false;
    }
    return api_flag(r, "by_component", &a->capture.by_component);
}

/* What browsers do not show they save under a name. */
static void name_file(struct request *r, const struct asked *a)
{
    const struct fleet_process *p = a->sides->process;
    char text[256];
    char id[sizeof(p->id)];
    bool is_shown = strcmp(a->type, "application/json") == 0
                    || strncmp(a->type, "text/html", 9) == 0
                    || strcmp(a->type, "image/svg+xml") == 0;

    if (!is_shown) {
        snprintf(id, sizeof(id), "%s", p->id);
        for (char *c = id; *c != '\0'; c++) {
            *c = strchr("\"\\;/", *c) != NULL || *c <= ' ' || *c > '~' ? '_' : *c;
        }
        snprintf(text, sizeof(text), "attachment; filename=\"%s.%s\"", id,
            a->capture.format->ending);
        reply_header(r, "Content-Disposition", text);
    }
    if (strncmp(a->type, "text/html", 9) == 0
        || strcmp(a->type, "image/svg+xml") == 0) {
        reply_header(r, "Content-Security-Policy", sandbox);
        reply_header(r, "X-Frame-Options", "SAMEORIGIN");
    }
}

static enum answered reply_profile(struct request *r, struct asked *a)
{
    char key[512];

    snprintf(key, sizeof(key), "profile %s %d %d %d %s", a->capture.format->name,
        a->capture.has_value, a->capture.value, a->capture.by_component, a->sides->key);
    return api_reply_made(r, a->sides->process, key, make_profile, a);
}

static enum answered handle_profile(struct request *r)
{
    struct sides sides;
    struct asked a = {.sides = &sides};

    if (!sides_ask(r, &sides) || !ask_format(r, &a, sides_are_two(&sides))
        || !api_may_see_code(r) || !sides_take(r, &sides)) {
        return ANSWERED;
    }
    a.type = type_of(a.capture.format);
    name_file(r, &a);
    reply_profile(r, &a);
    sides_release(r, &sides);
    return ANSWERED;
}

/* ---- /debug/pprof ---- */

static enum answered reply_pprof(
    struct request *r, const char *name, enum profile_value value)
{
    struct sides sides;
    struct asked a = {.sides = &sides};
    char text[64];
    uint64_t debug;

    if (!sides_ask(r, &sides) || !request_number(r, "debug", 0, 2, 0, &debug)) {
        return ANSWERED;
    }
    if (debug != 0 && sides_are_two(&sides)) {
        return reply_problem(r, 400, "seconds and debug do not go together");
    }
    if (!api_may_see_code(r) || !sides_take(r, &sides)) {
        return ANSWERED;
    }
    a.capture.format = export_find_format(debug != 0 ? "heap" : "pprof");
    a.capture.has_value = true;
    a.capture.value = value;
    a.type = debug != 0 ? "text/plain; charset=utf-8" : "application/octet-stream";
    if (debug == 0) {
        snprintf(text, sizeof(text), "attachment; filename=\"%s\"", name);
        reply_header(r, "Content-Disposition", text);
    }
    reply_profile(r, &a);
    sides_release(r, &sides);
    return ANSWERED;
}

static enum answered handle_heap(struct request *r)
{
    return reply_pprof(r, "heap", PROFILE_LIVE_BYTES);
}

static enum answered handle_allocs(struct request *r)
{
    return reply_pprof(r, "allocs", PROFILE_ALLOCATED_BYTES);
}

static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        fprintf(out, strchr("<>&\"'", *text) != NULL ? "&#%d;" : "%c", *text);
    }
}

/* The id is the name of a file, which may be anything. */
static void put_link(FILE *out, const struct fleet_process *p, const char *name)
{
    fprintf(out, "<td><a href=\"%s?debug=1&amp;process=", name);
    for (const char *c = p->id; *c != '\0'; c++) {
        fprintf(out, isalnum((unsigned char)*c) || *c == '-' ? "%c" : "%%%02X",
            (unsigned char)*c);
    }
    fprintf(out, "\">%s</a></td>", name);
}

static void put_process(FILE *out, const struct fleet_process *p)
{
    fputs("<tr><td>", out);
    put_text(out, p->id);
    fputs("</td><td>", out);
    put_text(out, p->name);
    fputs("</td>", out);
    put_link(out, p, "allocs");
    put_link(out, p, "heap");
    fputs("</tr>\n", out);
}

static enum answered handle_index(struct request *r)
{
    struct serve *s = request_serve(r);
    const struct fleet_list *list = fleet_hold(s->fleet, serve_age_ms(s));
    size_t bytes = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &bytes);

    if (out == NULL) {
        fleet_release(s->fleet, list);
        return reply_problem(r, 500, "no memory for the page");
    }
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<title>/debug/pprof/</title></head>\n<body><h1>/debug/pprof/</h1>\n"
          "<p>Profiles of each process, as text; without <code>debug=1</code> as "
          "<code>go tool pprof</code> reads them, with <code>seconds=30</code> what "
          "changes in that time:</p>\n"
          "<table>\n<tr><th>process</th><th>name</th><th "
          "colspan=\"2\">profiles</th></tr>\n",
        out);
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i]->image != NULL) {
            put_process(out, list->at[i]);
        }
    }
    fputs("</table>\n<p><b>allocs</b>: all that was allocated. <b>heap</b>: what is "
          "live. "
          "Both have the same figures; another one is shown first.</p></body></html>\n",
        out);
    fleet_release(s->fleet, list);
    if (fclose(out) != 0) {
        free(text);
        return reply_problem(r, 500, "no memory for the page");
    }
    reply_bytes(r, 200, "text/html; charset=utf-8", text, bytes);
    free(text);
    return ANSWERED;
}

const struct route api_profile_routes[] = {
    {"GET", "/api/v1/processes/{id}/profile", handle_profile, 0},
    {"GET", "/debug/pprof/", handle_index, 0},
    {"GET", "/debug/pprof/heap", handle_heap, 0},
    {"GET", "/debug/pprof/allocs", handle_allocs, 0},
    {NULL, NULL, NULL, 0},
};
