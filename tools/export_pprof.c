#include "export.h"

#include "pprof.pb-c.h"
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* A message being made: all that it points to is in `block`, and goes at the end. */
struct writer {
    void **block;
    size_t blocks;
    size_t room;
    char **text;
    size_t texts;
    size_t text_room;
    bool has_failed; /* no memory */
};

static void *take(struct writer *w, size_t count, size_t bytes)
{
    void *memory = calloc(count > 0 ? count : 1, bytes);

    if (w->blocks == w->room) {
        size_t room = w->room == 0 ? 256 : 2 * w->room;
        void **more = reallocarray(w->block, room, sizeof(*more));

        if (more == NULL) {
            free(memory);
            memory = NULL;
        } else {
            w->block = more;
            w->room = room;
        }
    }
    if (memory == NULL) {
        w->has_failed = true;
        return NULL;
    }
    w->block[w->blocks++] = memory;
    return memory;
}

/* The number of a text in the table of strings; they live as long as the profile. */
static int64_t text(struct writer *w, const char *string)
{
    if (w->texts == w->text_room) {
        size_t room = w->text_room == 0 ? 256 : 2 * w->text_room;
        char **more = reallocarray(w->text, room, sizeof(*more));

        if (more == NULL) {
            w->has_failed = true;
            return 0;
        }
        w->text = more;
        w->text_room = room;
    }
    w->text[w->texts] = (char *)(uintptr_t)string;
    return (int64_t)w->texts++;
}

typedef Mpalloc__Pprof__Profile profile_message;
typedef Mpalloc__Pprof__ValueType value_message;
typedef Mpalloc__Pprof__Sample sample_message;
typedef Mpalloc__Pprof__Label label_message;
typedef Mpalloc__Pprof__Location location_message;
typedef Mpalloc__Pprof__Line line_message;
typedef Mpalloc__Pprof__Function function_message;

static value_message *make_value(struct writer *w, const char *type, const char *unit)
{
    value_message *m = take(w, 1, sizeof(*m));

    if (m != NULL) {
        mpalloc__pprof__value_type__init(m);
        m->type = text(w, type);
        m->unit = text(w, unit);
    }
    return m;
}

/* A function and a place in it for each frame, with the frame's number + 1. */
static void make_frames(struct writer *w, profile_message *m, const struct profile *p)
{
    m->location = take(w, p->frame_count, sizeof(*m->location));
    m->function = take(w, p->frame_count, sizeof(*m->function));
    for (size_t i = 0; i < p->frame_count && !w->has_failed; i++) {
        function_message *f = take(w, 1, sizeof(*f));
        location_message *l = take(w, 1, sizeof(*l));
        line_message **lines = take(w, 1, sizeof(*lines));
        line_message *line = take(w, 1, sizeof(*line));

        if (w->has_failed) {
            return;
        }
        mpalloc__pprof__function__init(f);
        mpalloc__pprof__location__init(l);
        mpalloc__pprof__line__init(line);
        f->id = l->id = line->function_id = i + 1;
        f->name = f->system_name = text(w, p->frames[i].function);
        lines[0] = line;
        l->line = lines;
        l->n_line = 1;
        m->function[m->n_function++] = f;
        m->location[m->n_location++] = l;
    }
}

static label_message *make_label(struct writer *w, int64_t key)
{
    label_message *m = take(w, 1, sizeof(*m));

    if (m != NULL) {
        mpalloc__pprof__label__init(m);
        m->key = key;
    }
    return m;
}

/* Numbers of texts that every sample has. */
struct keys {
    int64_t component;
    int64_t bytes;
};

static sample_message *make_sample(
    struct writer *w, const struct profile_sample *s, const struct keys *keys)
{
    sample_message *m = take(w, 1, sizeof(*m));
    uint64_t *locations = take(w, s->depth, sizeof(*locations));
    int64_t *values = take(w, PROFILE_VALUES, sizeof(*values));
    label_message **labels = take(w, 2, sizeof(*labels));

    if (w->has_failed) {
        return NULL;
    }
    mpalloc__pprof__sample__init(m);
    for (size_t i = 0; i < s->depth; i++) {
        locations[i] = s->frames[s->depth - 1 - i] + 1;
    }
    for (unsigned i = 0; i < PROFILE_VALUES; i++) {
        values[i] = (int64_t)s->value[i];
    }
    labels[0] = make_label(w, keys->component);
    labels[1] = make_label(w, keys->bytes);
    if (w->has_failed) {
        return NULL;
    }
    labels[0]->str = text(w, s->component);
    labels[1]->num = (int64_t)s->block_bytes;
    labels[1]->num_unit = keys->bytes;
    m->location_id = locations;
    m->n_location_id = s->depth;
    m->value = values;
    m->n_value = PROFILE_VALUES;
    m->label = labels;
    m->n_label = 2;
    return m;
}

static void make_samples(struct writer *w, profile_message *m, const struct profile *p)
{
    struct keys keys = {text(w, "component"), text(w, "bytes")};

    m->sample = take(w, p->sample_count, sizeof(*m->sample));
    for (size_t i = 0; i < p->sample_count && !w->has_failed; i++) {
        m->sample[m->n_sample] = make_sample(w, &p->samples[i], &keys);
        m->n_sample += m->sample[m->n_sample] != NULL;
    }
}

static void make_profile(struct writer *w, profile_message *m, const struct profile *p,
    enum profile_value value)
{
    const struct mp_region_totals *t = mp_image_totals(p->image);
    const struct mp_region_process *process = mp_image_process(p->image);

    text(w, ""); /* the first one must be */
    m->sample_type = take(w, PROFILE_VALUES, sizeof(*m->sample_type));
    for (unsigned i = 0; i < PROFILE_VALUES && !w->has_failed; i++) {
        m->sample_type[m->n_sample_type++] =
            make_value(w, export_values[i].name, export_values[i].unit);
    }
    make_frames(w, m, p);
    make_samples(w, m, p);
    m->time_nanos = (int64_t)t->published_ns;
    m->duration_nanos = t->published_ns > process->started_ns
                            ? (int64_t)(t->published_ns - process->started_ns)
                            : 0;
    m->period_type = make_value(w, "space", "bytes");
    m->period = 1; /* nothing was sampled */
    m->default_sample_type = text(w, export_values[value].name);
    m->string_table = w->text;
    m->n_string_table = w->texts;
}

/* gzip, as readers expect it. */
static int put_compressed(FILE *out, const uint8_t *data, size_t bytes)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)data, .avail_in = (uInt)bytes};
    uint8_t buffer[16384];
    int code;

    if (bytes > UINT32_MAX
        || deflateInit2(
               &z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY)
               != Z_OK) {
        return -ENOMEM;
    }
    do {
        z.next_out = buffer;
        z.avail_out = sizeof(buffer);
        code = deflate(&z, Z_FINISH);
        fwrite(buffer, 1, sizeof(buffer) - z.avail_out, out);
    } while (code == Z_OK);
    deflateEnd(&z);
    return code == Z_STREAM_END ? 0 : -EIO;
}

int export_pprof(FILE *out, const struct profile *p, enum profile_value value)
{
    struct writer w = {0};
    profile_message m = MPALLOC__PPROF__PROFILE__INIT;
    uint8_t *data = NULL;
    size_t bytes = 0;
    int code = -ENOMEM;

    make_profile(&w, &m, p, value);
    if (!w.has_failed) {
        bytes = mpalloc__pprof__profile__get_packed_size(&m);
        data = malloc(bytes);
    }
    if (data != NULL) {
        mpalloc__pprof__profile__pack(&m, data);
        code = put_compressed(out, data, bytes);
    }
    free(data);
    for (size_t i = 0; i < w.blocks; i++) {
        free(w.block[i]);
    }
    free(w.block);
    free(w.text);
    return code;
}
