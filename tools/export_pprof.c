#include "export.h"

#include "places.h"
#include "pprof.pb-c.h"
#include "profile_difference.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/*
 * profile.proto: the samples of heaps that pprof knows, as values that have been scaled. A
 * mapping is an executable segment, at an address of our own (address_space.h).
 */

/* A message being made: all that it points to is in `block`, and goes at the end. */
struct writer {
    const struct profile *profile;
    struct places places;
    void **block;
    size_t blocks;
    size_t room;
    char **text;
    size_t texts;
    size_t text_room;
    void *known_texts;     /* tsearch: struct known_text */
    void *known_functions; /* tsearch: messages */
    uint64_t *mapping;     /* of each segment of each module: its number, 0: none */
    bool has_failed;       /* no memory */
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

struct known_text {
    const char *text;
    int64_t number;
};

static int compare_texts(const void *a, const void *b)
{
    return strcmp(
        ((const struct known_text *)a)->text, ((const struct known_text *)b)->text);
}

static void ignore(void *node)
{
    (void)node; /* it is a block */
}

static int64_t add_text(struct writer *w, char *string)
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
    w->text[w->texts] = string;
    return (int64_t)w->texts++;
}

/* The number of a text in the table of strings, which has each once. */
static int64_t text(struct writer *w, const char *string)
{
    struct known_text wanted = {string, 0};
    struct known_text **found = tfind(&wanted, &w->known_texts, compare_texts);
    struct known_text *fresh;
    char *copy;

    if (found != NULL) {
        return (*found)->number;
    }
    fresh = take(w, 1, sizeof(*fresh));
    copy = take(w, strlen(string) + 1, 1);
    if (w->has_failed) {
        return 0;
    }
    *fresh = (struct known_text){strcpy(copy, string), add_text(w, copy)};
    if (tsearch(fresh, &w->known_texts, compare_texts) == NULL) {
        w->has_failed = true;
    }
    return fresh->number;
}

typedef Mpalloc__Pprof__Profile profile_message;
typedef Mpalloc__Pprof__ValueType value_message;
typedef Mpalloc__Pprof__Sample sample_message;
typedef Mpalloc__Pprof__Label label_message;
typedef Mpalloc__Pprof__Mapping mapping_message;
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

/* ---- mappings ---- */

static mapping_message *make_mapping(
    struct writer *w, uint32_t module, const struct address_segment *s, uint64_t id)
{
    const struct mp_region_module *from = mp_image_module(w->profile->image, module);
    char path[4 * sizeof(from->path) + 1];
    char build_id[2 * MP_REGION_BUILD_ID_BYTES + 1] = "";
    mapping_message *m = take(w, 1, sizeof(*m));

    if (m == NULL) {
        return NULL;
    }
    mpalloc__pprof__mapping__init(m);
    mp_text_escape(path, sizeof(path), from->path, sizeof(from->path));
    for (size_t i = 0; i < from->build_id_bytes && i < sizeof(from->build_id); i++) {
        snprintf(build_id + 2 * i, 3, "%02x", from->build_id[i]);
    }
    m->id = id;
    m->memory_start = s->start;
    m->memory_limit = s->limit;
    m->file_offset = s->file_offset;
    m->filename = text(w, path);
    m->build_id = text(w, build_id);
    return m;
}

static bool is_code(const struct address_segment *s)
{
    return (s->flags & 1) != 0;
}

/* The executable segments, those of the program first. */
static void make_mappings(struct writer *w, profile_message *m)
{
    size_t count = w->places.space.count * MP_REGION_MODULE_SEGMENTS;
    struct address_segment s;

    w->mapping = take(w, count, sizeof(*w->mapping));
    m->mapping = take(w, count, sizeof(*m->mapping));
    for (size_t i = 0; i < count && !w->has_failed; i++) {
        uint32_t module = (uint32_t)(i / MP_REGION_MODULE_SEGMENTS);

        if (address_space_segment(
                &w->places.space, module, i % MP_REGION_MODULE_SEGMENTS, &s)
            && is_code(&s)) {
            m->mapping[m->n_mapping] = make_mapping(w, module, &s, m->n_mapping + 1);
            w->mapping[i] = ++m->n_mapping;
        }
    }
}

/* The number of the mapping that a place is in; 0: none. */
static uint64_t mapping_of(const struct writer *w, const struct place *place)
{
    for (unsigned i = 0; i < MP_REGION_MODULE_SEGMENTS; i++) {
        struct address_segment s;

        if (address_space_segment(&w->places.space, place->module, i, &s) && is_code(&s)
            && place->address >= s.start && place->address < s.limit) {
            return w->mapping[place->module * MP_REGION_MODULE_SEGMENTS + i];
        }
    }
    return 0;
}

/* ---- places and functions ---- */

static int compare_functions(const void *a, const void *b)
{
    const function_message *x = a;
    const function_message *y = b;

    if (x->name != y->name) {
        return x->name < y->name ? -1 : 1;
    }
    return x->filename < y->filename ? -1 : x->filename > y->filename;
}

static uint64_t function_of(
    struct writer *w, profile_message *m, const struct profile_frame *f)
{
    function_message wanted = MPALLOC__PPROF__FUNCTION__INIT;
    function_message **found;
    function_message *fresh;

    wanted.name = wanted.system_name = text(w, f->function);
    wanted.filename = f->file != NULL ? text(w, f->file) : 0;
    found = tfind(&wanted, &w->known_functions, compare_functions);
    if (found != NULL) {
        return (*found)->id;
    }
    fresh = take(w, 1, sizeof(*fresh));
    if (fresh == NULL) {
        return 0;
    }
    *fresh = wanted;
    fresh->id = m->n_function + 1;
    if (tsearch(fresh, &w->known_functions, compare_functions) == NULL) {
        w->has_failed = true;
    }
    m->function[m->n_function++] = fresh;
    return fresh->id;
}

/* What is known of a mapping is known for good: readers look up nothing in its file. */
static void note_known(
    mapping_message *m, const struct place *place, const struct profile_frame *f)
{
    m->has_functions = m->has_functions || export_is_named(f);
    m->has_filenames = m->has_filenames || f->file != NULL;
    m->has_line_numbers = m->has_line_numbers || f->line != 0;
    m->has_inline_frames = m->has_inline_frames || place->count > 1;
}

static location_message *make_location(
    struct writer *w, profile_message *m, const struct place *place, uint64_t id)
{
    location_message *l = take(w, 1, sizeof(*l));
    line_message **lines = take(w, place->count, sizeof(*lines));
    line_message *line = take(w, place->count, sizeof(*line));

    if (w->has_failed) {
        return NULL;
    }
    mpalloc__pprof__location__init(l);
    l->id = id;
    l->mapping_id = mapping_of(w, place);
    l->address = place->module != UINT32_MAX ? place->address : 0;
    l->line = lines;
    for (uint32_t i = place->count; i > 0; i--, line++) {
        const struct profile_frame *f = &w->profile->frames[place->frames[i - 1]];

        mpalloc__pprof__line__init(line);
        line->function_id = function_of(w, m, f);
        line->line = f->line;
        lines[l->n_line++] = line;
        if (l->mapping_id != 0) {
            note_known(m->mapping[l->mapping_id - 1], place, f);
        }
    }
    return l;
}

static void make_locations(struct writer *w, profile_message *m)
{
    m->location = take(w, w->places.count, sizeof(*m->location));
    m->function = take(w, w->profile->frame_count, sizeof(*m->function));
    for (size_t i = 0; i < w->places.count && !w->has_failed; i++) {
        m->location[i] = make_location(w, m, &w->places.place[i], i + 1);
        m->n_location += m->location[i] != NULL;
    }
}

/* ---- samples ---- */

/* Numbers of texts that are keys of labels. */
struct keys {
    int64_t component;
    int64_t operation;
    int64_t thread;
    int64_t bytes;
};

static label_message *add_label(struct writer *w, sample_message *m, int64_t key)
{
    label_message *l = take(w, 1, sizeof(*l));

    if (l != NULL) {
        mpalloc__pprof__label__init(l);
        l->key = key;
        m->label[m->n_label++] = l;
    }
    return l;
}

static void add_text_label(
    struct writer *w, sample_message *m, int64_t key, const char *value)
{
    label_message *l = value[0] != '\0' ? add_label(w, m, key) : NULL;

    if (l != NULL) {
        l->str = text(w, value);
    }
}

static void add_labels(struct writer *w, sample_message *m,
    const struct profile_sample *s, const struct keys *keys)
{
    label_message *l;

    m->label = take(w, 4, sizeof(*m->label));
    if (m->label == NULL) {
        return;
    }
    add_text_label(w, m, keys->component, s->component);
    add_text_label(w, m, keys->operation, s->operation);
    add_text_label(w, m, keys->thread, s->thread);
    l = s->block_bytes != 0 ? add_label(w, m, keys->bytes) : NULL;
    if (l != NULL) {
        l->num = (int64_t)s->block_bytes;
        l->num_unit = keys->bytes;
    }
}

/* The four that pprof knows, and that which was asked for beside. */
static unsigned count_values(enum profile_value value)
{
    return value < PROFILE_PEAK_BLOCKS ? PROFILE_PEAK_BLOCKS : PROFILE_PEAK_BLOCKS + 2;
}

static enum profile_value value_at(unsigned i, enum profile_value value)
{
    return (enum profile_value)(
        i < PROFILE_PEAK_BLOCKS ? i : (value & ~1u) + i - PROFILE_PEAK_BLOCKS);
}

static sample_message *make_sample(
    struct writer *w, size_t number, const struct keys *keys, enum profile_value value)
{
    const struct profile_sample *s = &w->profile->samples[number];
    size_t depth = w->places.depth[number];
    unsigned count = count_values(value);
    sample_message *m = take(w, 1, sizeof(*m));
    uint64_t *locations = take(w, depth, sizeof(*locations));
    int64_t *values = take(w, count, sizeof(*values));

    if (w->has_failed) {
        return NULL;
    }
    mpalloc__pprof__sample__init(m);
    for (size_t i = 0; i < depth; i++) {
        locations[i] = w->places.stack[number][depth - 1 - i] + 1;
    }
    for (unsigned i = 0; i < count; i++) {
        enum profile_value v = value_at(i, value);

        values[i] = (int64_t)(s->value[v] - s->before[v]); /* of a difference below 0 */
    }
    m->location_id = locations;
    m->n_location_id = depth;
    m->value = values;
    m->n_value = count;
    add_labels(w, m, s, keys);
    return m;
}

static void make_samples(struct writer *w, profile_message *m, enum profile_value value)
{
    size_t count = w->profile->sample_count;
    struct keys keys = {text(w, "component"), text(w, "operation"), text(w, "thread"),
        text(w, "bytes")};

    m->sample = take(w, count, sizeof(*m->sample));
    for (size_t i = 0; i < count && !w->has_failed; i++) {
        if (w->profile->before != NULL && profile_is_same(&w->profile->samples[i])) {
            continue;
        }
        m->sample[m->n_sample] = make_sample(w, i, &keys, value);
        m->n_sample += m->sample[m->n_sample] != NULL;
    }
}

/* ---- the profile ---- */

static void make_comments(struct writer *w, profile_message *m)
{
    char how[100];
    char line[200];

    m->comment = take(w, 1, sizeof(*m->comment));
    if (m->comment == NULL) {
        return;
    }
    profile_describe(w->profile, how, sizeof(how));
    snprintf(line, sizeof(line), "mpalloc " CONFIG_VERSION ": %s%s%s",
        w->profile->before != NULL ? "a difference; " : "", how,
        w->profile->has_stacks && w->profile->interval != MP_SAMPLING_EXACT
            ? "; values are estimates for all allocations, scaled already"
            : "");
    m->comment[m->n_comment++] = text(w, line);
}

static void make_profile(struct writer *w, profile_message *m, enum profile_value value)
{
    const struct profile *p = w->profile;
    const struct mp_region_totals *t = mp_image_totals(p->image);
    const struct mp_region_process *process = mp_image_process(p->image);
    uint64_t from_ns;
    uint64_t to_ns;
    bool is_sampled =
        p->interval != MP_SAMPLING_EXACT && p->interval != MP_SAMPLING_OFF;

    text(w, ""); /* the first one must be */
    m->sample_type = take(w, count_values(value), sizeof(*m->sample_type));
    for (unsigned i = 0; i < count_values(value) && !w->has_failed; i++) {
        const struct export_value *v = &export_values[value_at(i, value)];

        m->sample_type[m->n_sample_type++] = make_value(w, v->name, v->unit);
    }
    make_mappings(w, m);
    if (!w->has_failed) {
        make_locations(w, m);
        make_samples(w, m, value);
        make_comments(w, m);
    }
    from_ns = p->before != NULL ? p->before_ns : process->started_ns;
    to_ns = p->before != NULL ? p->after_ns : t->published_ns;
    m->time_nanos = (int64_t)(p->before != NULL ? from_ns : to_ns);
    m->duration_nanos = to_ns > from_ns ? (int64_t)(to_ns - from_ns) : 0;
    m->period_type = make_value(w, "space", "bytes");
    m->period = is_sampled ? (int64_t)p->interval : 1;
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
    struct writer w = {.profile = p};
    profile_message m = MPALLOC__PPROF__PROFILE__INIT;
    uint8_t *data = NULL;
    size_t bytes = 0;
    int code = -ENOMEM;

    if (places_init(&w.places, p) != 0) {
        return code;
    }
    make_profile(&w, &m, value);
    if (!w.has_failed) {
        bytes = mpalloc__pprof__profile__get_packed_size(&m);
        data = malloc(bytes);
    }
    if (data != NULL) {
        mpalloc__pprof__profile__pack(&m, data);
        code = put_compressed(out, data, bytes);
    }
    free(data);
    tdestroy(w.known_texts, ignore);
    tdestroy(w.known_functions, ignore);
    for (size_t i = 0; i < w.blocks; i++) {
        free(w.block[i]);
    }
    free(w.block);
    free(w.text);
    places_fini(&w.places, p);
    return code;
}
