#include "export.h"

#include "document.h"

#include <errno.h>
#include <math.h>

/*
 * All of a profile as JSON (schemas/profile.json): frames and modules by number, samples with
 * an interval for each value. Nothing is rounded or left out.
 */

static const char *const value_keys[PROFILE_VALUES] = {
    "allocated_blocks_total",
    "allocated_bytes_total",
    "live_blocks",
    "live_bytes",
    "peak_blocks",
    "peak_bytes",
    "short_lived_blocks_total",
    "short_lived_bytes_total",
};

static json_t *make_estimate(const struct profile_sample *s, unsigned value)
{
    json_t *o = json_object();

    document_set_bytes(o, "value", s->value[value]);
    document_set_bytes(o, "low", s->low[value]);
    document_set_bytes(o, "high", s->high[value]);
    return o;
}

static json_t *make_sample(const struct profile_sample *s)
{
    json_t *o = json_object();
    json_t *frames = json_array();

    for (size_t i = 0; i < s->depth; i++) {
        json_array_append_new(frames, json_integer(s->frames[i]));
    }
    document_set(o, "frames", frames);
    document_set(o, "is_cut", json_boolean(s->is_cut));
    document_set(o, "component", document_string(s->component));
    document_set(o, "operation",
        s->operation[0] != '\0' ? document_string(s->operation) : json_null());
    document_set(
        o, "thread", s->thread[0] != '\0' ? document_string(s->thread) : json_null());
    document_set_bytes(o, "block_bytes", s->block_bytes);
    document_set_bytes(
        o, "requested_bytes_total", s->samples > 0 ? s->requested : MP_UNKNOWN);
    document_set_bytes(
        o, "live_requested_bytes", s->samples > 0 ? s->live_requested : MP_UNKNOWN);
    document_set_bytes(
        o, "peak_requested_bytes", s->samples > 0 ? s->peak_requested : MP_UNKNOWN);
    document_set_bytes(o, "samples_total", s->samples);
    document_set_bytes(o, "live_samples", s->live_samples);
    document_set_time(o, "first", s->first_ns);
    document_set_time(o, "last", s->last_ns);
    document_set(o, "lifetime_seconds_total",
        s->lifetime_s > 0 && isfinite(s->lifetime_s) ? document_number(s->lifetime_s)
                                                     : json_null());
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        document_set(o, value_keys[i], make_estimate(s, i));
    }
    return o;
}

static json_t *make_frame(const struct profile_frame *f)
{
    json_t *o = json_object();
    bool has_module = f->module != UINT32_MAX;

    document_set(o, "name", document_string(f->function));
    document_set(o, "file", f->file != NULL ? document_string(f->file) : json_null());
    document_set(o, "line", f->line > 0 ? json_integer(f->line) : json_null());
    document_set(o, "module", has_module ? json_integer(f->module) : json_null());
    document_set_bytes(o, "offset", has_module ? f->offset : MP_UNKNOWN);
    document_set(o, "is_inlined", json_boolean(f->is_inlined));
    return o;
}

static json_t *make_sampling(const struct profile *p)
{
    json_t *o = json_object();
    char text[100];
    bool is_exact = p->interval == MP_SAMPLING_EXACT;

    document_set(o, "has_stacks", json_boolean(p->has_stacks));
    document_set_text(o, "mode",
        is_exact                         ? "exact"
        : p->interval == MP_SAMPLING_OFF ? "off"
                                         : "sampled");
    document_set_bytes(o, "interval_bytes", is_exact ? MP_UNKNOWN : p->interval);
    document_set_text(o, "description", profile_describe(p, text, sizeof(text)));
    return o;
}

/* ---- differences ---- */

static json_t *make_side(const mp_image_t *image, const char *label)
{
    json_t *o = document_process(image);

    document_set_text(o, "label", label);
    return o;
}

static json_t *make_values(const uint64_t value[PROFILE_VALUES])
{
    json_t *o = json_object();

    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        document_set_bytes(o, value_keys[i], value[i]);
    }
    return o;
}

static json_t *make_pair(const struct profile_sample *s)
{
    json_t *o = json_object();
    json_t *frames = json_array();

    for (size_t i = 0; i < s->depth; i++) {
        json_array_append_new(frames, json_integer(s->frames[i]));
    }
    document_set(o, "frames", frames);
    document_set(o, "component", document_string(s->component));
    document_set(o, "operation",
        s->operation[0] != '\0' ? document_string(s->operation) : json_null());
    document_set(
        o, "thread", s->thread[0] != '\0' ? document_string(s->thread) : json_null());
    document_set(o, "before", make_values(s->before));
    document_set(o, "after", make_values(s->value));
    return o;
}

static json_t *make_difference(const struct profile *p)
{
    json_t *d = document_new("profile_difference");
    json_t *frames = json_array();
    json_t *samples = json_array();

    for (size_t i = 0; i < p->frame_count; i++) {
        json_array_append_new(frames, make_frame(&p->frames[i]));
    }
    for (size_t i = 0; i < p->sample_count; i++) {
        json_array_append_new(samples, make_pair(&p->samples[i]));
    }
    document_set(d, "before", make_side(p->before, "before"));
    document_set(d, "after", make_side(p->image, "after"));
    document_set(d, "modules", document_modules(p->image));
    document_set(d, "frames", frames);
    document_set(d, "samples", samples);
    return d;
}

/* ---- the whole ---- */

static json_t *make_profile(const struct profile *p)
{
    json_t *root = document_new("profile");
    json_t *frames = json_array();
    json_t *samples = json_array();

    for (size_t i = 0; i < p->frame_count; i++) {
        json_array_append_new(frames, make_frame(&p->frames[i]));
    }
    for (size_t i = 0; i < p->sample_count; i++) {
        json_array_append_new(samples, make_sample(&p->samples[i]));
    }
    document_set(root, "process", document_process(p->image));
    document_set(root, "sampling", make_sampling(p));
    document_set(root, "modules", document_modules(p->image));
    document_set(root, "frames", frames);
    document_set(root, "samples", samples);
    return root;
}

int export_json(FILE *out, const struct profile *p, enum profile_value value)
{
    json_t *root = p->before != NULL ? make_difference(p) : make_profile(p);
    int bad = json_dumpf(root, out, JSON_COMPACT | JSON_REAL_PRECISION(9));

    (void)value; /* all are there */
    json_decref(root);
    putc('\n', out);
    return bad == 0 ? 0 : ferror(out) ? -EIO : -ENOMEM;
}
