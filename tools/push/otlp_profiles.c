#include "otlp_parts.h"

#include "export.h"
#include "places.h"

#include <search.h>
#include <stdio.h>

/*
 * Profiles of opentelemetry.proto.profiles.v1development, as opentelemetry-proto 1.10 and 1.11 have
 * it. One profile has one type of sample; all share a dictionary, in whose tables number 0 means
 * nothing.
 */

typedef Mpalloc__Otlp__Profile profile_message;
typedef Mpalloc__Otlp__ProfilesDictionary dictionary_message;
typedef Mpalloc__Otlp__Sample sample_message;

/* The number of something in its table, in a tree by what it is. */
struct known {
    struct known_key {
        const char *text;
        int32_t more; /* a function: its file; an attribute: its key */
        int64_t number;
    } key;
    int32_t at;
};

struct maker {
    const struct profile *profile;
    struct places places;
    dictionary_message *to;
    void *texts;
    void *functions;
    void *attributes;
    int32_t *mapping; /* of each segment of each module; 0: none */
};

static int compare(const void *a, const void *b)
{
    const struct known_key *x = &((const struct known *)a)->key;
    const struct known_key *y = &((const struct known *)b)->key;

    if (x->more != y->more) {
        return x->more < y->more ? -1 : 1;
    }
    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return strcmp(x->text, y->text);
}

/* The place of a key in its table; *ret_is_new: it is to be filled. Keys live on. */
static int32_t find(
    void **tree, const struct known_key *key, size_t count, bool *ret_is_new)
{
    struct known wanted = {*key, (int32_t)count};
    struct known **found = tfind(&wanted, tree, compare);
    struct known *fresh;

    *ret_is_new = found == NULL;
    if (found != NULL) {
        return (*found)->at;
    }
    fresh = must(malloc(sizeof(*fresh)));
    *fresh = wanted;
    must(tsearch(fresh, tree, compare));
    return fresh->at;
}

static int32_t text(struct maker *w, const char *string)
{
    struct known_key key = {string, 0, 0};
    bool is_new;
    int32_t at = find(&w->texts, &key, w->to->n_string_table, &is_new);

    if (is_new) {
        OTLP_APPEND(w->to, string_table, must(strdup(string)));
    }
    return at;
}

/* value: a text, or NULL and a number of that unit. What it points to lives as long as profile. */
static int32_t attribute(struct maker *w, const char *key, const char *value,
    uint64_t number, const char *unit)
{
    struct known_key wanted = {
        value != NULL ? value : "", text(w, key), (int64_t)number};
    struct otlp_attribute a = {key, value, number};
    bool is_new;
    int32_t at = find(&w->attributes, &wanted, w->to->n_attribute_table, &is_new);

    if (is_new) {
        Mpalloc__Otlp__KeyValueAndUnit *m =
            OTLP_NEW(KeyValueAndUnit, key_value_and_unit);

        m->key_strindex = text(w, key);
        m->value = otlp_any(&a);
        m->unit_strindex = text(w, unit);
        OTLP_APPEND(w->to, attribute_table, m);
    }
    return at;
}

static int32_t *append_number(int32_t *list, size_t count, int32_t value)
{
    if ((count & (count - 1)) == 0) {
        list = must(reallocarray(list, count == 0 ? 1 : 2 * count, sizeof(*list)));
    }
    list[count] = value;
    return list;
}

/* Number 0 of each table. */
static void begin(struct maker *w)
{
    Mpalloc__Otlp__KeyValueAndUnit *a = OTLP_NEW(KeyValueAndUnit, key_value_and_unit);

    text(w, "");
    a->value = OTLP_NEW(AnyValue, any_value);
    OTLP_APPEND(w->to, attribute_table, a);
    OTLP_APPEND(w->to, mapping_table, OTLP_NEW(Mapping, mapping));
    OTLP_APPEND(w->to, location_table, OTLP_NEW(Location, location));
    OTLP_APPEND(w->to, function_table, OTLP_NEW(Function, function));
    OTLP_APPEND(w->to, link_table, OTLP_NEW(Link, link));
    OTLP_APPEND(w->to, stack_table, OTLP_NEW(Stack, stack));
}

/* ---- code ---- */

/*
 * Texts of keys must outlive the trees: build ids are found by a text of their own, which the
 * table of strings is not; so they are attributes without a tree, one for each module.
 */
static void add_build_id(
    struct maker *w, Mpalloc__Otlp__Mapping *m, const struct mp_region_module *from)
{
    char build_id[2 * MP_REGION_BUILD_ID_BYTES + 1] = "";
    struct otlp_attribute a = {"", build_id, 0};
    Mpalloc__Otlp__KeyValueAndUnit *fresh;

    for (size_t i = 0; i < from->build_id_bytes && i < sizeof(from->build_id); i++) {
        snprintf(build_id + 2 * i, 3, "%02x", from->build_id[i]);
    }
    if (build_id[0] == '\0') {
        return;
    }
    fresh = OTLP_NEW(KeyValueAndUnit, key_value_and_unit);
    fresh->key_strindex = text(w, "process.executable.build_id.gnu");
    fresh->value = otlp_any(&a);
    m->attribute_indices = append_number(m->attribute_indices, m->n_attribute_indices++,
        (int32_t)w->to->n_attribute_table);
    OTLP_APPEND(w->to, attribute_table, fresh);
}

static bool is_code(const struct address_segment *s)
{
    return (s->flags & 1) != 0;
}

static void add_mappings(struct maker *w)
{
    size_t count = w->places.space.count * MP_REGION_MODULE_SEGMENTS;
    struct address_segment s;

    w->mapping = must(calloc(count + 1, sizeof(*w->mapping)));
    for (size_t i = 0; i < count; i++) {
        uint32_t module = (uint32_t)(i / MP_REGION_MODULE_SEGMENTS);
        const struct mp_region_module *from =
            mp_image_module(w->profile->image, module);
        char path[4 * sizeof(from->path) + 1];
        Mpalloc__Otlp__Mapping *m;

        if (!address_space_segment(
                &w->places.space, module, i % MP_REGION_MODULE_SEGMENTS, &s)
            || !is_code(&s)) {
            continue;
        }
        m = OTLP_NEW(Mapping, mapping);
        mp_text_escape(path, sizeof(path), from->path, sizeof(from->path));
        m->memory_start = s.start;
        m->memory_limit = s.limit;
        m->file_offset = s.file_offset;
        m->filename_strindex = (int32_t)w->to->n_string_table;
        OTLP_APPEND(w->to, string_table, must(strdup(path)));
        add_build_id(w, m, from);
        w->mapping[i] = (int32_t)w->to->n_mapping_table;
        OTLP_APPEND(w->to, mapping_table, m);
    }
}

static int32_t mapping_of(const struct maker *w, const struct place *place)
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

static int32_t function_of(struct maker *w, const struct profile_frame *f)
{
    int32_t file = f->file != NULL ? text(w, f->file) : 0;
    struct known_key key = {f->function, file, 0};
    bool is_new;
    int32_t at = find(&w->functions, &key, w->to->n_function_table, &is_new);

    if (is_new) {
        Mpalloc__Otlp__Function *m = OTLP_NEW(Function, function);

        m->name_strindex = m->system_name_strindex = text(w, f->function);
        m->filename_strindex = file;
        OTLP_APPEND(w->to, function_table, m);
    }
    return at;
}

/* Place i is location i + 1. */
static void add_locations(struct maker *w)
{
    for (size_t i = 0; i < w->places.count; i++) {
        const struct place *place = &w->places.place[i];
        Mpalloc__Otlp__Location *m = OTLP_NEW(Location, location);

        m->mapping_index = mapping_of(w, place);
        m->address = place->module != UINT32_MAX ? place->address : 0;
        for (uint32_t k = place->count; k > 0; k--) {
            const struct profile_frame *f = &w->profile->frames[place->frames[k - 1]];
            Mpalloc__Otlp__Line *line = OTLP_NEW(Line, line);

            line->function_index = function_of(w, f);
            line->line = f->line;
            OTLP_APPEND(m, lines, line);
        }
        OTLP_APPEND(w->to, location_table, m);
    }
}

/* Stack i is that of sample i, at i + 1. */
static void add_stacks(struct maker *w)
{
    for (size_t i = 0; i < w->profile->sample_count; i++) {
        Mpalloc__Otlp__Stack *m = OTLP_NEW(Stack, stack);

        for (size_t k = w->places.depth[i]; k > 0; k--) {
            m->location_indices = append_number(m->location_indices,
                m->n_location_indices++, (int32_t)w->places.stack[i][k - 1] + 1);
        }
        OTLP_APPEND(w->to, stack_table, m);
    }
}

/* ---- samples ---- */

static void add_text_attribute(
    struct maker *w, sample_message *m, const char *key, const char *value)
{
    if (value[0] != '\0') {
        m->attribute_indices = append_number(m->attribute_indices,
            m->n_attribute_indices++, attribute(w, key, value, 0, ""));
    }
}

static sample_message *make_sample(
    struct maker *w, size_t number, enum profile_value value)
{
    const struct profile_sample *s = &w->profile->samples[number];
    sample_message *m = OTLP_NEW(Sample, sample);

    m->stack_index = (int32_t)number + 1;
    m->values = must(malloc(sizeof(*m->values)));
    m->values[0] = (int64_t)s->value[value];
    m->n_values = 1;
    add_text_attribute(w, m, "mpalloc.component", s->component);
    add_text_attribute(w, m, "mpalloc.operation", s->operation);
    add_text_attribute(w, m, "thread.name", s->thread);
    m->attribute_indices = append_number(m->attribute_indices, m->n_attribute_indices++,
        attribute(w, "mpalloc.block.size", NULL, s->block_bytes, "By"));
    return m;
}

static Mpalloc__Otlp__ValueType *make_type(
    struct maker *w, const char *type, const char *unit)
{
    Mpalloc__Otlp__ValueType *m = OTLP_NEW(ValueType, value_type);

    m->type_strindex = text(w, type);
    m->unit_strindex = text(w, unit);
    return m;
}

static profile_message *make_profile(struct maker *w, enum profile_value value)
{
    const struct profile *p = w->profile;
    const struct mp_region_totals *t = mp_image_totals(p->image);
    const struct mp_region_process *process = mp_image_process(p->image);
    bool is_sampled =
        p->interval != MP_SAMPLING_EXACT && p->interval != MP_SAMPLING_OFF;
    profile_message *m = OTLP_NEW(Profile, profile);

    m->sample_type = make_type(w, export_values[value].name, export_values[value].unit);
    for (size_t i = 0; i < p->sample_count; i++) {
        if (p->samples[i].value[value] != 0) {
            OTLP_APPEND(m, samples, make_sample(w, i, value));
        }
    }
    m->time_unix_nano = t->published_ns;
    m->duration_nano = t->published_ns > process->started_ns
                           ? t->published_ns - process->started_ns
                           : 0;
    m->period_type = make_type(w, "space", "bytes");
    m->period = is_sampled ? (int64_t)p->interval : 1;
    return m;
}

ProtobufCMessage *otlp_profiles(
    const struct profile *p, const struct otlp_resource *resource)
{
    static const enum profile_value values[] = {PROFILE_LIVE_BYTES, PROFILE_LIVE_BLOCKS,
        PROFILE_ALLOCATED_BYTES, PROFILE_ALLOCATED_BLOCKS};
    Mpalloc__Otlp__ExportProfilesServiceRequest *request =
        OTLP_NEW(ExportProfilesServiceRequest, export_profiles_service_request);
    Mpalloc__Otlp__ResourceProfiles *r = OTLP_NEW(ResourceProfiles, resource_profiles);
    Mpalloc__Otlp__ScopeProfiles *scope = OTLP_NEW(ScopeProfiles, scope_profiles);
    struct maker w = {.profile = p};

    if (places_init(&w.places, p) != 0) {
        must(NULL);
    }
    w.to = request->dictionary = OTLP_NEW(ProfilesDictionary, profiles_dictionary);
    begin(&w);
    add_mappings(&w);
    add_locations(&w);
    add_stacks(&w);
    scope->scope = otlp_scope();
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        OTLP_APPEND(scope, profiles, make_profile(&w, values[i]));
    }
    r->resource = otlp_resource_make(p->image, resource);
    OTLP_APPEND(r, scope_profiles, scope);
    OTLP_APPEND(request, resource_profiles, r);
    tdestroy(w.texts, free);
    tdestroy(w.functions, free);
    tdestroy(w.attributes, free);
    free(w.mapping);
    places_fini(&w.places, p);
    return &request->base;
}
