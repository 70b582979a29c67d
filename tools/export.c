#include "export.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

const struct export_format export_formats[] = {
    {"pprof", export_pprof},
    {"collapsed", export_collapsed},
    {"speedscope", export_speedscope},
    {"svg", export_svg},
    {"html", export_html},
    {"massif", export_massif},
    {"openmetrics", export_openmetrics},
    {NULL, NULL},
};

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

        for (size_t n = 0; s->value[value] != 0 && n < s->depth; n++) {
            put_frame(out, p->frames[s->frames[n]].function);
            putc(n + 1 < s->depth ? ';' : ' ', out);
        }
        if (s->value[value] != 0) {
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

int export_speedscope(FILE *out, const struct profile *p, enum profile_value value)
{
    json_t *frames = json_array();
    json_t *profiles = json_array();
    char name[4 * MP_REGION_NAME_BYTES + 1];
    json_t *root;
    int code;

    for (size_t i = 0; i < p->frame_count; i++) {
        json_array_append_new(
            frames, json_pack("{s:s}", "name", p->frames[i].function));
    }
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        json_array_append_new(profiles, speedscope_profile(p, (enum profile_value)i));
    }
    mp_text_escape(
        name, sizeof(name), mp_image_process(p->image)->service, MP_REGION_NAME_BYTES);
    root = json_pack("{s:s, s:s, s:s, s:i, s:{s:o}, s:o}", "$schema",
        "https://www.speedscope.app/file-format-schema.json", "name", name, "exporter",
        "mpalloc@" CONFIG_VERSION, "activeProfileIndex", (int)value, "shared", "frames",
        frames, "profiles", profiles);
    code = root != NULL && json_dumpf(root, out, JSON_COMPACT) == 0 ? 0 : -ENOMEM;
    json_decref(root);
    putc('\n', out);
    return code;
}
