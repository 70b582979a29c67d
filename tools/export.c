#include "export.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const struct export_format export_formats[] = {
    {"pprof", "pb.gz", false, "go tool pprof, Pyroscope, Parca, Perfetto",
        export_pprof},
    {"collapsed", "collapsed", false, "flamegraph.pl, inferno", export_collapsed},
    {"speedscope", "speedscope.json", false, "speedscope", export_speedscope},
    {"svg", "svg", false, "browsers: a flame graph", export_svg},
    {"html", "html", false, "browsers: the page of mpalloc flame", export_html},
    {"dhat", "dhat.json", true, "dh_view.html of Valgrind, the Firefox profiler",
        export_dhat},
    {"massif", "massif.out", false, "ms_print, massif-visualizer", export_massif},
    {"heaptrack", "heaptrack", true, "heaptrack_gui, heaptrack_print",
        export_heaptrack},
    {"heap", "heap", false, "google-pprof, jeprof, go tool pprof", export_heap},
    {"jeprof", "jeprof.heap", false, "jeprof", export_jeprof},
    {"json", "json", false, "programs: schemas/profile.json", export_json},
    {"openmetrics", "openmetrics", false, "Prometheus and its kin", export_openmetrics},
    {NULL, NULL, false, NULL, NULL},
};

const struct export_format *export_find_format(const char *name)
{
    const struct export_format *f = export_formats;

    while (f->name != NULL && strcmp(f->name, name) != 0) {
        f++;
    }
    return f->name != NULL ? f : NULL;
}

enum export_difference export_difference(const struct export_format *f)
{
    return f->write == export_html || f->write == export_svg ? EXPORT_OF_COMPARISON
           : f->write == export_pprof || f->write == export_collapsed
                   || f->write == export_json
               ? EXPORT_OF_PROFILES
               : EXPORT_NO_DIFFERENCE;
}

bool export_differs_by(const struct export_format *f, enum profile_value value)
{
    bool is_live = value == PROFILE_LIVE_BYTES || value == PROFILE_LIVE_BLOCKS;

    return export_difference(f) != EXPORT_OF_COMPARISON || is_live
           || (f->write == export_svg
               && (value == PROFILE_ALLOCATED_BYTES || value == PROFILE_ALLOCATED_BLOCKS
                   || value == PROFILE_PEAK_BYTES));
}

const char *export_list_formats(char ret[256])
{
    ret[0] = '\0';
    for (const struct export_format *f = export_formats; f->name != NULL; f++) {
        strcat(strcat(ret, ret[0] != '\0' ? ", " : ""), f->name);
    }
    return ret;
}

const struct export_value export_values[PROFILE_VALUES] = {
    {"alloc_objects", "count"},
    {"alloc_space", "bytes"},
    {"inuse_objects", "count"},
    {"inuse_space", "bytes"},
    {"peak_objects", "count"},
    {"peak_space", "bytes"},
    {"short_objects", "count"},
    {"short_space", "bytes"},
};

const char *const export_value_options[PROFILE_VALUES] = {"allocated-blocks",
    "allocated-bytes", "live-blocks", "live-bytes", "peak-blocks", "peak-bytes",
    "short-blocks", "short-bytes"};

const char export_value_list[] =
    "live-bytes, live-blocks, allocated-bytes, allocated-blocks, peak-bytes, "
    "peak-blocks, short-bytes, short-blocks";

bool export_find_value(const char *option, enum profile_value *ret)
{
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        if (strcmp(export_value_options[i], option) == 0) {
            *ret = (enum profile_value)i;
            return true;
        }
    }
    return false;
}

/* The end of a text that may have been cut within a character. */
static void end_text(char *text, int length, size_t size)
{
    size_t end = size - 1;

    if (length >= 0 && (size_t)length < size) {
        return;
    }
    while (end > 0 && (text[end - 1] & 0x80) != 0) {
        end--;
    }
    text[end] = '\0';
}

const char *export_frame(
    const struct profile *p, uint32_t frame, char *ret, size_t size)
{
    const struct profile_frame *f = &p->frames[frame];
    const struct mp_region_module *m = mp_image_module(p->image, f->module);
    char path[4 * sizeof(m->path) + 1];
    int length;

    if (m == NULL) {
        length = snprintf(ret, size, "%s", f->function);
    } else if (f->file != NULL) {
        length = snprintf(ret, size, "0x%llx: %s (%s:%u)",
            (unsigned long long)f->offset, f->function, f->file, f->line);
    } else {
        mp_text_escape(path, sizeof(path), m->path, sizeof(m->path));
        length = snprintf(ret, size, "0x%llx: %s (in %s)",
            (unsigned long long)f->offset, f->function, path);
    }
    end_text(ret, length, size);
    return ret;
}

bool export_is_named(const struct profile_frame *f)
{
    const char *at = strrchr(f->function, '+');
    char offset[32];

    snprintf(offset, sizeof(offset), "+0x%llx", (unsigned long long)f->offset);
    return f->file != NULL || at == NULL || strcmp(at, offset) != 0;
}

/* ---- what comes first ---- */

/* A frame of that name; the same for the same name. UINT32_MAX: no memory. */
static uint32_t name_frame(
    struct profile *p, size_t first, const char *name, size_t length)
{
    struct profile_frame *more;
    char *copy;

    for (size_t i = first; i < p->frame_count; i++) {
        if (strncmp(p->frames[i].function, name, length) == 0
            && p->frames[i].function[length] == '\0') {
            return (uint32_t)i;
        }
    }
    more = reallocarray(p->frames, p->frame_count + 1, sizeof(*more));
    if (more == NULL) {
        return UINT32_MAX;
    }
    p->frames = more;
    copy = strndup(name, length);
    if (copy == NULL) {
        return UINT32_MAX;
    }
    p->frames[p->frame_count] =
        (struct profile_frame){.function = copy, .module = UINT32_MAX};
    return (uint32_t)p->frame_count++;
}

static size_t count_parts(const char *name)
{
    size_t count = 1;

    for (; *name != '\0'; name++) {
        count += *name == '/';
    }
    return count;
}

/* Numbers from `first` on are names that were put in here. */
static bool prepend(struct profile *p, size_t first, size_t sample, const char *name)
{
    struct profile_sample *s = &p->samples[sample];
    uint32_t *frames = calloc(s->depth + count_parts(name), sizeof(*frames));
    size_t depth = 0;

    for (const char *at = name; frames != NULL && *at != '\0';) {
        size_t n = strcspn(at, "/");

        if (n > 0) { /* "a//b" has no part without a name */
            frames[depth++] = name_frame(p, first, at, n);
        }
        at += n + (at[n] == '/');
    }
    for (size_t i = 0; i < depth; i++) {
        if (frames[i] == UINT32_MAX) {
            free(frames);
            frames = NULL;
            depth = 0;
        }
    }
    if (frames == NULL) {
        return false;
    }
    if (s->depth > 0) {
        memcpy(frames + depth, s->frames, s->depth * sizeof(*frames));
    }
    free(s->frames);
    s->frames = frames;
    s->depth += depth;
    return true;
}

int export_prepare(struct profile *p, bool by_component)
{
    size_t first = p->frame_count;

    for (size_t i = 0; i < p->sample_count; i++) {
        if (p->samples[i].depth == 0 && !prepend(p, first, i, "(not sampled)")) {
            return -ENOMEM;
        }
        if (by_component && p->has_stacks
            && !prepend(p, first, i, p->samples[i].component)) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* ---- the whole ---- */

enum profile_value export_pick_value(
    const struct export_wish *w, const struct profile *p)
{
    bool is_picture = w->format->write == export_html || w->format->write == export_svg
                      || w->format->write == export_collapsed;

    if (w->has_value || p->before != NULL) {
        return w->has_value ? w->value : PROFILE_LIVE_BYTES;
    }
    for (size_t i = 0;
         i < p->sample_count && is_picture && mp_image_life(p->image) == MP_LIFE_EXITED;
         i++) {
        if (p->samples[i].value[PROFILE_PEAK_BYTES] != 0) {
            return PROFILE_PEAK_BYTES;
        }
    }
    return PROFILE_LIVE_BYTES;
}

int export_write_profile(FILE *out, struct profile *p, const struct export_wish *w)
{
    int code = export_prepare(p, w->by_component);

    if (code == 0) {
        code = w->format->write(out, p, export_pick_value(w, p));
    }
    profile_destroy(p);
    return code;
}

int export_write(FILE *out, const mp_image_t *image, const struct export_wish *w)
{
    return export_write_profile(out, profile_create(image), w);
}

/* ---- collapsed ---- */

/* A semicolon parts frames. */
static void put_frame(FILE *out, const char *name)
{
    for (; *name != '\0'; name++) {
        putc(*name == ';' ? ':' : *name, out);
    }
}

int export_collapsed(FILE *out, const struct profile *p, enum profile_value value)
{
    for (size_t i = 0; i < p->sample_count; i++) {
        const struct profile_sample *s = &p->samples[i];
        bool is_there = s->value[value] != 0 || s->before[value] != 0;

        for (size_t n = 0; is_there && n < s->depth; n++) {
            put_frame(out, p->frames[s->frames[n]].function);
            putc(n + 1 < s->depth ? ';' : ' ', out);
        }
        if (p->before != NULL && is_there) { /* as flamegraph.pl and inferno have it */
            fprintf(out, "%llu ", (unsigned long long)s->before[value]);
        }
        if (is_there) {
            fprintf(out, "%llu\n", (unsigned long long)s->value[value]);
        }
    }
    return 0;
}

/* ---- speedscope ---- */

static json_t *speedscope_profile(const struct profile *p, enum profile_value value)
{
    json_t *samples = json_array();
    json_t *weights = json_array();
    uint64_t sum = 0;

    for (size_t i = 0; i < p->sample_count; i++) {
        const struct profile_sample *s = &p->samples[i];
        json_t *frames;

        if (s->value[value] == 0) {
            continue;
        }
        frames = json_array();
        for (size_t n = 0; n < s->depth; n++) {
            json_array_append_new(frames, json_integer(s->frames[n]));
        }
        json_array_append_new(samples, frames);
        json_array_append_new(weights, json_integer((json_int_t)s->value[value]));
        sum += s->value[value];
    }
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:o, s:o}", "type", "sampled", "name",
        export_values[value].name, "unit",
        strcmp(export_values[value].unit, "bytes") == 0 ? "bytes" : "none",
        "startValue", 0, "endValue", (json_int_t)sum, "samples", samples, "weights",
        weights);
}

/* Whether a value is worth a profile: what is not known is 0 everywhere. */
static bool has_value(const struct profile *p, unsigned value)
{
    bool is_known = value < PROFILE_PEAK_BLOCKS;

    for (size_t i = 0; i < p->sample_count && !is_known; i++) {
        is_known = p->samples[i].value[value] != 0;
    }
    return is_known;
}

static json_t *speedscope_frame(const struct profile_frame *f)
{
    json_t *o = json_pack("{s:s}", "name", f->function);

    if (o != NULL && f->file != NULL) {
        json_object_set_new(o, "file", json_string(f->file));
        if (f->line != 0) {
            json_object_set_new(o, "line", json_integer(f->line));
        }
    }
    return o;
}

int export_speedscope(FILE *out, const struct profile *p, enum profile_value value)
{
    json_t *frames = json_array();
    json_t *profiles = json_array();
    char name[4 * MP_REGION_NAME_BYTES + 100];
    size_t first = 0;
    size_t length;
    json_t *root;
    int code;

    for (size_t i = 0; i < p->frame_count; i++) {
        json_array_append_new(frames, speedscope_frame(&p->frames[i]));
    }
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        if (i == value) {
            first = json_array_size(profiles);
        }
        if (i == value || has_value(p, i)) {
            json_array_append_new(
                profiles, speedscope_profile(p, (enum profile_value)i));
        }
    }
    length = mp_text_escape(
        name, sizeof(name), mp_image_process(p->image)->service, MP_REGION_NAME_BYTES);
    length += (size_t)snprintf(name + length, sizeof(name) - length, ": ");
    profile_describe(p, name + length, sizeof(name) - length);
    root = json_pack("{s:s, s:s, s:s, s:i, s:{s:o}, s:o}", "$schema",
        "https://www.speedscope.app/file-format-schema.json", "name", name, "exporter",
        "mpalloc@" CONFIG_VERSION, "activeProfileIndex", (int)first, "shared", "frames",
        frames, "profiles", profiles);
    code = root != NULL && json_dumpf(root, out, JSON_COMPACT) == 0 ? 0 : -ENOMEM;
    json_decref(root);
    putc('\n', out);
    return code;
}
