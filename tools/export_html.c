#include "export.h"

#include "flame_page.h"
#include "view.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/*
 * The page of tools/flame/ with the profile in its middle, as JSON. Columns rather than
 * objects, texts by number, and of each stack only what differs from the one before:
 *
 *     texts      what other numbers of texts mean
 *     frames     columns: function, file (-1: not known), line, module (-1: none), inlined
 *     samples    columns: shared, the frames that a stack begins with as the one before;
 *                added, how many follow; frames, of all stacks one after the other;
 *                component, operation, thread, taken, live_taken, cut
 *     values     those that are not all 0: name, and columns value, under, over, which are
 *                the distances to the ends of the interval
 *
 * A difference has as values what is live (after), was (before), grew and shrunk, and besides
 *
 *     difference bytes and blocks: columns before, after, and under, over, the distances to the ends
 *                of the interval of the change
 */

struct page {
    const struct profile *profile;
    json_t *texts;
    json_t *number_of; /* each text's number */
    size_t *order;     /* of samples: beginnings of stacks beside each other */
};

/* The order in which values are offered. */
static const enum profile_value offered[PROFILE_VALUES] = {PROFILE_LIVE_BYTES,
    PROFILE_LIVE_BLOCKS, PROFILE_PEAK_BYTES, PROFILE_PEAK_BLOCKS,
    PROFILE_ALLOCATED_BYTES, PROFILE_ALLOCATED_BLOCKS, PROFILE_SHORT_BYTES,
    PROFILE_SHORT_BLOCKS};

static json_t *number(uint64_t n)
{
    return json_integer(n < INT64_MAX ? (json_int_t)n : INT64_MAX);
}

/* Fit to print is valid UTF-8; what is not becomes empty rather than nothing. */
static json_t *string(const char *s)
{
    json_t *j = json_string(s);

    return j != NULL ? j : json_string("");
}

static json_t *escaped(const char *from, size_t bytes)
{
    char to[4096 + 1]; /* four for each byte of the longest, a path */

    mp_text_escape(to, sizeof(to), from, bytes);
    return string(to);
}

static json_t *text(struct page *page, const char *s)
{
    json_t *known = json_object_get(page->number_of, s);

    if (known == NULL) {
        known = json_integer((json_int_t)json_array_size(page->texts));
        json_array_append_new(page->texts, string(s));
        if (json_object_set_new(page->number_of, s, json_incref(known)) != 0) {
            return known; /* not UTF-8, or no memory: then it is there twice */
        }
        return known;
    }
    return json_incref(known);
}

/* ---- frames ---- */

static json_t *frame_module(struct page *page, const struct profile_frame *f)
{
    char name[4096 + 1];
    const struct mp_region_module *module =
        f->module != UINT32_MAX ? mp_image_module(page->profile->image, f->module)
                                : NULL;

    if (module == NULL) {
        return json_integer(-1);
    }
    mp_text_escape(name, sizeof(name), module->path, sizeof(module->path));
    return text(page, name);
}

static json_t *page_frames(struct page *page)
{
    json_t *function = json_array();
    json_t *file = json_array();
    json_t *line = json_array();
    json_t *module = json_array();
    json_t *inlined = json_array();

    for (size_t i = 0; i < page->profile->frame_count; i++) {
        const struct profile_frame *f = &page->profile->frames[i];

        json_array_append_new(function, text(page, f->function));
        json_array_append_new(
            file, f->file != NULL ? text(page, f->file) : json_integer(-1));
        json_array_append_new(line, json_integer(f->line));
        json_array_append_new(module, frame_module(page, f));
        json_array_append_new(inlined, json_integer(f->is_inlined));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "function", function, "file", file,
        "line", line, "module", module, "inlined", inlined);
}

/* ---- samples ---- */

static size_t shared_frames(
    const struct profile_sample *a, const struct profile_sample *b)
{
    size_t n = 0;

    while (n < a->depth && n < b->depth && a->frames[n] == b->frames[n]) {
        n++;
    }
    return n;
}

static int compare_stacks(const void *left, const void *right, void *context)
{
    const struct profile *p = context;
    const struct profile_sample *a = &p->samples[*(const size_t *)left];
    const struct profile_sample *b = &p->samples[*(const size_t *)right];
    size_t n = shared_frames(a, b);

    if (n < a->depth && n < b->depth) {
        return a->frames[n] < b->frames[n] ? -1 : 1;
    }
    return (a->depth > b->depth) - (a->depth < b->depth);
}

static bool sort_samples(struct page *page)
{
    const struct profile *p = page->profile;

    page->order = calloc(p->sample_count + 1, sizeof(*page->order));
    if (page->order == NULL) {
        return false;
    }
    for (size_t i = 0; i < p->sample_count; i++) {
        page->order[i] = i;
    }
    qsort_r(page->order, p->sample_count, sizeof(*page->order), compare_stacks,
        (void *)(uintptr_t)p);
    return true;
}

static const struct profile_sample *sample(const struct page *page, size_t n)
{
    return &page->profile->samples[page->order[n]];
}

static json_t *page_stacks(const struct page *page)
{
    json_t *shared = json_array();
    json_t *added = json_array();
    json_t *frames = json_array();

    for (size_t i = 0; i < page->profile->sample_count; i++) {
        const struct profile_sample *s = sample(page, i);
        size_t from = i > 0 ? shared_frames(sample(page, i - 1), s) : 0;

        json_array_append_new(shared, number(from));
        json_array_append_new(added, number(s->depth - from));
        for (size_t n = from; n < s->depth; n++) {
            json_array_append_new(frames, number(s->frames[n]));
        }
    }
    return json_pack(
        "{s:o, s:o, s:o}", "shared", shared, "added", added, "frames", frames);
}

static json_t *page_samples(struct page *page)
{
    static const char *const names[] = {
        "component", "operation", "thread", "taken", "live_taken", "cut"};
    enum { COLUMNS = sizeof(names) / sizeof(names[0]) };
    json_t *all = page_stacks(page);
    json_t *column[COLUMNS];

    for (size_t c = 0; c < COLUMNS; c++) {
        column[c] = json_array();
    }
    for (size_t i = 0; i < page->profile->sample_count; i++) {
        const struct profile_sample *s = sample(page, i);
        json_t *cells[COLUMNS] = {text(page, s->component), text(page, s->operation),
            text(page, s->thread), number(s->samples), number(s->live_samples),
            json_integer(s->is_cut)};

        for (size_t c = 0; c < COLUMNS; c++) {
            json_array_append_new(column[c], cells[c]);
        }
    }
    for (size_t c = 0; c < COLUMNS; c++) {
        json_object_set_new(all, names[c], column[c]);
    }
    return all;
}

/* ---- values ---- */

static bool is_all_zero(const struct profile *p, enum profile_value value)
{
    for (size_t i = 0; i < p->sample_count; i++) {
        if (p->samples[i].value[value] != 0) {
            return false;
        }
    }
    return true;
}

static json_t *page_value(const struct page *page, enum profile_value value)
{
    json_t *values = json_array();
    json_t *under = json_array();
    json_t *over = json_array();

    for (size_t i = 0; i < page->profile->sample_count; i++) {
        const struct profile_sample *s = sample(page, i);
        uint64_t v = s->value[value];

        json_array_append_new(values, number(v));
        json_array_append_new(under, number(v > s->low[value] ? v - s->low[value] : 0));
        json_array_append_new(
            over, number(s->high[value] > v ? s->high[value] - v : 0));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "name", export_value_options[value],
        "value", values, "under", under, "over", over);
}

static json_t *page_values(const struct page *page)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        if (!is_all_zero(page->profile, offered[i])) {
            json_array_append_new(list, page_value(page, offered[i]));
        }
    }
    return list;
}

/* ---- differences ---- */

typedef uint64_t figure_fn(const struct profile_sample *s, unsigned value);

static uint64_t after_of(const struct profile_sample *s, unsigned value)
{
    return s->value[value];
}

static uint64_t before_of(const struct profile_sample *s, unsigned value)
{
    return s->before[value];
}

static uint64_t grown_of(const struct profile_sample *s, unsigned value)
{
    return s->value[value] > s->before[value] ? s->value[value] - s->before[value] : 0;
}

static uint64_t shrunk_of(const struct profile_sample *s, unsigned value)
{
    return s->before[value] > s->value[value] ? s->before[value] - s->value[value] : 0;
}

static uint64_t under_of(const struct profile_sample *s, unsigned value)
{
    return s->low[value];
}

static uint64_t over_of(const struct profile_sample *s, unsigned value)
{
    return s->high[value];
}

static json_t *column_of(const struct page *page, figure_fn *figure, unsigned value)
{
    json_t *column = json_array();

    for (size_t i = 0; i < page->profile->sample_count; i++) {
        json_array_append_new(column, number(figure(sample(page, i), value)));
    }
    return column;
}

/* What grew and shrunk have intervals; of what was and is only the change is told. */
static json_t *difference_values(const struct page *page)
{
    static const struct {
        const char *name;
        figure_fn *value;
        figure_fn *under; /* NULL: no interval */
        figure_fn *over;
    } sides[] = {{"live", after_of, NULL, NULL}, {"before", before_of, NULL, NULL},
        {"grown", grown_of, under_of, over_of},
        {"shrunk", shrunk_of, over_of, under_of}};
    static const struct {
        const char *name;
        enum profile_value value;
    } units[] = {{"bytes", PROFILE_LIVE_BYTES}, {"blocks", PROFILE_LIVE_BLOCKS}};
    json_t *list = json_array();

    for (size_t u = 0; u < 2; u++) {
        for (size_t i = 0; i < sizeof(sides) / sizeof(*sides); i++) {
            json_t *o = json_object();
            char name[32];

            snprintf(name, sizeof(name), "%s-%s", sides[i].name, units[u].name);
            json_object_set_new(o, "name", json_string(name));
            json_object_set_new(
                o, "value", column_of(page, sides[i].value, units[u].value));
            json_object_set_new(o, "hasBound", json_boolean(sides[i].under != NULL));
            if (sides[i].under != NULL) {
                json_object_set_new(
                    o, "under", column_of(page, sides[i].under, units[u].value));
                json_object_set_new(
                    o, "over", column_of(page, sides[i].over, units[u].value));
            }
            json_array_append_new(list, o);
        }
    }
    return list;
}

static json_t *page_change(const struct page *page, enum profile_value value)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "before",
        column_of(page, before_of, value), "after", column_of(page, after_of, value),
        "under", column_of(page, under_of, value), "over",
        column_of(page, over_of, value));
}

/* ---- the page ---- */

static json_t *page_process(const mp_image_t *image)
{
    const struct mp_region_process *p = mp_image_process(image);

    return json_pack("{s:o, s:o, s:s, s:o, s:o}", "name",
        escaped(p->service, sizeof(p->service)), "pid", number(p->pid), "state",
        mp_life_name(mp_image_life(image)), "published_ms",
        number(mp_image_totals(image)->published_ns / 1000000), "command",
        escaped(p->command, sizeof(p->command)));
}

static json_t *page_totals(const mp_image_t *image)
{
    const struct mp_region_totals *t = mp_image_totals(image);

    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "live_bytes", number(t->live_bytes),
        "live_blocks", number(t->live_blocks), "live_peak_bytes",
        number(t->live_peak_bytes), "allocated_bytes_total",
        number(t->allocated_bytes_total), "allocated_blocks_total",
        number(t->allocated_blocks_total));
}

static json_t *page_document(struct page *page, enum profile_value value)
{
    const struct profile *p = page->profile;
    static const char colors[] = ": red grew, blue shrank, grey is not sure";
    bool is_difference = p->before != NULL;
    char caption[512];
    json_t *frames = page_frames(page);
    json_t *samples = page_samples(page);
    json_t *d;

    profile_describe(p, caption, sizeof(caption) - sizeof(colors));
    if (is_difference) {
        strcat(caption, colors);
    }
    d = json_pack("{s:i, s:o, s:s, s:b, s:s, s:o, s:o, s:o, s:o, s:O}", "format", 1,
        "process", page_process(p->image), "caption", caption, "has_stacks",
        p->has_stacks, "shown", export_value_options[value], "totals",
        page_totals(p->image), "frames", frames, "samples", samples, "values",
        is_difference ? difference_values(page) : page_values(page), "texts",
        page->texts);

    if (is_difference && d != NULL) {
        json_object_set_new(d, "difference",
            json_pack("{s:o, s:o}", "bytes", page_change(page, PROFILE_LIVE_BYTES),
                "blocks", page_change(page, PROFILE_LIVE_BLOCKS)));
    }
    return d;
}

/* A "<" would let a name end the element that the data are in; outside of texts is none. */
static int put_escaped(const char *bytes, size_t size, void *context)
{
    FILE *out = context;

    for (const char *end = bytes + size; bytes < end;) {
        const char *less = memchr(bytes, '<', (size_t)(end - bytes));
        size_t plain = (size_t)((less != NULL ? less : end) - bytes);

        fwrite(bytes, 1, plain, out);
        bytes += plain;
        if (less != NULL) {
            fputs("\\u003c", out);
            bytes++;
        }
    }
    return 0; /* errors show in ferror */
}

int export_html(FILE *out, const struct profile *p, enum profile_value value)
{
    struct page page = {
        .profile = p, .texts = json_array(), .number_of = json_object()};
    json_t *document = sort_samples(&page) ? page_document(&page, value) : NULL;
    int code = -ENOMEM;

    if (document != NULL) {
        fwrite(page_head, 1, sizeof(page_head), out);
        code = json_dump_callback(document, put_escaped, out, JSON_COMPACT) == 0
                   ? 0
                   : -ENOMEM;
        fwrite(page_tail, 1, sizeof(page_tail), out);
    }
    json_decref(document);
    json_decref(page.number_of);
    json_decref(page.texts);
    free(page.order);
    return code;
}
