#include "profile_difference.h"

#include "must.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* A frame that is known, by what makes it the same as another. */
struct known_frame {
    const char *function;
    const char *module;        /* name of its file, by names; else "" */
    struct profile_frame code; /* else this: module, offset, line, is_inlined */
    uint32_t number;
};

struct known_sample {
    const struct profile_sample *like; /* component, operation and thread */
    size_t depth;
    const uint32_t *frames;
    size_t number;
};

struct builder {
    struct profile *profile;
    bool by_names;
    void *frames;  /* tsearch: struct known_frame */
    void *samples; /* tsearch: struct known_sample */
    size_t frame_room;
    size_t sample_room;
    size_t text_room;
};

/* ---- frames ---- */

static int compare_frames(const void *a, const void *b)
{
    const struct known_frame *x = a;
    const struct known_frame *y = b;
    int order = strcmp(x->function, y->function);

    if (order == 0) {
        order = strcmp(x->module, y->module);
    }
    if (order != 0) {
        return order;
    }
    if (x->code.module != y->code.module) {
        return x->code.module < y->code.module ? -1 : 1;
    }
    if (x->code.offset != y->code.offset) {
        return x->code.offset < y->code.offset ? -1 : 1;
    }
    if (x->code.line != y->code.line) {
        return x->code.line < y->code.line ? -1 : 1;
    }
    return x->code.is_inlined - y->code.is_inlined;
}

static const char *module_name(const mp_image_t *image, uint32_t module)
{
    const struct mp_region_module *m = mp_image_module(image, module);
    const char *slash = m != NULL ? strrchr(m->path, '/') : NULL;

    return m == NULL ? "" : slash != NULL ? slash + 1 : m->path;
}

/* The number in the difference of a frame of one of the two. */
static uint32_t frame_of(
    struct builder *b, const struct profile *from, const struct profile_frame *f)
{
    struct profile *p = b->profile;
    struct known_frame wanted = {.function = f->function, .module = "", .code = *f};
    struct known_frame **found;
    struct known_frame *fresh;
    struct profile_frame *made;

    if (b->by_names) {
        wanted.module = module_name(from->image, f->module);
        wanted.code = (struct profile_frame){.module = UINT32_MAX};
    }
    found = tfind(&wanted, &b->frames, compare_frames);
    if (found != NULL) {
        return (*found)->number;
    }
    p->frames =
        must_grow(p->frames, p->frame_count, &b->frame_room, sizeof(*p->frames));
    made = &p->frames[p->frame_count];
    *made = wanted.code;
    made->function = must(strdup(f->function));
    made->file = f->file != NULL ? must(strdup(f->file)) : NULL;
    fresh = must(malloc(sizeof(*fresh)));
    *fresh = wanted;
    fresh->number = (uint32_t)p->frame_count++;
    must(tsearch(fresh, &b->frames, compare_frames));
    return fresh->number;
}

/* ---- samples ---- */

static int compare_samples(const void *a, const void *b)
{
    const struct known_sample *x = a;
    const struct known_sample *y = b;
    int order;

    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    order = memcmp(x->frames, y->frames, x->depth * sizeof(*x->frames));
    if (order == 0) {
        order = strcmp(x->like->component, y->like->component);
    }
    if (order == 0) {
        order = strcmp(x->like->operation, y->like->operation);
    }
    return order != 0 ? order : strcmp(x->like->thread, y->like->thread);
}

static const char *keep_text(struct builder *b, const char *text)
{
    struct profile *p = b->profile;

    if (text[0] == '\0') {
        return "";
    }
    p->texts = must_grow(p->texts, p->text_count, &b->text_room, sizeof(*p->texts));
    p->texts[p->text_count] = must(strdup(text));
    return p->texts[p->text_count++];
}

static size_t add_sample(
    struct builder *b, const struct profile_sample *like, uint32_t *frames)
{
    struct profile *p = b->profile;

    p->samples =
        must_grow(p->samples, p->sample_count, &b->sample_room, sizeof(*p->samples));
    p->samples[p->sample_count] = (struct profile_sample){.depth = like->depth,
        .frames = frames,
        .component = keep_text(b, like->component),
        .operation = keep_text(b, like->operation),
        .thread = keep_text(b, like->thread)};
    return p->sample_count++;
}

/* The sample of the difference that one of the two belongs to. */
static struct profile_sample *sample_of(
    struct builder *b, const struct profile *from, const struct profile_sample *s)
{
    uint32_t *frames = must(calloc(s->depth + 1, sizeof(*frames)));
    struct known_sample wanted = {.like = s, .depth = s->depth, .frames = frames};
    struct known_sample **found;
    struct known_sample *fresh;

    for (size_t i = 0; i < s->depth; i++) {
        frames[i] = frame_of(b, from, &from->frames[s->frames[i]]);
    }
    found = tfind(&wanted, &b->samples, compare_samples);
    if (found != NULL) {
        free(frames);
        return &b->profile->samples[(*found)->number];
    }
    fresh = must(malloc(sizeof(*fresh)));
    *fresh = wanted;
    fresh->number = add_sample(b, s, frames);
    must(tsearch(fresh, &b->samples, compare_samples));
    return &b->profile->samples[fresh->number];
}

static void add(struct builder *b, const struct profile *from, bool is_before)
{
    b->profile->has_stacks |= from->has_stacks;
    for (size_t i = 0; i < from->sample_count; i++) {
        const struct profile_sample *s = &from->samples[i];
        struct profile_sample *to = sample_of(b, from, s);

        to->samples += s->samples;
        to->live_samples += is_before ? 0 : s->live_samples;
        to->is_cut |= s->is_cut;
        for (unsigned v = 0; v < PROFILE_VALUES; v++) {
            (is_before ? to->before : to->value)[v] += s->value[v];
        }
    }
}

/* ---- the whole ---- */

static bool is_same_run(const mp_image_t *a, const mp_image_t *b)
{
    return memcmp(mp_image_process(a)->run_id, mp_image_process(b)->run_id,
               sizeof(mp_image_process(a)->run_id))
           == 0;
}

struct profile *profile_difference_create(
    const struct profile *before, const struct profile *after)
{
    struct builder b = {.profile = must(calloc(1, sizeof(*b.profile))),
        .by_names = !is_same_run(before->image, after->image)};
    struct profile *p = b.profile;

    p->image = after->image;
    p->before = before->image;
    p->before_ns = mp_image_totals(before->image)->published_ns;
    p->after_ns = mp_image_totals(after->image)->published_ns;
    p->interval = after->interval;
    add(&b, after, false);
    add(&b, before, true);
    tdestroy(b.frames, free);
    tdestroy(b.samples, free);
    return p;
}

bool profile_is_same(const struct profile_sample *s)
{
    return memcmp(s->value, s->before, sizeof(s->value)) == 0;
}
